use bytes::Bytes;
use event::{Data, Event};

use crate::{Body, Hop, Key, Record};

/// An event whose id is its number, so that what comes back can be told apart.
pub(super) fn record(key: Option<&str>, number: u64) -> Record {
    sized(key, number, 32)
}

/// The same with so many bytes of data.
pub(super) fn sized(key: Option<&str>, number: u64, bytes: usize) -> Record {
    let data: Vec<u8> = (0..bytes).map(|i| (i as u64 ^ number) as u8).collect();
    let event = Event::builder()
        .id(number.to_string())
        .source("/conformance")
        .kind("com.example.conformance")
        .data_content_type("application/octet-stream")
        .data(Data::Binary(Bytes::from(data)))
        .build()
        .expect("the sample is a valid event");
    of_event(key, number, event)
}

pub(super) fn of_event(key: Option<&str>, number: u64, event: Event) -> Record {
    let key = key.map(|k| Key::new(k.to_owned()).expect("a sample's key is short"));
    Record { key, body: Body::Event(event), hop: Hop { sequence: number, ..Hop::default() }, letter: None }
}

/// The number of a sample that came back; 0 for what has none.
pub(super) fn number(record: &Record) -> u64 {
    match &record.body {
        Body::Event(event) => event.id().parse().unwrap_or(0),
        Body::Foreign { .. } => 0,
    }
}

/// So many records in turn over so many keys (0: without a key), numbered from `first`.
pub(super) fn records(first: u64, count: u64, keys: u64) -> Vec<Record> {
    (first..first + count)
        .map(|n| {
            let key = (keys > 0).then(|| format!("key-{}", n % keys.max(1)));
            record(key.as_deref(), n)
        })
        .collect()
}
