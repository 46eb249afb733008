//! The JSON event format 1.0.2.
//!
//! Only the envelope is read: one pass over the text, no tree, and `data` stays the slice of the message that it is.

mod read;
pub(crate) mod scan;
mod unescape;
mod write;

pub use read::{batch_from_bytes, from_bytes};
pub use scan::DEPTH_MAX;
pub use write::{write, write_line};
