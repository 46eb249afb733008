//! The retry budget, counted a second time.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Retry;

/// Seconds over which it is counted.
const SECONDS: u64 = 10;

#[derive(Debug, Default)]
pub(super) struct Budget {
    /// First attempts and retries by second.
    seconds: BTreeMap<u64, (u32, u32)>,
    /// In batch mode an attempt may be a retry of one and the first of another: not judged.
    pub(super) inexact: bool,
}

impl Budget {
    /// Counts an attempt. Whether it keeps to the budget.
    pub(super) fn began(&mut self, now: Duration, retry: bool, policy: &Retry) -> bool {
        let second = now.as_secs();
        self.seconds = self.seconds.split_off(&(second.saturating_sub(SECONDS - 1)));
        let (first, again) =
            self.seconds.values().fold((0, 0), |sum, (first, again)| (sum.0 + first, sum.1 + again));
        let slot = self.seconds.entry(second).or_default();
        if !retry {
            slot.0 += 1;
            return true;
        }
        let floor = policy.budget_floor_per_second;
        let most = f64::from(floor) * SECONDS as f64 + policy.budget_ratio.max(0.0) * f64::from(first);
        let allowed = slot.1 < floor || again == 0 || f64::from(again + 1) <= most;
        slot.1 += 1;
        allowed || self.inexact
    }
}
