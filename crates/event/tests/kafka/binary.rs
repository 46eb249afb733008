//! Records in binary mode, as they are read.

use bytes::Bytes;
use postrider_event::kafka as binding;
use postrider_event::{NAME_BYTES_MAX, Value};

use super::{Header, REQUIRED, STRUCTURED, bytes, read, sent, with};

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
