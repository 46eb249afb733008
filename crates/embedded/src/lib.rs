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
//! task, at most 256 KiB or one record at a time: from the page cache that is microseconds, from a disk as long as the
//! disk takes. Making sure of topics and subscriptions, deleting and closing wait for some syncs.

mod browse;
mod codec;
mod config;
mod driver;
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
