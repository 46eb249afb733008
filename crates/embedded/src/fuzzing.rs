//! How a record is stored, for the fuzz targets: built with `--cfg fuzzing` alone.

use broker::{Key, Record};
use bytes::Bytes;

/// Reads a stored record.
pub fn decode(bytes: Bytes) -> Result<Record, String> {
    crate::codec::decode(bytes)
}

/// The key alone.
pub fn key(bytes: &Bytes) -> Option<Key> {
    crate::codec::key(bytes)
}

/// Stores a record. Its length is told beforehand.
pub fn encode(record: &Record) -> (usize, Vec<u8>) {
    let mut bytes = Vec::new();
    crate::codec::encode(record, &mut bytes);
    (crate::codec::encoded_len(record), bytes)
}
