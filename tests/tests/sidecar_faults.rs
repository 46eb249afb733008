//! What sidecars go through in production, under load, on a broker that several of them share: they die, stop, come and
//! go. The checker says what held; the figures are printed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use postrider_tests::checker::{Budget, assert_holds, assert_holds_for_owners};
use postrider_tests::evidence::Attempt;
use postrider_tests::webhook::patience;
use postrider_tests::{
    Answer, Backend, Load, Plan, Postrider, Setup, Webhook, evidence_of_owners, on_each_backend_but_embedded,
    rounds, tell, tell_faults,
};
use serde_json::json;

on_each_backend_but_embedded!(
    what_a_killed_sidecar_held_comes_again,
    a_sidecar_that_was_stopped_does_no_harm_when_it_wakes,
    sidecars_that_come_and_go_lose_nothing,
);

const CONCURRENCY: usize = 16;
const BUDGET: Budget = Budget { in_flight: CONCURRENCY, unflushed: 1_000 };
/// Attempts that are open at a kill, at the least: as many as the window begins with.
const OPEN: usize = 4;

/// A sidecar like this one, beside it, with the subscription that all of them share. Each posts to a path of its own.
fn reader(setup: &Setup, webhook: &Webhook, owner: &str) -> Setup {
    setup.beside().subscription("billing", &webhook.url(owner), json!({ "concurrency": CONCURRENCY }))
}

/// It publishes and reads nothing, so that the load goes on whatever happens to readers.
async fn publisher(setup: &Setup, backend: Backend) -> (Postrider, Load) {
    let publisher = Postrider::start(setup.clone()).await;
    let load = Load::start(publisher.app(), &Plan::steady(backend));
    (publisher, load)
}

async fn what_a_killed_sidecar_held_comes_again(backend: Backend) {
    let setup = Setup::on(backend);
    let webhook = Webhook::start().await;
    let mut sidecar = Postrider::start(reader(&setup, &webhook, "/a")).await;
    let (_publisher, load) = publisher(&setup, backend).await;
    let kills = rounds(2);
    let mut waits = Vec::new();
    for _ in 0..kills {
        let before = webhook.attempts().len();
        webhook.until("deliveries before the kill", |attempts| attempts.len() > before + 300).await;
        webhook.answer(|_| Answer::hang());
        let answered = webhook.attempts().len();
        webhook.until("attempts that stay open", |attempts| attempts.len() >= answered + OPEN).await;
        sidecar.kill();
        let killed = Instant::now();
        webhook.until_quiet().await;
        webhook.answer(|_| Answer::status(204));
        let attempts = webhook.attempts();
        let ended: HashSet<&str> = attempts.iter().filter(|a| a.succeeded()).map(|a| a.id.as_str()).collect();
        let mut held: HashSet<String> =
            attempts.iter().map(|a| &a.id).filter(|id| !ended.contains(id.as_str())).cloned().collect();
        assert!(!held.is_empty(), "something was open at the kill");
        sidecar.start_again().await;
        let came = |attempts: &[Attempt]| {
            for attempt in attempts.iter().skip(before).filter(|attempt| attempt.succeeded()) {
                held.remove(&attempt.id);
            }
            held.is_empty()
        };
        webhook.until("everything that was open at the kill", came).await;
        waits.push(killed.elapsed());
    }
    tell(&format!("{backend:?}: what was open at a kill had come again after {waits:.1?}"));
    let longest = waits.into_iter().max().unwrap_or_default();
    // A session and a lease last ten seconds. This tells one that is longer by a mistake.
    assert!(longest < patience() / 2, "what a killed process held came again after {longest:?} only");
    let evidence = evidence_of_owners(&webhook, load.stop().await, kills).await;
    tell_faults(&format!("{backend:?}: sidecar killed with -9"), &evidence);
    assert_holds(&evidence, BUDGET);
}

async fn a_sidecar_that_was_stopped_does_no_harm_when_it_wakes(backend: Backend) {
    // Longer than a session, and than a lease: what it held is another's by then.
    const STOPPED: Duration = Duration::from_secs(15);
    let setup = Setup::on(backend);
    let webhook = Webhook::start().await;
    let readers = [
        Postrider::start(reader(&setup, &webhook, "/a")).await,
        Postrider::start(reader(&setup, &webhook, "/b")).await,
    ];
    let (_publisher, load) = publisher(&setup, backend).await;
    let faults = rounds(2);
    for round in 0..faults {
        let stopped = &readers[round % 2];
        load.until_accepted(load.accepted() + 300).await;
        stopped.suspend();
        tokio::time::sleep(STOPPED).await;
        stopped.wake();
    }
    load.until_accepted(load.accepted() + 300).await;
    let evidence = evidence_of_owners(&webhook, load.stop().await, faults).await;
    tell_faults(&format!("{backend:?}: sidecar stopped for {STOPPED:?}"), &evidence);
    assert_holds_for_owners(&evidence, BUDGET);
}

async fn sidecars_that_come_and_go_lose_nothing(backend: Backend) {
    let setup = Setup::on(backend);
    let webhook = Webhook::start().await;
    let mut readers = Vec::new();
    for owner in ["/a", "/b", "/c"] {
        readers.push(Postrider::start(reader(&setup, &webhook, owner)).await);
    }
    let (_publisher, load) = publisher(&setup, backend).await;
    let faults = rounds(10);
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
    let evidence = evidence_of_owners(&webhook, load.stop().await, faults).await;
    tell_faults(&format!("{backend:?}: three sidecars joining and leaving every two seconds"), &evidence);
    assert_holds_for_owners(&evidence, BUDGET);
}
