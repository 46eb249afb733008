//! Leases that are taken back, connections that are closed, panics, and brokers that say no.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use broker::model::SourceId;
use postrider_delivery::{Answer, LetterFilter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::house::{House, LARGE};
use crate::mischief::{Mischief, Mischievous};
use crate::webhook::{Reply, Webhook, status};

#[tokio::test]
async fn a_revoked_lease_closes_its_connection_and_comes_again() {
    let house = House::new();
    let mut first = true;
    let hook =
        Webhook::start(move |_| if std::mem::take(&mut first) { Reply::Hang } else { status(200) }).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", Some("k")).await;
    house.publish("e2", Some("k")).await;
    hook.next().await;
    house.broker.with(|model, now| model.revoke(now, SourceId(1), true, false));
    hook.over().await;
    let (again, second) = (hook.next().await, hook.next().await);
    assert_eq!((again.id(), again.open, second.id(), second.open), ("e1", 1, "e2", 1));
    house.status("billing", |status| status.delivered == 2 && status.dead_lettered == 0).await;
    house.told.wait("Abandoned", 1).await;
}

#[tokio::test]
async fn connections_are_kept_and_one_that_the_webhook_closed_costs_no_attempt() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let dialled = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let counted = dialled.clone();
    tasks.spawn(async move {
        loop {
            // Two answers a connection, then it is closed without a word.
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            for _ in 0..2 {
                let mut request = Vec::new();
                while !request.ends_with(b"\"}") {
                    assert!(stream.read_buf(&mut request).await.unwrap() > 0, "a whole request comes");
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    });
    house.add(house.spec("billing", uri)).await;
    for number in 1..=6 {
        house.publish(&format!("e{number}"), None).await;
        house.status("billing", |status| status.delivered == number).await;
    }
    assert_eq!(dialled.load(Ordering::SeqCst), 3);
    assert_eq!(house.told.count("AttemptBegun"), 6, "a closed idle connection is no failed attempt");
}

/// A subscription over a driver that fails on demand.
fn tricky(house: &House, uri: http::Uri, mischief: &Mischief) {
    let mut spec = house.spec("billing", uri);
    spec.driver = Arc::new(Mischievous(house.broker.clone(), mischief.clone()));
    house.subscriptions.add(spec).unwrap();
}

#[tokio::test]
async fn a_panic_of_the_task_loses_nothing() {
    let house = House::new();
    let hook =
        Webhook::start(|seen| if seen.id() == "e1" && seen.open == 1 { status(500) } else { status(200) })
            .await;
    let mischief = Mischief::default();
    tricky(&house, hook.uri(), &mischief);
    house.subscriptions.ensured().await;
    house.publish("e1", Some("k")).await;
    house.publish("e2", Some("j")).await;
    hook.next().await;
    mischief.panic_in_poll.store(true, Ordering::SeqCst);
    house.publish("e3", Some("l")).await;
    house.status("billing", |status| status.state == "failed").await;
    while hook.next().await.id() != "e3" {}
    house.status("billing", |status| status.state == "running" && status.lag == 0).await;
    house.drain().await;
}

#[tokio::test]
async fn a_source_that_ends_is_opened_again() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    let mischief = Mischief::default();
    tricky(&house, hook.uri(), &mischief);
    house.subscriptions.ensured().await;
    house.publish("e1", None).await;
    hook.next().await;
    mischief.end_sources.store(1, Ordering::SeqCst);
    house.publish("e2", None).await;
    let failed = house.status("billing", |status| status.state == "failed").await;
    assert_eq!(failed.reason.as_deref(), Some("the disk failed"));
    // It is tried again in half a minute; a drain does not wait for that.
    house.drain().await;
}

#[tokio::test]
#[cfg_attr(not(target_os = "linux"), ignore = "other kernels make the queue longer than they are asked to")]
async fn a_connect_that_hangs_is_the_endpoints_failure_however_short_the_timeout_is() {
    let house = House::new();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    // A queue of one, and it is taken: the kernel leaves whoever connects next without an answer.
    let address = listener.local_addr().unwrap();
    let _queued = TcpStream::connect(address).await.unwrap();
    let mut spec = house.spec("billing", format!("http://{address}/").parse().unwrap());
    spec.webhook.timeout = Duration::from_millis(100);
    spec.policy.retry.max_attempts = spec.policy.breaker.consecutive;
    house.add(spec).await;
    house.publish("e1", Some("k")).await;
    // The fifth in a row opens the breaker and spends nothing, and neither do the probes that follow.
    house.told.wait("BreakerOpened", 3).await;
    let waiting = house.status("billing", |status| !status.stuck_keys.is_empty()).await;
    assert_eq!((waiting.stuck_keys[0].attempts, waiting.dead_lettered), (4, 0), "{waiting:#?}");
    assert!(waiting.stuck_keys[0].last.contains("connecting to"), "{waiting:#?}");

    let hook = Webhook::on(listener, |_| status(200));
    assert_eq!(hook.next().await.id(), "e1");
    house.status("billing", |status| status.delivered == 1).await;
    assert!(house.log("b-billing.dead").is_empty(), "an endpoint that hangs condemns no event");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_holds_its_lane_alone_and_is_not_asked_for_in_a_loop() {
    let house = House::stored();
    let hook = Webhook::start(|_| status(200)).await;
    let mischief = Mischief::default();
    *mischief.damaged.lock() = Some("damaged");
    let mut spec = house.spec("billing", hook.uri());
    spec.driver = Arc::new(Mischievous(house.broker.clone(), mischief.clone()));
    spec.policy.retry.initial = Duration::from_secs(3600);
    spec.policy.retry.max = Duration::from_secs(3600);
    house.add(spec).await;
    house.publish("damaged", Some("k")).await;
    house.publish("behind", Some("k")).await;
    for number in 1..=20 {
        house.publish(&format!("e{number}"), Some("j")).await;
        assert_eq!(hook.next().await.id(), format!("e{number}"));
    }
    let found = mischief.damage_found.load(Ordering::SeqCst);
    assert!(
        (1..=3).contains(&found),
        "it was read {found} times within a moment, and its backoff is an hour"
    );
    let waiting = house.status("billing", |status| status.delivered == 20).await;
    assert_eq!((waiting.dead_lettered, waiting.lag), (0, 2), "nothing is lost, and nothing overtakes");
}

#[tokio::test]
async fn open_attempts_hold_a_bounded_number_of_bytes_and_what_waits_is_taken_back() {
    let house = House::stored();
    let mut hanging = 60;
    let hook = Webhook::start(move |_| {
        hanging -= 1;
        if hanging >= 0 { Reply::Hang } else { status(200) }
    })
    .await;
    let mut spec = house.spec("billing", hook.uri());
    (spec.policy.concurrency, spec.policy.window.initial) = (64, 64);
    house.add(spec).await;
    for number in 0..60 {
        house.publish_large(&format!("e{number}"), None).await;
    }
    house.status("billing", |status| status.in_flight == 60).await;
    let fit = (32 << 20) / LARGE - 1;
    house.told.wait("AttemptBegun", fit).await;
    house.subscriptions.pause("billing").unwrap();
    // What had not been sent is not to be sent into a pause.
    let paused = house.status("billing", |status| status.in_flight < 60).await;
    let begun = house.told.count("AttemptBegun");
    assert!(begun * LARGE <= 32 << 20, "{begun} attempts are open");
    assert_eq!(paused.in_flight as usize, begun);
}

#[tokio::test]
async fn a_lease_that_was_superseded_under_another_slot_holds_nothing_up() {
    let house = House::stored();
    let hook = Webhook::start(|_| status(200)).await;
    let mischief = Mischief::default();
    mischief.supersede.store(true, Ordering::SeqCst);
    tricky(&house, hook.uri(), &mischief);
    house.subscriptions.ensured().await;
    house.publish("e1", Some("k")).await;
    house.publish("e2", Some("k")).await;
    for id in ["e1", "e2"] {
        assert_eq!(hook.next().await.id(), id);
    }
    house.status("billing", |status| status.delivered == 2 && status.held == 0 && status.lag == 0).await;
}

#[tokio::test]
async fn a_topic_that_ends_together_with_a_redrive_is_told() {
    let house = House::new();
    let hook = Webhook::start(|seen| match (seen.id(), seen.attempt()) {
        ("bad", 1) => status(400),
        _ => Reply::Hang,
    })
    .await;
    let mischief = Mischief::default();
    let mut spec = house.spec("billing", hook.uri());
    spec.driver = Arc::new(Mischievous(house.broker.clone(), mischief.clone()));
    spec.dead_letter.driver = spec.driver.clone();
    spec.webhook.answers = vec![(400, Answer::DeadLetter)];
    house.add(spec).await;
    house.publish("bad", None).await;
    house.status("billing", |status| status.dead_lettered == 1).await;
    hook.next().await;
    house.subscriptions.redrive("billing", &LetterFilter::default()).await.unwrap();
    mischief.end_sources.store(2, Ordering::SeqCst);
    house.publish("wakes", None).await;
    let failed = house.status("billing", |status| status.state == "failed").await;
    assert_eq!(failed.reason.as_deref(), Some("the disk failed"));
    house.drain().await;
}

#[tokio::test]
async fn a_broker_that_says_no_is_failed_with_the_reason() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    let mischief = Mischief::default();
    mischief.deny_ensure.store(true, Ordering::SeqCst);
    tricky(&house, hook.uri(), &mischief);
    let failed = house.status("billing", |status| status.state == "failed").await;
    assert_eq!(failed.reason.as_deref(), Some("no rights on b-orders"));
    assert!(!house.subscriptions.all_ensured());
    assert!(house.subscriptions.pending_brokers()["local"].contains("no rights"));
    // A changed configuration is tried at once.
    mischief.deny_ensure.store(false, Ordering::SeqCst);
    house.subscriptions.replace(house.spec("billing", hook.uri())).await.unwrap();
    house.subscriptions.ensured().await;
    house.publish("e1", None).await;
    assert_eq!(hook.next().await.id(), "e1");
}

#[tokio::test]
async fn that_reading_stopped_behind_a_key_is_told_and_that_it_goes_on() {
    let house = House::new();
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let hook = Webhook::start(move |_| status(if is_well.load(Ordering::SeqCst) { 200 } else { 500 })).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.policy.buffer = 4;
    spec.policy.retry.max = Duration::from_millis(50);
    house.add(spec).await;
    for id in ["e1", "e2", "e3", "e4", "e5", "e6"] {
        house.publish(id, Some("k")).await;
    }
    house.told.wait("Stuck { subscription: \"billing\", key: Some(", 1).await;
    well.store(true, Ordering::SeqCst);
    house.told.wait("Stuck { subscription: \"billing\", key: None, events: 0 }", 1).await;
    house.status("billing", |status| status.delivered == 6).await;
}

#[tokio::test]
async fn a_panic_of_an_attempt_is_a_failed_attempt() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.told.panic_once_at("AttemptBegun");
    house.publish("e1", Some("k")).await;
    let seen = hook.next().await;
    assert_eq!((seen.id(), seen.attempt()), ("e1", 2));
    house.status("billing", |status| status.delivered == 1).await;
}

#[tokio::test]
async fn after_a_crash_only_what_was_not_flushed_comes_again() {
    let mut house = House::restless();
    let mut failed = HashSet::new();
    let crashed = Arc::new(AtomicBool::new(false));
    let seen_crashed = crashed.clone();
    let hook = Webhook::start(move |seen| match (seen.id(), seen_crashed.load(Ordering::SeqCst)) {
        // However fast the rest is, this one is left for after the crash.
        ("e59", false) => Reply::Hang,
        (id, _) => status(if failed.insert(id.to_owned()) { 500 } else { 200 }),
    })
    .await;
    house.add(house.spec("billing", hook.uri())).await;
    for number in 0..60 {
        house.publish(&format!("e{number}"), Some(&format!("k{}", number % 7))).await;
    }
    house.status("billing", |status| status.delivered >= 20).await;
    let successor = house.broker.restart();
    let dead = std::mem::replace(&mut house.broker, successor);
    house.subscriptions.drain("billing", std::time::Instant::now()).await.unwrap();
    drop(dead);
    crashed.store(true, Ordering::SeqCst);
    house.add(house.spec("billing", hook.uri())).await;
    house.status("billing", |status| status.delivered > 0 && status.held == 0 && status.lag == 0).await;
    let ids: HashSet<String> = hook.unseen().await.iter().map(|seen| seen.id().to_owned()).collect();
    assert_eq!(ids.len(), 60, "all have come");
    assert!(house.log("b-billing.dead").is_empty());
}
