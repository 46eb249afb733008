//! Google's Pub/Sub protocol binding, version 1.0 (a working draft): what a message's attributes and data say, as an
//! event, and the other way round.
//!
//! It knows no Pub/Sub client: attributes are pairs of a name and a text, in any order, each name once, as the server
//! has them; data is bytes, and no data is empty. The ordering key of a CloudEvent is none of its business: the binding
//! maps none, and a mapping does not alter the event.
//!
//! # Data
//!
//! Pub/Sub cannot tell absent data from data of no bytes. In binary mode empty data is no data; an event whose data has
//! no bytes goes structured, where the JSON format tells the two apart.
//!
//! # Content type
//!
//! The draft has `datacontenttype` as the attribute `content-type` (3.1.1), and as `ce-datacontenttype` in its examples
//! (3.1.4); senders that see HTTP in it write `Content-Type`. All three are read. Where several are there, `content-type`
//! counts, else it in another case, else `ce-datacontenttype`. `content-type` is written. The first two also tell the
//! mode; `ce-datacontenttype` does not.
//!
//! # Messages of others
//!
//! A message that nothing marks as a CloudEvent becomes an event by [`from_plain`], with three extensions that tell what
//! the server knows of it: [`MESSAGE_ID`], [`PUBLISH_TIME`] and [`ORDERING_KEY`].

mod limits;
mod read;
mod write;

pub use limits::{
    ATTRIBUTE_NAME_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ATTRIBUTES_MAX, Limit, MESSAGE_BYTES_MAX,
    ORDERING_KEY_BYTES_MAX, TooLarge, check,
};
pub use read::{MESSAGE_ID, ORDERING_KEY, PUBLISH_TIME, Plain, from_message, from_plain};
pub use write::{CONTENT_TYPE, STRUCTURED, fits_binary, to_binary, to_structured};

/// What stands before an attribute's name in a message's. With it no name begins with `goog`, which Pub/Sub keeps for
/// itself.
const PREFIX: [u8; 3] = *b"ce-";
