//! The HTTP binding: what a message's headers and body say. As a publisher's request, and as a webhook's reply.

#![no_main]

use event::Event;
use event::http as binding;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use postrider_fuzz::{assert_sound, bounded, headers_and_body};

fuzz_target!(|input: &[u8]| {
    let (pairs, body) = headers_and_body(input);
    let body = body.unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_bytes(value.unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            headers.append(name, value);
        }
    }
    match bounded(input.len(), 8, || binding::from_message(&headers, body.clone())) {
        Ok(Some(event)) => assert_sound(&event),
        Ok(None) => assert_eq!(binding::mode(&headers), binding::Mode::Plain),
        Err(malformed) => assert!(!malformed.rule.is_empty()),
    }
    let plain = Event::builder().id("1").source("/fuzz").kind("t");
    if let Ok(event) = binding::from_plain(plain, &headers, body) {
        assert_sound(&event);
    }
});
