//! The circuit breaker: endpoint failures in a row open it, and so does a low share of successes among distinct
//! deliveries. Open, it lets one probe through at a time.

use std::time::Duration;

use crate::policy;

/// Buckets of the sliding window over which successes are counted.
const BUCKETS: u64 = 10;
/// Distinct deliveries below which the share of successes says nothing.
const DISTINCT_MIN: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Open { until: Duration },
    Probing,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    /// Rises whenever it opens, so that attempts that began before are told from those that began after.
    epoch: u32,
    consecutive: u32,
    /// How often it opened since it was last closed.
    opened: u32,
    ratio: Ratio,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        let ratio = Ratio::default();
        Self { state: State::Closed, epoch: 0, consecutive: 0, opened: 0, ratio }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.state == State::Probing
    }

    /// When the next probe may begin: only where it is open and none is under way.
    pub(crate) fn probe_at(&self) -> Option<Duration> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::Probing => None,
        }
    }

    /// A delivery succeeded. `failed_in`: the mark of its last failure.
    pub(crate) fn succeeded(&mut self, now: Duration, over: Duration, failed_in: u8) {
        self.consecutive = 0;
        self.ratio.count(now, over, failed_in, true);
    }

    /// The endpoint answered in a way that says nothing of its health but that it is there.
    pub(crate) fn answered(&mut self) {
        self.consecutive = 0;
    }

    /// A delivery failed; returns the mark to keep with it.
    pub(crate) fn failed(&mut self, now: Duration, over: Duration, failed_in: u8) -> u8 {
        self.ratio.count(now, over, failed_in, false)
    }

    /// An attempt failed by its endpoint.
    pub(crate) fn endpoint_failed(&mut self) {
        self.consecutive += 1;
    }

    /// Opens it if what has been counted says so; for how long.
    pub(crate) fn judge(
        &mut self,
        now: Duration,
        policy: &policy::Breaker,
        random: &mut fastrand::Rng,
    ) -> Option<Duration> {
        let in_a_row = self.consecutive >= policy.consecutive.max(1);
        let sick = in_a_row || self.ratio.is_below(policy.success_ratio);
        (self.is_closed() && sick).then(|| {
            self.epoch = self.epoch.wrapping_add(1);
            self.open(now, policy, random)
        })
    }

    pub(crate) fn probe_began(&mut self) {
        if self.probe_at().is_some() {
            self.state = State::Probing;
        }
    }

    /// A probe failed: open again, for longer. For how long.
    pub(crate) fn probe_failed(
        &mut self,
        now: Duration,
        policy: &policy::Breaker,
        random: &mut fastrand::Rng,
    ) -> Duration {
        self.open(now, policy, random)
    }

    /// A probe ended without a verdict, or something changed for the better: the next one may begin at once.
    pub(crate) fn probe_now(&mut self, now: Duration) {
        if let State::Open { until } = self.state {
            self.state = State::Open { until: until.min(now) };
        }
    }

    /// The probe that was under way is gone.
    pub(crate) fn probe_gone(&mut self, now: Duration) {
        if self.is_probing() {
            self.state = State::Open { until: now };
        }
    }

    /// Closes it and starts counting anew. Attempts that began before no longer count.
    pub(crate) fn close(&mut self) {
        *self = Self { epoch: self.epoch.wrapping_add(1), ..Self::new() };
    }

    fn open(&mut self, now: Duration, policy: &policy::Breaker, random: &mut fastrand::Rng) -> Duration {
        let doubled = policy.open.saturating_mul(1 << self.opened.min(20)).min(policy.open_max);
        // Equal jitter: between half and the whole, so that replicas of a service do not probe in step.
        let open = doubled.mul_f64(0.5 + 0.5 * random.f64());
        self.opened += 1;
        self.consecutive = 0;
        self.ratio = Ratio::default();
        self.state = State::Open { until: now + open };
        open
    }
}

/// Successes and failures of distinct deliveries over a sliding window. A delivery that fails again is moved, not
/// counted twice: one poisoned event that is retried often never looks like a sick endpoint.
#[derive(Debug, Default)]
struct Ratio {
    buckets: [Bucket; BUCKETS as usize],
    /// The bucket of the latest count; buckets are numbered from the clock's zero.
    latest: u64,
    /// What the buckets together span.
    over: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    done: u64,
    failed: u64,
}

impl Ratio {
    /// Counts an outcome and returns the mark of its bucket.
    fn count(&mut self, now: Duration, over: Duration, failed_in: u8, done: bool) -> u8 {
        // Buckets of another width have other numbers: a reconfigured window begins empty.
        if over != self.over {
            *self = Self { over, ..Self::default() };
        }
        let width = (over / BUCKETS as u32).max(Duration::from_millis(1)).as_nanos();
        let bucket = u64::try_from(now.as_nanos() / width).unwrap_or(u64::MAX);
        for passed in (self.latest + 1..=bucket).rev().take(BUCKETS as usize) {
            self.buckets[(passed % BUCKETS) as usize] = Bucket::default();
        }
        self.latest = self.latest.max(bucket);
        if failed_in != 0
            && let Some(old) =
                (0..BUCKETS).filter_map(|back| self.latest.checked_sub(back)).find(|b| mark(*b) == failed_in)
        {
            let old = &mut self.buckets[(old % BUCKETS) as usize];
            old.failed = old.failed.saturating_sub(1);
        }
        let current = &mut self.buckets[(self.latest % BUCKETS) as usize];
        if done {
            current.done += 1;
        } else {
            current.failed += 1;
        }
        mark(self.latest)
    }

    fn is_below(&self, share: f64) -> bool {
        let done: u64 = self.buckets.iter().map(|bucket| bucket.done).sum();
        let failed: u64 = self.buckets.iter().map(|bucket| bucket.failed).sum();
        let all = done + failed;
        all >= DISTINCT_MIN && failed > 0 && (done as f64) < share * all as f64
    }
}

/// What a delivery keeps of the bucket of its last failure: never 0, and unmistakable among the buckets in use.
fn mark(bucket: u64) -> u8 {
    (bucket % 255) as u8 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVER: Duration = Duration::from_secs(10);
    const POLICY: policy::Breaker = policy::Breaker {
        consecutive: 5,
        success_ratio: 0.2,
        over: OVER,
        open: Duration::from_secs(1),
        open_max: Duration::from_secs(60),
        pause_probe: Duration::from_secs(300),
    };

    fn judge(breaker: &mut Breaker, now: Duration) -> Option<Duration> {
        breaker.judge(now, &POLICY, &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn open_time_doubles_to_its_cap_with_jitter() {
        let (mut breaker, mut random) = (Breaker::new(), fastrand::Rng::with_seed(3));
        for step in 0..12 {
            let open = breaker.open(Duration::ZERO, &POLICY, &mut random).as_secs_f64();
            let whole = f64::from(1 << step.min(6)).min(60.0);
            assert!((whole / 2.0..=whole).contains(&open), "step {step}: {open}");
        }
    }

    #[test]
    fn one_poisoned_event_retried_often_is_no_sick_endpoint() {
        let mut breaker = Breaker::new();
        let mut mark = 0;
        for i in 0..100 {
            let now = Duration::from_millis(100 * i);
            mark = breaker.failed(now, OVER, mark);
            if i % 25 == 0 {
                breaker.succeeded(now, OVER, 0);
            }
            assert_eq!(judge(&mut breaker, now), None, "after {i} failures of one delivery");
        }
    }

    #[test]
    fn five_distinct_failing_deliveries_open_it_by_ratio() {
        let mut breaker = Breaker::new();
        for i in 0..5 {
            assert_eq!(judge(&mut breaker, Duration::ZERO), None, "after {i}");
            breaker.failed(Duration::from_secs(i), OVER, 0);
        }
        assert!(judge(&mut breaker, Duration::from_secs(4)).is_some());
    }

    #[test]
    fn failures_older_than_the_window_no_longer_count() {
        let mut breaker = Breaker::new();
        for i in 0..4 {
            breaker.failed(Duration::from_secs(i), OVER, 0);
        }
        breaker.failed(Duration::from_secs(12), OVER, 0);
        assert_eq!(judge(&mut breaker, Duration::from_secs(12)), None);
    }

    #[test]
    fn a_window_that_is_reconfigured_slides_on() {
        let mut ratio = Ratio::default();
        let hour = Duration::from_secs(3_600);
        for _ in 0..10 {
            ratio.count(hour, Duration::from_secs(10), 0, false);
        }
        assert!(ratio.is_below(0.2));
        let longer = Duration::from_secs(100);
        for second in 0..10 {
            ratio.count(hour + Duration::from_secs(second), longer, 0, true);
        }
        assert!(!ratio.is_below(0.2), "failures of the old window count no more");
        for second in 200..210 {
            ratio.count(hour + Duration::from_secs(second), longer, 0, false);
        }
        assert!(ratio.is_below(0.2), "what is older than the window counts no more");
    }
}
