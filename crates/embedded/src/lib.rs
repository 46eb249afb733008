//! The embedded driver: a durable broker in the process, over the segment [`log`].
//!
//! One data directory, owned by one process at a time. Each topic is a log of its own; each subscription is a settle log
//! over its topic. A publish is answered after `fdatasync`, a settle is durable within 100 ms or at a flush, and nothing
//! that a subscription has not settled is ever removed: a topic whose backlog reaches its bound refuses instead, that
//! topic alone, and names the subscription that holds it back.
//!
//! # Where it blocks
//!
//! Publishing never blocks: it encodes and queues. Reading (`poll_next`, `load`, `browse`) reads files on the calling
//! task, at most 256 KiB or one record at a time: from the page cache, where a topic's recent records are, that is
//! microseconds, from a disk as long as the disk takes. Handing each read to a thread of its own would cost more than
//! nearly all of them take, and a poll that returns before it has read would have to be polled again. Making sure of
//! topics and subscriptions and deleting wait for some syncs, on the calling task too: they are rare. Closing waits for
//! the disk on a thread of its own, so a caller can bound it by a timeout; it goes on behind that.
//!
//! # When the disk fails
//!
//! After a failed write or sync, publishing refuses, [`health`](broker::Driver::health) tells why, and every open source
//! ends with [`Corrupt`](broker::ErrorKind::Corrupt): what it handed out could not be settled durably. A restart begins
//! with what had been durable.

mod browse;
mod codec;
mod config;
mod driver;
#[cfg(fuzzing)]
pub mod fuzzing;
mod operate;
mod publish;
mod slots;
mod source;
#[cfg(test)]
mod tests;
mod unreadable;

pub use config::{Config, OpenError};
pub use driver::Embedded;
pub use log::Damage;
