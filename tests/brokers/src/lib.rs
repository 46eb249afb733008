//! Real brokers for tests and for development: from Docker where an engine runs, else from packages.
//!
//! ```no_run
//! use brokers::kafka::{Kafka, Options};
//!
//! # fn main() -> anyhow::Result<()> {
//! let kafka = Kafka::start(Options::default())?;
//! kafka.create_topic("orders", 4, &[("cleanup.policy", "compact")])?;
//! println!("{}", kafka.bootstrap());
//! kafka.node(1).kill()?;
//! kafka.node(1).restart()?;
//! # Ok(())
//! # }
//! ```
//!
//! What is started listens on loopback only, on ports of its own, keeps its data in a temporary directory, and is gone,
//! data and all, when its value is dropped or its process ends, also by SIGKILL. Tests that need no broker of their own
//! take [`shared`] (or [`pubsub::shared`]) and use names of their own on it.
//!
//! All calls block: from an async test, make them on a thread that may block.

pub mod bound;
mod cache;
mod choice;
mod docker;
pub mod kafka;
mod ports;
pub mod pubsub;
mod scratch;
mod shared;

pub use kafka::{Kafka, Options};
pub use shared::{SHARED_KAFKA, Shared, shared};
