//! Who waits for settles to become durable, and what they are told where those never will be.

use broker::{BoxFuture, Error, ErrorKind};
use futures::channel::oneshot;

use super::partition::Partition;
use super::shared::Shared;
use super::state::State;

/// Who waits.
#[derive(Debug)]
pub(super) struct Flush {
    /// The settles that are waited for: those after this one, up to that one.
    since: u64,
    settle: u64,
    answer: oneshot::Sender<Result<(), Error>>,
}

/// Settles that were not committed when their partition went, so that they come again.
#[derive(Debug)]
pub(super) struct Loss {
    /// The last of them.
    settle: u64,
    pub(super) why: String,
}

impl Partition {
    /// Its last settle, where that is not committed.
    pub(super) fn unsaved(&self) -> Option<u64> {
        ((self.is_dirty() || self.rewound.is_some()) && self.touched > self.durable).then_some(self.touched)
    }

    /// Settles of it up to this one may still have to become durable. While its log is in doubt, they do not.
    fn is_open(&self, settle: u64) -> bool {
        let waits = self.rewound.is_some() && self.touched > self.durable;
        waits || (self.is_dirty() && self.durable < settle)
    }
}

impl State {
    /// Partitions are gone, and nothing of them can be committed any more.
    pub(super) fn lose(&mut self, numbers: &[u32]) {
        let unsaved = numbers.iter().filter_map(|number| self.partitions.get(number)?.unsaved()).max();
        self.remove(numbers);
        if let Some(settle) = unsaved {
            self.lose_settles(settle, "this member lost its partitions before".to_owned());
        }
        self.answer_flushes();
    }

    /// Settles up to this one were not committed, and will not be.
    pub(super) fn lose_settles(&mut self, settle: u64, reason: String) {
        let why = format!("what was settled last could not be committed and comes again: {reason}");
        tracing::warn!(topic = self.topic(), "{why}");
        let before = self.commits.lost.as_ref().map_or(0, |lost| lost.settle);
        self.commits.lost = Some(Loss { settle: settle.max(before), why });
    }

    fn lost_since(&self, since: u64) -> Option<Error> {
        let lost = self.commits.lost.as_ref().filter(|lost| lost.settle > since)?;
        Some(Error::new(ErrorKind::Unavailable, lost.why.clone()))
    }

    /// What is to be said to who waits; `None`: nothing yet.
    fn verdict(&self, since: u64, settle: u64) -> Option<Result<(), Error>> {
        if let Some(lost) = self.lost_since(since) {
            return Some(Err(lost));
        }
        if self.commits.last.is_some() {
            return None;
        }
        let mut open = self.partitions.values().filter(|p| p.is_open(settle)).peekable();
        if open.peek().is_none() {
            return Some(Ok(()));
        }
        // The others are durable. What the broker does not take is tried again, but nobody is kept waiting for that.
        let refused: Option<Vec<&str>> =
            open.map(|partition| partition.refused.as_ref().map(|refused| refused.why.as_str())).collect();
        refused.map(|why| Err(Error::new(ErrorKind::Unavailable, why.join("; "))))
    }

    /// Answers who waits for what has become durable, or never will.
    pub(super) fn answer_flushes(&mut self) {
        for flush in std::mem::take(&mut self.commits.flushes) {
            match self.verdict(flush.since, flush.settle) {
                // Who asked may have gone away.
                Some(answer) => drop(flush.answer.send(answer)),
                None => self.commits.flushes.push(flush),
            }
        }
    }

    /// Nobody will commit any more.
    pub(super) fn refuse_flushes(&mut self) {
        self.commits.flushes.clear();
    }
}

impl Shared {
    /// Resolves when every settle so far is durable. Those that were lost with their partition are told once.
    pub(crate) fn flush(&self) -> BoxFuture<'static, Result<(), Error>> {
        let since = {
            let mut state = self.state.lock();
            let settles = state.settles;
            std::mem::replace(&mut state.commits.flushed, settles)
        };
        self.flush_since(since)
    }

    /// Resolves when every settle after this one is durable.
    pub(super) fn flush_since(&self, since: u64) -> BoxFuture<'static, Result<(), Error>> {
        let waits = {
            let mut state = self.state.lock();
            let settle = state.settles;
            if let Some(answer @ Ok(())) = state.verdict(since, settle) {
                return Box::pin(std::future::ready(answer));
            }
            if let Some(error) = state.lost_since(since).or_else(|| state.ended().err()) {
                return Box::pin(std::future::ready(Err(error)));
            }
            let (answer, waits) = oneshot::channel();
            state.commits.flushes.push(Flush { since, settle, answer });
            waits
        };
        self.dirty.notify_all();
        Box::pin(async move { waits.await.unwrap_or_else(|_| Err(Error::closed())) })
    }
}
