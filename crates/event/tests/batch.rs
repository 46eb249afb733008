//! The JSON batch format.

use bytes::Bytes;
use postrider_event::Event;
use postrider_event::json::{self, BatchWriter};

const REQUIRED: &str = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;

fn read(members: &str) -> Event {
    json::from_bytes(format!("{{{REQUIRED},{members}}}").into()).expect("valid")
}

#[test]
fn a_batch_is_read_or_refused_whole_with_the_index() {
    let batch = |text: &str| json::batch_from_bytes(Bytes::copy_from_slice(text.as_bytes()));
    let event = format!("{{{REQUIRED}}}");
    assert_eq!(batch(" [ ] ").map(|events| events.len()), Ok(0));
    assert_eq!(batch(&format!("[{event}]")).map(|events| events.len()), Ok(1));
    assert_eq!(batch(&format!(" [ {event} , {event} ] ")).map(|events| events.len()), Ok(2));
    for (text, index) in [
        (String::new(), None),
        (event.clone(), None),
        ("null".into(), None),
        ("[".into(), Some(0)),
        ("[1]".into(), Some(0)),
        (format!("[\"{{}}\",{event}]"), Some(0)),
        (format!("[{event},{{}}]"), Some(1)),
        (format!("[{event},]"), Some(1)),
        (format!("[{event},[{event}]]"), Some(1)),
        (format!("[{event},{event},null]"), Some(2)),
        (format!("[{event},{}]", event.replace("1.0", "0.3")), Some(1)),
        (format!("[{event}{event}]"), None),
        (format!("[{event}"), None),
        (format!("[{event}]]"), None),
    ] {
        assert_eq!(batch(&text).map_err(|(index, _)| index).map(|_| ()), Err(index), "{text}");
    }
}

#[test]
fn a_batch_is_written_at_once_or_event_by_event() {
    let events = [read("\"data\":1"), read("\"ext\":true")];
    for count in 0..=2 {
        let mut whole = Vec::new();
        json::write_batch(&events[..count], &mut whole);
        let mut writer = BatchWriter::default();
        for event in &events[..count] {
            assert_eq!(writer.is_empty(), writer.len() == 2);
            writer.push(event);
        }
        assert_eq!(writer.len(), whole.len(), "the length is that of the finished batch");
        assert_eq!(writer.finish(), whole);
        let again = json::batch_from_bytes(whole.into());
        assert_eq!(again.as_deref(), Ok(&events[..count]));
    }
}
