//! The JSON event format: one event, and a batch.

#![no_main]

use bytes::Bytes;
use event::json;
use libfuzzer_sys::fuzz_target;
use postrider_fuzz::{assert_sound, bounded};
use serde::de::IgnoredAny;

fuzz_target!(|input: &[u8]| {
    let text = Bytes::copy_from_slice(input);
    let is_json = serde_json::from_slice::<IgnoredAny>(input).is_ok();
    let read = bounded(input.len(), 8, || json::from_bytes(text.clone()));
    if let Ok(event) = &read {
        assert!(is_json, "what another parser refuses is taken");
        assert_sound(event);
    }
    let one = Bytes::from([b"[", input, b"]"].concat());
    if let Ok(event) = read {
        assert_eq!(json::batch_from_bytes(one), Ok(vec![event]), "alone or in a batch, an event is the same");
    }
    // An entry of a batch is larger than the least that it takes to write one.
    if let Ok(events) = bounded(input.len(), 16, || json::batch_from_bytes(text)) {
        assert!(is_json, "what another parser refuses is taken");
        events.iter().for_each(assert_sound);
    }
});
