//! The Pub/Sub binding: what a message's attributes and data say.

#![no_main]

use event::pubsub::{self, Plain};
use event::{Data, Malformed};
use libfuzzer_sys::fuzz_target;
use postrider_fuzz::{assert_sound, bounded, headers_and_body};

fuzz_target!(|input: &[u8]| {
    let (headers, data) = headers_and_body(input);
    let data = data.unwrap_or_default();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let attributes: Vec<_> =
        headers.iter().map(|(name, value)| (text(name), text(value.unwrap_or_default()))).collect();
    let pairs = || attributes.iter().map(|(name, value)| (name, value));
    // What is no UTF-8 takes more bytes as text.
    let bytes = attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + input.len();
    match bounded(bytes, 8, || pubsub::from_message(pairs(), data.clone())) {
        Ok(Some(event)) => assert_sound(&event),
        Ok(None) => {}
        Err(Malformed { rule, .. }) => assert!(!rule.is_empty()),
    }
    // Any text may be an ordering key.
    let ordering_key = attributes.first().map_or("", |(_, value)| value);
    let plain =
        Plain { topic: "t", message_id: "1", publish_time_ms: Some(input.len() as i64), ordering_key };
    let wrapped = pubsub::from_plain(plain, pairs(), data.clone()).expect("any message is wrapped");
    assert_eq!(wrapped.data().map(Data::bytes), Some(&data).filter(|data| !data.is_empty()));
    assert_sound(&wrapped);
    if let Ok(bytes) = pubsub::check(pairs(), ordering_key, data.len()) {
        assert!(bytes >= data.len() + ordering_key.len(), "what it is made of is in it");
    }
});
