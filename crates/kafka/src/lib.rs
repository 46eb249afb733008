//! The driver for Apache Kafka, over librdkafka: what it makes of the [broker contract](broker).
//!
//! # How the contract is kept
//!
//! - **Publishing** is idempotent with `acks=all`, and a record is answered when the broker has acknowledged it. Topics
//!   are spread over several producers, because librdkafka walks its list of topics at each record. Each producer has one
//!   thread that polls it; a record carries an integer that finds its call in a slab, so that an answer costs no
//!   allocation. Admission stands before librdkafka's queue: it is never full.
//! - **A subscription** is a consumer group of its durable name, read by one thread. Offsets may be settled in any order:
//!   the lowest unsettled one is committed, and which of those above it are settled travels in the commit's metadata,
//!   together with notes about those that are not (module `progress`). A crash brings back what was in flight, no more.
//! - **Order** within a key is that of its partition; the partition of a key is that of Java's default partitioner.
//! - **Gaps** are found by comparing what came with where the log begins and ends. Compaction and transaction markers leave holes
//!   that are none.
//!
//! Only this crate names rdkafka. It blocks nobody: what librdkafka can only do while blocking runs on threads of its own.

mod browse;
mod clients;
mod cluster;
mod context;
mod driver;
mod errors;
mod group;
mod monitor;
mod operate;
mod progress;
mod publish;
mod pulse;
mod record;
mod settings;
mod source;
mod standing;
mod subscriptions;
mod topics;

pub use driver::Kafka;
pub use settings::{BadSettings, CreateTopics, Settings, refused_property};
