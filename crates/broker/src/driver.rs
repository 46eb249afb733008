use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use crate::{Batch, BoxFuture, Capabilities, Credit, Error, Position, Receipt, Record, Source};

/// Where a new subscription begins, or a cursor is moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// All that the broker still has.
    Earliest,
    /// What is appended from now on.
    Latest,
    /// The first record taken in at this time or later.
    At(SystemTime),
}

/// A durable cursor over a topic, as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The durable name, `{prefix}{service}.{subscription}`.
    pub name: String,
    /// The topic's name on the broker.
    pub topic: String,
    /// Used when the subscription is created; an existing cursor stays where it is.
    pub start: Start,
    /// Whether a key's records are handed out in append order.
    pub ordered: bool,
    /// Hand out nothing appended after this position (a redrive reads up to where its topic ended when asked).
    pub until: Option<Position>,
    /// The topic keeps what this subscription has not settled for however long that takes, and its cursor stays though
    /// nobody reads it for months, as far as the broker lets us say so: that of a dead-letter topic. Looked at by
    /// [`Driver::ensure`], which creates such a topic accordingly. For any other subscription the topic keeps what the
    /// broker's retention says.
    pub keeps_unsettled: bool,
}

/// How far a subscription is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Records not settled.
    pub records: u64,
    /// Age of the oldest of them, where the broker can tell.
    pub oldest: Option<Duration>,
}

/// A durable subscription that a broker knows of.
#[derive(Clone, Debug)]
pub struct SubscriptionInfo {
    pub name: String,
    pub topic: String,
    pub lag: Lag,
    /// Whether a source is open on it.
    pub open: bool,
}

/// Whether the broker can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    /// Since when, and why.
    Down {
        since: SystemTime,
        reason: String,
    },
}

/// A record read without a subscription: where it stands, and when it was taken in (milliseconds since the Unix epoch).
pub type Browsed = (Position, u64, Record);

/// Records read without a subscription.
pub trait Browse: Debug + Send {
    /// The next records, at most `max` of them. Empty: the end, for now.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Browsed>, Error>>;
}

/// Which records of a topic to browse.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Begin at this position (inclusive). `None`: the earliest.
    pub from: Option<Position>,
    /// Begin with the first record taken in at this time or later.
    pub since: Option<SystemTime>,
    /// Leave out what this subscription has settled.
    pub unsettled_of: Option<String>,
}

/// One kind of broker. The contract stands in the crate's documentation; each method's part of it stands here.
///
/// Object-safe by intent: a process holds several brokers by name and chooses among them by configuration, so every
/// caller would need the erased form. Only `publish` is on the hot path, and it boxes nothing.
pub trait Driver: Debug + Send + Sync + 'static {
    fn capabilities(&self) -> Capabilities;

    /// Takes records in, in this order, and answers each of them once. Never blocks and does not wait: order is that of
    /// the calls. More than the driver can take in is refused as `Overloaded`.
    fn publish(&self, batch: Batch) -> Receipt;

    /// Makes sure that the topic exists, creating it where that is allowed. Idempotent.
    fn ensure_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Makes sure that the subscription exists and is durable, creating topic and subscription where that is allowed.
    /// From its return on no later append is lost to it. Idempotent: an existing cursor is left where it stands.
    fn ensure<'a>(&'a self, subscription: &'a Subscription) -> BoxFuture<'a, Result<(), Error>>;

    /// Opens the subscription's cursor. `Conflict` where this process has it open already, `NotFound` where it was never
    /// [ensured](Driver::ensure).
    fn open<'a>(
        &'a self,
        subscription: &'a Subscription,
        credit: Credit,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, Error>>;

    /// The topic's present end: `until` of a redrive that is asked for now. `None` where the topic is empty, as far as the
    /// broker can tell. A broker of several sequences names the end of all of them in one [`Position::Text`]; one that
    /// cannot tell answers `Unsupported`.
    fn end<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Position>, Error>>;

    /// Reads a topic without a subscription, the records of a key in append order. `Unsupported` unless
    /// [`Capabilities::browse`]; of a subscription that keeps unsettled records ([`Selection::unsettled_of`]) those can be
    /// read on every broker, though on one that cannot browse only those that nobody holds at that moment.
    fn browse<'a>(&'a self, topic: &'a str, what: Selection)
    -> BoxFuture<'a, Result<Box<dyn Browse>, Error>>;

    /// Settles records of a subscription without handing them out: these, or with `None` all that stand before now.
    /// Returns how many. Open sources report what they held of them as revoked. `Unsupported` unless
    /// [`Capabilities::purge`].
    fn purge<'a>(
        &'a self,
        subscription: &'a str,
        positions: Option<&'a [Position]>,
    ) -> BoxFuture<'a, Result<u64, Error>>;

    /// Moves a subscription's cursor: what stands before is settled, what stands at or after it is unsettled again, as
    /// far as the broker still has it. Open sources report what they held as revoked. `Unsupported` unless
    /// [`Capabilities::seek`].
    fn seek<'a>(&'a self, subscription: &'a str, to: Start) -> BoxFuture<'a, Result<(), Error>>;

    /// The durable subscriptions of this broker, used or not. `Unsupported` unless [`Capabilities::list`].
    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>>;

    /// Deletes a durable subscription; `Conflict` where it is open, `NotFound` where there is none. `Unsupported` unless [`Capabilities::list`].
    fn delete<'a>(&'a self, subscription: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    fn health(&self) -> Health;

    /// Answers what was taken in, flushes, and lets go of the broker. Later calls answer `Closed`, later records are
    /// `Refused` as `Unavailable`, and its sources have ended.
    fn close(&self) -> BoxFuture<'_, ()>;
}
