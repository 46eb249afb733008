//! What limits retries and dead letters over time.

use std::time::Duration;

use crate::policy;

/// Seconds over which the retry budget is counted (finagle's and tower's 10 s).
const SECONDS: u64 = 10;

/// The retry budget: over ten seconds, a floor of retries a second and a share of the first attempts beyond it.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    slots: [Slot; SECONDS as usize],
    latest: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    first: u32,
    again: u32,
}

impl Retries {
    pub(crate) fn first_attempt(&mut self, now: Duration) {
        self.slot(now).first += 1;
    }

    pub(crate) fn retry(&mut self, now: Duration) {
        self.slot(now).again += 1;
    }

    /// Whether a retry may be made now. The floor holds every second, also right after a burst has used up the rest: a
    /// subscription that has recovered never stands still.
    pub(crate) fn allows(&mut self, now: Duration, policy: &policy::Retry) -> bool {
        if self.slot(now).again < policy.budget_floor_per_second {
            return true;
        }
        let first: f64 = self.slots.iter().map(|slot| f64::from(slot.first)).sum();
        let again: f64 = self.slots.iter().map(|slot| f64::from(slot.again)).sum();
        let floor = f64::from(policy.budget_floor_per_second) * SECONDS as f64;
        // One in ten seconds is always allowed: without it a floor of 0 would hold retries for ever.
        again == 0.0 || again + 1.0 <= floor + policy.budget_ratio.max(0.0) * first
    }

    /// When to ask again after a refusal: retries leave the count with their second.
    pub(crate) fn next(&self, now: Duration) -> Duration {
        Duration::from_secs(now.as_secs() + 1)
    }

    fn slot(&mut self, now: Duration) -> &mut Slot {
        let second = now.as_secs();
        for passed in (self.latest + 1..=second).rev().take(SECONDS as usize) {
            self.slots[(passed % SECONDS) as usize] = Slot::default();
        }
        self.latest = self.latest.max(second);
        &mut self.slots[(self.latest % SECONDS) as usize]
    }
}

/// A token bucket: so many dead letters a minute that answers may cause, all of them at once at most.
#[derive(Debug)]
pub(crate) struct Letters {
    tokens: f64,
    at: Duration,
}

impl Letters {
    pub(crate) fn full(now: Duration, per_minute: u32) -> Self {
        Self { tokens: f64::from(per_minute), at: now }
    }

    pub(crate) fn take(&mut self, now: Duration, per_minute: u32) -> bool {
        let most = f64::from(per_minute);
        let gained = now.saturating_sub(self.at).as_secs_f64() * most / 60.0;
        self.tokens = (self.tokens + gained).min(most);
        self.at = self.at.max(now);
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

/// Exponential backoff with full jitter (AWS's "Exponential Backoff And Jitter"): uniform in [0, min(max, initial ·
/// 2ⁿ⁻¹)] after the n-th attempt.
pub(crate) fn backoff(policy: &policy::Retry, attempts: u32, random: &mut fastrand::Rng) -> Duration {
    let exponent = attempts.saturating_sub(1).min(30);
    policy.initial.saturating_mul(1 << exponent).min(policy.max).mul_f64(random.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(floor: u32, ratio: f64) -> policy::Retry {
        policy::Retry {
            initial: Duration::from_millis(200),
            max: Duration::from_secs(300),
            max_attempts: 30,
            max_age: Duration::from_secs(86_400),
            retry_after_max: Duration::from_secs(300),
            budget_floor_per_second: floor,
            budget_ratio: ratio,
        }
    }

    fn spend(budget: &mut Retries, now: Duration, policy: &policy::Retry) -> u32 {
        let mut spent = 0;
        while budget.allows(now, policy) {
            budget.retry(now);
            spent += 1;
        }
        spent
    }

    #[test]
    fn the_budget_is_a_floor_and_a_share_of_first_attempts_over_ten_seconds() {
        let (mut budget, policy) = (Retries::default(), policy(10, 0.2));
        let now = Duration::from_secs(100);
        for _ in 0..1000 {
            budget.first_attempt(now);
        }
        assert_eq!(spend(&mut budget, now, &policy), 300);
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(spend(&mut budget, later(1), &policy), 10, "the floor holds right after a burst");
        assert_eq!(spend(&mut budget, later(9), &policy), 10, "and in every second");
        assert_eq!(spend(&mut budget, later(10), &policy), 80, "the burst has left the window");
    }

    #[test]
    fn without_a_floor_retries_are_slow_but_never_stop() {
        let (mut budget, policy) = (Retries::default(), policy(0, 0.0));
        assert_eq!(spend(&mut budget, Duration::from_secs(5), &policy), 1);
        assert_eq!(spend(&mut budget, Duration::from_secs(14), &policy), 0);
        assert_eq!(spend(&mut budget, Duration::from_secs(15), &policy), 1);
    }

    #[test]
    fn backoff_is_full_jitter_under_a_doubling_cap() {
        let (policy, mut random) = (policy(10, 0.2), fastrand::Rng::with_seed(1));
        for attempts in 1..40 {
            let cap = 0.2 * 2f64.powi(attempts as i32 - 1);
            let waits: Vec<f64> =
                (0..200).map(|_| backoff(&policy, attempts, &mut random).as_secs_f64()).collect();
            let (low, high) =
                (waits.iter().copied().fold(f64::MAX, f64::min), waits.iter().copied().fold(0.0, f64::max));
            let cap = cap.min(300.0);
            assert!(
                low < 0.1 * cap && high <= cap && high > 0.9 * cap,
                "{attempts}: {low} to {high} of {cap}"
            );
        }
    }

    #[test]
    fn a_token_bucket_refills_over_a_minute() {
        let mut letters = Letters::full(Duration::ZERO, 6);
        assert_eq!((0..10).filter(|_| letters.take(Duration::ZERO, 6)).count(), 6);
        assert!(!letters.take(Duration::from_secs(9), 6));
        assert!(letters.take(Duration::from_secs(10), 6));
    }
}
