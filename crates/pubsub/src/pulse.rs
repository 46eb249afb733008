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
    /// The last outage: from the last beat before it to the last question that was asked in vain.
    outage: Mutex<Option<[Instant; 2]>>,
    /// How long after an outage the service may still bring what was lost in it.
    remembered: Duration,
    /// Something was acknowledged since the last beat.
    is_unheard: AtomicBool,
    /// Requests that wait for an answer.
    waiting: AtomicUsize,
}

/// What was acknowledged so long before the last sign of the service may not have arrived: the client sends every 100 ms.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// How long a stream takes, at the most, to be open again after an outage: the client's longest pause, and its jitter.
const REOPENED: Duration = Duration::from_secs(90);

impl Pulse {
    /// What is not acknowledged comes again when its `lease` has ended.
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
            down: Mutex::new(None),
            outage: Mutex::new(None),
            remembered: lease + REOPENED,
            is_unheard: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        }
    }

    /// The service answered.
    pub(crate) fn beat(&self) {
        self.last.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.is_unheard.store(false, Ordering::Relaxed);
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
        self.lengthen_outage();
        *down = Some((since, began, reason));
        self.is_down.store(true, Ordering::Relaxed);
    }

    /// An outage that begins soon after another goes on with it.
    fn lengthen_outage(&self) {
        let now = Instant::now();
        let mut outage = self.outage.lock();
        let goes_on = outage.filter(|[_, until]| now.duration_since(*until) < self.remembered);
        let from =
            goes_on.map_or_else(|| now.checked_sub(self.silent_for()).unwrap_or(now), |[from, _]| from);
        *outage = Some([from, now]);
    }

    /// Since when what was acknowledged may have been lost, and comes again: from a while before an outage, until a while
    /// after it.
    pub(crate) fn doubtful_since(&self) -> Option<Instant> {
        let [from, until] = (*self.outage.lock())?;
        let doubtful = until.elapsed() < self.remembered;
        doubtful.then(|| from.checked_sub(ON_ITS_WAY).unwrap_or(from))
    }

    /// Something was acknowledged, of which the client tells no answer.
    pub(crate) fn acknowledged(&self) {
        self.is_unheard.store(true, Ordering::Relaxed);
    }

    /// Whether nothing was heard since.
    pub(crate) fn is_unheard(&self) -> bool {
        self.is_unheard.load(Ordering::Relaxed)
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

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_down_is_up_with_the_next_beat() {
        let pulse = Pulse::new(SECOND);
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

    #[test]
    fn what_was_acknowledged_around_an_outage_is_in_doubt() {
        let began = Instant::now();
        let pulse = Pulse::new(SECOND);
        pulse.beat();
        pulse.acknowledged();
        assert!(pulse.is_unheard() && pulse.doubtful_since().is_none(), "all is well");
        pulse.missed("connection refused".into());
        let since = pulse.doubtful_since().expect("it may be lost");
        assert!(since < began, "what was on its way at the last beat is in doubt, too");
        pulse.beat();
        assert!(!pulse.is_unheard());
        assert_eq!(pulse.doubtful_since(), Some(since), "it may come again after the outage");
        pulse.missed("refused again".into());
        assert_eq!(pulse.doubtful_since(), Some(since), "another outage is the same one");
        let brief = Pulse { remembered: Duration::ZERO, ..Pulse::new(SECOND) };
        brief.missed("connection refused".into());
        assert_eq!(brief.doubtful_since(), None, "in time it has come, or never will");
    }
}
