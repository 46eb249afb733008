//! The driver for Google Cloud Pub/Sub, over Google's client: what it makes of the [broker contract](broker).
//!
//! # How the contract is kept
//!
//! - **Publishing** goes through Google's publisher, which batches across calls; a record is answered when the service
//!   has acknowledged it. The event's key is the ordering key. After a failure of a key the publisher refuses what it has
//!   of it, and takes it again from the next call on. Its own retries end with the caller's deadline. It keeps a task for
//!   each key it has seen, so that another one takes its place from time to time.
//! - **A subscription** is a pull subscription of its durable name, read by several streams. The client keeps leases
//!   alive in short steps, so that what a killed process held comes again soon; what is held for too long is reported
//!   revoked, given back and taken again. A release stays in the process, with its key's tail: it costs no round trip and
//!   nothing overtakes it.
//! - **Order** within a key is the service's, by ordering keys. Whether a subscription has it is fixed when it is made.
//! - **Dead letters** are looked through by pulling them and giving them back; where a redrive ends is a time.
//! - **Not to be had** on Pub/Sub: browsing a topic, exact lag, catching up, notes that outlive the process.
//!
//! Only this crate names Google's libraries.

mod clients;
mod credentials;
mod driver;
mod errors;
mod look;
mod monitor;
mod names;
mod permissions;
mod project;
mod publish;
mod pulse;
mod record;
mod settings;
mod source;
mod subscriptions;
mod topics;

pub use driver::Pubsub;
pub use settings::{Credentials, Settings, Wrong};
