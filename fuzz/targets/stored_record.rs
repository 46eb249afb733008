//! Records as the embedded broker stores them, and the events in them.

#![no_main]

use broker::Body;
use bytes::Bytes;
use embedded::fuzzing as stored;
use event::Event;
use libfuzzer_sys::fuzz_target;
use postrider_fuzz::bounded;

fuzz_target!(|input: &[u8]| {
    let bytes = Bytes::copy_from_slice(input);
    if let Ok(event) = bounded(input.len(), 4, || Event::decode(bytes.clone())) {
        let mut again = Vec::new();
        event.encode(&mut again);
        assert_eq!(again, input, "what is decoded is canonical");
    }
    let read = bounded(input.len(), 8, || stored::decode(bytes.clone()));
    let key = stored::key(&bytes);
    let Ok(record) = read else { return };
    assert!(key.is_none() || key == record.key, "the key alone is the record's");
    let (length, again) = stored::encode(&record);
    assert_eq!(again.len(), length, "the length is told before");
    let twice = stored::decode(again.into()).expect("what is written is read");
    assert_eq!((&twice.key, &twice.hop, &twice.letter), (&record.key, &record.hop, &record.letter));
    match (&record.body, &twice.body) {
        (Body::Event(event), Body::Event(again)) => assert_eq!(event, again),
        (Body::Foreign { bytes, reason }, Body::Foreign { bytes: same, reason: told }) => {
            assert_eq!((bytes, reason), (same, told));
        }
        bodies => panic!("an event is no foreign record: {bodies:?}"),
    }
});
