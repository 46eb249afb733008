//! What Kafka and its clients go through in production, under load, on clusters of the test's own: brokers that die,
//! sidecars that die, stop, come and go. The checker says what held; the figures are printed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use brokers::kafka::{Kafka, Options};
use postrider_tests::checker::{Budget, assert_holds, assert_holds_for_owners, duplicates};
use postrider_tests::evidence::Evidence;
use postrider_tests::{Load, LogA, Plan, Postrider, Setup, Webhook, evidence};
use serde_json::json;

const CONCURRENCY: usize = 16;
const BUDGET: Budget = Budget { in_flight: CONCURRENCY, unflushed: 1_000 };
/// Where the lost broker coordinates the group, nothing can be committed until the cluster has noticed (9 s) and the member
/// has joined again: what the load brings in 15 s.
const WITHOUT_COORDINATOR: Budget = Budget { in_flight: CONCURRENCY, unflushed: 15 * 32 * 50 };
/// What one run of a test goes through; a longer one on request.
const ROUNDS: &str = "POSTRIDER_ROUNDS";

fn rounds(default: usize) -> usize {
    std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

fn cluster(nodes: u16) -> Kafka {
    Kafka::start(Options { nodes, ..Options::default() }).expect("a Kafka cluster of the test's own")
}

/// A sidecar's configuration on this cluster, without a subscription. The names are the same for all of a test's sidecars.
fn on(kafka: &Kafka) -> Setup {
    Setup::on_kafka(kafka.bootstrap())
        .with("/names/prefix", json!("test."))
        .with("/topics/orders/names/main", json!("orders"))
        .with("/brokers/main/kafka/create_topics/partitions", json!(6))
}

/// With a subscription that posts to a path of this owner's.
fn reader(kafka: &Kafka, webhook: &Webhook, owner: &str) -> Setup {
    on(kafka).subscription("billing", &webhook.url(owner), json!({ "concurrency": CONCURRENCY }))
}

/// Steady publishers: enough to have something under way at every fault, and not so many that the test is about load.
fn plan() -> Plan {
    Plan { keys: 32, bytes: 200, pace: Duration::from_millis(20), ..Plan::default() }
}

/// Waits until every accepted event has been delivered, whoever delivered it.
async fn all_delivered(webhook: &Webhook, log_a: LogA, faults: usize) -> Evidence {
    let accepted: HashSet<String> =
        log_a.published.iter().filter(|event| event.accepted).map(|event| event.id.clone()).collect();
    let mut missing = accepted.clone();
    let mut looked_at = 0;
    webhook
        .until("every accepted event", |attempts| {
            // An attempt is open when it is first seen: those that still are, are looked at again.
            let settled = attempts.iter().skip(looked_at).take_while(|attempt| attempt.end.is_some()).count();
            for attempt in &attempts[looked_at..looked_at + settled] {
                if attempt.succeeded() {
                    missing.remove(&attempt.id);
                }
            }
            looked_at += settled;
            missing.is_empty()
        })
        .await;
    webhook.until_quiet().await;
    let LogA { published, refusals } = log_a;
    Evidence { published, refusals, attempts: webhook.attempts(), faults, ..Evidence::default() }
}

#[expect(clippy::print_stdout, reason = "the figures are what such a run is made for")]
fn tell(what: &str, evidence: &Evidence) {
    let accepted = evidence.published.iter().filter(|event| event.accepted).count();
    println!(
        "{what}: {accepted} events accepted, {} faults, {} duplicates ({:.1} a fault), {} refusals, {} unknown outcomes",
        evidence.faults,
        duplicates(evidence),
        duplicates(evidence) as f64 / evidence.faults.max(1) as f64,
        evidence.refusals.len(),
        evidence.published.iter().map(|event| event.sends.saturating_sub(1)).sum::<u32>(),
    );
}

/// One sidecar on a cluster of so many nodes, under load, and a fault a round. The load goes on for a while after each.
async fn broker_faults(what: &str, nodes: u16, budget: Budget, fault: impl AsyncFn(&Kafka, &Load, usize)) {
    let kafka = cluster(nodes);
    let webhook = Webhook::start().await;
    let sidecar = Postrider::start(reader(&kafka, &webhook, "/a")).await;
    let load = Load::start(sidecar.app(), &plan());
    let faults = rounds(3);
    for round in 0..faults {
        load.until_accepted(load.accepted() + 300).await;
        fault(&kafka, &load, round).await;
    }
    load.until_accepted(load.accepted() + 300).await;
    let log_a = load.stop().await;
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, faults).await;
    tell(what, &evidence);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_is_killed_has_its_partitions_again() {
    let kafka = cluster(1);
    let webhook = Webhook::start().await;
    let publisher = Postrider::start(on(&kafka)).await;
    let mut sidecar = Postrider::start(reader(&kafka, &webhook, "/a")).await;
    let load = Load::start(publisher.app(), &plan());
    let faults = rounds(3);
    let mut waits = Vec::new();
    for _ in 0..faults {
        let delivered = webhook.attempts().len();
        webhook.until("deliveries before the kill", |attempts| attempts.len() > delivered + 300).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..500))).await;
        sidecar.kill();
        webhook.until_quiet().await;
        let before = webhook.attempts().len();
        let began = Instant::now();
        sidecar.start_again().await;
        webhook.until("deliveries after the restart", |attempts| attempts.len() > before).await;
        waits.push(began.elapsed());
    }
    let log_a = load.stop().await;
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, faults).await;
    tell(&format!("sidecar killed with -9, delivering again after {waits:.1?}"), &evidence);
    assert_holds(&evidence, BUDGET);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_was_stopped_does_no_harm_when_it_wakes() {
    // Longer than the session: the group has given its partitions to the other by then.
    const STOPPED: Duration = Duration::from_secs(15);
    let kafka = cluster(1);
    let webhook = Webhook::start().await;
    let publisher = Postrider::start(on(&kafka)).await;
    let readers = [
        Postrider::start(reader(&kafka, &webhook, "/a")).await,
        Postrider::start(reader(&kafka, &webhook, "/b")).await,
    ];
    let load = Load::start(publisher.app(), &plan());
    let faults = rounds(2);
    for round in 0..faults {
        let stopped = &readers[round % 2];
        load.until_accepted(load.accepted() + 300).await;
        stopped.suspend();
        tokio::time::sleep(STOPPED).await;
        stopped.wake();
    }
    load.until_accepted(load.accepted() + 300).await;
    let log_a = load.stop().await;
    let evidence = all_delivered(&webhook, log_a, faults).await;
    tell("sidecar stopped for longer than its session", &evidence);
    assert_holds_for_owners(&evidence, BUDGET);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_that_come_and_go_lose_nothing() {
    let kafka = cluster(1);
    let webhook = Webhook::start().await;
    let publisher = Postrider::start(on(&kafka)).await;
    let mut readers = Vec::new();
    for owner in ["/a", "/b", "/c"] {
        readers.push(Postrider::start(reader(&kafka, &webhook, owner)).await);
    }
    let load = Load::start(publisher.app(), &plan());
    let faults = rounds(15);
    let mut away: Option<usize> = None;
    for round in 0..faults {
        // Every two seconds one leaves, and the one that had left before comes back.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let leaves = round % readers.len();
        let ended = readers[leaves].stop().await;
        assert_eq!(ended.code, Some(0), "SIGTERM is no failure:\n{}", ended.output);
        if let Some(back) = away.replace(leaves) {
            readers[back].start_again().await;
        }
    }
    if let Some(back) = away {
        readers[back].start_again().await;
    }
    let log_a = load.stop().await;
    let evidence = all_delivered(&webhook, log_a, faults).await;
    tell("three sidecars joining and leaving every two seconds", &evidence);
    assert_holds_for_owners(&evidence, BUDGET);
}
