//! The model: what the builder takes and refuses, and the stored form.

use bytes::Bytes;
use http::HeaderMap;
use postrider_event::http::{self as binding, Encoding};
use postrider_event::{Builder, Data, EXTENSIONS_MAX, Event, Malformed, Value, json};

fn minimal() -> Builder {
    Event::builder().id("1").source("/s").kind("t")
}

fn full() -> Event {
    minimal()
        .subject("größe")
        .time("2026-11-23T14:33:08Z")
        .data_content_type("text/plain")
        .data_schema("https://example.com/s")
        .extension("text", Value::String(""))
        .extension("flag", Value::Boolean(false))
        .extension("number", Value::Integer(i32::MIN))
        .data(Data::Binary(Bytes::from_static(b"data")))
        .build()
        .expect("valid")
}

#[track_caller]
fn refused(builder: Builder, attribute: &str) {
    let malformed: Malformed = builder.build().expect_err(attribute);
    assert_eq!(malformed.attribute.as_deref(), Some(attribute), "{malformed}");
}

#[test]
fn a_builder_checks_what_readers_check() {
    refused(Event::builder().source("/s").kind("t"), "id");
    refused(Event::builder().id("1").kind("t"), "source");
    refused(Event::builder().id("1").source("/s"), "type");
    refused(minimal().id(""), "id");
    refused(minimal().source("a b"), "source");
    refused(minimal().kind("a\nb"), "type");
    refused(minimal().time("noon"), "time");
    refused(minimal().data_schema("/s"), "dataschema");
    refused(minimal().data_content_type("plain"), "datacontenttype");
    refused(minimal().extension("Ext", Value::Boolean(true)), "Ext");
    refused(minimal().extension("data", Value::Boolean(true)), "data");
    refused(minimal().extension("subject", Value::String("s")), "subject");
    refused(minimal().extension("specversion", Value::String("1.0")), "specversion");
    refused(minimal().extension("ext", Value::String("\u{fffe}")), "ext");
}

#[test]
fn json_data_has_to_be_json_under_a_json_type() {
    let json = |text: &'static str| Data::Json(Bytes::from_static(text.as_bytes()));
    assert!(minimal().data(json("{}")).build().is_ok());
    assert!(minimal().data(json("{}")).data_content_type("a/b+json").build().is_ok());
    refused(minimal().data(json("{}")).data_content_type("text/plain"), "datacontenttype");
    refused(minimal().data(json("},\"id\":\"2\"")), "data");
    refused(minimal().data(json("")), "data");
}

#[test]
fn the_last_value_counts() {
    let event = minimal().id("2").extension("ext", Value::Integer(1)).extension("ext", Value::Integer(2));
    let event = event.build().expect("valid");
    assert_eq!((event.id(), event.attribute("ext")), ("2", Some(Value::Integer(2))));
}

#[test]
fn a_malformed_event_says_what_to_do() {
    let told = |builder: Builder| builder.build().expect_err("malformed").to_string();
    assert_eq!(told(minimal().id("")), "id: must not be empty (CloudEvents 1.0.2, Required Attributes)");
    assert_eq!(told(Event::builder()), "id: is required (CloudEvents 1.0.2, Required Attributes)");
    let many = (0..=EXTENSIONS_MAX).fold(minimal(), |b, n| b.extension(&format!("e{n}"), Value::Integer(1)));
    assert_eq!(told(many), "event: has more than 256 extension attributes, which is the most that is taken");
}

#[test]
fn a_clone_shares_everything() {
    let event = full();
    let clone = event.clone();
    assert_eq!(event.subject().map(str::as_ptr), clone.subject().map(str::as_ptr));
    assert_eq!(event.data().map(|d| d.bytes().as_ptr()), clone.data().map(|d| d.bytes().as_ptr()));
}

#[test]
fn the_stored_form_is_read_back_as_it_was_and_data_is_not_copied() {
    let json = minimal().data(Data::Json(Bytes::from_static(b"{}"))).build().expect("valid");
    let empty = minimal().data(Data::Binary(Bytes::new())).build().expect("valid");
    for event in [full(), json, empty, minimal().build().expect("valid")] {
        let mut stored = Vec::new();
        event.encode(&mut stored);
        assert_eq!(stored.len(), event.encoded_len());
        let stored = Bytes::from(stored);
        let read = Event::decode(stored.clone()).expect("what was encoded is decoded");
        assert_eq!(read, event);
        if let Some(data) = read.data().map(Data::bytes).filter(|data| !data.is_empty()) {
            assert!(stored.as_ptr_range().contains(&data.as_ptr()), "the data is a slice of what was stored");
        }
    }
}

#[test]
fn a_damaged_stored_form_is_an_error() {
    let mut stored = Vec::new();
    full().encode(&mut stored);
    let head = stored.len() - b"data".len();
    for length in 0..head {
        assert!(
            Event::decode(Bytes::copy_from_slice(&stored[..length])).is_err(),
            "cut after {length} bytes"
        );
    }
    for (at, byte) in
        [(0, 0), (0, 2), (1, 0), (1, 3), (2, 0), (5, 1), (6, 0), (6, 0xff), (7, b'x'), (head - 1, b'x')]
    {
        let mut damaged = stored.clone();
        damaged[at] = byte;
        assert!(Event::decode(damaged.into()).is_err(), "byte {at} set to {byte}");
    }
}

#[test]
fn attributes_of_64_kib_pass_through_every_form() {
    // CloudEvents 1.0.2, Size Limits: intermediaries MUST forward events of 64 KiB, on the wire and so headers included.
    let event = minimal().subject("é".repeat(32 * 1024)).data_content_type("text/plain");
    let event = event.data(Data::Binary(Bytes::from_static(b"x"))).build().expect("valid");
    let mut headers = HeaderMap::new();
    let body = binding::to_binary(&event, Encoding::Percent, &mut headers);
    assert_eq!(binding::from_binary(&headers, body), Ok(event.clone()));
    assert_eq!(json::from_bytes(binding::to_structured(&event)), Ok(event.clone()));
    let mut stored = Vec::new();
    event.encode(&mut stored);
    assert_eq!(Event::decode(stored.into()), Ok(event));
}

#[test]
fn a_refusal_shows_a_strangers_name_short_and_without_control_characters() {
    let refused = minimal().extension("a\nb\u{1b}[1m", Value::Boolean(true)).build().expect_err("no name");
    assert_eq!(refused.attribute.as_deref(), Some("a\u{fffd}b\u{fffd}[1m"));
    let refused = minimal().extension(&"é".repeat(1000), Value::Boolean(true)).build().expect_err("no name");
    assert_eq!(refused.attribute, Some(format!("{}…", "é".repeat(64))));
}

#[test]
fn the_size_is_that_of_attributes_and_data() {
    let small = minimal().build().expect("valid").size();
    let larger =
        minimal().subject("12345").data(Data::Binary(vec![0; 1000].into())).build().expect("valid").size();
    assert_eq!(larger - small, 1005);
}
