//! Records as they are written, and read again.

use bytes::Bytes;
use postrider_event::kafka as binding;
use postrider_event::{NAME_BYTES_MAX, Value, json};

use super::{Header, REQUIRED, STRUCTURED, bytes, minimal, sent};

#[test]
fn a_binary_record_is_written_as_it_is_without_encoding() {
    let event = minimal()
        .id("a b")
        .source("/s?x=%20")
        .kind("größe")
        .subject("say \"100%\"")
        .time("2026-11-23T14:33:08Z")
        .data_schema("https://example.com/s")
        .data_content_type("text/plain; charset=\"utf-8\"")
        .extension("flag", Value::Boolean(true))
        .extension("number", Value::Integer(-7))
        .extension(&"x".repeat(NAME_BYTES_MAX), Value::String(""))
        .data(bytes("hi"))
        .build()
        .expect("valid");
    let (headers, value) = sent(&event);
    let longest = format!("ce_{}", "x".repeat(NAME_BYTES_MAX));
    let expected = [
        ("content-type", "text/plain; charset=\"utf-8\""),
        ("ce_specversion", "1.0"),
        ("ce_id", "a b"),
        ("ce_source", "/s?x=%20"),
        ("ce_type", "größe"),
        ("ce_subject", "say \"100%\""),
        ("ce_time", "2026-11-23T14:33:08Z"),
        ("ce_dataschema", "https://example.com/s"),
        ("ce_flag", "true"),
        ("ce_number", "-7"),
        (&longest, ""),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
    assert_eq!(value, Some(Bytes::from_static(b"hi")));
}

#[test]
fn json_data_without_a_type_gets_one_in_binary_mode_and_other_data_does_not() {
    let content_type = |members: &str| {
        let text = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{members}}}"#);
        let (headers, value) = sent(&json::from_bytes(text.into()).expect("valid"));
        let found = headers.into_iter().find(|(name, _)| name == binding::CONTENT_TYPE);
        (found.map(|(_, text)| String::from_utf8(text).expect("UTF-8")), value)
    };
    let (implied, value) = content_type(r#","data":"I'm \u0061 string""#);
    assert_eq!(implied.as_deref(), Some("application/json"));
    assert_eq!(value, Some(Bytes::from_static(br#""I'm \u0061 string""#)), "quotes and escapes stay");
    assert_eq!(content_type(r#","data":null"#), (Some("application/json".into()), Some("null".into())));
    assert_eq!(content_type(r#","datacontenttype":"a/b+json","data":1"#).0.as_deref(), Some("a/b+json"));
    assert_eq!(content_type(r#","data_base64":"AA==""#), (None, Some(Bytes::from_static(b"\0"))));
    assert_eq!(content_type(""), (None, None));
}

#[test]
fn a_structured_record_is_written_in_the_json_format() {
    let event = minimal().data_content_type("application/json").data(bytes("{\"a\": 1}"));
    let (content_type, value) = binding::to_structured(&event.build().expect("valid"));
    assert_eq!(content_type, "application/cloudevents+json");
    assert_eq!(
        value,
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","data":{"a": 1}}"#
    );
    assert_eq!(binding::to_structured(&minimal().build().expect("valid")).1, STRUCTURED, "never null");
}

#[test]
fn attributes_of_64_kib_pass() {
    // CloudEvents 1.0.2, Size Limits: intermediaries MUST forward events of 64 KiB, headers included.
    let event = minimal().subject("é".repeat(32 * 1024)).data(bytes("x")).build().expect("valid");
    let (headers, value) = sent(&event);
    let headers = headers.iter().map(|(name, value)| (&**name, Some(&**value)));
    assert_eq!(binding::from_message(headers, value), Ok(Some(event)));
}

#[test]
fn writing_allocates_nothing_and_reading_only_what_the_event_keeps() {
    let event =
        minimal().subject("s").extension("one", Value::Integer(1)).extension("two", Value::Boolean(true));
    let event = event.data_content_type("application/json").data(bytes("{}")).build().expect("valid");
    let mut written = 0;
    let cost = allocation_counter::measure(|| {
        let value = binding::to_binary(&event, |name, value| written += name.len() + value.len());
        written += value.map_or(0, Bytes::len);
    });
    assert!(written > 0);
    assert_eq!(cost.count_total, 0, "a header was put together on the heap");

    let value = Bytes::from_static(b"{}");
    let headers: [&[Header<'_>]; 2] =
        [&REQUIRED, &[("content-type", Some(b"application/json")), ("ce_subject", Some(b"s"))]];
    let headers = headers.concat();
    let cost = allocation_counter::measure(|| {
        let event =
            binding::from_message(headers.iter().map(|(name, value)| (*name, *value)), Some(value.clone()));
        assert!(matches!(event, Ok(Some(_))));
    });
    assert!(cost.count_total <= 2, "{} allocations, and the packed attributes need two", cost.count_total);
}
