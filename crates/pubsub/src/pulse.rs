//! Whether the service can be reached.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use broker::Health;
use parking_lot::Mutex;

/// Whatever the service says is a beat. Where none came for a while, the [monitor](crate::monitor) asks.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    /// When the last beat was, in milliseconds since the driver began.
    last: AtomicU64,
    /// The same as `down.is_some()`, for those who look at every publish.
    is_down: AtomicBool,
    down: Mutex<Option<(SystemTime, Instant, String)>>,
    /// Requests that wait for an answer.
    waiting: AtomicUsize,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
            down: Mutex::new(None),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Pulse {
    /// The service answered.
    pub(crate) fn beat(&self) {
        self.last.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            let before = self.down.lock().take();
            self.is_down.store(false, Ordering::Relaxed);
            if let Some((_, since, _)) = before {
                let lasted_ms = since.elapsed().as_millis() as u64;
                tracing::info!(lasted_ms, "Pub/Sub can be reached again");
            }
        }
    }

    /// It was asked and did not answer.
    pub(crate) fn missed(&self, reason: String) {
        let mut down = self.down.lock();
        let (since, began) = match &*down {
            Some((since, began, _)) => (*since, *began),
            None => {
                tracing::warn!("Pub/Sub cannot be reached: {reason}");
                (SystemTime::now(), Instant::now())
            }
        };
        *down = Some((since, began, reason));
        self.is_down.store(true, Ordering::Relaxed);
    }

    /// How long ago the last beat was.
    pub(crate) fn silent_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    /// Why it cannot be reached. Costs next to nothing while it can.
    pub(crate) fn down(&self) -> Option<String> {
        if !self.is_down.load(Ordering::Relaxed) {
            return None;
        }
        self.down.lock().as_ref().map(|(_, _, reason)| format!("Pub/Sub cannot be reached: {reason}"))
    }

    /// For how long it could not be reached.
    pub(crate) fn down_for(&self) -> Option<Duration> {
        if !self.is_down.load(Ordering::Relaxed) {
            return None;
        }
        self.down.lock().as_ref().map(|(_, since, _)| since.elapsed())
    }

    pub(crate) fn health(&self) -> Health {
        match &*self.down.lock() {
            Some((since, _, reason)) => Health::Down { since: *since, reason: reason.clone() },
            None => Health::Up,
        }
    }

    /// So many more requests wait for an answer, until they have [waited](Self::waited).
    pub(crate) fn wait(&self, requests: usize) {
        self.waiting.fetch_add(requests, Ordering::Relaxed);
    }

    pub(crate) fn waited(&self, requests: usize) {
        self.waiting.fetch_sub(requests, Ordering::Relaxed);
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_down_is_up_with_the_next_beat() {
        let pulse = Pulse::default();
        assert_eq!(pulse.health(), Health::Up, "until it is known otherwise");
        pulse.missed("connection refused".into());
        assert!(pulse.down().is_some_and(|reason| reason.contains("connection refused")));
        let Health::Down { since, .. } = pulse.health() else { panic!("it is down") };
        pulse.missed("still refused".into());
        let Health::Down { since: later, reason } = pulse.health() else { panic!("it is down") };
        assert_eq!((since, reason.as_str()), (later, "still refused"), "since when it was first missed");
        pulse.beat();
        assert_eq!((pulse.health(), pulse.down(), pulse.down_for()), (Health::Up, None, None));
    }
}
