//! Promise 4. After a crash only what was in flight, or settled since the last progress write, comes again.

use std::time::Duration;

use postrider_tests::checker::{Budget, assert_holds, duplicates};
use postrider_tests::{Backend, Load, Plan, Postrider, Setup, Webhook, evidence, on_each_backend, tell};
use serde_json::json;

on_each_backend!(
    a_kill_under_load_brings_again_only_what_was_open_or_unflushed,
    a_stop_in_good_order_brings_nothing_again,
    a_kill_while_all_is_quiet_brings_nothing_again,
);

const CONCURRENCY: usize = 16;

fn setup(backend: Backend, webhook: &Webhook) -> Setup {
    Setup::on(backend).subscription("billing", &webhook.url("/"), json!({ "concurrency": CONCURRENCY }))
}

async fn a_kill_under_load_brings_again_only_what_was_open_or_unflushed(backend: Backend) {
    // More is delivered before each kill than one kill may bring again, so that a cursor that stood still would show.
    const EVENTS_BETWEEN_KILLS: usize = 1_200;
    const KILLS: usize = 2;
    let budget = Budget { in_flight: CONCURRENCY, unflushed: 1_000 };
    let webhook = Webhook::start().await;
    let mut sidecar = Postrider::start(setup(backend, &webhook)).await;
    let load =
        Load::start(sidecar.app(), &Plan { keys: 32, bytes: 64, pace: backend.pace(), ..Plan::default() });
    for kill in 1..=KILLS {
        webhook.until_delivered(kill * EVENTS_BETWEEN_KILLS).await;
        sidecar.kill();
        webhook.until_quiet().await;
        sidecar.start_again().await;
    }
    let log_a = load.stop().await;
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, KILLS).await;
    tell(&format!("{} duplicates after {KILLS} kills", duplicates(&evidence)));
    assert_holds(&evidence, budget);
}

async fn a_stop_in_good_order_brings_nothing_again(backend: Backend) {
    const STOPS: usize = 3;
    let webhook = Webhook::start().await;
    let mut sidecar = Postrider::start(setup(backend, &webhook)).await;
    let load = Load::start(sidecar.app(), &Plan { keys: 16, pace: backend.pace(), ..Plan::default() });
    for _ in 0..STOPS {
        load.until_accepted(load.accepted() + 100).await;
        let ended = sidecar.stop().await;
        assert_eq!(ended.code, Some(0), "SIGTERM is no failure:\n{}", ended.output);
        sidecar.start_again().await;
    }
    let log_a = load.stop().await;
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, 0).await;
    assert_holds(&evidence, Budget { in_flight: 0, unflushed: 0 });
}

async fn a_kill_while_all_is_quiet_brings_nothing_again(backend: Backend) {
    let webhook = Webhook::start().await;
    let mut sidecar = Postrider::start(setup(backend, &webhook)).await;
    let load = Load::start(sidecar.app(), &Plan { keys: 4, events_per_key: Some(25), ..Plan::default() });
    let log_a = load.finish().await;
    webhook.until_delivered(log_a.accepted()).await;
    // The promise is about time: progress is written within 100 ms. Twenty times that leaves room for a slow disk.
    tokio::time::sleep(Duration::from_secs(2)).await;
    sidecar.kill();
    sidecar.start_again().await;
    // What comes after it shows that deliveries had begun again, and what they began with.
    sidecar.publish_event("last", "key-0").await;
    webhook
        .until("the last event", |attempts| attempts.iter().any(|a| a.id == "last" && a.succeeded()))
        .await;
    tokio::time::sleep(backend.leases()).await;
    sidecar.until_settled("billing").await;
    let again: Vec<_> =
        webhook.attempts().into_iter().skip(log_a.accepted()).map(|attempt| attempt.id).collect();
    assert_eq!(again, ["last"]);
}
