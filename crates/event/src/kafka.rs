//! The Kafka protocol binding 1.0.2: what a record's headers and value say, as an event, and the other way round.
//!
//! It knows no Kafka client: headers are pairs of a name and a value that may be null, in the order of the record; a
//! value is `None` where the record's is null. The record's key is none of its business: a key is the caller's, and
//! "a mapping function MUST NOT modify the CloudEvent" (section 3.1).

mod read;
mod write;

pub use read::{from_message, from_plain};
pub use write::{CONTENT_TYPE, STRUCTURED, fits_binary, to_binary, to_structured};

/// What stands before an attribute's name in a header's.
const PREFIX: [u8; 3] = *b"ce_";
