//! The JSON batch format.

use bytes::Bytes;
use postrider_event::json;

const REQUIRED: &str = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;

#[test]
fn a_batch_is_read_or_refused_whole_with_the_index() {
    let batch = |text: &str| json::batch_from_bytes(Bytes::copy_from_slice(text.as_bytes()));
    let event = format!("{{{REQUIRED}}}");
    assert_eq!(batch(" [ ] ").map(|events| events.len()), Ok(0));
    assert_eq!(batch(&format!("[{event}]")).map(|events| events.len()), Ok(1));
    let [one, other] = [event.clone(), event.replace("\"1\"", "\"2\"")];
    let alone = [&one, &other].map(|event| json::from_bytes(event.clone().into()).expect("valid"));
    assert_eq!(batch(&format!(" [ {one} , {other} ] ")).ok().as_deref(), Some(&alone[..]));
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
