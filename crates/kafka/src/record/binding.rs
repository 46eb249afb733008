//! Where a record's body meets the CloudEvents binding.

use broker::Body;
use bytes::Bytes;
use event::{Data, Event, Malformed, json};

use super::{Incoming, Writer, last, time};

/// Writes the event's headers and returns its value.
pub(super) fn to_binary(event: &Event, into: &mut Writer) -> Option<Bytes> {
    into.put("ce_specversion", event::SPEC_VERSION.as_bytes());
    let mut name = String::with_capacity(24);
    for (attribute, value) in event.attributes() {
        if attribute == "datacontenttype" {
            continue;
        }
        name.clear();
        name.push_str("ce_");
        name.push_str(attribute);
        into.put(&name, value.to_text().as_bytes());
    }
    if let Some(content_type) = event.content_type() {
        into.put("content-type", content_type.as_bytes());
    }
    event.data().map(|data| data.bytes().clone())
}

/// The body of a record that nothing marks as foreign.
pub(super) fn body<'a, H>(incoming: Incoming<'a, H>) -> Body
where
    H: Iterator<Item = (&'a str, Option<&'a [u8]>)> + Clone,
{
    let value = incoming.value.clone();
    match read(incoming) {
        Ok(event) => Body::Event(event),
        Err(malformed) => Body::Foreign { bytes: value.unwrap_or_default(), reason: malformed.to_string() },
    }
}

fn read<'a, H>(incoming: Incoming<'a, H>) -> Result<Event, Malformed>
where
    H: Iterator<Item = (&'a str, Option<&'a [u8]>)> + Clone,
{
    let content_type =
        last(incoming.headers.clone(), "content-type").and_then(|value| std::str::from_utf8(value).ok());
    if content_type.is_some_and(|text| text.starts_with(event::http::STRUCTURED)) {
        return json::from_bytes(incoming.value.unwrap_or_default());
    }
    let mut builder = Event::builder();
    let mut marked = false;
    for (name, value) in incoming.headers.clone() {
        let Some(attribute) = name.strip_prefix("ce_") else { continue };
        let text = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        marked = true;
        builder = match attribute {
            "specversion" => builder,
            "id" => builder.id(text),
            "source" => builder.source(text),
            "type" => builder.kind(text),
            "subject" => builder.subject(text),
            "time" => builder.time(text),
            "dataschema" => builder.data_schema(text),
            _ => builder.extension(attribute, event::Value::String(&text)),
        };
    }
    if !marked {
        builder = builder
            .id(format!("{}-{}", incoming.partition, incoming.offset))
            .source(format!("/kafka/{}", incoming.topic))
            .kind(incoming.topic);
        if let Some(time) = incoming.timestamp.and_then(time::rfc3339) {
            builder = builder.time(time);
        }
    }
    if let Some(content_type) = content_type {
        builder = builder.data_content_type(content_type);
    }
    match incoming.value {
        Some(value) => builder.data(Data::Binary(value)).build(),
        None => builder.build(),
    }
}
