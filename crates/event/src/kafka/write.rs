use bytes::Bytes;

use super::PREFIX;
use crate::bindings::{self, PrefixedName};
use crate::model::Core;
use crate::{Data, Event, SPEC_VERSION, json};

/// The name of the header that is not prefixed.
pub const CONTENT_TYPE: &str = bindings::CONTENT_TYPE;

/// The `content-type` of a record in structured mode.
pub const STRUCTURED: &str = crate::http::STRUCTURED;

/// Whether binary mode can carry the event. One whose data is an event itself goes structured, or that one would be read
/// instead of it.
pub fn fits_binary(event: &Event) -> bool {
    // Kafka binding 1.0.2, 3: a content type "prefixed with the CloudEvents media type" makes it structured.
    !event.holds_an_event()
}

/// Hands each header of the event in binary mode to `header`, name and value, and returns the record's value: `None`,
/// a null, where the event has no data. Nothing is copied and nothing allocated.
///
/// On a compacted topic a record with a key and a null value is a tombstone, which the drafts after 1.0.2 say of events
/// without data (section 3.2.2): they mean it.
pub fn to_binary(event: &Event, mut header: impl FnMut(&str, &[u8])) -> Option<&Bytes> {
    // Kafka binding 1.0.2, 3.2.1: the content type has no prefix. Data that came as JSON and without one gets
    // application/json, as over HTTP: without the event around it, nothing else would say so.
    if let Some(content_type) = event.content_type() {
        header(CONTENT_TYPE, content_type.as_bytes());
    }
    // Kafka binding 1.0.2, 3.2.3:
    //# All CloudEvents attributes and CloudEvent Attributes Extensions
    //# with exception of `data` MUST be individually mapped to and from the Header
    //# fields in the Kafka message.
    header("ce_specversion", SPEC_VERSION.as_bytes());
    for core in Core::ALL {
        if let (Some(name), Some(value)) = (header_name(core), event.core(core)) {
            header(name, value.as_bytes());
        }
    }
    let mut name = PrefixedName::new(PREFIX);
    for (attribute, _, text) in event.packed_extensions() {
        header(name.of(attribute), text.as_bytes());
    }
    event.data().map(Data::bytes)
}

/// The event in structured mode: the `content-type`, which is the one header that it needs, and the record's value,
/// which is never null.
pub fn to_structured(event: &Event) -> (&'static str, Bytes) {
    let mut value = Vec::new();
    json::write(event, &mut value);
    (STRUCTURED, value.into())
}

fn header_name(core: Core) -> Option<&'static str> {
    Some(match core {
        Core::Id => "ce_id",
        Core::Source => "ce_source",
        Core::Type => "ce_type",
        Core::Subject => "ce_subject",
        Core::Time => "ce_time",
        Core::DataSchema => "ce_dataschema",
        Core::DataContentType => return None,
    })
}
