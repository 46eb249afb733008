//! The HTTP protocol binding 1.0.2.

mod binary;
mod percent;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::{Builder, Data, Event, Malformed, json};

pub use binary::{fits_binary, from_binary, id, text, to_binary, value};

/// The media type of one event in the JSON format.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// The media type of a batch in the JSON format.
pub const BATCHED: &str = "application/cloudevents-batch+json";

/// The media type of newline-delimited JSON.
pub const LINES: &str = "application/x-ndjson";

/// How a message carries its event or events, by its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `ce-` headers, data in the body.
    Binary,
    /// `application/cloudevents+json`.
    Structured,
    /// `application/cloudevents-batch+json`.
    Batched,
    /// `application/x-ndjson`: a structured event a line (Postrider's own, no mode of the binding).
    Lines,
    /// No CloudEvent at all.
    Plain,
    /// `application/cloudevents` in a format that is not supported.
    UnsupportedFormat,
}

/// Whether values outside of printable ASCII are percent-encoded in headers, as the binding has it, or sent raw for
/// receivers that do not decode (spec#1397). Raw values that begin or end with spaces, or look quoted or encoded, are
/// read differently by receivers that keep the binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Percent,
    Raw,
}

/// Tells the mode from `content-type` and the presence of `ce-` headers.
pub fn mode(headers: &HeaderMap) -> Mode {
    let content_type = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let essence = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    // HTTP binding 1.0.2, 3: the mode follows from the prefix of the content type. `application/cloudevents-batch`
    // begins with `application/cloudevents`, so no format is taken for another than it names. Media types have no
    // case (RFC 2045).
    if essence.eq_ignore_ascii_case(BATCHED.as_bytes()) {
        return Mode::Batched;
    }
    if essence.eq_ignore_ascii_case(STRUCTURED.as_bytes()) {
        return Mode::Structured;
    }
    const PREFIX: &[u8] = b"application/cloudevents";
    if essence.get(..PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(PREFIX)) {
        return Mode::UnsupportedFormat;
    }
    if headers.keys().any(|name| name.as_str().starts_with(binary::PREFIX)) {
        return Mode::Binary;
    }
    if essence.eq_ignore_ascii_case(LINES.as_bytes()) { Mode::Lines } else { Mode::Plain }
}

/// Reads the event that a message carries in binary or structured mode; `None` where it carries none, as a webhook's
/// plain answer.
pub fn from_message(headers: &HeaderMap, body: Bytes) -> Result<Option<Event>, Malformed> {
    match mode(headers) {
        Mode::Binary => from_binary(headers, body).map(Some),
        Mode::Structured => json::from_bytes(body).map(Some),
        Mode::Plain => Ok(None),
        Mode::Batched | Mode::Lines => {
            Err(Malformed::event("must come alone: one event is expected here, and no batch"))
        }
        Mode::UnsupportedFormat => {
            Err(Malformed::event("must be in the JSON format: no other is supported here"))
        }
    }
}

/// Wraps a body that is no CloudEvent: the bytes as they are become the data, `content-type` becomes
/// `datacontenttype`, and the rest is what the caller has put into `builder`.
pub fn from_plain(builder: Builder, headers: &HeaderMap, body: Bytes) -> Result<Event, Malformed> {
    let builder = match binary::content_type(headers)? {
        Some(content_type) => builder.data_content_type(content_type),
        None => builder,
    };
    if body.is_empty() { builder.build() } else { builder.data(Data::Binary(body)).build() }
}

/// The body of a message in structured mode, whose `content-type` is [`STRUCTURED`].
pub fn to_structured(event: &Event) -> Bytes {
    let mut body = Vec::new();
    json::write(event, &mut body);
    body.into()
}
