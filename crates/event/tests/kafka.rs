//! The Kafka binding: what marks a record, both modes in and out, and records of producers that know of no binding.

use bytes::Bytes;
use postrider_event::kafka as binding;
use postrider_event::{Builder, Data, Event, Malformed, NAME_BYTES_MAX, Value, json};

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

#[test]
fn a_binary_record_is_read_whole() {
    let event = with(
        &[
            ("content-type", Some(b" application/json; charset=utf-8 ")),
            ("Content-Type", Some(b"text/plain")),
            ("ce_subject", Some("Euro%20€ \"😀\" %".as_bytes())),
            ("ce_time", Some(b"2026-11-23T14:33:08Z")),
            ("ce_dataschema", Some(b"https://example.com/s")),
            ("ce_number", Some(b"7")),
            ("ce_empty", Some(b"")),
            ("x-other", Some(b"\xff")),
            ("x-other", None),
        ],
        Some("{\"a\":1}"),
    )
    .expect("valid");
    assert_eq!((event.id(), event.source(), event.kind()), ("1", "/s", "t"));
    assert_eq!(event.data_content_type(), Some("application/json; charset=utf-8"), "the exact name counts");
    assert_eq!(event.subject(), Some("Euro%20€ \"😀\" %"), "nothing is unquoted or percent-decoded");
    assert_eq!(event.attribute("number"), Some(Value::String("7")), "headers carry canonical strings");
    assert_eq!(event.attribute("empty"), Some(Value::String("")));
    assert_eq!(event.attributes().count(), 9);
    assert_eq!(event.data(), Some(&bytes("{\"a\":1}")));
}

#[test]
fn the_content_type_is_read_in_another_case_where_the_exact_name_is_absent() {
    let event = with(&[("Content-Type", Some(b"text/plain"))], Some("x")).expect("valid");
    assert_eq!(event.data_content_type(), Some("text/plain"));
    let event = read(&[("CONTENT-TYPE", Some(b"application/cloudevents+json"))], Some(STRUCTURED));
    assert!(matches!(event, Ok(Some(_))), "{event:?}");
    let both =
        [("Content-Type", Some(&b"application/cloudevents+json"[..])), ("content-type", Some(b"text/plain"))];
    assert_eq!(read(&both, Some("x")), Ok(None), "the exact name counts");
}

#[test]
fn a_null_value_is_no_data_and_an_empty_one_is_data_of_no_bytes() {
    let [none, empty] = [None, Some("")].map(|value| with(&[], value).expect("valid"));
    assert_eq!(none.data(), None);
    assert_eq!(empty.data(), Some(&bytes("")));
    assert_eq!(sent(&none).1, None);
    assert_eq!(sent(&empty).1, Some(Bytes::new()));
    let typed = with(&[("content-type", Some(b"text/plain"))], None).expect("a type without data");
    assert_eq!((typed.data_content_type(), typed.data()), (Some("text/plain"), None));
}

#[test]
fn headers_are_taken_as_bytes_too_and_the_value_is_not_copied() {
    let value = Bytes::from(vec![7; 100]);
    let headers = REQUIRED.map(|(name, value)| (name.as_bytes(), value));
    let foreign = [(&b"\xff\xfe"[..], None)];
    let event = binding::from_message(headers.into_iter().chain(foreign), Some(value.clone()))
        .expect("a name that is no UTF-8 and none of ours does not matter")
        .expect("marked");
    assert_eq!(sent(&event).1.map(|out| out.as_ptr()), Some(value.as_ptr()), "in and out without a copy");
}

#[test]
fn malformed_binary_records_are_refused_and_the_attribute_is_named() {
    let long = format!("ce_{}", "n".repeat(NAME_BYTES_MAX + 1));
    let malformed: &[(&[Header<'_>], &str)] = &[
        (&[("ce_datacontenttype", Some(&b"application/json"[..]))][..], "datacontenttype"),
        (
            &[("content-type", Some(b"text/plain")), ("ce_datacontenttype", Some(b"text/plain"))],
            "datacontenttype",
        ),
        (&[("content-type", Some(b"text/plain")), ("content-type", Some(b"text/plain"))], "datacontenttype"),
        (&[("Content-Type", Some(b"text/plain")), ("CONTENT-TYPE", Some(b"a/b"))], "datacontenttype"),
        (&[("content-type", None)], "datacontenttype"),
        (&[("content-type", Some(b""))], "datacontenttype"),
        (&[("content-type", Some(b"plain"))], "datacontenttype"),
        (&[("content-type", Some("text/größe".as_bytes()))], "datacontenttype"),
        (&[("content-type", Some(b"text/\xff"))], "datacontenttype"),
        (&[("ce_id", Some(b"1"))], "id"),
        (&[("ce_ext", Some(b"1")), ("ce_ext", Some(b"2"))], "ext"),
        (&[("ce_ext", None)], "ext"),
        (&[("ce_subject", None)], "subject"),
        (&[("ce_subject", Some(b""))], "subject"),
        (&[("ce_subject", Some(b"\xff"))], "subject"),
        (&[("ce_subject", Some(b"a\xed\xa0\x80"))], "subject"),
        (&[("ce_subject", Some(b"a\0b"))], "subject"),
        (&[("ce_subject", Some(b"a\tb"))], "subject"),
        (&[("ce_subject", Some("\u{85}".as_bytes()))], "subject"),
        (&[("ce_subject", Some("\u{ffff}".as_bytes()))], "subject"),
        (&[("ce_time", Some(b"noon"))], "time"),
        (&[("ce_time", Some(b"1795444388"))], "time"),
        (&[("ce_dataschema", Some(b"relative"))], "dataschema"),
        (&[("ce_Subject", Some(b"s"))], "Subject"),
        (&[("CE_subject", Some(b"s"))], "subject"),
        (&[("Ce_EXT", Some(b"s"))], "EXT"),
        (&[("ce_my-ext", Some(b"1"))], "my-ext"),
        (&[("ce_my_ext", Some(b"1"))], "my_ext"),
        (&[("ce_My", None)], "My"),
        (&[("ce_größe", Some(b"1"))], "größe"),
        (&[("ce_data", Some(b"1"))], "data"),
        (&[("ce_", Some(b"1"))], ""),
        (&[(&long, Some(b"1"))], &format!("{}…", "n".repeat(NAME_BYTES_MAX))),
    ];
    for (list, attribute) in malformed {
        match with(list, Some("x")) {
            Ok(event) => panic!("{list:?} was taken: {event:?}"),
            Err(malformed) => {
                assert_eq!(malformed.attribute.as_deref(), Some(*attribute), "{list:?}: {malformed}");
            }
        }
    }
    let name_of_no_text = [(&b"ce_\xff\n"[..], Some(&b"1"[..]))];
    let malformed = binding::from_message(name_of_no_text, None).expect_err("no UTF-8");
    assert_eq!(malformed.attribute.as_deref(), Some("\u{fffd}\u{fffd}"), "shown without what harms a log");
}

#[test]
fn what_is_missing_or_of_another_version_is_named() {
    for (missing, _) in REQUIRED {
        let list: Vec<_> = REQUIRED.into_iter().filter(|(name, _)| *name != missing).collect();
        let malformed = read(&list, Some("x")).expect_err(missing);
        assert_eq!(malformed.attribute.as_deref(), missing.strip_prefix("ce_"));
        let null: Vec<_> =
            REQUIRED.into_iter().map(|(name, value)| (name, value.filter(|_| name != missing))).collect();
        let malformed = read(&null, Some("x")).expect_err(missing);
        assert_eq!(malformed.attribute.as_deref(), missing.strip_prefix("ce_"));
        assert!(malformed.rule.contains("null"), "{malformed}");
    }
    let mut old = REQUIRED;
    old[0].1 = Some(b"0.3");
    assert!(read(&old, Some("x")).is_err());
    let mut relative = REQUIRED;
    relative[2].1 = Some(b"not a URI");
    assert_eq!(read(&relative, None).expect_err("a space").attribute.as_deref(), Some("source"));
}

#[test]
fn more_extensions_than_are_taken_are_refused() {
    let names: Vec<_> = (0..=postrider_event::EXTENSIONS_MAX).map(|n| format!("ce_e{n}")).collect();
    let list: Vec<_> = names.iter().map(|name| (&**name, Some(&b"1"[..]))).collect();
    assert!(with(&list[1..], None).is_ok());
    assert!(with(&list, None).is_err());
}

#[test]
fn a_plain_record_is_wrapped_untouched_whatever_its_content_type() {
    let builder =
        || Event::builder().id("3-42").source("/kafka/orders").kind("orders").time("2026-11-23T14:33:08Z");
    let wrapped = |headers: &[Header<'_>], value: Option<&'static str>| {
        binding::from_plain(
            builder(),
            headers.iter().map(|(name, value)| (*name, *value)),
            value.map(|value| Bytes::from_static(value.as_bytes())),
        )
        .expect("nothing in a record keeps it from being wrapped")
    };
    let png = wrapped(&[("x", None), ("content-type", Some(b"image/png"))], Some("PNG"));
    assert_eq!((png.id(), png.source(), png.kind()), ("3-42", "/kafka/orders", "orders"));
    assert_eq!((png.data_content_type(), png.data()), (Some("image/png"), Some(&bytes("PNG"))));
    let other_case = wrapped(&[("Content-Type", Some(b"Text/Plain "))], Some(""));
    assert_eq!((other_case.data_content_type(), other_case.data()), (Some("Text/Plain"), Some(&bytes(""))));
    let without_a_type: &[&[Header<'_>]] = &[
        &[][..],
        &[("content-type", None)],
        &[("content-type", Some(b""))],
        &[("content-type", Some(b"\xff"))],
        &[("content-type", Some(b"nonsense"))],
        &[("content-type", Some(b"text/plain")), ("content-type", Some(b"text/html"))],
    ];
    for useless in without_a_type {
        let event = wrapped(useless, None);
        assert_eq!((event.data_content_type(), event.data()), (None, None), "{useless:?}");
    }
    let nameless = [("content-type", Some(&b"image/png"[..]))];
    assert!(binding::from_plain(Event::builder(), nameless, None).is_err(), "the builder is checked");
}

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

#[test]
fn a_media_type_that_no_attribute_can_hold_keeps_no_record_from_being_wrapped() {
    let overlong = format!("text/plain; a={}", "x".repeat(postrider_event::ATTRIBUTES_BYTES_MAX));
    for content_type in ["text/plain;\ta=b", &overlong] {
        let plain = Event::builder().id("0-1").source("/kafka/t").kind("t");
        let headers = [("content-type", Some(content_type.as_bytes()))];
        let wrapped = binding::from_plain(plain, headers, Some(Bytes::from_static(b"x")))
            .expect("any record is wrapped");
        assert_eq!((wrapped.data_content_type(), wrapped.data().is_some()), (None, true));
    }
}
