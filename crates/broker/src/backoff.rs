//! How long to wait before a broker is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Waits between tries to reach a broker: exponential with jitter, without an end. (A delivery's retries are the
/// engine's.)
#[derive(Debug)]
pub struct Backoff {
    waits: ExponentialBackoff,
    first: Duration,
    max: Duration,
}

impl Backoff {
    /// From the first wait to the longest, a random part of each aside.
    pub fn between([first, max]: [Duration; 2]) -> Self {
        Self { waits: Self::waits(first, max), first, max }
    }

    fn waits(first: Duration, max: Duration) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(first)
            .with_max_delay(max)
            .without_max_times()
            .with_jitter()
            .build()
    }

    /// The next wait: the present step and a random part of it again, so that many do not try at once.
    pub fn wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(self.max)
    }

    pub fn reset(&mut self) {
        self.waits = Self::waits(self.first, self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_begin_anew() {
        let first = Duration::from_millis(100);
        let mut backoff = Backoff::between([first, Duration::from_secs(1)]);
        let waits: Vec<Duration> = (0..10).map(|_| backoff.wait()).collect();
        assert!(waits[0] >= first && waits[0] <= first * 2, "{waits:?}");
        assert!(waits[9] >= Duration::from_secs(1) && waits[9] <= Duration::from_secs(2), "{waits:?}");
        backoff.reset();
        assert!(backoff.wait() <= first * 2);
    }
}
