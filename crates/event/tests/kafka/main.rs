//! The Kafka binding: what marks a record, both modes in and out, and records of producers that know of no binding.

mod binary;
mod plain;
mod write;

use bytes::Bytes;
use postrider_event::kafka as binding;
use postrider_event::{Builder, Data, Event, Malformed};

type Header<'a> = (&'a str, Option<&'a [u8]>);

const REQUIRED: [Header<'_>; 4] = [
    ("ce_specversion", Some(b"1.0")),
    ("ce_id", Some(b"1")),
    ("ce_source", Some(b"/s")),
    ("ce_type", Some(b"t")),
];
const STRUCTURED: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;

fn read(headers: &[Header<'_>], value: Option<&'static str>) -> Result<Option<Event>, Malformed> {
    binding::from_message(
        headers.iter().map(|(name, value)| (*name, *value)),
        value.map(|value| Bytes::from_static(value.as_bytes())),
    )
}

/// A binary record with these headers beside the required ones.
fn with(list: &[Header<'_>], value: Option<&'static str>) -> Result<Event, Malformed> {
    read(&[&REQUIRED, list].concat(), value).map(|event| event.expect("the record is marked"))
}

fn sent(event: &Event) -> (Vec<(String, Vec<u8>)>, Option<Bytes>) {
    let mut headers = Vec::new();
    let value = binding::to_binary(event, |name, value| headers.push((name.to_owned(), value.to_vec())));
    (headers, value.cloned())
}

fn minimal() -> Builder {
    Event::builder().id("1").source("/s").kind("t")
}

fn bytes(text: &'static str) -> Data {
    Data::Binary(Bytes::from_static(text.as_bytes()))
}

#[test]
fn a_prefixed_header_or_a_cloudevents_type_marks_a_record_and_nothing_else_does() {
    let unmarked: &[&[Header<'_>]] = &[
        &[][..],
        &[("content-type", Some(b"application/json"))],
        &[("content-type", None)],
        &[("content-type", Some(b"text/plain; a=application/cloudevents+json"))],
        &[("content-type", Some(b"\xff"))],
        &[("cell", Some(b"1")), ("ce", Some(b"1")), ("ce-id", Some(b"1")), ("", None), ("x", Some(b"\xff"))],
        &[("traceparent", Some(b"00")), ("postrider-origin", None)],
        &[("accept", Some(b"application/cloudevents+json"))],
    ];
    for plain in unmarked {
        assert_eq!(read(plain, Some("{}")), Ok(None), "{plain:?}");
    }
    let marks: &[Header<'_>] = &[
        ("ce_id", Some(&b"1"[..])),
        ("ce_specversion", Some(b"1.0")),
        ("ce_", None),
        ("CE_id", Some(b"1")),
        ("content-type", Some(b"application/cloudevents")),
        ("Content-Type", Some(b"application/cloudevents+avro")),
    ];
    for marked in marks {
        let malformed = read(&[*marked], Some("{}")).expect_err("half an event is a malformed one");
        assert!(!malformed.rule.is_empty(), "{marked:?}");
    }
}

#[test]
fn the_content_type_tells_the_format_in_any_case() {
    for json in [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON; charset=UTF-8",
        " application/cloudevents+json;charset=utf-8",
    ] {
        let event = read(&[("content-type", Some(json.as_bytes()))], Some(STRUCTURED));
        assert_eq!(event, Ok(Some(minimal().build().expect("valid"))), "{json}");
    }
    for (other, rule) in [
        ("application/cloudevents-batch+json", "batches"),
        ("APPLICATION/CLOUDEVENTS-BATCH+JSON ; charset=utf-8", "batches"),
        ("application/cloudevents-batch", "batches"),
        ("application/cloudevents", "JSON format"),
        ("application/cloudevents+avro", "JSON format"),
        ("application/cloudevents+jsonx", "JSON format"),
    ] {
        // A record with all headers of binary mode is no other: the content type comes first.
        for headers in [&REQUIRED[..], &[]] {
            let content_type: Header<'_> = ("content-type", Some(other.as_bytes()));
            let list = [headers, &[content_type]].concat();
            let malformed = read(&list, Some(STRUCTURED)).expect_err(other);
            assert!(malformed.rule.contains(rule), "{other}: {malformed}");
        }
    }
}

#[test]
fn a_structured_record_is_its_value_and_needs_one() {
    let headers = [
        ("content-type", Some(&b"application/cloudevents+json"[..])),
        ("ce_id", Some(b"another")),
        ("ce_id", None),
        ("ce_TYPE", Some(b"\xff")),
    ];
    let event = read(&headers, Some(STRUCTURED)).expect("headers repeat at will").expect("marked");
    assert_eq!(event.id(), "1", "the value counts");
    let malformed = read(&headers[..1], None).expect_err("a null value");
    assert!(malformed.rule.contains("null"), "{malformed}");
    for broken in ["", "{}", "[]", "{\"specversion\":\"1.0\"", "null"] {
        assert!(read(&headers[..1], Some(broken)).is_err(), "{broken:?}");
    }
    let twice = [headers[0], headers[0]];
    assert!(read(&twice, Some(STRUCTURED)).is_err(), "two content types are none");
}
