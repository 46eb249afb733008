//! The Kafka binding: what a record's headers and value say.

#![no_main]

use event::{Data, Event, kafka};
use libfuzzer_sys::fuzz_target;
use postrider_fuzz::{assert_sound, bounded, headers_and_body};

fuzz_target!(|input: &[u8]| {
    let (headers, value) = headers_and_body(input);
    let read = bounded(input.len(), 8, || kafka::from_message(headers.iter().copied(), value.clone()));
    match read {
        Ok(Some(event)) => assert_sound(&event),
        Ok(None) => {}
        Err(malformed) => assert!(!malformed.rule.is_empty()),
    }
    let plain = Event::builder().id("0-1").source("/kafka/t").kind("t");
    let wrapped = kafka::from_plain(plain, headers, value.clone()).expect("any record is wrapped");
    assert_eq!(wrapped.data().map(Data::bytes), value.as_ref());
    assert_sound(&wrapped);
});
