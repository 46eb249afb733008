//! The only caller of the contract's publish: routing, keys, admission, deadlines.
//!
//! `api` hands it decoded events, `delivery` hands it dead letters and replies. It finds the topic's broker, derives the
//! key, checks the size, admits within bounds, stamps the hop headers, and turns the broker's outcomes into answers.
//!
//! Everything that can refuse a call does so in [`Publisher::prepare`], before the first record is written;
//! [`Prepared::send`] then hands all records to the driver and cannot fail.

mod admission;
mod error;
mod full;
mod key;
mod order;
mod publisher;
mod routes;
mod under_way;

pub use admission::Limits;
pub use error::{Error, refusal_code};
pub use full::FullTopic;
pub use publisher::{Item, Prepared, Publisher, trace};
pub use routes::{KeyFrom, Topic};
