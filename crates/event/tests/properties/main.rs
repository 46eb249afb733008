//! What holds for every event, and for every text that a stranger may send.

mod brokers;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use postrider_event::http::{self as binding, Encoding};
use postrider_event::{Builder, Data, Event, Value, json, kafka, pubsub};
use proptest::prelude::*;

use brokers::{message, record};

/// Text that attributes may hold.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,20}",
        proptest::collection::vec(any::<char>(), 1..20).prop_map(|chars| {
            let allowed = |c: &char| {
                !c.is_control() && u32::from(*c) & 0xfffe != 0xfffe && !('\u{fdd0}'..='\u{fdef}').contains(c)
            };
            chars.into_iter().filter(allowed).chain(['x']).collect()
        }),
        Just("\"quoted\"".to_owned()),
        Just("100%".to_owned()),
        Just(" %41 ".to_owned()),
    ]
}

#[derive(Clone, Debug)]
enum Attribute {
    Boolean(bool),
    Integer(i32),
    String(String),
}

fn attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        any::<bool>().prop_map(Attribute::Boolean),
        any::<i32>().prop_map(Attribute::Integer),
        text().prop_map(Attribute::String),
        Just(Attribute::String(String::new())),
    ]
}

/// Data with the content type that goes with it.
fn data() -> impl Strategy<Value = (Option<Data>, Option<&'static str>)> {
    let bytes = || proptest::collection::vec(any::<u8>(), 1..50).prop_map(Bytes::from);
    let types = prop_oneof![
        Just(None),
        Just(Some("application/json")),
        Just(Some("text/plain; charset=utf-8")),
        Just(Some("application/octet-stream")),
    ];
    let json = prop_oneof![Just("null"), Just("{ \"a\": [1, 2.50] }"), Just("\"\\u0041 text\""), Just("[]")];
    let json_types = prop_oneof![Just(None), Just(Some("application/json")), Just(Some("a/b+json; c=d"))];
    prop_oneof![
        Just((None, None)),
        Just((None, Some("text/plain"))),
        (bytes(), types).prop_map(|(bytes, kind)| (Some(Data::Binary(bytes)), kind)),
        (text(), Just(Some("text/plain"))).prop_map(|(text, kind)| (Some(Data::Binary(text.into())), kind)),
        (json.clone(), json_types)
            .prop_map(|(text, kind)| (Some(Data::Json(Bytes::from_static(text.as_bytes()))), kind)),
        json.prop_map(|text| (
            Some(Data::Binary(Bytes::from_static(text.as_bytes()))),
            Some("application/json")
        )),
    ]
}

prop_compose! {
    fn builder()(
        id in text(),
        source in "(/[a-z0-9%_.~-]{0,10}|[a-z]{1,5}:[a-z0-9/]{0,10})".prop_map(|s| s.replace('%', "%2F")),
        kind in text(),
        subject in proptest::option::of(text()),
        time in proptest::option::of(Just("2016-12-31T23:59:60Z")),
        extensions in proptest::collection::btree_map("x[a-z0-9]{0,19}", attribute(), 0..6),
        (data, content_type) in data(),
    ) -> Builder {
        let mut builder = Event::builder().id(id).source(source).kind(kind);
        if let Some(subject) = subject {
            builder = builder.subject(subject);
        }
        if let Some(time) = time {
            builder = builder.time(time);
        }
        if let Some(content_type) = content_type {
            builder = builder.data_content_type(content_type);
        }
        if let Some(data) = data {
            builder = builder.data(data);
        }
        for (name, value) in &extensions {
            builder = builder.extension(name, match value {
                Attribute::Boolean(value) => Value::Boolean(*value),
                Attribute::Integer(value) => Value::Integer(*value),
                Attribute::String(value) => Value::String(value),
            });
        }
        builder
    }
}

fn event() -> impl Strategy<Value = Event> {
    builder().prop_map(|builder| builder.build().expect("made to be valid"))
}

fn written(event: &Event) -> Vec<u8> {
    let mut text = Vec::new();
    json::write(event, &mut text);
    text
}

fn stored(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    bytes
}

fn bytes_of(event: &Event) -> Option<&Bytes> {
    event.data().map(Data::bytes)
}

/// All that can be asked of an event: none of it may panic.
fn use_up(event: &Event) {
    let _ = (written(event), stored(event), format!("{event:?}"), binding::fits_binary(event));
    let _ = (record(event), kafka::to_structured(event));
    let _ = (message(event), pubsub::to_structured(event), pubsub::fits_binary(event, 0));
    for encoding in [Encoding::Percent, Encoding::Raw] {
        binding::to_binary(event, encoding, &mut HeaderMap::new());
    }
}

/// A text with some of its bytes replaced, cut or doubled.
fn mutated(mut text: Vec<u8>, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in changes {
        if text.is_empty() {
            break;
        }
        let at = at.index(text.len());
        match byte {
            0..=15 => drop(text.remove(at)),
            16..=31 => text.insert(at, text[at]),
            32..=39 => text.truncate(at),
            other => text[at] = *other,
        }
    }
    text
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 1..6)
}

proptest! {
    #[test]
    fn structured_mode_keeps_every_attribute_with_its_type_and_the_data(event in event()) {
        let read = json::from_bytes(written(&event).into()).expect("what is written is read");
        prop_assert!(read.attributes().eq(event.attributes()), "{read:?}");
        prop_assert_eq!(bytes_of(&read), bytes_of(&event));
        prop_assert_eq!(written(&read), written(&event), "a second hop changes nothing");
    }

    #[test]
    fn what_is_written_is_json_for_everybody(event in event()) {
        let parsed: serde_json::Value = serde_json::from_slice(&written(&event)).expect("JSON");
        for (name, value) in event.attributes() {
            prop_assert_eq!(&parsed[name], &match value {
                Value::Boolean(value) => value.into(),
                Value::Integer(value) => value.into(),
                Value::String(value) => serde_json::Value::from(value),
            });
        }
    }

    #[test]
    fn binary_mode_keeps_every_attribute_as_text_and_the_data(event in event()) {
        let mut headers = HeaderMap::new();
        let body = binding::to_binary(&event, Encoding::Percent, &mut headers);
        for value in headers.iter().filter(|(name, _)| name.as_str().starts_with("ce-")).map(|(_, value)| value) {
            prop_assert!(value.as_bytes().iter().all(|b| matches!(b, 0x21..=0x7e) && *b != b'"'), "{value:?}");
        }
        let read = binding::from_binary(&headers, body).expect("what is written is read");
        let expected: Vec<_> = event.attributes().map(|(name, value)| (name, value.to_text())).collect();
        let implied = matches!((event.data(), event.data_content_type()), (Some(Data::Json(_)), None));
        let got: Vec<_> = read.attributes().filter(|(name, _)| !implied || *name != "datacontenttype").collect();
        prop_assert!(got.iter().map(|(name, value)| (*name, value.to_text())).eq(expected), "{read:?}");
        prop_assert_eq!(bytes_of(&read), bytes_of(&event));
        prop_assert!(!implied || read.data_content_type() == Some("application/json"));
    }

    #[test]
    fn the_stored_form_is_an_identity(event in event()) {
        let bytes = stored(&event);
        prop_assert_eq!(bytes.len(), event.encoded_len());
        prop_assert_eq!(Event::decode(bytes.into()).expect("what is encoded is decoded"), event);
    }

    #[test]
    fn damaged_storage_never_panics_and_never_grows(event in event(), changes in changes()) {
        let bytes = mutated(stored(&event), &changes);
        if let Ok(read) = Event::decode(bytes.clone().into()) {
            prop_assert_eq!(stored(&read), bytes, "what is decoded is canonical");
            use_up(&read);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = json::batch_from_bytes(bytes.clone());
        let _ = Event::decode(bytes.clone());
        let _ = Event::decode([&[1, 1][..], &bytes].concat().into());
        let _ = json::from_bytes(bytes);
    }

    #[test]
    fn damaged_json_never_panics(event in event(), changes in changes()) {
        let text = mutated(written(&event), &changes);
        let batch = json::batch_from_bytes([b"[", &text[..], b"]"].concat().into());
        if let Ok(read) = json::from_bytes(text.into()) {
            use_up(&read);
            prop_assert_eq!(batch, Ok(vec![read]));
        }
    }

    #[test]
    fn arbitrary_headers_never_panic(
        id in proptest::collection::vec(any::<u8>(), 0..30),
        subject in "[\"%\\\\a-f0-9]{0,12}",
        content_type in "[a/;=\" \\\\]{0,12}",
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("ce-source", "/s"), ("ce-type", "t"), ("ce-specversion", "1.0")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in [("ce-id", &id[..]), ("ce-subject", subject.as_bytes()), ("content-type", content_type.as_bytes())] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let _ = binding::mode(&headers);
        if let Ok(event) = binding::from_binary(&headers, Bytes::new()) {
            use_up(&event);
        }
    }

    #[test]
    fn the_scanner_takes_what_another_json_parser_takes(text in "[\\[\\]{}\",:0-9eE+.\\\\utrfalsn -]{0,24}") {
        let taken = Event::builder().id("1").source("/s").kind("t").data(Data::Json(text.clone().into())).build().is_ok();
        prop_assert_eq!(taken, serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn the_scanner_takes_any_value_and_refuses_its_damaged_forms_as_another_parser_does(
        value in json_value(), changes in changes(),
    ) {
        let text = serde_json::to_vec_pretty(&value).expect("a value");
        for text in [mutated(text.clone(), &changes), text] {
            let other = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok() && std::str::from_utf8(&text).is_ok();
            let taken = Event::builder().id("1").source("/s").kind("t").data(Data::Json(text.into())).build().is_ok();
            prop_assert_eq!(taken, other);
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}
