//! What waits for the committer.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};

use crate::error::{AppendError, StoreError};
use crate::frame::Batch;
use crate::log::Log;
use crate::settle::SettleLog;
use crate::store::Appended;

pub(crate) type Done = Box<dyn FnOnce(Result<Appended, AppendError>) + Send>;
pub(crate) type Flushed = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// An append on its way.
pub(crate) struct Pending {
    pub(crate) log: Arc<Log>,
    pub(crate) batch: Batch,
    pub(crate) deadline: Option<Instant>,
    pub(crate) done: Done,
    pub(crate) outcome: Option<Result<Appended, AppendError>>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("log", self.log.name())
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    #[default]
    No,
    /// Write what waits, then end.
    Drain,
    /// End without a word, as a crash would.
    Now,
}

/// What has arrived. The committer swaps it for an empty one and works on it while the next gathers.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) appends: Vec<Pending>,
    pub(crate) settles: Vec<Arc<SettleLog>>,
    pub(crate) flushes: Vec<(Arc<SettleLog>, Flushed)>,
    pub(crate) stop: Stop,
    settles_due: Option<Instant>,
}

/// The door to the committer.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    bytes_max: usize,
    settle_delay: Duration,
    poison: OnceLock<(Arc<str>, SystemTime)>,
}

#[derive(Default)]
struct State {
    inbox: Inbox,
    /// Of the appends that wait and those that are being written.
    bytes: usize,
    closed: bool,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("poison", &self.poison).finish_non_exhaustive()
    }
}

impl Queue {
    pub(crate) fn new(bytes_max: usize, settle_delay: Duration) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            bytes_max,
            settle_delay,
            poison: OnceLock::new(),
        }
    }

    pub(crate) fn append(&self, pending: Pending) {
        let refusal = match self.poison.get() {
            Some((reason, _)) => AppendError::Poisoned(Arc::clone(reason)),
            None => {
                let mut state = self.state.lock();
                let bytes = pending.batch.bytes();
                if state.closed {
                    AppendError::Closed
                } else if state.bytes > 0 && state.bytes + bytes > self.bytes_max {
                    AppendError::Overloaded
                } else {
                    state.bytes += bytes;
                    state.inbox.appends.push(pending);
                    drop(state);
                    self.arrived.notify_one();
                    return;
                }
            }
        };
        (pending.done)(Err(refusal));
    }

    /// So many bytes of appends have been answered.
    pub(crate) fn answered(&self, bytes: usize) {
        self.state.lock().bytes -= bytes;
    }

    /// A settle log has changes; they are written in the next round that begins after the delay.
    pub(crate) fn settles_changed(&self, settles: Arc<SettleLog>) {
        let mut state = self.state.lock();
        state.inbox.settles.push(settles);
        if state.inbox.settles_due.is_none() {
            state.inbox.settles_due = Some(Instant::now() + self.settle_delay);
            drop(state);
            self.arrived.notify_one();
        }
    }

    pub(crate) fn settles_urgent(&self) {
        let mut state = self.state.lock();
        if state.inbox.settles_due.is_some() {
            state.inbox.settles_due = Some(Instant::now());
            drop(state);
            self.arrived.notify_one();
        }
    }

    pub(crate) fn flush(&self, settles: Arc<SettleLog>, done: Flushed) {
        let error = {
            let mut state = self.state.lock();
            if let Some(error) = self.poison_error() {
                error
            } else if state.closed {
                StoreError::Closed
            } else {
                state.inbox.settles.push(Arc::clone(&settles));
                state.inbox.flushes.push((settles, done));
                state.inbox.settles_due = Some(Instant::now());
                drop(state);
                self.arrived.notify_one();
                return;
            }
        };
        done(Err(error));
    }

    /// Waits until there is something to do and takes it; settles only when they are due. `false`: nothing is to be
    /// done right now (asked with `wait` false), or it is `until`.
    pub(crate) fn take(&self, into: &mut Inbox, wait: bool, until: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            let stop = state.inbox.stop;
            let settles = state.inbox.settles_due.is_some_and(|due| due <= now) || stop == Stop::Drain;
            if settles || stop != Stop::No || !state.inbox.appends.is_empty() {
                std::mem::swap(&mut into.appends, &mut state.inbox.appends);
                if settles {
                    std::mem::swap(&mut into.settles, &mut state.inbox.settles);
                    std::mem::swap(&mut into.flushes, &mut state.inbox.flushes);
                    state.inbox.settles_due = None;
                }
                into.stop = stop;
                return true;
            }
            if !wait || until.is_some_and(|until| until <= now) {
                return false;
            }
            match [state.inbox.settles_due, until].into_iter().flatten().min() {
                Some(at) => drop(self.arrived.wait_until(&mut state, at)),
                None => self.arrived.wait(&mut state),
            }
        }
    }

    pub(crate) fn stop(&self, how: Stop) {
        let mut state = self.state.lock();
        state.closed = true;
        state.inbox.stop = how;
        drop(state);
        self.arrived.notify_one();
    }

    /// The committer is gone: nobody waits for it any more. What is dropped here is answered by being dropped.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let inbox = std::mem::take(&mut state.inbox);
        drop(state);
        drop(inbox);
    }

    pub(crate) fn poison(&self, reason: Arc<str>) {
        // The first reason is the one that tells what happened.
        let _first = self.poison.set((reason, SystemTime::now()));
    }

    pub(crate) fn poisoned(&self) -> Option<&(Arc<str>, SystemTime)> {
        self.poison.get()
    }

    pub(crate) fn poison_error(&self) -> Option<StoreError> {
        self.poison.get().map(|(reason, _)| StoreError::Poisoned(Arc::clone(reason)))
    }
}
