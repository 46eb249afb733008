//! A record as Kafka has it, both ways: the CloudEvents binding for the event, headers of our own for the hop and the
//! dead letter that travel beside it.
//!
//! | Header | Value |
//! |---|---|
//! | `ce_…`, `content-type` | the event (Kafka protocol binding, binary mode) |
//! | `traceparent`, `tracestate`, `postrider-origin`, `postrider-sequence`, `postrider-foreign` | as on any broker ([`headers`](broker::headers)) |
//! | `__dlq.errors.…`, `postrider-dead-letter-…` | why and whence it is in a dead-letter topic ([`letter`]) |
//!
//! Whatever a foreign producer writes becomes a record: an event, or foreign bytes with the reason. Headers of ours that
//! do not parse are as if they were not there.

mod binding;
mod letter;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use broker::headers::{self, FOREIGN, HOP_MAX};
use broker::{Body, Key, Record};
use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

/// The most that a record's place in a batch takes beside key, value and headers: lengths and deltas as variable-length
/// integers (at most 36 bytes), after the batch's own 61 bytes.
const FRAME_BYTES: usize = 97;

/// The most that a header takes beside its name and value: two lengths.
const HEADER_FRAME_BYTES: usize = 10;

/// A header: its name and its value, which may be null.
pub(crate) type Named<'a> = (&'a str, Option<&'a [u8]>);

/// A record on its way out.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) about: About,
    pub(crate) headers: OwnedHeaders,
}

/// What is no header of it.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) key: Option<Key>,
    /// `None`: a null value, which is what the binding makes of an event without data.
    pub(crate) value: Option<Bytes>,
    /// Key, value and headers: what counts against [`record_bytes_max`](broker::Capabilities::record_bytes_max).
    pub(crate) bytes: usize,
    /// The most that a batch of this record alone takes, uncompressed: what counts against a topic's
    /// `max.message.bytes`.
    pub(crate) batch_bytes: usize,
}

/// A record as it came, for [`decode`].
#[derive(Clone, Debug)]
pub(crate) struct Incoming<'a, H> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    /// In milliseconds since the Unix epoch.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: H,
}

/// Headers as they are collected, and how many bytes they make.
pub(crate) struct Writer {
    // Adding a header consumes and returns the list: it is `None` only meanwhile.
    headers: Option<OwnedHeaders>,
    count: usize,
    bytes: usize,
}

impl Writer {
    fn new(capacity: usize) -> Self {
        Self { headers: Some(OwnedHeaders::new_with_capacity(capacity)), count: 0, bytes: 0 }
    }

    pub(crate) fn put(&mut self, name: &str, value: &[u8]) {
        self.headers = self.headers.take().map(|list| list.insert(Header { key: name, value: Some(value) }));
        self.count += 1;
        self.bytes += name.len() + value.len();
    }
}

/// What librdkafka is given of a record. Its event is written in structured mode where that is asked for, or where
/// binary mode cannot carry it.
pub(crate) fn encode(record: Record, structured: bool) -> Encoded {
    let Record { key, body, hop, letter } = record;
    let attributes = match &body {
        Body::Event(event) => event.attributes().count() + 1,
        Body::Foreign { .. } => 1,
    };
    let mut writer = Writer::new(attributes + HOP_MAX + letter.as_ref().map_or(0, |_| letter::HEADERS_MAX));
    let value = match body {
        Body::Event(event) if structured || !event::kafka::fits_binary(&event) => {
            Some(binding::to_structured(&event, &mut writer))
        }
        Body::Event(event) => binding::to_binary(&event, &mut writer),
        Body::Foreign { bytes, reason } => {
            writer.put(FOREIGN, reason.as_bytes());
            Some(bytes)
        }
    };
    headers::write_hop(&hop, |name, value| writer.put(name, value.as_bytes()));
    if let Some(letter) = &letter {
        letter::write(letter, &mut writer);
    }
    let bytes = writer.bytes
        + key.as_ref().map_or(0, |key| key.as_bytes().len())
        + value.as_ref().map_or(0, |value| value.len());
    let batch_bytes = bytes + FRAME_BYTES + writer.count * HEADER_FRAME_BYTES;
    let headers = writer.headers.expect("the list is put back after each header");
    Encoded { about: About { key, value, bytes, batch_bytes }, headers }
}

/// The record that a message holds, and the bytes of its key, value and headers. Copies what it needs: librdkafka's
/// buffer is not held on to.
pub(crate) fn of_message(message: &BorrowedMessage<'_>) -> (Record, usize) {
    let size = message.key_len() + message.payload_len();
    let headers = match headers_of(message) {
        Ok(headers) => headers,
        Err(reason) => {
            let bytes = message.payload().map_or_else(Bytes::new, Bytes::copy_from_slice);
            let (body, key) = (Body::Foreign { bytes, reason }, message.key().and_then(key));
            return (Record { key, body, hop: broker::Hop::default(), letter: None }, size);
        }
    };
    let of_header = |(name, value): &Named<'_>| name.len() + value.map_or(0, <[u8]>::len);
    let size = size + headers.iter().map(of_header).sum::<usize>();
    let record = decode(Incoming {
        topic: message.topic(),
        partition: message.partition().cast_unsigned(),
        offset: message.offset().cast_unsigned(),
        timestamp: message.timestamp().to_millis(),
        key: message.key(),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: headers.iter().copied(),
    });
    (record, size)
}

/// When a message was taken in, in milliseconds since the Unix epoch; 0 where that is not known.
pub(crate) fn taken_in_ms(message: &BorrowedMessage<'_>) -> u64 {
    message.timestamp().to_millis().map_or(0, |ms| u64::try_from(ms).unwrap_or(0))
}

/// A message's headers. rdkafka panics on a name that is not UTF-8, which any foreign producer can write: that is the
/// error here.
fn headers_of<'a>(message: &'a BorrowedMessage<'_>) -> Result<Vec<Named<'a>>, String> {
    let Some(headers) = message.headers() else { return Ok(Vec::new()) };
    // Reading changes nothing, so there is nothing that a panic could leave half done.
    catch_unwind(AssertUnwindSafe(|| headers.iter().map(|header| (header.key, header.value)).collect()))
        .map_err(|_| "a header's name is not UTF-8".to_owned())
}

/// The record that came: an event in binary or structured mode, any other bytes wrapped into one, or foreign bytes where
/// it has the marks of an event and is none.
pub(crate) fn decode<'a, H>(incoming: Incoming<'a, H>) -> Record
where
    H: Iterator<Item = Named<'a>> + Clone,
{
    let headers = incoming.headers.clone();
    let header = |name: &str| last(headers.clone(), name);
    let (hop, letter) = (headers::read_hop(header), headers::read_letter(letter::NAMES, header));
    let key = incoming.key.and_then(key);
    let foreign = header(FOREIGN).map(|reason| String::from_utf8_lossy(reason).into_owned());
    let body = match foreign {
        Some(reason) => Body::Foreign { bytes: incoming.value.unwrap_or_default(), reason },
        None => binding::body(incoming),
    };
    Record { key, body, hop, letter: letter.map(Box::new) }
}

/// The value of a header, the last where it comes more than once, as Kafka's own clients take it. A null value is none.
fn last<'a>(headers: impl Iterator<Item = Named<'a>>, name: &str) -> Option<&'a [u8]> {
    headers.filter(|(found, _)| *found == name).last().and_then(|(_, value)| value)
}

/// How much of an overlong key is kept in front of its digest.
const KEY_PREFIX_BYTES: usize = Key::BYTES_MAX - 33;

/// A record's key. One longer than ours may be is shortened to its beginning and a digest of all of it, so that keys that
/// differ keep differing and each keeps its order.
pub(crate) fn key(bytes: &[u8]) -> Option<Key> {
    if bytes.len() <= Key::BYTES_MAX {
        return Key::new(Bytes::copy_from_slice(bytes));
    }
    let mut short = bytes[..KEY_PREFIX_BYTES].to_vec();
    short.push(b'~');
    short.extend_from_slice(format!("{:032x}", digest(bytes)).as_bytes());
    Key::new(short)
}

/// The digest of a text of any length: of its pieces' digests where it is longer than a key.
fn digest(bytes: &[u8]) -> u128 {
    match Key::new(Bytes::copy_from_slice(bytes)) {
        Some(key) => key.digest(),
        None => {
            digest(&bytes.chunks(Key::BYTES_MAX).flat_map(|c| digest(c).to_be_bytes()).collect::<Vec<_>>())
        }
    }
}
