//! The broker contract: what every driver promises, and all that the rest of Postrider knows of a broker.
//!
//! A [`Driver`] makes records durable ([`Driver::publish`]) and hands out the records of durable
//! subscriptions ([`Driver::open`] → [`Source`]). It translates and nothing else: limits, metrics,
//! retries of deliveries, timeouts and dead-lettering exist once, outside of it.
//!
//! # The contract
//!
//! 1. `publish` answers each record exactly once: [`Outcome::Durable`], [`Outcome::Refused`] (never written) or
//!    [`Outcome::Unknown`] (may yet land). Past the batch's deadline the answer is `Unknown`.
//! 2. Per key, records append in call order within one process. After a key's `Refused` or `Unknown`, its later
//!    records in that call are never reported `Durable`.
//! 3. Dropping a [`Receipt`] cancels nothing. Callers never send an `Unknown` record again as a new one; a driver's
//!    client may, idempotently.
//! 4. [`Driver::ensure`] makes a subscription durable: from its return on, every later append is delivered until it is
//!    settled [`Settle::Done`], or reported as a [`Gap`]. So is a record that can no longer be read, be it one that was
//!    handed out already: its lease is reported [`Input::Revoked`], [`Source::load`] answers `NotFound`, and nothing is
//!    ever delivered in its place.
//! 5. A [`Delivery`] has a [`Lease`] (this hand-out) and a [`Position`] (stable across hand-outs, opaque). The same
//!    position handed out again supersedes the older lease, which is dead from then on, without a word. It may come
//!    under another slot: whoever does not compare positions learns of the death when the older lease's slot is given
//!    out again or [`Source::load`] answers `NotFound`, and until then delivers the record once too often at worst, for
//!    a settle of the older lease is ignored (line 6). Where it is keyed, the held tail of its key has been reported
//!    [`Input::Revoked`] before, and comes again after it: at no time is a key's delivery handed out while a later one
//!    of that key is held.
//! 6. The driver keeps leases alive until they are settled or reported [`Input::Revoked`]. A settle of a dead lease is
//!    ignored and counted ([`Source::stale_settles`]), never applied to another. Where the broker is about to hand a record
//!    to another owner, the driver may ask for it first ([`Input::Recalled`]). The lease is alive still, and within a
//!    bounded time it is settled, or reported `Revoked`: meanwhile an attempt that is under way may end and be settled,
//!    and a new one is not begun. A recall of a keyed delivery is one of the held tail of its key, too. What is released
//!    then comes again where the next owner is, which may be here.
//! 7. Leases are settled in any order, as `Done` or `Release`. There is no reject and no delay: a delay is the caller
//!    holding the lease, a dead letter is a publish, durable, and then `Done`. Releasing a keyed delivery releases the
//!    held tail of its key: all of that key's leases handed out after it die with it (they are not reported revoked)
//!    and come again, in order.
//! 8. Settles and notes are durable within 100 ms, or when [`Source::flush`] returns; while the broker cannot be reached,
//!    they wait for it. After a crash only unflushed work comes again. A revocation may undo what was not flushed, too.
//! 9. At most the granted [`Credit`] is outstanding. Releases, revocations and a server's own counts are never failures
//!    of the event.
//! 10. No offsets, partitions, ack ids, retries, filters, timeouts, metrics or dead letters appear here. What a broker
//!     cannot do is told by its [`Capabilities`]. What an operator is to see of its inner life is opaque text
//!     ([`Part`]).
//!
//! [`mod@conformance`] holds every driver to this; [`model`] is the reference that misbehaves within it,
//! and [`fake`] takes records in for tests of what publishes.

mod admission;
mod backoff;
mod capabilities;
pub mod conformance;
mod driver;
mod error;
pub mod fake;
pub mod headers;
pub mod model;
mod open;
mod position;
mod publish;
mod record;
mod slots;
mod source;

pub use admission::{Admission, Permit};
pub use backoff::Backoff;
pub use capabilities::Capabilities;
pub use driver::{Browse, Browsed, Driver, Health, Lag, Selection, Start, Subscription, SubscriptionInfo};
pub use error::{Error, ErrorKind};
pub use open::{Open, Opened};
pub use position::Position;
pub use publish::{Batch, Outcome, Promise, Receipt, Refusal, RefusalKind};
pub use record::{Body, Hop, Key, Letter, Origin, Record, TraceParent};
pub use slots::Slots;
pub use source::{Credit, Delivery, Gap, Input, Lease, Note, Part, PartState, Payload, Settle, Source};

/// A boxed future, as the object-safe contract returns it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
