//! From a run to what it is judged by.

use std::time::{Duration, Instant};

use crate::checker::nothing_lost;
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
