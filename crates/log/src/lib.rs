//! A durable segment log: the only code that touches files of events.
//!
//! A [`Store`] is one data directory. It holds [`Log`]s (sequences of records, in segment files) and, over each of
//! them, [`SettleLog`]s (what one subscription has settled). It knows bytes, not events.
//!
//! # What holds
//!
//! - **Answered means durable.** An append is answered `Ok` after `fdatasync`; readers see only what is durable.
//! - **One committer.** One thread gathers what arrived during the last sync from all logs, writes it, syncs every
//!   dirty file in one round, and then answers. It sleeps when there is nothing to do.
//! - **A failed write or sync poisons the store.** After it every append is refused and no sync is tried again: kernels
//!   mark failed pages clean, so a second sync would lie. Who reads a log for a subscription is woken and finds the reason
//!   in [`SettleLog::poisoned`]. A full disk is no failure: the append is refused, nothing of
//!   it stays, and a reserve keeps room for settling, which is what frees space. Nor is it one that file descriptors ran
//!   out: all that an operation needs are opened before it changes anything, so that it is refused and can be repeated.
//! - **A torn tail is truncated, damage is told.** A mark stands in front of every round's records and says that all
//!   before it was durable. Damage that a mark follows is therefore damage to acknowledged records: it becomes a
//!   [`Damage`] and a hole that every cursor reports, and the segment is kept aside instead of being unlinked.
//! - **The watermark is persisted before what it covers is deleted.** A segment is unlinked only when the durable floor
//!   of every subscription of its log has passed it.
//!
//! # Files
//!
//! ```text
//! FORMAT  LOCK  reserve
//! logs/{name}/{base sequence}.segment     header, then marks and records
//! logs/{name}/{base sequence}.index       written when a segment is sealed; rebuilt where it is missing or damaged
//! subscriptions/{name}.settle             header, a snapshot, then changes
//! ```
//!
//! Everything is little-endian and checksummed with CRC-32C, seeded by a random epoch of the file, so that recycled
//! bytes never validate.

mod append;
mod commit;
mod cursor;
mod disk;
mod error;
mod frame;
mod lock;
mod log;
mod names;
mod progress;
mod ranges;
mod recover;
mod reserve;
mod retain;
mod scan;
mod segment;
mod settle;
mod settle_file;
mod store;
mod trouble;
mod writer;

pub use cursor::{Cursor, Item, Record};
pub use disk::{Disk, Faults, Operation};
pub use error::{AppendError, Damage, OpenError, Shortage, StoreError};
pub use frame::Batch;
pub use log::Log;
pub use progress::Note;
pub use ranges::Ranges;
pub use settle::{Moved, SettleLog, Version};
pub use store::{Appended, Options, Store};
pub use trouble::{Tell, Trouble};
