//! The HTTP binding: modes, binary mode in and out, and what becomes of an event between the modes.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use postrider_event::http::{self as binding, Encoding, Mode};
use postrider_event::{Data, Event, Malformed, Value, json};

const REQUIRED: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (
            name.parse::<HeaderName>().expect("a header name"),
            HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
        )
    };
    list.iter().map(pair).fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(name, value);
        map
    })
}

/// A binary message with these headers beside the required ones.
fn with(list: &[(&str, &str)], body: &'static str) -> Result<Event, Malformed> {
    binding::from_binary(&headers(&[&REQUIRED, list].concat()), Bytes::from_static(body.as_bytes()))
}

fn sent(event: &Event, encoding: Encoding) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    let body = binding::to_binary(event, encoding, &mut headers);
    (headers, body)
}

#[test]
fn the_content_type_tells_the_mode_and_batch_is_no_prefix_match() {
    for (content_type, mode) in [
        ("application/cloudevents+json", Mode::Structured),
        ("Application/CloudEvents+JSON; charset=UTF-8", Mode::Structured),
        ("application/cloudevents+json;charset=utf-8", Mode::Structured),
        ("application/cloudevents-batch+json", Mode::Batched),
        ("APPLICATION/CLOUDEVENTS-BATCH+JSON ; charset=utf-8", Mode::Batched),
        ("application/cloudevents", Mode::UnsupportedFormat),
        ("application/cloudevents+avro", Mode::UnsupportedFormat),
        ("application/cloudevents-batch+protobuf", Mode::UnsupportedFormat),
        ("Application/CloudEvents-Batch", Mode::UnsupportedFormat),
        ("application/x-ndjson", Mode::Lines),
        ("application/X-NDJSON; charset=utf-8", Mode::Lines),
        ("application/json", Mode::Plain),
        ("text/plain; a=application/cloudevents+json", Mode::Plain),
        ("", Mode::Plain),
    ] {
        assert_eq!(binding::mode(&headers(&[("content-type", content_type)])), mode, "{content_type}");
    }
    assert_eq!(binding::mode(&HeaderMap::new()), Mode::Plain);
}

#[test]
fn any_ce_header_makes_binary_unless_the_content_type_says_more() {
    for content_type in ["application/json", "application/x-ndjson", "text/plain"] {
        for header in ["ce-id", "ce-specversion", "CE-Type"] {
            let map = headers(&[("content-type", content_type), (header, "1.0")]);
            assert_eq!(binding::mode(&map), Mode::Binary, "{content_type} {header}");
        }
    }
    assert_eq!(binding::mode(&headers(&[("ce-id", "1")])), Mode::Binary, "without a content type");
    let structured = headers(&[("content-type", "application/cloudevents+json"), ("ce-id", "1")]);
    assert_eq!(
        binding::mode(&structured),
        Mode::Structured,
        "structured messages may repeat attributes as headers"
    );
    assert_eq!(binding::mode(&headers(&[("cell", "1")])), Mode::Plain);
}

#[test]
fn a_binary_message_is_read_whole() {
    let event = with(
        &[
            ("Content-Type", " application/json; charset=utf-8 "),
            ("CE-Subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("ce-time", "2026-11-23T14:33:08Z"),
            ("ce-dataschema", "https://example.com/s"),
            ("ce-number", "7"),
            ("x-other", "ignored"),
        ],
        "{\"a\":1}",
    )
    .expect("valid");
    assert_eq!((event.id(), event.source(), event.kind()), ("1", "/s", "t"));
    assert_eq!(event.data_content_type(), Some("application/json; charset=utf-8"));
    assert_eq!(event.subject(), Some("Euro € 😀"));
    assert_eq!(event.attribute("number"), Some(Value::String("7")), "headers carry canonical strings");
    assert_eq!(event.attributes().count(), 8);
    assert_eq!(event.data(), Some(&Data::Binary(Bytes::from_static(b"{\"a\":1}"))));
    let empty = with(&[("content-type", "text/plain")], "").expect("valid");
    assert_eq!(empty.data(), None, "an empty body is no data");
}

#[test]
fn data_is_the_body_itself() {
    let body = Bytes::from(vec![7; 100]);
    let event = binding::from_binary(&headers(&REQUIRED), body.clone()).expect("valid");
    let (_, out) = sent(&event, Encoding::Percent);
    assert_eq!(out.as_ptr(), body.as_ptr(), "in and out without a copy");
}

#[test]
fn malformed_binary_messages_are_refused_and_the_attribute_is_named() {
    for (list, attribute) in [
        (&[("ce-datacontenttype", "application/json")][..], "datacontenttype"),
        (&[("content-type", "text/plain"), ("ce-datacontenttype", "text/plain")], "datacontenttype"),
        (&[("content-type", "text/plain"), ("content-type", "text/plain")], "datacontenttype"),
        (&[("content-type", "")], "datacontenttype"),
        (&[("content-type", "plain")], "datacontenttype"),
        (&[("content-type", "text/größe")], "datacontenttype"),
        (&[("ce-id", "1")], "id"),
        (&[("ce-ext", "1"), ("CE-EXT", "1")], "ext"),
        (&[("ce-subject", "")], "subject"),
        (&[("ce-subject", "\"\"")], "subject"),
        (&[("ce-subject", "%C0%A0")], "subject"),
        (&[("ce-subject", "100%")], "subject"),
        (&[("ce-subject", "a%00b")], "subject"),
        (&[("ce-subject", "a%0Ab")], "subject"),
        (&[("ce-subject", "%C2%85")], "subject"),
        (&[("ce-subject", "%EF%BF%BF")], "subject"),
        (&[("ce-subject", "a\tb")], "subject"),
        (&[("ce-time", "noon")], "time"),
        (&[("ce-dataschema", "relative")], "dataschema"),
        (&[("ce-my-ext", "1")], "my-ext"),
        (&[("ce-my_ext", "1")], "my_ext"),
        (&[("ce-data", "1")], "data"),
        (&[("ce-", "1")], ""),
    ] {
        match with(list, "x") {
            Ok(event) => panic!("{list:?} was taken: {event:?}"),
            Err(malformed) => {
                assert_eq!(malformed.attribute.as_deref(), Some(attribute), "{list:?}: {malformed}");
            }
        }
    }
    for (missing, _) in REQUIRED {
        let list: Vec<_> = REQUIRED.into_iter().filter(|(name, _)| *name != missing).collect();
        let malformed = binding::from_binary(&headers(&list), Bytes::new()).expect_err(missing);
        assert_eq!(malformed.attribute.as_deref(), missing.strip_prefix("ce-"));
    }
    let version =
        headers(&[("ce-specversion", "0.3"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")]);
    assert!(binding::from_binary(&version, Bytes::new()).is_err());
}

#[test]
fn a_binary_message_is_written_with_percent_encoding_or_raw() {
    let event = Event::builder()
        .id("a b")
        .source("/s?x=%20")
        .kind("größe")
        .subject("say \"100%\"")
        .data_content_type("text/plain; charset=\"utf-8\"")
        .extension("flag", Value::Boolean(true))
        .extension("number", Value::Integer(-7))
        .data(Data::Binary(Bytes::from_static(b"hi")))
        .build()
        .expect("valid");
    let (out, body) = sent(&event, Encoding::Percent);
    assert_eq!(
        out,
        headers(&[
            ("content-type", "text/plain; charset=\"utf-8\""),
            ("ce-specversion", "1.0"),
            ("ce-id", "a%20b"),
            ("ce-source", "/s?x=%2520"),
            ("ce-type", "gr%C3%B6%C3%9Fe"),
            ("ce-subject", "say%20%22100%25%22"),
            ("ce-flag", "true"),
            ("ce-number", "-7"),
        ])
    );
    assert_eq!(body, "hi");
    let (raw, _) = sent(&event, Encoding::Raw);
    assert_eq!(raw["ce-subject"].as_bytes(), b"say \"100%\"");
    assert_eq!(raw["ce-type"].as_bytes(), "größe".as_bytes());
    assert_eq!(raw.len(), out.len());
}

#[test]
fn json_data_without_a_type_gets_one_in_binary_mode_and_other_data_does_not() {
    let read = |members: &str| {
        json::from_bytes(
            format!("{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",{members}}}")
                .into(),
        )
        .expect("valid")
    };
    let content_type = |event: &Event| sent(event, Encoding::Percent).0.get("content-type").cloned();
    let implied = read("\"data\":\"I'm \\u0061 string\"");
    assert_eq!(content_type(&implied), Some(HeaderValue::from_static("application/json")));
    assert_eq!(
        sent(&implied, Encoding::Percent).1,
        "\"I'm \\u0061 string\"",
        "a JSON string keeps its quotes and escapes"
    );
    assert_eq!(implied.data_content_type(), None, "the event itself is as it came");
    let declared = read("\"datacontenttype\":\"text/json; x=1\",\"data\":1");
    assert_eq!(content_type(&declared), Some(HeaderValue::from_static("text/json; x=1")));
    assert_eq!(content_type(&read("\"data_base64\":\"AA==\"")), None, "no content type is invented");
    assert_eq!(content_type(&read("\"subject\":\"s\"")), None);
}

#[test]
fn a_webhook_needs_a_payload_and_its_type_for_binary_mode() {
    let builder = Event::builder().id("1").source("/s").kind("t");
    let fits = |builder: postrider_event::Builder| binding::fits_binary(&builder.build().expect("valid"));
    let bytes = |text: &'static str| Data::Binary(Bytes::from_static(text.as_bytes()));
    assert!(!fits(builder.clone()), "no data");
    assert!(!fits(builder.clone().data_content_type("text/plain")), "no data, though a type");
    assert!(
        !fits(builder.clone().data_content_type("text/plain").data(bytes(""))),
        "an empty body is no payload"
    );
    assert!(!fits(builder.clone().data(bytes("x"))), "no content type");
    assert!(fits(builder.clone().data_content_type("text/plain").data(bytes("x"))));
    for envelope in ["application/cloudevents+json", "Application/CloudEvents-batch+json; charset=utf-8"] {
        let within = builder.clone().data_content_type(envelope).data(bytes("{}"));
        assert!(!fits(within), "the event within would be read instead of this one");
    }
    assert!(fits(builder.data(Data::Json(Bytes::from_static(b"null")))));
}

#[test]
fn a_message_carries_one_event_or_none() {
    let structured = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    let read = |list: &[(&str, &str)], body: &'static str| {
        binding::from_message(&headers(list), Bytes::from_static(body.as_bytes()))
    };
    assert_eq!(read(&REQUIRED, "").map(|event| event.is_some()), Ok(true));
    assert_eq!(
        read(&[("content-type", binding::STRUCTURED)], structured).map(|event| event.is_some()),
        Ok(true)
    );
    assert_eq!(read(&[("content-type", "application/json")], "{}"), Ok(None));
    assert_eq!(read(&[], ""), Ok(None));
    assert!(read(&[("ce-id", "1")], "").is_err(), "half an event is a malformed one");
    assert!(read(&[("content-type", binding::BATCHED)], "[]").is_err());
    assert!(read(&[("content-type", "application/cloudevents+avro")], "").is_err());
}

#[test]
fn a_plain_body_is_wrapped_untouched() {
    let builder = || Event::builder().id("1").source("orders").kind("orders.created");
    let wrapped = binding::from_plain(
        builder(),
        &headers(&[("content-type", "image/png")]),
        Bytes::from_static(b"\x89PNG"),
    );
    let wrapped = wrapped.expect("valid");
    assert_eq!(wrapped.data_content_type(), Some("image/png"));
    assert_eq!(wrapped.data(), Some(&Data::Binary(Bytes::from_static(b"\x89PNG"))));
    let bare = binding::from_plain(builder(), &HeaderMap::new(), Bytes::new()).expect("valid");
    assert_eq!((bare.data_content_type(), bare.data()), (None, None));
    assert!(binding::from_plain(builder(), &headers(&[("content-type", "nonsense")]), Bytes::new()).is_err());
}

#[test]
fn a_structured_body_is_the_json_format() {
    let event = with(&[("content-type", "application/json")], "{\"a\": 1}").expect("valid");
    assert_eq!(
        binding::to_structured(&event),
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","data":{"a": 1}}"#
    );
}
