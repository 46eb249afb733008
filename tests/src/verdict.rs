//! From a run to what it is judged by.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::checker::{duplicates, nothing_lost};
use crate::evidence::Evidence;
use crate::load::LogA;
use crate::process::Postrider;
use crate::webhook::{Webhook, patience};

/// Tells a figure to whoever runs the test with `--nocapture`.
#[expect(
    clippy::print_stdout,
    reason = "the test runner captures what is printed, and shows it where a test fails"
)]
pub fn tell(figure: &str) {
    println!("{figure}");
}

/// Tells what a run of faults has cost.
pub fn tell_faults(what: &str, evidence: &Evidence) {
    let accepted = evidence.published.iter().filter(|event| event.accepted).count();
    tell(&format!(
        "{what}: {accepted} events accepted, {} faults, {} duplicates ({:.1} a fault), {} refusals, {} unknown outcomes",
        evidence.faults,
        duplicates(evidence),
        duplicates(evidence) as f64 / evidence.faults.max(1) as f64,
        evidence.refusals.len(),
        evidence.published.iter().map(|event| event.sends.saturating_sub(1)).sum::<u32>(),
    ));
}

/// How many rounds a test of faults goes through: `POSTRIDER_ROUNDS` asks for more than those of every run.
pub fn rounds(default: usize) -> usize {
    std::env::var("POSTRIDER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

/// Everything about one subscription, once all is quiet.
///
/// Status is a moment old when it is read, so that "nothing left to do" alone may have been true before the last event
/// came. Hence this waits until every accepted event is accounted for; where one never is, the checker will say which.
pub async fn evidence(
    sidecar: &Postrider,
    subscription: &str,
    webhook: &Webhook,
    log_a: LogA,
    faults: usize,
) -> Evidence {
    let LogA { published, refusals } = log_a;
    let mut evidence = Evidence { published, refusals, faults, ..Evidence::default() };
    let began = Instant::now();
    loop {
        sidecar.until_settled(subscription).await;
        webhook.until_quiet().await;
        evidence.attempts = webhook.attempts();
        evidence.dead = sidecar.dead_ids(subscription).await;
        if nothing_lost(&evidence).is_empty() || began.elapsed() > patience() {
            return evidence;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The same where several sidecars share the subscription: waits until every accepted event has been delivered, whoever
/// delivered it.
pub async fn evidence_of_owners(webhook: &Webhook, log_a: LogA, faults: usize) -> Evidence {
    let accepted = log_a.published.iter().filter(|event| event.accepted);
    let mut missing: HashSet<String> = accepted.map(|event| event.id.clone()).collect();
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
