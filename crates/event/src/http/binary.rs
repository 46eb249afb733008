//! Binary mode.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::{Encoding, percent};
use crate::draft::{Draft, Raw};
use crate::model::Core;
use crate::{Data, Event, Malformed};

pub(super) const PREFIX: &str = "ce-";

/// Reads an event in binary mode.
///
/// An empty body is no data: HTTP cannot tell the two apart. All attributes come as strings, their canonical form.
pub fn from_binary(headers: &HeaderMap, body: Bytes) -> Result<Event, Malformed> {
    let mut draft = Draft::default();
    for (name, value) in headers {
        // HTTP binding 1.0.2, 3.1.3:
        //# All other CloudEvents attributes, including extensions, MUST be
        //# individually mapped to and from distinct HTTP message header.
        // Header names have no case; `HeaderName` holds them in lower case. A header that comes twice is not
        // distinct, and the draft refuses it.
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        // HTTP binding 1.0.2, 3.1.1:
        //# Note that a `ce-datacontenttype` HTTP header MUST NOT also be
        //# present in the message.
        if Core::of(attribute) == Some(Core::DataContentType) {
            return Err(Malformed::new(
                attribute,
                "must come as the content-type header, never as ce-datacontenttype (HTTP binding 1.0.2, section 3.1.1)",
            ));
        }
        let text = text(value).map_err(|rule| Malformed::new(attribute, rule))?;
        draft.add(Cow::Borrowed(attribute), Raw::String(text))?;
    }
    // HTTP binding 1.0.2, 3.1.1:
    //# For the binary mode, the HTTP `Content-Type` header value corresponds to
    //# (MUST be populated from or written to) the CloudEvents `datacontenttype`
    //# attribute.
    if let Some(content_type) = content_type(headers)? {
        draft.add(Cow::Borrowed(Core::DataContentType.name()), Raw::String(Cow::Borrowed(content_type)))?;
    }
    draft.check()?;
    draft.pack((!body.is_empty()).then_some(Data::Binary(body)))
}

/// The one `content-type` of a message.
pub(super) fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Malformed::new("datacontenttype", "must come in a single content-type header"));
    }
    let text =
        value.to_str().map_err(|_| Malformed::new("datacontenttype", "must be ASCII text (RFC 2046)"))?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

/// Adds the event's headers and returns the body, for binary mode. `content-type` is replaced, or removed where the
/// event has none.
pub fn to_binary(event: &Event, encoding: Encoding, into: &mut HeaderMap<HeaderValue>) -> Bytes {
    let raw =
        |text: Bytes| HeaderValue::from_maybe_shared(text).expect("attributes hold no control characters");
    match (event.core_bytes(Core::DataContentType), event.implied_content_type()) {
        (Some(named), _) => into.insert(CONTENT_TYPE, raw(named)),
        (None, Some(implied)) => into.insert(CONTENT_TYPE, HeaderValue::from_static(implied)),
        // What may stand there is not this event's.
        (None, None) => into.remove(CONTENT_TYPE),
    };
    into.insert(SPEC_VERSION, HeaderValue::from_static(crate::SPEC_VERSION));
    let value = |text: Bytes| match encoding {
        Encoding::Percent => percent::encode(text),
        Encoding::Raw => raw(text),
    };
    for core in Core::ALL {
        if let (Some(name), Some(text)) = (header_name(core), event.core_bytes(core)) {
            into.insert(name, value(text));
        }
    }
    // HTTP binding 1.0.2, 3.1.3.1:
    //# Except where noted, all CloudEvents context attributes, including extensions,
    //# MUST be mapped to HTTP headers with the same name as the attribute name but
    //# prefixed with `ce-`.
    for (attribute, _, text) in event.packed_extensions() {
        into.insert(extension_name(attribute), value(event.head.slice_ref(text.as_bytes())));
    }
    event.data().map_or_else(Bytes::new, |data| data.bytes().clone())
}

/// The event's `id` as a header's value, percent-encoded as `ce-id` is by default.
pub fn id(event: &Event) -> HeaderValue {
    value(event.core_bytes(Core::Id).unwrap_or_default())
}

/// Any bytes as a header's value, percent-encoded as attributes are by default: what is read back from it is the same
/// bytes. Those that need no encoding are shared, not copied.
pub fn value(bytes: Bytes) -> HeaderValue {
    percent::encode(bytes)
}

/// The text that a header's value stands for, read as attributes are: what [`value`] wrote, or the text itself where a
/// sender encodes nothing. The error is the rule that it breaks.
pub fn text(value: &HeaderValue) -> Result<Cow<'_, str>, &'static str> {
    percent::decode(value.as_bytes())
}

/// Whether binary mode can carry the event over a webhook. One without data or without a content type cannot be sent
/// so, and goes structured; so does one whose data is an event itself, or that one would be read instead of it.
pub fn fits_binary(event: &Event) -> bool {
    // HTTP WebHook 1.0.2, 2.1:
    //# The `Content-Type` header MUST be carried and the request MUST
    //# carry a notification payload of the given content type.
    let has_type =
        event.core_bytes(Core::DataContentType).is_some() || event.implied_content_type().is_some();
    let has_payload = has_type && event.data().is_some_and(|data| !data.bytes().is_empty());
    has_payload && !event.holds_an_event()
}

/// Names are checked where they are made, which constants are by the compiler.
const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");
const ID: HeaderName = HeaderName::from_static("ce-id");
const SOURCE: HeaderName = HeaderName::from_static("ce-source");
const TYPE: HeaderName = HeaderName::from_static("ce-type");
const SUBJECT: HeaderName = HeaderName::from_static("ce-subject");
const TIME: HeaderName = HeaderName::from_static("ce-time");
const DATA_SCHEMA: HeaderName = HeaderName::from_static("ce-dataschema");

fn header_name(core: Core) -> Option<HeaderName> {
    Some(match core {
        Core::Id => ID,
        Core::Source => SOURCE,
        Core::Type => TYPE,
        Core::Subject => SUBJECT,
        Core::Time => TIME,
        Core::DataSchema => DATA_SCHEMA,
        Core::DataContentType => return None,
    })
}

/// The extensions that the specification's repository documents and that messages are likely to have.
const EXTENSIONS: [(&str, HeaderName); 8] = [
    ("causationid", HeaderName::from_static("ce-causationid")),
    ("correlationid", HeaderName::from_static("ce-correlationid")),
    ("dataref", HeaderName::from_static("ce-dataref")),
    ("partitionkey", HeaderName::from_static("ce-partitionkey")),
    ("sampledrate", HeaderName::from_static("ce-sampledrate")),
    ("sequence", HeaderName::from_static("ce-sequence")),
    ("traceparent", HeaderName::from_static("ce-traceparent")),
    ("tracestate", HeaderName::from_static("ce-tracestate")),
];

fn extension_name(attribute: &str) -> HeaderName {
    if let Some((_, name)) = EXTENSIONS.iter().find(|(known, _)| *known == attribute) {
        return name.clone();
    }
    HeaderName::try_from([PREFIX, attribute].concat())
        .expect("attribute names are lower-case letters and digits")
}
