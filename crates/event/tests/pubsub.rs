//! The Pub/Sub binding: what marks a message, the spellings of its content type, both modes in and out, the limits that
//! choose between them, and messages of publishers that know of no binding.

use std::collections::HashMap;

use bytes::Bytes;
use postrider_event::pubsub::{self as binding, Plain};
use postrider_event::{Builder, Data, EXTENSIONS_MAX, Event, Malformed, NAME_BYTES_MAX, Value, json};

type Attribute<'a> = (&'a str, &'a str);

const REQUIRED: [Attribute<'_>; 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];
const STRUCTURED: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;

fn read(attributes: &[Attribute<'_>], data: &'static str) -> Result<Option<Event>, Malformed> {
    binding::from_message(attributes.iter().copied(), Bytes::from_static(data.as_bytes()))
}

/// A binary message with these attributes beside the required ones.
fn with(list: &[Attribute<'_>], data: &'static str) -> Result<Event, Malformed> {
    read(&[&REQUIRED, list].concat(), data).map(|event| event.expect("the message is marked"))
}

fn sent(event: &Event) -> (Vec<(String, String)>, Bytes) {
    let mut attributes = Vec::new();
    let data = binding::to_binary(event, |name, value| attributes.push((name.to_owned(), value.to_owned())));
    (attributes, data)
}

fn minimal() -> Builder {
    Event::builder().id("1").source("/s").kind("t")
}

fn built(builder: Builder) -> Event {
    builder.build().expect("valid")
}

fn bytes(text: &'static str) -> Data {
    Data::Binary(Bytes::from_static(text.as_bytes()))
}

/// The two messages of the draft's examples (3.1.4, 3.2.4), with a shipment in them.
#[test]
fn the_messages_of_the_draft_s_examples_are_the_same_event() {
    const DATA: &str = r#"{"parcel":"p-7","weight":{"g":1250}}"#;
    let binary = HashMap::from(
        [
            ("ce-specversion", "1.0"),
            ("ce-type", "org.example.parcel.weighed"),
            ("ce-time", "2026-11-23T14:33:08Z"),
            ("ce-id", "7f3a-0001"),
            ("ce-source", "/depots/kiel/scale-3"),
            ("ce-lane", "north"),
            ("ce-datacontenttype", "application/json; charset=utf-8"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let structured = HashMap::from([(
        "content-type".to_owned(),
        "application/cloudevents+json; charset=utf-8".to_owned(),
    )]);
    let text = format!(
        r#"{{ "specversion": "1.0", "type": "org.example.parcel.weighed", "time": "2026-11-23T14:33:08Z", "id": "7f3a-0001",
            "source": "/depots/kiel/scale-3", "lane": "north", "datacontenttype": "application/json; charset=utf-8", "data": {DATA} }}"#
    );
    let binary = binding::from_message(&binary, Bytes::from_static(DATA.as_bytes()));
    let binary = binary.expect("valid").expect("marked");
    let structured = binding::from_message(&structured, text.into()).expect("valid").expect("marked");
    assert!(binary.attributes().eq(structured.attributes()), "{binary:?} {structured:?}");
    assert_eq!(binary.data().map(Data::bytes), structured.data().map(Data::bytes));
    assert_eq!((binary.id(), binary.kind()), ("7f3a-0001", "org.example.parcel.weighed"));
    assert_eq!(binary.data_content_type(), Some("application/json; charset=utf-8"));
}

#[test]
fn a_prefixed_attribute_or_a_cloudevents_type_marks_a_message_and_nothing_else_does() {
    let unmarked: &[&[Attribute<'_>]] = &[
        &[],
        &[("content-type", "application/json")],
        &[("content-type", "")],
        &[("content-type", "text/plain; a=application/cloudevents+json")],
        &[("cell", "1"), ("ce", "1"), ("ce_id", "1"), ("", ""), ("é€", "x")],
        &[("traceparent", "00"), ("googclient_schemaencoding", "JSON")],
        &[("accept", "application/cloudevents+json"), ("datacontenttype", "text/plain")],
    ];
    for plain in unmarked {
        assert_eq!(read(plain, "{}"), Ok(None), "{plain:?}");
    }
    for marked in [
        ("ce-id", "1"),
        ("ce-specversion", "1.0"),
        ("ce-", ""),
        ("CE-id", "1"),
        ("ce-datacontenttype", "application/cloudevents+json"),
        ("content-type", "application/cloudevents"),
        ("Content-Type", "application/cloudevents+avro"),
    ] {
        let malformed = read(&[marked], STRUCTURED).expect_err("half an event is a malformed one");
        assert!(!malformed.rule.is_empty(), "{marked:?}");
    }
}

#[test]
fn the_content_type_is_read_in_three_spellings_and_the_right_one_counts() {
    let exact = ("content-type", " a/e ");
    let http = ("Content-Type", "a/h;x=y\t");
    let prefixed = ("ce-datacontenttype", " a/p");
    let read = |list: &[Attribute<'_>]| {
        let event = with(list, "x").expect("valid");
        let backwards: Vec<_> = list.iter().copied().rev().collect();
        assert_eq!(with(&backwards, "x").as_ref(), Ok(&event), "a map has no order");
        event.data_content_type().map(str::to_owned)
    };
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[exact]).as_deref(), Some("a/e"));
    assert_eq!(read(&[http]).as_deref(), Some("a/h;x=y"));
    assert_eq!(read(&[prefixed]).as_deref(), Some("a/p"));
    assert_eq!(read(&[exact, http, prefixed]).as_deref(), Some("a/e"));
    assert_eq!(read(&[http, prefixed]).as_deref(), Some("a/h;x=y"));
    let within = with(&[(prefixed.0, "application/cloudevents+json")], STRUCTURED).expect("valid");
    assert_eq!(within.data(), Some(&bytes(STRUCTURED)), "it tells of the data, and no mode");
}

#[test]
fn the_content_type_tells_the_format_in_any_case() {
    for name in ["content-type", "Content-Type", "CONTENT-TYPE"] {
        for json in ["application/cloudevents+json", "Application/CloudEvents+JSON; charset=UTF-8"] {
            let event = read(&[(name, json), ("ce-id", "another"), ("ce-TYPE", "")], STRUCTURED);
            assert_eq!(event, Ok(Some(built(minimal()))), "{name}: {json}; the data counts");
        }
    }
    for (other, rule) in [
        ("application/cloudevents-batch+json", "batches"),
        ("APPLICATION/CLOUDEVENTS-BATCH ; charset=utf-8", "batches"),
        ("application/cloudevents", "JSON format"),
        ("application/cloudevents+avro", "JSON format"),
    ] {
        // A message with all attributes of binary mode is no other: the content type comes first.
        let list = [&REQUIRED[..], &[("content-type", other)]].concat();
        let malformed = read(&list, STRUCTURED).expect_err(other);
        assert!(malformed.rule.contains(rule), "{other}: {malformed}");
    }
    let json = ("content-type", "application/cloudevents+json");
    assert!(read(&[json], "").expect_err("no data").rule.contains("empty"));
    for broken in ["{}", "[]", "{\"specversion\":\"1.0\"", "null"] {
        assert!(read(&[json], broken).is_err(), "{broken:?}");
    }
}

#[test]
fn a_binary_message_is_read_as_it_is_and_empty_data_is_none() {
    let list = [
        ("ce-subject", "Euro%20€ \"😀\" %"),
        ("ce-number", "7"),
        ("ce-empty", ""),
        ("x-other", "\u{0}"),
        ("googclient_x", "y"),
    ];
    let event = with(&list, "{\"a\":1}").expect("valid");
    assert_eq!(event.subject(), Some("Euro%20€ \"😀\" %"), "nothing is unquoted or percent-decoded");
    assert_eq!(event.attribute("number"), Some(Value::String("7")), "attributes carry canonical strings");
    assert_eq!(event.attribute("empty"), Some(Value::String("")));
    assert_eq!(event.attributes().count(), 6);
    assert_eq!(event.data(), Some(&bytes("{\"a\":1}")));
    let none = with(&[("content-type", "text/plain")], "").expect("a type without data");
    assert_eq!((none.data_content_type(), none.data()), (Some("text/plain"), None));
}

#[test]
fn malformed_binary_messages_are_refused_and_the_attribute_is_named() {
    let long = format!("ce-{}", "n".repeat(NAME_BYTES_MAX + 1));
    let malformed: &[(&[Attribute<'_>], &str)] = &[
        (&[("content-type", "")], "datacontenttype"),
        (&[("content-type", "plain")], "datacontenttype"),
        (&[("content-type", "text/größe")], "datacontenttype"),
        (&[("ce-datacontenttype", "plain")], "datacontenttype"),
        (&[("Content-Type", "text/plain"), ("CONTENT-TYPE", "a/b")], "datacontenttype"),
        (&[("ce-id", "1")], "id"),
        (&[("ce-subject", "")], "subject"),
        (&[("ce-subject", "a\0b")], "subject"),
        (&[("ce-subject", "\u{ffff}")], "subject"),
        (&[("ce-time", "noon")], "time"),
        (&[("ce-dataschema", "relative")], "dataschema"),
        (&[("ce-Subject", "s")], "Subject"),
        (&[("CE-subject", "s")], "subject"),
        (&[("Ce-datacontenttype", "text/plain")], "datacontenttype"),
        (&[("ce-my-ext", "1")], "my-ext"),
        (&[("ce-größe", "1")], "größe"),
        (&[("ce-data", "1")], "data"),
        (&[("ce-", "1")], ""),
        (&[(&long, "1")], &format!("{}…", "n".repeat(NAME_BYTES_MAX))),
    ];
    for (list, attribute) in malformed {
        match with(list, "x") {
            Ok(event) => panic!("{list:?} was taken: {event:?}"),
            Err(malformed) => {
                assert_eq!(malformed.attribute.as_deref(), Some(*attribute), "{list:?}: {malformed}");
            }
        }
    }
    for (missing, _) in REQUIRED {
        let list: Vec<_> = REQUIRED.into_iter().filter(|(name, _)| *name != missing).collect();
        let malformed = read(&list, "x").expect_err(missing);
        assert_eq!(malformed.attribute.as_deref(), missing.strip_prefix("ce-"));
    }
}

#[test]
fn a_binary_message_is_written_as_it_is_without_encoding() {
    let event = minimal()
        .id("a b")
        .kind("größe")
        .subject("say \"100%\"")
        .time("2026-11-23T14:33:08Z")
        .data_schema("https://example.com/s")
        .data_content_type("text/plain; charset=\"utf-8\"")
        .extension("flag", Value::Boolean(true))
        .extension("googx", Value::Integer(-7))
        .data(bytes("hi"));
    let (attributes, data) = sent(&built(event));
    let expected = [
        ("content-type", "text/plain; charset=\"utf-8\""),
        ("ce-specversion", "1.0"),
        ("ce-id", "a b"),
        ("ce-source", "/s"),
        ("ce-type", "größe"),
        ("ce-subject", "say \"100%\""),
        ("ce-time", "2026-11-23T14:33:08Z"),
        ("ce-dataschema", "https://example.com/s"),
        ("ce-flag", "true"),
        ("ce-googx", "-7"),
    ];
    assert_eq!(attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(data, "hi");
    let (attributes, data) = sent(&built(minimal().data(Data::Json(Bytes::from_static(b"null")))));
    assert_eq!(attributes[0], ("content-type".to_owned(), "application/json".to_owned()), "JSON says so");
    assert_eq!(data, "null");
    assert_eq!(sent(&built(minimal())).1, Bytes::new());
}

#[test]
fn what_binary_mode_cannot_carry_is_told() {
    let fits = |builder: Builder| binding::fits_binary(&built(builder), 0);
    assert!(fits(minimal()) && fits(minimal().data(bytes("x"))));
    for (length, expected) in [(1024, true), (1025, false)] {
        assert_eq!(fits(minimal().id("x".repeat(length))), expected, "{length}");
        assert_eq!(fits(minimal().extension("e", Value::String(&"x".repeat(length)))), expected, "{length}");
        let media_type = format!("text/{}", "x".repeat(length - 5));
        assert_eq!(fits(minimal().data_content_type(media_type)), expected, "{length}");
    }
    assert!(!fits(minimal().subject("é".repeat(513))), "bytes count, not characters");
    assert!(!fits(minimal().extension("e", Value::String(""))));
    assert!(!fits(minimal().data_content_type("Application/CloudEvents+json").data(bytes(STRUCTURED))));
    // Four of its own, each extension, and what the caller adds.
    let full = (0..90).fold(minimal(), |b, n| b.extension(&format!("e{n}"), Value::Boolean(true)));
    let implied = full.clone().data(Data::Json(Bytes::from_static(b"1")));
    let full = built(full);
    assert!(binding::fits_binary(&full, 6) && !binding::fits_binary(&full, 7));
    assert!(!binding::fits_binary(&built(implied), 6), "JSON data brings a content type along");
    let name = "x".repeat(NAME_BYTES_MAX);
    let (attributes, _) = sent(&built(minimal().extension(&name, Value::Boolean(true))));
    assert!(binding::check(attributes.iter().map(|(n, v)| (n, v)), "", 0).is_ok(), "any name fits");
}

#[test]
fn what_goes_structured_comes_back_whole() {
    let many = (0..EXTENSIONS_MAX).fold(minimal(), |b, n| b.extension(&format!("e{n}"), Value::Integer(1)));
    let typed = |kind: &str, data| minimal().data_content_type(kind).data(data);
    for builder in [
        many,
        minimal().subject("é".repeat(32 * 1024)),
        minimal().extension("e", Value::String("")),
        minimal().data(bytes("")),
        typed("text/plain", bytes("")),
        typed("application/json", bytes("")),
        typed("application/cloudevents+json", Data::Json(Bytes::from_static(STRUCTURED.as_bytes()))),
    ] {
        let event = built(builder);
        assert!(!binding::fits_binary(&event, 0), "{event:?}");
        let (content_type, data) = binding::to_structured(&event);
        assert!(binding::check([("content-type", content_type)], "", data.len()).is_ok());
        let back = binding::from_message([("content-type", content_type)], data);
        assert_eq!(back, Ok(Some(event)));
    }
    assert_eq!(binding::to_structured(&built(minimal())), (binding::STRUCTURED, STRUCTURED.into()));
}

#[test]
fn a_plain_message_is_wrapped_with_what_the_server_knows_of_it() {
    let plain = Plain {
        topic: "orders%x",
        message_id: "1234567890",
        publish_time_ms: Some(1_700_000_000_123),
        ordering_key: "c-1",
    };
    let data = Bytes::from_static(b"\x89PNG");
    let list = [("Content-Type", "image/png "), ("tenant", "blue")];
    let event = binding::from_plain(plain, list, data.clone()).expect("any message is wrapped");
    let time = "2023-11-14T22:13:20.123Z";
    let expected = Event::builder()
        .id("1234567890")
        .source("/pubsub/orders%25x")
        .kind("orders%x")
        .time(time)
        .data_content_type("image/png")
        .extension("pubsubmessageid", Value::String("1234567890"))
        .extension("pubsubpublishtime", Value::String(time))
        .extension("pubsuborderingkey", Value::String("c-1"))
        .data(Data::Binary(data));
    assert_eq!(event, built(expected));
    for name in [binding::MESSAGE_ID, binding::PUBLISH_TIME, binding::ORDERING_KEY] {
        assert!(name.len() <= 20, "{name}: what the specification recommends");
    }
    for useless in [
        &[][..],
        &[("content-type", "")],
        &[("content-type", "nonsense")],
        &[("content-type", "text/plain;\ta=b")],
        &[("Content-Type", "text/plain"), ("CONTENT-TYPE", "text/html")],
    ] {
        let plain = Plain { publish_time_ms: Some(i64::MAX), ordering_key: "a\0", ..plain };
        let event = binding::from_plain(plain, useless.iter().copied(), Bytes::new()).expect("wrapped");
        assert_eq!(
            (event.data_content_type(), event.data(), event.time()),
            (None, None, None),
            "{useless:?}"
        );
        assert_eq!(event.extensions().count(), 1, "what is no time and no text is left out");
    }
    let nameless = Plain { message_id: "", ..plain };
    assert!(binding::from_plain::<str>(nameless, [], Bytes::new()).is_err(), "it is checked");
}

#[test]
fn writing_allocates_nothing_and_reading_only_what_the_event_keeps() {
    let event = minimal().subject("s").extension("one", Value::Integer(1)).data(bytes("{}"));
    let event = built(event.data_content_type("application/json"));
    let (attributes, data) = sent(&event);
    let mut written = 0;
    let cost = allocation_counter::measure(|| {
        let fits = binding::fits_binary(&event, 4);
        let data = binding::to_binary(&event, |name, value| written += name.len() + value.len());
        written += data.len() + usize::from(fits);
    });
    assert!(written > 0);
    assert_eq!(cost.count_total, 0, "an attribute was put together on the heap");
    let attributes: HashMap<String, String> =
        attributes.into_iter().filter(|(name, _)| name != "ce-one").collect();
    let cost = allocation_counter::measure(|| {
        let event = binding::from_message(&attributes, data.clone());
        assert!(matches!(event, Ok(Some(_))));
        assert!(binding::check(&attributes, "key", data.len()).is_ok());
    });
    assert!(cost.count_total <= 2, "{} allocations, and the packed attributes need two", cost.count_total);
    let structured = json::from_bytes(binding::to_structured(&event).1).expect("valid");
    assert_eq!(structured.id(), event.id());
}
