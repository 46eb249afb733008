//! The JSON event format 1.0.2.

use bytes::Bytes;

use crate::{Event, Malformed};

/// Reads one event in structured mode. Data stays a slice of `body`, unless it has to be unescaped or base64-decoded.
pub fn from_bytes(_body: Bytes) -> Result<Event, Malformed> {
    todo!()
}

/// Reads a JSON batch. The error tells the index of the first malformed entry (`None`: the body is no JSON array).
pub fn batch_from_bytes(_body: Bytes) -> Result<Vec<Event>, (Option<usize>, Malformed)> {
    todo!()
}

/// Appends the event as one JSON object.
pub fn write(_event: &Event, _into: &mut Vec<u8>) {
    todo!()
}
