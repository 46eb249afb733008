//! Where a record's body meets the CloudEvents binding.

use broker::Body;
use bytes::Bytes;
use event::{Event, Malformed, kafka};

use super::{Incoming, Named, Writer};

/// Writes the event's headers and returns its value.
pub(super) fn to_binary(event: &Event, into: &mut Writer) -> Option<Bytes> {
    kafka::to_binary(event, |name, value| into.put(name, value)).cloned()
}

/// Writes the one header that structured mode needs and returns the event as JSON.
pub(super) fn to_structured(event: &Event, into: &mut Writer) -> Bytes {
    let (content_type, value) = kafka::to_structured(event);
    into.put(kafka::CONTENT_TYPE, content_type.as_bytes());
    value
}

/// The body of a record that nothing marks as foreign.
pub(super) fn body<'a, H>(incoming: Incoming<'a, H>) -> Body
where
    H: Iterator<Item = Named<'a>> + Clone,
{
    let value = incoming.value.clone();
    match read(incoming) {
        Ok(event) => Body::Event(event),
        Err(malformed) => Body::Foreign { bytes: value.unwrap_or_default(), reason: malformed.to_string() },
    }
}

fn read<'a, H>(incoming: Incoming<'a, H>) -> Result<Event, Malformed>
where
    H: Iterator<Item = Named<'a>> + Clone,
{
    let Incoming { topic, partition, offset, timestamp, value, headers, .. } = incoming;
    if let Some(event) = kafka::from_message(headers.clone(), value.clone())? {
        return Ok(event);
    }
    // Where it stands is what tells it from every other record.
    let mut builder =
        Event::builder().id(format!("{partition}-{offset}")).source(format!("/kafka/{topic}")).kind(topic);
    if let Some(time) = timestamp.and_then(event::rfc3339) {
        builder = builder.time(time);
    }
    kafka::from_plain(builder, headers, value)
}
