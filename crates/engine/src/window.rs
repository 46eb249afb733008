//! How many attempts may be open at once.
//!
//! Growth and loss are TCP's congestion control (RFC 5681): slow start doubles the window a round of successes up to a
//! threshold, then it grows by one a round; an endpoint failure halves it, at most once a round; a 429 or `Retry-After`
//! sets it to 1 and the threshold to half, as a retransmission timeout does. It grows only while it is used (RFC 7661).
//! Latency shrinks it by a gradient: Netflix's Gradient2 (tolerance 1.5, smoothing 0.2, never below half a step) against
//! the smoothed minimum, with the square root of the window as headroom as Envoy's gradient controller has it.

use std::time::Duration;

/// How much slower than the smoothed minimum a round may be before the window shrinks.
const TOLERANCE: f64 = 1.5;
/// Share of the new window that a round's gradient contributes.
const SMOOTHING: f64 = 0.2;
/// Least gradient of one round.
const GRADIENT_MIN: f64 = 0.5;
/// How fast the minimum follows an endpoint that has become slower for good, a round.
const BASELINE_DRIFT: f64 = 0.02;
/// Least samples of a round.
const SAMPLES_MIN: f64 = 10.0;

#[derive(Debug)]
pub(crate) struct Window {
    size: f64,
    threshold: f64,
    most: f64,
    /// Attempts with a lower serial began before it last shrank: they neither shrink it again nor grow it.
    recovery: u64,
    /// Smoothed minimum of the latency, in seconds; 0 before the first round.
    baseline: f64,
    round_sum: f64,
    round_samples: f64,
}

impl Window {
    pub(crate) fn new(initial: u32, most: u32) -> Self {
        let most = f64::from(most.max(1));
        Self {
            size: f64::from(initial).clamp(1.0, most),
            threshold: most,
            most,
            recovery: 0,
            baseline: 0.0,
            round_sum: 0.0,
            round_samples: 0.0,
        }
    }

    /// Attempts that may be open at once: from 1 to the subscription's concurrency.
    pub(crate) fn size(&self) -> u32 {
        self.size as u32
    }

    /// An attempt succeeded; `open`: how many were open, itself included. One that began before the window last shrank
    /// tells nothing of the new size.
    pub(crate) fn succeeded(&mut self, serial: u64, latency: Duration, open: u32) {
        if serial >= self.recovery && f64::from(open) * 2.0 >= self.size.floor() {
            let step = if self.size < self.threshold { 1.0 } else { 1.0 / self.size };
            self.size = (self.size + step).min(self.most);
        }
        self.sample(latency.as_secs_f64());
    }

    /// An attempt failed by its event. Only where it was slow does it say something about the endpoint.
    pub(crate) fn event_failed(&mut self, latency: Duration) {
        if self.baseline > 0.0 && latency.as_secs_f64() > self.baseline {
            self.sample(latency.as_secs_f64());
        }
    }

    /// The endpoint failed. `serial` of the attempt, and the serial that the next attempt will have.
    pub(crate) fn endpoint_failed(&mut self, serial: u64, next_serial: u64) {
        if serial >= self.recovery {
            self.size = (self.size / 2.0).max(1.0);
            self.threshold = self.size;
            self.recovery = next_serial;
        }
    }

    /// The endpoint asked for a pause.
    pub(crate) fn collapse(&mut self, next_serial: u64) {
        if self.size > 1.0 {
            self.threshold = (self.size / 2.0).max(1.0);
        }
        self.size = 1.0;
        self.recovery = next_serial;
    }

    /// Starts over, after a breaker closed or a pause ended.
    pub(crate) fn restart(&mut self, initial: u32) {
        *self =
            Self { baseline: self.baseline, recovery: self.recovery, ..Self::new(initial, self.most as u32) };
    }

    /// Takes a new upper bound.
    pub(crate) fn limit(&mut self, most: u32) {
        let was = std::mem::replace(&mut self.most, f64::from(most.max(1)));
        self.threshold = if self.threshold >= was { self.most } else { self.threshold.min(self.most) };
        self.size = self.size.min(self.most);
    }

    fn sample(&mut self, seconds: f64) {
        self.round_sum += seconds;
        self.round_samples += 1.0;
        if self.round_samples >= self.size.max(SAMPLES_MIN) {
            let mean = (self.round_sum / self.round_samples).max(1e-6);
            (self.round_sum, self.round_samples) = (0.0, 0.0);
            self.follow(mean);
        }
    }

    fn follow(&mut self, mean: f64) {
        if self.baseline == 0.0 || mean <= self.baseline {
            self.baseline = mean;
            return;
        }
        let gradient = (TOLERANCE * self.baseline / mean).clamp(GRADIENT_MIN, 1.0);
        self.baseline += (mean - self.baseline) * BASELINE_DRIFT;
        let wanted = self.size * gradient + self.size.sqrt();
        if gradient < 1.0 && wanted < self.size {
            self.size = (self.size * (1.0 - SMOOTHING) + wanted * SMOOTHING).max(1.0);
            self.threshold = self.threshold.min(self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);

    /// So many rounds in which the whole window is used.
    fn rounds(window: &mut Window, rounds: u32, latency: Duration) {
        for _ in 0..rounds {
            for _ in 0..window.size() {
                window.succeeded(u64::MAX, latency, window.size());
            }
        }
    }

    #[test]
    fn slow_start_doubles_a_round_up_to_the_concurrency() {
        let mut window = Window::new(4, 64);
        rounds(&mut window, 1, FAST);
        assert_eq!(window.size(), 8);
        rounds(&mut window, 9, FAST);
        assert_eq!(window.size(), 64);
    }

    #[test]
    fn an_idle_window_does_not_grow() {
        let mut window = Window::new(8, 64);
        for _ in 0..100 {
            window.succeeded(u64::MAX, FAST, 1);
        }
        assert_eq!(window.size(), 8);
    }

    #[test]
    fn an_endpoint_failure_halves_it_once_a_round_and_growth_is_additive_after() {
        let mut window = Window::new(32, 64);
        for serial in 0..32 {
            window.endpoint_failed(serial, 32);
        }
        assert_eq!(window.size(), 16);
        rounds(&mut window, 2, FAST);
        assert_eq!(window.size(), 17, "past the threshold a round adds one");
    }

    #[test]
    fn a_retry_after_sets_it_to_one() {
        let mut window = Window::new(32, 64);
        window.collapse(5);
        assert_eq!(window.size(), 1);
        rounds(&mut window, 3, FAST);
        assert_eq!(window.size(), 8, "slow start leads back");
    }

    #[test]
    fn it_shrinks_when_the_webhook_slows_down_and_accepts_a_slow_one_in_time() {
        let mut window = Window::new(64, 64);
        rounds(&mut window, 3, FAST);
        rounds(&mut window, 20, Duration::from_millis(200));
        let slowed = window.size();
        assert!(slowed < 32, "{slowed}");
        rounds(&mut window, 300, Duration::from_millis(200));
        assert!(window.size() > slowed, "the minimum drifts to what the webhook can do: {}", window.size());
    }

    #[test]
    fn a_lower_concurrency_holds_at_once_and_a_higher_one_is_grown_into() {
        let mut window = Window::new(32, 64);
        window.limit(8);
        assert_eq!(window.size(), 8);
        window.limit(128);
        rounds(&mut window, 5, FAST);
        assert_eq!(window.size(), 128);
    }
}
