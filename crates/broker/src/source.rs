use std::fmt::Debug;
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
    Here(Box<Record>),
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
    Gap(Gap),
    /// Everything that was there when the source was opened (or up to `until`) has been handed out. Said once, where
    /// [`caught_up`](crate::Capabilities::caught_up) says so.
    CaughtUp,
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
