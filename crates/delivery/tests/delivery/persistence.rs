//! Whatever a broker says, a subscription goes on trying, says why it is not open, and recovers without a restart.
//! In virtual time, and without a webhook.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use broker::{ErrorKind, Part, PartState};
use postrider_delivery::Status;
use tokio::time::Instant;

use crate::house::House;
use crate::mischief::{Mischief, Mischievous};

fn start(house: &House, name: &str, mischief: &Mischief) {
    let mut spec = house.spec(name, "http://127.0.0.1:9/".parse().unwrap());
    spec.driver = Arc::new(Mischievous(house.broker.clone(), mischief.clone()));
    house.subscriptions.add(spec).unwrap();
}

/// Waits in virtual time, as long as it takes within an hour.
async fn until(house: &House, wanted: impl Fn(&Status) -> bool) -> Status {
    let begun = Instant::now();
    loop {
        let status = house.subscriptions.status("billing").unwrap();
        if wanted(&status) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(3600), "{status:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_refusal_opening_meets_it_is_tried_again_for_ever() {
    let kinds = [
        ErrorKind::NotFound,
        ErrorKind::Denied,
        ErrorKind::Conflict,
        ErrorKind::Unsupported,
        ErrorKind::Corrupt,
    ];
    for kind in kinds {
        let (house, mischief) = (House::new(), Mischief::default());
        *mischief.refuse_open.lock() = Some(kind);
        start(&house, "billing", &mischief);
        let failed = until(&house, |status| status.state == "failed").await;
        assert_eq!(failed.reason, Some(format!("not opened: {kind:?}")));
        while mischief.opened.lock().len() < 12 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let opened = mischief.opened.lock().clone();
        let waits: Vec<Duration> = opened.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (least, most) = (Duration::from_secs(5), Duration::from_secs(61));
        assert!(waits.iter().all(|wait| (least..most).contains(wait)), "{kind:?}: {waits:?}");
        assert!(
            waits[0] < Duration::from_secs(11) && waits[10] > Duration::from_secs(29),
            "{kind:?}: {waits:?}"
        );
        *mischief.refuse_open.lock() = None;
        until(&house, |status| status.state == "running" && status.reason.is_none()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_says_why_holds_nothing_and_is_opened_again_by_itself() {
    let (house, mischief) = (House::new(), Mischief::default());
    *mischief.parts.lock() =
        vec![Part { name: "partition 3".into(), state: PartState::Reading, lag: 2, detail: None }];
    start(&house, "billing", &mischief);
    until(&house, |status| status.state == "running" && status.parts.len() == 1).await;
    house.subscriptions.pause("billing").unwrap();
    mischief.end_sources.store(1, Ordering::SeqCst);
    house.publish("e1", None).await;
    house.subscriptions.resume("billing").unwrap();
    let failed = until(&house, |status| status.state == "failed").await;
    assert_eq!(failed.reason.as_deref(), Some("the disk failed"));
    assert_eq!(
        (failed.held, failed.in_flight, failed.parts.len()),
        (0, 0, 0),
        "nothing is open: {failed:#?}"
    );
    until(&house, |status| status.state == "running" && status.reason.is_none()).await;
    assert_eq!(mischief.opened.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_open_source_that_fails_for_a_while_is_kept_and_its_reason_told() {
    let (house, mischief) = (House::new(), Mischief::default());
    start(&house, "billing", &mischief);
    until(&house, |status| status.state == "running").await;
    mischief.unavailable.store(true, Ordering::SeqCst);
    house.publish("e1", None).await;
    let troubled = until(&house, |status| status.reason.is_some()).await;
    assert_eq!((troubled.state.as_str(), troubled.reason.as_deref()), ("running", Some("the leader moves")));
    tokio::time::sleep(Duration::from_secs(600)).await;
    mischief.unavailable.store(false, Ordering::SeqCst);
    until(&house, |status| status.reason.is_none() && status.held == 1).await;
    assert_eq!(mischief.opened.lock().len(), 1, "it was never opened anew");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_answers_is_told_and_asked_anew() {
    let (house, mischief) = (House::new(), Mischief::default());
    mischief.hang_ensure.store(true, Ordering::SeqCst);
    start(&house, "billing", &mischief);
    let pending = until(&house, |status| status.reason.as_deref() != Some("starting")).await;
    let reason = pending.reason.unwrap_or_default();
    assert!(
        pending.state == "pending" && reason.contains("has not answered about the subscription for 5 s"),
        "{reason}"
    );
    assert!(house.subscriptions.pending_brokers()["local"].contains("has not answered"));
    until(&house, |status| status.state == "running" && status.reason.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_as_it_closes_holds_no_other_subscription_up_and_not_for_ever() {
    let (house, mischief) = (House::new(), Mischief::default());
    mischief.hang_close.store(true, Ordering::SeqCst);
    start(&house, "billing", &mischief);
    start(&house, "audit", &Mischief::default());
    tokio::time::timeout(Duration::from_secs(60), house.subscriptions.ensured()).await.unwrap();
    until(&house, |status| status.state == "running").await;
    let begun = Instant::now();
    let deadline = std::time::Instant::now() + Duration::from_secs(8);
    let all = house.subscriptions.drain_all(deadline);
    let other = async {
        while house.subscriptions.status("audit").unwrap().state != "drained" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    };
    let ((), other) = tokio::join!(all, other);
    assert!(other < Duration::from_secs(1), "the other took {other:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(house.subscriptions.status("billing").unwrap().state, "drained");
}

#[tokio::test(start_paused = true)]
async fn parts_are_shown_as_they_are_and_soon() {
    let (house, mischief) = (House::new(), Mischief::default());
    start(&house, "billing", &mischief);
    let running = until(&house, |status| status.state == "running").await;
    let json = serde_json::to_value(&running).unwrap();
    assert_eq!(json.get("parts"), None, "a broker without parts shows none");
    let (name, detail) = ("partition 7".to_owned(), Some("key a waits since offset 12".to_owned()));
    *mischief.parts.lock() = vec![Part { name, state: PartState::HeldBack, lag: 9, detail }];
    let status = until(&house, |status| !status.parts.is_empty()).await;
    assert_eq!(
        serde_json::to_value(&status).unwrap()["parts"],
        serde_json::json!([
            {"name": "partition 7", "state": "held_back", "lag": 9, "detail": "key a waits since offset 12"}
        ])
    );
}
