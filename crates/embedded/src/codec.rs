//! A record as it is stored: a version, flags that say which of the fields follow, the fields, and the event or the
//! foreign bytes up to the end. All numbers are little-endian; texts have a length of four bytes in front.

use broker::{Body, Hop, Key, Letter, Origin, Record, TraceParent};
use bytes::{Buf, Bytes};
use event::Event;

const VERSION: u8 = 1;
/// Version and flags.
const HEAD: usize = 2;

/// A quarter of the chunk that records are read in, so that what a slice keeps is at most four times its own size.
const OWNED_BYTES: usize = 64 * 1024;

const KEY: u8 = 1;
const TRACEPARENT: u8 = 1 << 1;
const TRACESTATE: u8 = 1 << 2;
const ORIGIN: u8 = 1 << 3;
const LETTER: u8 = 1 << 4;
const FOREIGN: u8 = 1 << 5;
const STATUS: u8 = 1 << 6;
const FLAGS: u8 = KEY | TRACEPARENT | TRACESTATE | ORIGIN | LETTER | FOREIGN | STATUS;

/// How many bytes [`encode`] appends.
pub(crate) fn encoded_len(record: &Record) -> usize {
    let text = |text: &str| 4 + text.len();
    let hop = &record.hop;
    HEAD + record.key.as_ref().map_or(0, |key| 2 + key.as_bytes().len())
        + hop.traceparent.map_or(0, |_| 25)
        + hop.tracestate.as_deref().map_or(0, text)
        + hop.origin.map_or(0, |_| 16)
        + 8
        + record.letter.as_deref().map_or(0, |l| {
            let texts = [&l.topic, &l.position, &l.subscription, &l.reason, &l.answer];
            texts.iter().map(|t| text(t)).sum::<usize>() + 20 + l.status.map_or(0, |_| 2)
        })
        + match &record.body {
            Body::Event(event) => event.encoded_len(),
            Body::Foreign { bytes, reason } => text(reason) + bytes.len(),
        }
}

pub(crate) fn encode(record: &Record, into: &mut Vec<u8>) {
    let hop = &record.hop;
    let flag = |present: bool, flag: u8| if present { flag } else { 0 };
    let flags = flag(record.key.is_some(), KEY)
        | flag(hop.traceparent.is_some(), TRACEPARENT)
        | flag(hop.tracestate.is_some(), TRACESTATE)
        | flag(hop.origin.is_some(), ORIGIN)
        | flag(record.letter.is_some(), LETTER)
        | flag(matches!(record.body, Body::Foreign { .. }), FOREIGN)
        | flag(record.letter.as_ref().is_some_and(|letter| letter.status.is_some()), STATUS);
    into.extend_from_slice(&[VERSION, flags]);
    if let Some(key) = &record.key {
        // A key is never longer than 1,024 bytes.
        into.extend_from_slice(&(key.as_bytes().len() as u16).to_le_bytes());
        into.extend_from_slice(key.as_bytes());
    }
    if let Some(trace) = &hop.traceparent {
        into.extend_from_slice(&trace.trace.to_le_bytes());
        into.extend_from_slice(&trace.parent.to_le_bytes());
        into.push(trace.flags);
    }
    if let Some(state) = &hop.tracestate {
        put_text(state, into);
    }
    if let Some(origin) = hop.origin {
        into.extend_from_slice(&origin.0.to_le_bytes());
    }
    into.extend_from_slice(&hop.sequence.to_le_bytes());
    if let Some(letter) = &record.letter {
        for text in [&letter.topic, &letter.position, &letter.subscription, &letter.reason, &letter.answer] {
            put_text(text, into);
        }
        into.extend_from_slice(&letter.attempts.to_le_bytes());
        into.extend_from_slice(&letter.first_ms.to_le_bytes());
        into.extend_from_slice(&letter.last_ms.to_le_bytes());
        if let Some(status) = letter.status {
            into.extend_from_slice(&status.to_le_bytes());
        }
    }
    match &record.body {
        Body::Event(event) => event.encode(into),
        Body::Foreign { bytes, reason } => {
            put_text(reason, into);
            into.extend_from_slice(bytes);
        }
    }
}

/// Reads a record; its data stays a slice of `bytes`. The reason where it is none: its checksum was right, so that is
/// damage from before it was written, or a newer version's. (That one also writes a newer `FORMAT` into the data
/// directory, which this version does not open.)
pub(crate) fn decode(bytes: Bytes) -> Result<Record, String> {
    read(bytes).map_err(|reason| format!("it is stored as what this version cannot read: {reason}"))
}

/// A record's bytes to keep. A small one is copied out, since a slice would keep the whole chunk that it was read with.
pub(crate) fn owned(bytes: Bytes) -> Bytes {
    if bytes.len() < OWNED_BYTES { Bytes::copy_from_slice(&bytes) } else { bytes }
}

/// The key alone, copied: it may be kept long, and what it was read with not.
pub(crate) fn key(bytes: &Bytes) -> Option<Key> {
    let (head, rest) = bytes.split_at_checked(HEAD + 2)?;
    let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
    if head[0] != VERSION || head[1] & KEY == 0 || rest.len() < length {
        return None;
    }
    Key::new(Bytes::copy_from_slice(&rest[..length]))
}

fn read(mut bytes: Bytes) -> Result<Record, String> {
    let short = |_| "it is cut short".to_owned();
    let version = bytes.try_get_u8().map_err(short)?;
    let flags = bytes.try_get_u8().map_err(short)?;
    if version != VERSION || flags & !FLAGS != 0 {
        return Err(format!("its format is {version} with flags {flags:#x}, written by a newer version"));
    }
    let has = |flag: u8| flags & flag != 0;
    let mut key = None;
    if has(KEY) {
        let length = bytes.try_get_u16_le().map_err(short)?.into();
        key = Key::new(take(&mut bytes, length)?);
    }
    let mut hop = Hop::default();
    if has(TRACEPARENT) {
        let trace = bytes.try_get_u128_le().map_err(short)?;
        let parent = bytes.try_get_u64_le().map_err(short)?;
        hop.traceparent = Some(TraceParent { trace, parent, flags: bytes.try_get_u8().map_err(short)? });
    }
    if has(TRACESTATE) {
        hop.tracestate = Some(text(&mut bytes)?.into());
    }
    if has(ORIGIN) {
        hop.origin = Some(Origin(bytes.try_get_u128_le().map_err(short)?));
    }
    hop.sequence = bytes.try_get_u64_le().map_err(short)?;
    let letter = if has(LETTER) { Some(Box::new(letter(&mut bytes, has(STATUS))?)) } else { None };
    let body = if has(FOREIGN) {
        let reason = text(&mut bytes)?;
        Body::Foreign { bytes, reason }
    } else {
        Body::Event(Event::decode(bytes).map_err(|malformed| malformed.to_string())?)
    };
    Ok(Record { key, body, hop, letter })
}

fn letter(bytes: &mut Bytes, has_status: bool) -> Result<Letter, String> {
    let short = |_| "its letter is cut short".to_owned();
    Ok(Letter {
        topic: text(bytes)?,
        position: text(bytes)?,
        subscription: text(bytes)?,
        reason: text(bytes)?,
        answer: text(bytes)?,
        attempts: bytes.try_get_u32_le().map_err(short)?,
        first_ms: bytes.try_get_u64_le().map_err(short)?,
        last_ms: bytes.try_get_u64_le().map_err(short)?,
        status: if has_status { Some(bytes.try_get_u16_le().map_err(short)?) } else { None },
    })
}

fn put_text(text: &str, into: &mut Vec<u8>) {
    // A record is smaller than 4 GiB, so every text in it is.
    into.extend_from_slice(&(text.len() as u32).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

fn text(bytes: &mut Bytes) -> Result<String, String> {
    let length = bytes.try_get_u32_le().map_err(|_| "a text is cut short".to_owned())?;
    let text = take(bytes, length as usize)?;
    String::from_utf8(text.into()).map_err(|_| "a text is not UTF-8".to_owned())
}

fn take(bytes: &mut Bytes, length: usize) -> Result<Bytes, String> {
    if bytes.len() < length {
        return Err("it is cut short".to_owned());
    }
    Ok(bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use event::Data;

    use super::*;

    fn sample() -> Record {
        let event =
            Event::builder().id("1").source("/s").kind("t").data(Data::Binary(Bytes::from_static(b"data")));
        Record {
            key: Key::new("key"),
            body: Body::Event(event.build().unwrap()),
            hop: Hop {
                traceparent: TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                tracestate: Some("a=b".into()),
                origin: Some(Origin(7)),
                sequence: 42,
            },
            letter: Some(Box::new(Letter {
                topic: "orders".into(),
                position: "17".into(),
                subscription: "dev.s".into(),
                reason: "too_old".into(),
                attempts: 3,
                first_ms: 4,
                last_ms: 5,
                status: Some(503),
                answer: "no".into(),
            })),
        }
    }

    #[test]
    fn a_record_is_read_back_without_a_copy_of_its_data() {
        let record = sample();
        let mut encoded = Vec::new();
        encode(&record, &mut encoded);
        assert_eq!(encoded.len(), encoded_len(&record));
        let encoded = Bytes::from(encoded);
        let decoded = decode(encoded.clone()).unwrap();
        assert_eq!((&decoded.key, &decoded.hop, &decoded.letter), (&record.key, &record.hop, &record.letter));
        assert_eq!(key(&encoded), record.key);
        let (Body::Event(sent), Body::Event(came)) = (&record.body, &decoded.body) else {
            panic!("{decoded:?}")
        };
        assert_eq!(sent, came);
        let data = came.data().unwrap().bytes();
        assert!(encoded.as_ptr_range().contains(&data.as_ptr()), "data is a slice of what was read");
    }

    #[test]
    fn bytes_that_are_no_record_are_told_and_never_a_panic() {
        let record = sample();
        let mut encoded = Vec::new();
        encode(&record, &mut encoded);
        let event_begins = encoded.len()
            - match &record.body {
                Body::Event(event) => event.encoded_len(),
                Body::Foreign { .. } => 0,
            };
        for cut in 0..event_begins {
            let decoded = decode(Bytes::copy_from_slice(&encoded[..cut]));
            assert!(decoded.is_err(), "cut at {cut}");
        }
        encoded[0] = 2;
        let reason = decode(encoded.into()).unwrap_err();
        assert!(reason.contains("newer version"), "{reason}");
    }

    #[test]
    fn foreign_bytes_stay_what_they_are() {
        let body = Body::Foreign { bytes: Bytes::from_static(b"\0\xff"), reason: "no specversion".into() };
        let record = Record { key: None, body, hop: Hop::default(), letter: None };
        let mut encoded = Vec::new();
        encode(&record, &mut encoded);
        assert_eq!(encoded.len(), encoded_len(&record));
        let decoded = decode(encoded.into()).unwrap();
        assert!(
            matches!(decoded.body, Body::Foreign { bytes, reason } if &bytes[..] == b"\0\xff" && reason == "no specversion")
        );
    }
}
