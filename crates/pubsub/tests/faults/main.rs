//! What the server itself does not do, done to the calls on their way: refusals, outages, lost answers, broken streams.

#[path = "../common/mod.rs"]
mod common;
mod outages;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use broker::{
    Batch, Body, Credit, Driver, ErrorKind, Hop, Input, Key, Lease, Outcome, Payload, Record, RefusalKind,
    Settle, Source, Start, Subscription,
};
use brokers::pubsub::{Code, Fault, Proxy};
use common::{PATIENCE, Project, QUIET};
use event::{Data, Event};
use postrider_pubsub::Pubsub;

const AMPLE: Credit = Credit { events: 1000, bytes: 64 << 20 };

/// A driver behind a proxy of its own, and a topic with a subscription of its own.
struct Ground {
    proxy: Proxy,
    driver: std::sync::Arc<Pubsub>,
    subscription: Subscription,
}

impl Ground {
    async fn new() -> Self {
        let proxy = Proxy::start(brokers::pubsub::shared().address()).expect("a proxy can be started");
        let mut project = Project::new();
        project.settings.emulator = Some(proxy.address().to_owned());
        let driver = project.connect().await;
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let subscription = Subscription {
            name: format!("service.subscription-{unique}"),
            topic: format!("topic-{unique}"),
            start: Start::Earliest,
            ordered: true,
            until: None,
            keeps_unsettled: false,
        };
        driver.ensure(&subscription).await.expect("a subscription can be made sure of");
        Self { proxy, driver, subscription }
    }

    fn set(&self, fault: Fault) {
        self.proxy.set(fault).expect("a fault can be set");
    }

    fn reset(&self) {
        self.proxy.reset().expect("faults can be taken away");
    }

    /// Publishes these numbers under the key in one call.
    async fn publish_within(&self, key: &str, numbers: &[u64], within: Duration) -> Vec<Outcome> {
        let records = numbers.iter().map(|number| record(key, *number)).collect();
        let topic = self.subscription.topic.as_str().into();
        self.driver.publish(Batch { topic, records, deadline: Instant::now() + within }).await
    }

    async fn publish(&self, key: &str, numbers: &[u64]) {
        for outcome in self.publish_within(key, numbers, PATIENCE).await {
            assert!(outcome.is_durable(), "a server that is well takes everything in: {outcome:?}");
        }
    }

    async fn open(&self) -> Reader {
        let source = self.driver.open(&self.subscription, AMPLE).await.expect("it can be opened");
        Reader { source, held: BTreeMap::new(), revoked: 0 }
    }
}

fn record(key: &str, number: u64) -> Record {
    let event = Event::builder().id(number.to_string()).source("/tests").kind("com.example.test");
    let event = event.data(Data::Binary("data".into())).build().expect("the sample is a valid event");
    Record { key: Key::new(key.to_owned()), body: Body::Event(event), hop: Hop::default(), letter: None }
}

struct Reader {
    source: Box<dyn Source>,
    held: BTreeMap<u32, (Lease, u64)>,
    revoked: usize,
}

impl Reader {
    /// Takes in what comes next; the numbers of the deliveries. `None`: nothing came.
    async fn next(&mut self, wait: Duration) -> Option<Vec<u64>> {
        let mut inputs = Vec::new();
        let poll = std::future::poll_fn(|cx| self.source.poll_next(cx, &mut inputs));
        tokio::time::timeout(wait, poll).await.ok()?.expect("an open source goes on");
        let mut numbers = Vec::new();
        for input in inputs {
            match input {
                Input::Delivery(delivery) => {
                    let Payload::Here(record) = &delivery.payload else { panic!("payloads are here") };
                    let Body::Event(event) = &record.body else { panic!("events were sent") };
                    let number = event.id().parse().expect("a test's own event");
                    self.held.insert(delivery.lease.slot, (delivery.lease, number));
                    numbers.push(number);
                }
                Input::Revoked(lease) => {
                    self.held.retain(|_, (held, _)| *held != lease);
                    self.revoked += 1;
                }
                other => panic!("nothing else is due: {other:?}"),
            }
        }
        Some(numbers)
    }

    /// Settles whatever comes until so many have come, and a moment longer; their numbers in the order of their coming.
    async fn drain(&mut self, count: usize) -> Vec<u64> {
        let mut all = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while let Some(numbers) = self.next(if all.len() < count { PATIENCE } else { QUIET }).await {
            all.extend(numbers);
            for (lease, _) in std::mem::take(&mut self.held).into_values() {
                self.source.settle(lease, Settle::Done);
            }
            assert!(Instant::now() < deadline, "{count} were to come within {PATIENCE:?}; {all:?} did");
        }
        assert!(all.len() >= count, "{count} were to come within {PATIENCE:?}; {all:?} did");
        all
    }
}

/// How one record was refused.
fn refusal(outcomes: &[Outcome]) -> &broker::Refusal {
    match outcomes {
        [Outcome::Refused(refusal)] => refusal,
        other => panic!("one refusal was due: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_told_with_their_reason_and_what_to_do() {
    let ground = Ground::new().await;
    for (code, kind, hint) in [
        (Code::PermissionDenied, RefusalKind::Denied, "pubsub.topics.publish"),
        (Code::NotFound, RefusalKind::UnknownTopic, "create it"),
        (Code::ResourceExhausted, RefusalKind::Overloaded, "quota"),
        (Code::InvalidArgument, RefusalKind::TooLarge, "does not take it"),
    ] {
        ground.set(Fault::refuse("Publish", code).times(1));
        let outcomes = ground.publish_within("a", &[1], PATIENCE).await;
        let refused = refusal(&outcomes);
        assert_eq!(refused.kind, kind, "{code:?}: {}", refused.message);
        assert!(refused.message.contains(hint), "{code:?} says what to do: {}", refused.message);
        assert_eq!(
            refused.retry_after.is_some(),
            code == Code::ResourceExhausted,
            "{code:?}: when to try again"
        );
    }
    ground.publish("a", &[2]).await;
    assert_eq!(ground.open().await.drain(1).await, [2], "what was refused was never written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_for_a_moment_costs_nobody_anything() {
    let ground = Ground::new().await;
    ground.set(Fault::refuse("Publish", Code::Unavailable).times(2));
    ground.publish("a", &[1, 2, 3]).await;
    ground.set(Fault::refuse("Publish", Code::DeadlineExceeded).times(1));
    ground.publish("b", &[4]).await;
    let mut came = ground.open().await.drain(4).await;
    came.sort_unstable();
    assert_eq!(came, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_answered_is_unknown_at_its_deadline_and_its_key_goes_on_in_order() {
    let ground = Ground::new().await;
    ground.set(Fault::lose_answer("Publish"));
    let began = Instant::now();
    let outcomes = ground.publish_within("a", &[1, 2], Duration::from_secs(2)).await;
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unknown(_))),
        "it may have landed: {outcomes:?}"
    );
    assert!(began.elapsed() < PATIENCE, "the deadline counts, not the client's patience");
    ground.reset();
    // Until the client has given the first request up, the key waits behind it.
    let mut last = Vec::new();
    while !last.iter().any(Outcome::is_durable) {
        assert!(began.elapsed() < 2 * PATIENCE, "the key goes on: {last:?}");
        last = ground.publish_within("a", &[3], PATIENCE).await;
    }
    let came = ground.open().await.drain(1).await;
    let at = |number| came.iter().position(|n| *n == number);
    assert!(at(3).is_some(), "what is durable comes: {came:?}");
    assert!(at(1) <= at(3) && at(2) <= at(3), "a key's order holds: {came:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_failure_takes_what_is_behind_it_along_and_nothing_else() {
    let ground = Ground::new().await;
    ground.set(Fault::refuse("Publish", Code::FailedPrecondition).times(1));
    let outcomes = ground.publish_within("a", &[1, 2, 3], PATIENCE).await;
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused(_))),
        "none is written: {outcomes:?}"
    );
    ground.publish("a", &[4, 5]).await;
    ground.publish("b", &[6]).await;
    let came = ground.open().await.drain(3).await;
    let of_a: Vec<u64> = came.iter().copied().filter(|number| *number != 6).collect();
    assert_eq!(of_a, [4, 5], "the key goes on, in order, with what came after: {came:?}");
    assert!(came.contains(&6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_break_are_opened_anew_and_lose_nothing() {
    let ground = Ground::new().await;
    let mut reader = ground.open().await;
    let mut came = Vec::new();
    for (round, fault) in (0..).zip([
        Fault::end_streams(Code::Unavailable).times(2),
        Fault::cut("StreamingPull").times(1),
        Fault::refuse("StreamingPull", Code::ResourceExhausted).times(2),
        Fault::end_streams(Code::Internal).times(2),
    ]) {
        ground.set(fault);
        let numbers: Vec<u64> = (round * 10 + 1..=round * 10 + 5).collect();
        ground.publish("a", &numbers).await;
        while !numbers.iter().all(|number| came.contains(number)) {
            came.extend(reader.drain(1).await);
        }
        ground.reset();
    }
    let mut first: Vec<u64> = Vec::new();
    for number in came {
        if !first.contains(&number) {
            first.push(number);
        }
    }
    assert!(first.is_sorted(), "a key's order holds over broken streams: {first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_handed_out_twice_disturbs_nobody() {
    let ground = Ground::new().await;
    ground.set(Fault::redeliver().times(3));
    ground.publish("a", &[1]).await;
    ground.publish("b", &[2]).await;
    let mut reader = ground.open().await;
    while reader.held.len() < 2 {
        reader.next(PATIENCE).await.expect("both come");
    }
    while let Some(again) = reader.next(QUIET).await {
        assert!(again.is_empty(), "it is held already: {again:?}");
    }
    assert_eq!(reader.revoked, 0, "whoever holds it goes on");
    assert!(ground.proxy.happened().expect("the proxy tells") > 0, "the server did hand something out twice");
    ground.reset();
    for (lease, _) in std::mem::take(&mut reader.held).into_values() {
        reader.source.settle(lease, Settle::Done);
    }
    assert_eq!(reader.source.stale_settles(), 0);
    reader.source.flush().await.expect("a flush succeeds");
    assert_eq!(reader.next(QUIET).await, None, "what was settled does not come again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_from_the_configuration_is_refused_with_the_way_out() {
    let ground = Ground::new().await;
    let unordered = Subscription { ordered: false, ..ground.subscription.clone() };
    let error = ground.driver.ensure(&unordered).await.expect_err("its ordering is fixed");
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("ordering: none") && error.message.contains("another name"), "{error}");
    let elsewhere = Subscription { topic: "another-topic".into(), ..ground.subscription.clone() };
    let error = ground.driver.ensure(&elsewhere).await.expect_err("its topic is fixed");
    assert!(error.kind == ErrorKind::Conflict && error.message.contains("another-topic"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_permissions_are_named() {
    let ground = Ground::new().await;
    let new = |name: &str| Subscription {
        name: format!("{}-{name}", ground.subscription.name),
        ..ground.subscription.clone()
    };
    ground.set(Fault::refuse("CreateSubscription", Code::PermissionDenied));
    let error = ground.driver.ensure(&new("denied")).await.expect_err("it may not be created");
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("pubsub.subscriptions.create"), "{error}");
    ground.driver.ensure(&ground.subscription).await.expect("one that exists need not be created");
    ground.reset();
    ground.set(Fault::refuse("CreateTopic", Code::PermissionDenied));
    ground
        .driver
        .ensure_topic(&ground.subscription.topic)
        .await
        .expect("one that exists need not be created");
    let error = ground.driver.ensure_topic("never-made").await.expect_err("it may not be created");
    assert!(error.kind == ErrorKind::Denied && error.message.contains("pubsub.topics.create"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_and_not_to_be_created_is_named() {
    let mut project = Project::new();
    project.settings.create = false;
    let driver = project.connect().await;
    let error = driver.ensure_topic("nobodys-topic").await.expect_err("nobody made it");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("topics/nobodys-topic") && error.message.contains("create"), "{error}");
}
