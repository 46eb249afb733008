use bytes::Bytes;

use super::{ATTRIBUTE_VALUE_BYTES_MAX, ATTRIBUTES_MAX, PREFIX};
use crate::bindings::{self, PrefixedName};
use crate::model::Core;
use crate::{Data, Event, SPEC_VERSION, json};

/// The name of the attribute that is not prefixed.
pub const CONTENT_TYPE: &str = bindings::CONTENT_TYPE;

/// The `content-type` of a message in structured mode.
pub const STRUCTURED: &str = crate::http::STRUCTURED;

/// Whether binary mode can carry the event in a message that has so many attributes besides. One that it cannot carry
/// goes structured:
///
/// - whose attributes are too many, or have values that are too long;
/// - whose data is an event itself, or that one would be read instead of it;
/// - whose data has no bytes, or it would be read as none;
/// - which has an extension without a character: no document says that Pub/Sub keeps an attribute with an empty value.
///
/// Names of attributes always fit: [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) is less than Pub/Sub takes.
pub fn fits_binary(event: &Event, besides: usize) -> bool {
    // Pub/Sub binding 1.0, 3.1:
    //# The _binary_ content mode can only be used if the metadata attributes fit within
    //# the [limits of Pub/Sub messages][pubsub-message-quotas].
    let mut count = besides + 1;
    let mut fits = |text: &str| {
        count += 1;
        (1..=ATTRIBUTE_VALUE_BYTES_MAX).contains(&text.len())
    };
    let values_fit = event.content_type().is_none_or(&mut fits)
        && Core::ALL
            .into_iter()
            .filter(|core| *core != Core::DataContentType)
            .filter_map(|core| event.core(core))
            .all(&mut fits)
        && event.packed_extensions().all(|(_, _, text)| fits(text));
    // 3: a content type "prefixed with the CloudEvents media type" makes it structured.
    values_fit
        && count <= ATTRIBUTES_MAX
        && !event.holds_an_event()
        && event.data().is_none_or(|data| !data.bytes().is_empty())
}

/// Hands each attribute of the event in binary mode to `attribute`, name and value, and returns the message's data:
/// empty where the event has none. Nothing is copied and nothing allocated.
pub fn to_binary(event: &Event, mut attribute: impl FnMut(&str, &str)) -> Bytes {
    // Pub/Sub binding 1.0, 3.1.1: the content type has no prefix. Data that came as JSON and without one gets
    // application/json, as over HTTP: without the event around it, nothing else would say so.
    if let Some(content_type) = event.content_type() {
        attribute(CONTENT_TYPE, content_type);
    }
    // Pub/Sub binding 1.0, 3.1.3:
    //# All [CloudEvents][ce] attributes MUST be individually mapped to and from
    //# distinct Pub/Sub message attributes.
    attribute("ce-specversion", SPEC_VERSION);
    for core in Core::ALL {
        if let (Some(name), Some(value)) = (attribute_name(core), event.core(core)) {
            attribute(name, value);
        }
    }
    // 3.1.3.2:
    //# The value for each Pub/Sub attribute MUST be constructed from the respective
    //# CloudEvents attribute type's [canonical string representation][ce-types].
    let mut name = PrefixedName::new(PREFIX);
    for (extension, _, text) in event.packed_extensions() {
        attribute(name.of(extension), text);
    }
    event.data().map(Data::bytes).cloned().unwrap_or_default()
}

/// The event in structured mode: the `content-type`, which is the one attribute that it needs, and the message's data,
/// which is never empty.
pub fn to_structured(event: &Event) -> (&'static str, Bytes) {
    let mut data = Vec::new();
    json::write(event, &mut data);
    (STRUCTURED, data.into())
}

fn attribute_name(core: Core) -> Option<&'static str> {
    Some(match core {
        Core::Id => "ce-id",
        Core::Source => "ce-source",
        Core::Type => "ce-type",
        Core::Subject => "ce-subject",
        Core::Time => "ce-time",
        Core::DataSchema => "ce-dataschema",
        Core::DataContentType => return None,
    })
}
