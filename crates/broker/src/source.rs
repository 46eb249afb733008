use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::{BoxFuture, Error, Key, Lag, Position, Record};

/// This hand-out of a record: a dense slot and the generation that tells one use of the slot from the next.
///
/// A source gives out the lowest slots it can, below the largest credit it was ever granted, and gives a slot out again
/// only after its lease has died (settled, released with its key's head, revoked or superseded), with another generation.
/// Callers may therefore index arrays by slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub slot: u32,
    pub generation: u32,
}

/// How a lease ends at the caller's will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Delivered, or dead-lettered durably: it never comes again.
    Done,
    /// Given back: it comes again, and with it the held tail of its key.
    Release,
}

/// What a caller wants remembered about an unsettled delivery, across hand-outs and, where
/// [`durable_notes`](crate::Capabilities::durable_notes) says so, across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Spent attempts.
    pub attempts: u32,
    /// When the first of them was made, in milliseconds since the Unix epoch; 0 for none.
    pub first_ms: u64,
}

/// One record in one subscription, held under a lease.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub lease: Lease,
    pub position: Position,
    /// The record's key where the subscription is ordered; `None` where it has none or order does not matter.
    pub key: Option<Key>,
    pub note: Note,
    /// When the broker took the record in, in milliseconds since the Unix epoch.
    pub published_ms: u64,
    /// Size of the record on the broker, in bytes.
    pub bytes: u32,
    pub payload: Payload,
}

/// Where a delivery's record is.
#[derive(Clone, Debug)]
pub enum Payload {
    Here(Arc<Record>),
    /// On the broker's disk: [`Source::load`] brings it.
    Stored,
}

/// Records that a broker's own retention took away before the subscription had settled them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many, where that is known.
    pub records: Option<u64>,
    /// One sentence: what is missing, from where to where.
    pub message: String,
}

/// What a source has to say.
#[derive(Clone, Debug)]
pub enum Input {
    Delivery(Delivery),
    /// The lease is dead: its record is, or will be, handed out again here or elsewhere, unless an operator purged it or
    /// moved the cursor past it. Settling it has no effect. Told in the order of deaths and hand-outs: a slot's next
    /// delivery comes after it.
    Revoked(Lease),
    /// The broker is about to hand the record to another owner and wants it back in good order: nothing new is begun with
    /// it, what is under way may end and be settled, and what has not begun is released. The lease lives on meanwhile;
    /// after a bounded time the driver says [`Revoked`](Self::Revoked) for what is left. Said at most once a lease, never
    /// instead of `Revoked`, and of no effect where the lease has died meanwhile.
    Recalled(Lease),
    Gap(Gap),
    /// Everything that was there when the source was opened (or up to `until`) has been handed out. Said once, where
    /// [`caught_up`](crate::Capabilities::caught_up) says so.
    CaughtUp,
}

/// One of the pieces that a subscription is read in, where its broker has several: for an operator's eyes only, since to
/// everybody else its words are opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As the broker calls it: `partition 3`.
    pub name: String,
    pub state: PartState,
    /// Records of it that are not settled.
    pub lag: u64,
    /// One sentence: why it is in this state, and which key or position holds it up.
    pub detail: Option<String>,
}

/// What a [`Part`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartState {
    /// It is read as far as the credit goes.
    Reading,
    /// Reading has stopped, because a bound is reached: too much of it waits behind what is not settled.
    HeldBack,
    /// It is being handed to another owner: nothing new of it is handed out here.
    Leaving,
    /// The broker does not serve it at present.
    Unreachable,
}

impl PartState {
    /// The stable word for it: `reading`, `held_back`, `leaving`, `unreachable`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::HeldBack => "held_back",
            Self::Leaving => "leaving",
            Self::Unreachable => "unreachable",
        }
    }
}

/// How much may be outstanding: handed out and neither settled nor revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    pub events: u32,
    /// Bytes of payloads that are [`Payload::Here`]. One delivery is always allowed, however large.
    pub bytes: u64,
}

/// A subscription's open cursor: the driver's hand-outs and the caller's settles. Dropping it without
/// [`close`](Source::close) loses only what was not flushed.
pub trait Source: Debug + Send {
    /// Appends what the broker has to say to `into`, at least one input unless pending. Deliveries of one key come in
    /// append order. Cancel-safe. An error that is not temporary ends the source.
    fn poll_next(&mut self, cx: &mut Context<'_>, into: &mut Vec<Input>) -> Poll<Result<(), Error>>;

    /// Brings the record of a [`Payload::Stored`] delivery, as often as asked. `NotFound` where the lease is dead.
    fn load(&mut self, lease: Lease) -> BoxFuture<'static, Result<Record, Error>>;

    /// Ends a lease. Never blocks; durable within 100 ms or at [`flush`](Source::flush).
    fn settle(&mut self, lease: Lease, settle: Settle);

    /// Remembers a note with an unsettled delivery. As durable as a settle.
    fn note(&mut self, lease: Lease, note: Note);

    /// Replaces the credit. Lowering it revokes nothing; it only stops further hand-outs.
    fn set_credit(&mut self, credit: Credit);

    /// Returns when every settle and note so far is durable.
    fn flush(&mut self) -> BoxFuture<'static, Result<(), Error>>;

    /// How far behind the subscription is.
    fn lag(&self) -> Lag;

    /// The parts that it is read in here, at most a few thousand, in a stable order. Asked at most once a second, and only
    /// to be shown. Empty: it has none.
    fn parts(&self) -> Vec<Part> {
        Vec::new()
    }

    /// Settles and notes that named a dead lease, since the source was opened.
    fn stale_settles(&self) -> u64;

    /// Releases what is held, flushes, and hands the subscription over to whoever opens it next.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;
}

impl Credit {
    pub const NONE: Self = Self { events: 0, bytes: 0 };
}

impl Note {
    /// When the first attempt was made, as a duration since the Unix epoch.
    pub fn first(&self) -> Option<Duration> {
        (self.first_ms > 0).then(|| Duration::from_millis(self.first_ms))
    }
}
