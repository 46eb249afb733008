use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Notify;

use crate::Error;

/// How much this process publishes at once, over all topics: handed to a driver and not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub events_max: u64,
    /// Bytes of events: attributes and data.
    pub bytes_max: u64,
    /// What a publisher that is refused for it is told to wait.
    pub retry_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events_max: 100_000, bytes_max: 128 << 20, retry_after: Duration::from_secs(1) }
    }
}

/// What is under way, held within [`Limits`].
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    events: AtomicU64,
    bytes: AtomicU64,
    closed: AtomicBool,
    /// Rung whenever nothing is under way any more.
    idle: Notify,
}

/// A share of the limits, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    events: u64,
    bytes: u64,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            idle: Notify::new(),
        })
    }

    /// Admits a publisher's call. One call is always admitted where nothing else is under way, however large: the
    /// body limit bounds it, and refusing it would mean refusing it for ever.
    pub(crate) fn admit(self: &Arc<Self>, events: u64, bytes: u64) -> Result<Permit, Error> {
        let permit = self.admit_always(events, bytes)?;
        let (events_now, bytes_now) = (self.events.load(SeqCst), self.bytes.load(SeqCst));
        let over = events_now > self.limits.events_max || bytes_now > self.limits.bytes_max;
        if over && events_now > events {
            return Err(Error::Overloaded { retry_after: self.limits.retry_after });
        }
        Ok(permit)
    }

    /// Admits what is bounded elsewhere already (dead letters: by the deliveries that are held), unless closed.
    pub(crate) fn admit_always(self: &Arc<Self>, events: u64, bytes: u64) -> Result<Permit, Error> {
        // Counted before the flag is read, so that `close` either sees this call or refuses it.
        self.events.fetch_add(events, SeqCst);
        self.bytes.fetch_add(bytes, SeqCst);
        let permit = Permit { admission: self.clone(), events, bytes };
        if self.closed.load(SeqCst) { Err(Error::Closing) } else { Ok(permit) }
    }

    /// Refuses all that comes from now on, and returns when nothing is under way.
    pub(crate) async fn close(&self) {
        self.closed.store(true, SeqCst);
        loop {
            let mut idle = std::pin::pin!(self.idle.notified());
            idle.as_mut().enable();
            if self.events.load(SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.bytes.fetch_sub(self.bytes, SeqCst);
        if self.admission.events.fetch_sub(self.events, SeqCst) == self.events {
            self.admission.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(events_max: u64, bytes_max: u64) -> Arc<Admission> {
        Admission::new(Limits { events_max, bytes_max, retry_after: Duration::from_secs(7) })
    }

    #[test]
    fn over_either_bound_a_call_is_refused_until_something_ends() {
        for (events_max, bytes_max) in [(2, 1_000), (1_000, 20)] {
            let admission = admission(events_max, bytes_max);
            let first = admission.admit(2, 20).unwrap();
            assert_eq!(
                admission.admit(1, 10).unwrap_err(),
                Error::Overloaded { retry_after: Duration::from_secs(7) },
                "the bound is kept"
            );
            drop(first);
            admission.admit(1, 10).expect("what ended makes room, and the refused call left nothing behind");
        }
    }

    #[test]
    fn a_call_larger_than_the_bound_is_admitted_alone() {
        let admission = admission(2, 20);
        let large = admission.admit(5, 500).expect("nothing else is under way");
        assert!(admission.admit(1, 1).is_err(), "nothing is admitted beside it");
        drop(large);
    }

    #[tokio::test]
    async fn close_refuses_and_waits_for_what_is_under_way() {
        let admission = admission(10, 10);
        let permit = admission.admit(1, 1).unwrap();
        let mut closing = std::pin::pin!(admission.close());
        assert!(futures_poll(closing.as_mut()).is_pending(), "one call is under way");
        assert_eq!(admission.admit(1, 1).unwrap_err(), Error::Closing);
        drop(permit);
        closing.await;
    }

    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
