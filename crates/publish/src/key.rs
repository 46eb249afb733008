use broker::Key;
use bytes::Bytes;
use event::{Event, Value};

use crate::{KeyFrom, Topic};

/// The key of an event: the publisher's own, else the `partitionkey` attribute, else what the topic's `key:` names.
/// An empty value is no key. `Err`: the key's length in bytes, over [`Key::BYTES_MAX`].
pub(crate) fn of(topic: &Topic, event: &Event, given: Option<Key>) -> Result<Option<Key>, usize> {
    if given.is_some() {
        return Ok(given);
    }
    let partition_key = event.attribute("partitionkey").map(bytes_of).filter(|bytes| !bytes.is_empty());
    let bytes = match (partition_key, &topic.key) {
        (Some(bytes), _) => bytes,
        (None, Some(from)) => bytes_of_attribute(from, event),
        (None, None) => return Ok(None),
    };
    if bytes.len() > Key::BYTES_MAX {
        return Err(bytes.len());
    }
    Ok(Key::new(bytes))
}

fn bytes_of_attribute(from: &KeyFrom, event: &Event) -> Bytes {
    match from {
        KeyFrom::Subject => event.subject().map(copy).unwrap_or_default(),
        KeyFrom::Source => copy(event.source()),
        KeyFrom::Type => copy(event.kind()),
        KeyFrom::Id => copy(event.id()),
        KeyFrom::Extension(name) => event.attribute(name).map(bytes_of).unwrap_or_default(),
    }
}

fn bytes_of(value: Value<'_>) -> Bytes {
    match value {
        Value::Boolean(true) => Bytes::from_static(b"true"),
        Value::Boolean(false) => Bytes::from_static(b"false"),
        Value::Integer(n) => n.to_string().into(),
        Value::String(text) => copy(text),
    }
}

fn copy(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
