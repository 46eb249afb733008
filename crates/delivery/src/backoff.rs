use std::time::Duration;

/// Waits between tries to reach a broker: exponential with jitter, without an end. (A delivery's retries are the
/// engine's.)
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);

    pub(crate) fn new(max: Duration) -> Self {
        Self { next: Self::FIRST, max }
    }

    /// The next wait: between half of the present step and all of it.
    pub(crate) fn wait(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.max);
        step.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
    }

    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let waits: Vec<Duration> = (0..10).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= Backoff::FIRST && waits[0] >= Backoff::FIRST / 2, "{waits:?}");
        assert!(waits[9] <= Duration::from_secs(1) && waits[9] >= Duration::from_millis(500), "{waits:?}");
        backoff.reset();
        assert!(backoff.wait() <= Backoff::FIRST);
    }
}
