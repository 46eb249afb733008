//! Promise 1. A 200 is given after the event is durable: whatever kills the sidecar afterwards, the event is delivered.

use std::time::Duration;

use postrider_tests::checker::{Budget, assert_holds, duplicates, nothing_lost};
use postrider_tests::evidence::Evidence;
use postrider_tests::{
    Answer, Backend, Load, Plan, Postrider, Setup, Webhook, evidence, on_each_backend,
    on_each_backend_but_pubsub, random, tell,
};
use serde_json::json;

on_each_backend!(
    every_accepted_event_survives_kill_9_at_random_points_under_load,
    a_kill_during_recovery_loses_nothing_either,
);
on_each_backend_but_pubsub!(
    an_event_accepted_while_nobody_takes_it_is_delivered_to_a_later_subscription_from_earliest,
);

const CONCURRENCY: usize = 16;
const BUDGET: Budget = Budget { in_flight: CONCURRENCY, unflushed: 1_000 };

fn setup(backend: Backend, webhook: &Webhook) -> Setup {
    Setup::on(backend).subscription("billing", &webhook.url("/"), json!({ "concurrency": CONCURRENCY }))
}

async fn every_accepted_event_survives_kill_9_at_random_points_under_load(backend: Backend) {
    // `POSTRIDER_KILLS` asks for more.
    let asked = std::env::var("POSTRIDER_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills = asked.unwrap_or(backend.kills(12, 4));
    let mut random = random();
    let webhook = Webhook::start().await;
    let mut sidecar = Postrider::start(setup(backend, &webhook)).await;
    let load = Load::start(sidecar.app(), &Plan { keys: 8, pace: backend.pace(), ..Plan::default() });
    for _ in 0..kills {
        load.until_accepted(load.accepted() + random.usize(1..150)).await;
        // Not a wait for anything: it moves the kill to any point within a commit.
        tokio::time::sleep(Duration::from_micros(random.u64(0..5_000))).await;
        sidecar.kill();
        webhook.until_quiet().await;
        sidecar.start_again().await;
    }
    let log_a = load.stop().await;
    assert!(log_a.accepted() >= kills, "the load made progress between the kills");
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, kills).await;
    tell(&format!(
        "{} published, {kills} kills, {} duplicates",
        evidence.published.len(),
        duplicates(&evidence)
    ));
    assert_eq!(evidence.dead, Vec::<String>::new(), "a crash is no failure of an event");
    assert_holds(&evidence, BUDGET);
}

async fn a_kill_during_recovery_loses_nothing_either(backend: Backend) {
    let rounds = backend.kills(8, 3);
    let mut random = random();
    let webhook = Webhook::scripted(|_| Answer::status(503)).await;
    let mut sidecar = Postrider::start(setup(backend, &webhook)).await;
    let load = Load::start(sidecar.app(), &Plan { keys: 4, events_per_key: Some(50), ..Plan::default() });
    let log_a = load.finish().await;
    for _ in 0..rounds {
        sidecar.kill();
        sidecar.launch();
        tokio::time::sleep(Duration::from_micros(random.u64(0..40_000))).await;
    }
    sidecar.kill();
    webhook.until_quiet().await;
    webhook.answer(|_| Answer::status(204));
    sidecar.start_again().await;
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, rounds + 1).await;
    assert_eq!(evidence.dead, Vec::<String>::new(), "an outage and crashes are no failures of an event");
    assert_holds(&evidence, BUDGET);
}

async fn an_event_accepted_while_nobody_takes_it_is_delivered_to_a_later_subscription_from_earliest(
    backend: Backend,
) {
    let webhook = Webhook::start().await;
    let mut sidecar = Postrider::start(Setup::on(backend)).await;
    sidecar.publish_event("early", "k").await;
    sidecar.kill();
    let url = webhook.url("/");
    sidecar.reconfigure(|setup| setup.subscription("late", &url, json!({ "start": "earliest" })));
    sidecar.start_again().await;
    webhook
        .until("the early event", |attempts| attempts.iter().any(|a| a.id == "early" && a.succeeded()))
        .await;
}

/// On the embedded broker alone: its data is a directory that a test can take away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_would_notice_if_the_data_were_lost() {
    let webhook = Webhook::scripted(|_| Answer::status(503)).await;
    let mut sidecar = Postrider::start(setup(Backend::Embedded, &webhook)).await;
    let load = Load::start(sidecar.app(), &Plan { keys: 2, events_per_key: Some(5), ..Plan::default() });
    let log_a = load.finish().await;
    sidecar.kill();
    std::fs::remove_dir_all(sidecar.directory().join("data"))
        .expect("the data is where the configuration has it");
    webhook.answer(|_| Answer::status(204));
    sidecar.start_again().await;
    sidecar.until_settled("billing").await;
    let evidence =
        Evidence { published: log_a.published, attempts: webhook.attempts(), ..Evidence::default() };
    assert_eq!(nothing_lost(&evidence).len(), 10, "all ten events are missed");
}
