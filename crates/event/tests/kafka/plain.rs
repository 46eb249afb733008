//! Records of producers that know of no binding.

use bytes::Bytes;
use postrider_event::Event;
use postrider_event::kafka as binding;

use super::{Header, bytes};

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
