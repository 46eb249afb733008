//! The retry budget, counted a second time.

use std::collections::VecDeque;
use std::time::Duration;

use engine::Retry;

/// Seconds over which it is counted.
const SECONDS: u64 = 10;

#[derive(Debug, Default)]
pub(super) struct Budget {
    /// First attempts and retries by second, those of the last ten.
    seconds: VecDeque<(u64, u32, u32)>,
    /// In batch mode an attempt may be a retry of one and the first of another: not judged.
    pub(super) inexact: bool,
}

impl Budget {
    /// Counts an attempt. Whether it keeps to the budget.
    pub(super) fn began(&mut self, now: Duration, retry: bool, policy: &Retry) -> bool {
        let second = now.as_secs();
        while self.seconds.front().is_some_and(|(old, ..)| old + SECONDS <= second) {
            self.seconds.pop_front();
        }
        let (first, again) =
            self.seconds.iter().fold((0, 0), |sum, (_, first, again)| (sum.0 + first, sum.1 + again));
        if self.seconds.back().is_none_or(|(last, ..)| *last < second) {
            self.seconds.push_back((second, 0, 0));
        }
        let (_, first_now, again_now) = self.seconds.back_mut().expect("this second's was put there");
        if !retry {
            *first_now += 1;
            return true;
        }
        let floor = policy.budget_floor_per_second;
        let most = f64::from(floor) * SECONDS as f64 + policy.budget_ratio.max(0.0) * f64::from(first);
        let allowed = *again_now < floor || again == 0 || f64::from(again + 1) <= most;
        *again_now += 1;
        allowed || self.inexact
    }
}
