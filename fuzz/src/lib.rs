//! What the fuzz targets assert beyond "no panic".
//!
//! A target is a program of its own in `targets/`, named after what it reads. `cargo xtask fuzz` builds and runs them.

pub mod store;

use std::collections::BTreeMap;

use bytes::Bytes;
use event::http::{self as http_binding, Encoding};
use event::{Data, Event, Value, json, kafka, pubsub};
use serde_json::value::RawValue;

/// Bytes that reading may take however short the input is: an error's text, a table's first growth.
const SLACK_BYTES: u64 = 16 << 10;

/// Reads, and asserts that no more memory was held at once than so many bytes a byte of input.
pub fn bounded<T>(input_bytes: usize, bytes_per_byte: u64, read: impl FnOnce() -> T) -> T {
    let mut read_out = None;
    let info = allocation_counter::measure(|| read_out = Some(read()));
    let allowed = SLACK_BYTES + bytes_per_byte * input_bytes as u64;
    assert!(
        info.bytes_max <= allowed,
        "{} bytes were held to read {input_bytes}; {allowed} are allowed",
        info.bytes_max
    );
    read_out.expect("measured just now")
}

/// Whatever was taken for an event keeps all that it says in every form that it is written in.
pub fn assert_sound(event: &Event) {
    in_json(event);
    in_storage(event);
    over_http(event);
    in_kafka(event);
    in_pubsub(event);
}

fn in_json(event: &Event) {
    let mut text = Vec::new();
    json::write(event, &mut text);
    // Its data stays a text: half a surrogate pair in an escape is JSON's grammar, and no string of this parser's.
    let parsed: BTreeMap<String, &RawValue> =
        serde_json::from_slice(&text).expect("what is written is JSON for everybody");
    for (name, value) in event.attributes() {
        let shown = match value {
            Value::Boolean(value) => value.into(),
            Value::Integer(value) => value.into(),
            Value::String(value) => serde_json::Value::from(value),
        };
        let told: serde_json::Value = serde_json::from_str(parsed[name].get()).expect("a value");
        assert_eq!(told, shown, "{name}");
    }
    let read = json::from_bytes(Bytes::from(text.clone())).expect("what is written is read");
    assert!(read.attributes().eq(event.attributes()), "{event:?} became {read:?}");
    // White space around a JSON text is none of the text's, and does not come along into an event that is JSON itself.
    let trimmed = |event: &Event| -> Option<Vec<u8>> {
        let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        let data = bytes_of(event)?;
        let from = data.iter().position(|b| !is_space(b)).unwrap_or(0);
        let to = data.iter().rposition(|b| !is_space(b)).map_or(data.len(), |last| last + 1);
        Some(data[from..to].to_vec())
    };
    match read.data() {
        Some(Data::Json(_)) => assert_eq!(trimmed(&read), trimmed(event)),
        _ => assert_eq!(bytes_of(&read), bytes_of(event)),
    }
    let mut again = Vec::new();
    json::write(&read, &mut again);
    if bytes_of(&read) == bytes_of(event) {
        assert_eq!(again, text, "a second hop changes nothing");
    }
}

fn in_storage(event: &Event) {
    let mut stored = Vec::new();
    event.encode(&mut stored);
    assert_eq!(stored.len(), event.encoded_len());
    assert_eq!(Event::decode(stored.into()).as_ref(), Ok(event), "the stored form is an identity");
}

fn over_http(event: &Event) {
    http_binding::to_binary(event, Encoding::Raw, &mut http::HeaderMap::new());
    let mut headers = http::HeaderMap::new();
    let body = http_binding::to_binary(event, Encoding::Percent, &mut headers);
    for (name, value) in &headers {
        let plain = |b: &u8| matches!(b, 0x21..=0x7e) && *b != b'"';
        assert!(!name.as_str().starts_with("ce-") || value.as_bytes().iter().all(plain), "{name}: {value:?}");
    }
    if http_binding::fits_binary(event) {
        assert_eq!(http_binding::mode(&headers), http_binding::Mode::Binary, "it is taken for what it is");
    }
    let read = http_binding::from_binary(&headers, body).expect("what is written is read");
    assert_texts(event, &read);
    // HTTP has no data of no bytes.
    assert_eq!(bytes_of(&read), bytes_of(event).filter(|bytes| !bytes.is_empty()));
}

fn in_kafka(event: &Event) {
    let (content_type, value) = kafka::to_structured(event);
    let headers = [(kafka::CONTENT_TYPE, Some(content_type.as_bytes()))];
    let read = kafka::from_message(headers, Some(value)).expect("what is written is read");
    assert!(read.expect("it is marked").attributes().eq(event.attributes()));
    if !kafka::fits_binary(event) {
        return;
    }
    let mut headers = Vec::new();
    let value = kafka::to_binary(event, |name, value| headers.push((name.to_owned(), value.to_vec())));
    let pairs = headers.iter().map(|(name, value)| (name.as_bytes(), Some(&**value)));
    let read = kafka::from_message(pairs, value.cloned()).expect("what is written is read");
    let read = read.expect("it is marked");
    assert_texts(event, &read);
    assert_eq!(bytes_of(&read), bytes_of(event), "null and empty stay apart");
}

fn in_pubsub(event: &Event) {
    let (content_type, data) = pubsub::to_structured(event);
    let read =
        pubsub::from_message([(pubsub::CONTENT_TYPE, content_type)], data).expect("what is written is read");
    assert!(read.expect("it is marked").attributes().eq(event.attributes()));
    if !pubsub::fits_binary(event, 0) {
        return;
    }
    let mut attributes = Vec::new();
    let data = pubsub::to_binary(event, |name, value| attributes.push((name.to_owned(), value.to_owned())));
    let pairs = || attributes.iter().map(|(name, value)| (name, value));
    if data.len() < pubsub::MESSAGE_BYTES_MAX / 2 {
        pubsub::check(pairs(), "", data.len()).expect("what fits is taken");
    }
    let read = pubsub::from_message(pairs(), data).expect("what is written is read").expect("it is marked");
    assert_texts(event, &read);
    assert_eq!(bytes_of(&read), bytes_of(event), "what has data keeps it");
}

/// All attributes as text; the content type that JSON data implies is added on the way.
fn assert_texts(event: &Event, read: &Event) {
    let implied = matches!((event.data(), event.data_content_type()), (Some(Data::Json(_)), None));
    let texts = |event: &Event| -> Vec<(String, String)> {
        event.attributes().map(|(name, value)| (name.to_owned(), value.to_text().into_owned())).collect()
    };
    let mut came = texts(read);
    came.retain(|(name, _)| !implied || name != "datacontenttype");
    assert_eq!(came, texts(event));
}

fn bytes_of(event: &Event) -> Option<&Bytes> {
    event.data().map(Data::bytes)
}

/// A header's name and value.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// Lines of `name: value` up to an empty one, and what follows that: `None` where there is no empty line. A line without
/// a colon is a name without a value.
pub fn headers_and_body(input: &[u8]) -> (Vec<Header<'_>>, Option<Bytes>) {
    let mut headers = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = &rest[(end + 1).min(rest.len())..];
        if line.is_empty() {
            return (headers, Some(Bytes::copy_from_slice(rest)));
        }
        headers.push(match line.iter().position(|b| *b == b':') {
            Some(at) => (&line[..at], Some(line[at + 1..].trim_ascii_start())),
            None => (line, None),
        });
    }
    (headers, None)
}
