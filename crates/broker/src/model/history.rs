use std::sync::Arc;
use std::time::Duration;

use super::{SourceId, Ticket};
use crate::{Lease, Note, Outcome, Settle};

/// All that happened in a model, in order: the witness that a checker reads. Positions are the numbers inside
/// [`Position::Number`](crate::Position::Number), dense from 0 within a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub moments: Vec<Moment>,
}

/// One thing that happened, and when (the model's time).
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub at: Duration,
    pub what: Happened,
}

/// What can happen in a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// A publish call was taken in.
    Published {
        ticket: Ticket,
        topic: Arc<str>,
        records: usize,
    },
    /// A record landed: it is in the log from now on, whatever its publisher is told.
    Appended {
        topic: Arc<str>,
        position: u64,
        ticket: Ticket,
        index: usize,
    },
    /// A publish call was answered.
    Answered {
        ticket: Ticket,
        outcomes: Vec<Outcome>,
    },
    Opened {
        source: SourceId,
        subscription: Arc<str>,
    },
    HandedOut {
        source: SourceId,
        lease: Lease,
        position: u64,
    },
    /// The lease died because its position was handed out again.
    Superseded {
        source: SourceId,
        lease: Lease,
        position: u64,
    },
    /// The lease's record is wanted back; it is revoked at `until` unless it has been settled by then.
    Recalled {
        source: SourceId,
        lease: Lease,
        position: u64,
        until: Duration,
    },
    Revoked {
        source: SourceId,
        lease: Lease,
        position: u64,
    },
    /// The caller settled a live lease. A release lists the key's held tail too, each position once.
    Settled {
        source: SourceId,
        lease: Lease,
        position: u64,
        settle: Settle,
    },
    /// A settle or note that named a dead lease.
    Stale {
        source: SourceId,
        lease: Lease,
    },
    Noted {
        source: SourceId,
        position: u64,
        note: Note,
    },
    /// All settles and notes of the subscription until now are durable: so many changes.
    Flushed {
        subscription: Arc<str>,
        changes: usize,
    },
    /// A `Done` that was not flushed is forgotten: the record comes again.
    Forgotten {
        subscription: Arc<str>,
        position: u64,
    },
    /// Records were taken away before the subscription had settled them.
    Lost {
        subscription: Arc<str>,
        records: u64,
    },
    Closed {
        source: SourceId,
        clean: bool,
    },
    /// The client process died.
    Crashed,
    Outage {
        until: Duration,
    },
}

impl History {
    pub(super) fn push(&mut self, at: Duration, what: Happened) {
        self.moments.push(Moment { at, what });
    }

    /// How many moments of a kind there were.
    pub fn count(&self, mut kind: impl FnMut(&Happened) -> bool) -> usize {
        self.moments.iter().filter(|m| kind(&m.what)).count()
    }
}
