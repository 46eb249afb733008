//! Promise 3. A key's events arrive one after another in publish order, and no other key waits for a stuck one.

use std::time::Duration;

use postrider_tests::checker::{Budget, assert_holds};
use postrider_tests::evidence::Attempt;
use postrider_tests::{Answer, Backend, Load, Plan, Postrider, Setup, Webhook, evidence, on_each_backend};
use serde_json::{Value, json};

on_each_backend!(
    failures_and_slow_answers_never_change_a_keys_order,
    a_stuck_key_delays_no_other_key_and_status_names_it,
    without_ordering_a_slow_event_holds_nobody_of_its_key,
);

const NO_FAULT: Budget = Budget { in_flight: 0, unflushed: 0 };

async fn failures_and_slow_answers_never_change_a_keys_order(backend: Backend) {
    let webhook = Webhook::scripted(|_| match fastrand::u8(..100) {
        // Fewer retries than the retry budget allows at once, or the test would wait for it.
        0..=6 => Answer::status(500),
        7..=8 => Answer::status(503),
        9..=11 => Answer::reset(),
        12..=49 => Answer::status(200).after(Duration::from_millis(fastrand::u64(..10))),
        _ => Answer::status(204),
    })
    .await;
    let setup = Setup::on(backend).subscription("billing", &webhook.url("/"), json!({ "concurrency": 64 }));
    let sidecar = Postrider::start(setup).await;
    let load = Load::start(sidecar.app(), &Plan { keys: 24, events_per_key: Some(25), ..Plan::default() });
    let log_a = load.finish().await;
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, 0).await;
    assert_eq!(evidence.dead, Vec::<String>::new(), "no event used its attempts up");
    assert_holds(&evidence, NO_FAULT);
}

async fn a_stuck_key_delays_no_other_key_and_status_names_it(backend: Backend) {
    let webhook = Webhook::scripted(|seen| match seen.attempt.key.as_deref() {
        Some("key-0") => Answer::status(500),
        _ => Answer::status(204),
    })
    .await;
    let more = json!({ "concurrency": 8, "retry": { "max_attempts": 1000 } });
    let sidecar = Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), more)).await;
    let load = Load::start(sidecar.app(), &Plan { keys: 12, events_per_key: Some(20), ..Plan::default() });
    let log_a = load.finish().await;

    webhook.until_delivered(11 * 20).await;
    let names_it = |status: &Value| {
        status["stuck_keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key["key"] == "key-0"))
    };
    let all_wait = |s: &Value| backend.shows_backlog(s, 20) && names_it(s);
    sidecar
        .until_subscription("billing", "the stuck key's events left, no others, and its name", all_wait)
        .await;
    let of_stuck = |a: &Attempt| a.key.as_deref() == Some("key-0");
    assert!(
        webhook.attempts().iter().filter(|a| of_stuck(a)).all(|a| a.seq == Some(0)),
        "nothing overtakes the head of its key"
    );

    webhook.answer(|_| Answer::status(204));
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, 0).await;
    assert_holds(&evidence, NO_FAULT);
}

async fn without_ordering_a_slow_event_holds_nobody_of_its_key(backend: Backend) {
    let webhook = Webhook::scripted(|seen| match seen.attempt.id.as_str() {
        "slow" => Answer::hang(),
        _ => Answer::status(204),
    })
    .await;
    let more = json!({ "ordering": "none", "timeout": "60s" });
    let sidecar = Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), more)).await;
    for id in ["slow", "a", "b", "c"] {
        sidecar.publish_event(id, "one-key").await;
    }
    webhook.until_delivered(3).await;
}
