//! What Kafka goes through in production, under load, on clusters of the test's own: brokers that die. The checker says what
//! held; the figures are printed. What sidecars go through is in `sidecar_faults.rs`.

use std::time::Duration;

use brokers::kafka::{Kafka, Options};
use postrider_tests::checker::{Budget, assert_holds};
use postrider_tests::{Backend, Load, Plan, Postrider, Setup, Webhook, evidence, rounds, tell_faults};
use serde_json::json;

const CONCURRENCY: usize = 16;
const BUDGET: Budget = Budget { in_flight: CONCURRENCY, unflushed: 1_000 };
/// Where the lost broker coordinates the group, nothing can be committed until the cluster has noticed (9 s) and the member
/// has joined again: what the load brings in 15 s.
const WITHOUT_COORDINATOR: Budget = Budget { in_flight: CONCURRENCY, unflushed: 15 * 32 * 50 };

/// One sidecar on a cluster of so many nodes, under load, and a fault a round. The load goes on for a while after each.
async fn broker_faults(what: &str, nodes: u16, budget: Budget, fault: impl AsyncFn(&Kafka, &Load, usize)) {
    let kafka =
        Kafka::start(Options { nodes, ..Options::default() }).expect("a Kafka cluster of the test's own");
    let webhook = Webhook::start().await;
    let setup = Setup::on_kafka(kafka.bootstrap());
    let concurrency = json!({ "concurrency": CONCURRENCY });
    let sidecar = Postrider::start(setup.subscription("billing", &webhook.url("/"), concurrency)).await;
    let load = Load::start(sidecar.app(), &Plan::steady(Backend::Kafka));
    let faults = rounds(3);
    for round in 0..faults {
        load.until_accepted(load.accepted() + 300).await;
        fault(&kafka, &load, round).await;
    }
    load.until_accepted(load.accepted() + 300).await;
    let log_a = load.stop().await;
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, faults).await;
    tell_faults(what, &evidence);
    assert_holds(&evidence, budget);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_under_load_loses_nothing() {
    broker_faults("broker killed with -9 and restarted", 1, BUDGET, async |kafka, _, round| {
        kafka.node(1).kill().expect("a node can be killed");
        // Some outages are over before anybody has noticed, others are not.
        tokio::time::sleep(Duration::from_millis(500 * (round as u64 % 5))).await;
        kafka.node(1).restart().expect("a node can be started again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_brokers_is_lost_and_nobody_notices() {
    broker_faults("one of three brokers lost", 3, WITHOUT_COORDINATOR, async |kafka, load, round| {
        let node = kafka.node(u16::try_from(round % 3).expect("below three") + 1);
        node.kill().expect("a node can be killed");
        // The two that are left take over: publishing and delivering go on without it.
        load.until_accepted(load.accepted() + 300).await;
        node.restart().expect("a node can be started again");
    })
    .await;
}
