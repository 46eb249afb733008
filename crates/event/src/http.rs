//! The HTTP protocol binding 1.0.2.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::{Event, Malformed};

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

/// Tells the mode from `content-type` and the presence of `ce-` headers.
pub fn mode(_headers: &HeaderMap) -> Mode {
    todo!()
}

/// Reads an event in binary mode.
pub fn from_binary(_headers: &HeaderMap, _body: Bytes) -> Result<Event, Malformed> {
    todo!()
}

/// Whether values outside of printable ASCII are percent-encoded in headers, as the binding has it, or sent raw for
/// receivers that do not decode (spec#1397).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Percent,
    Raw,
}

/// Adds the event's headers, `content-type` included, and returns the body, for binary mode.
pub fn to_binary(_event: &Event, _encoding: Encoding, _into: &mut HeaderMap<HeaderValue>) -> Bytes {
    todo!()
}

/// Whether binary mode can carry the event over a webhook: one without data cannot be sent so, and goes structured.
pub fn fits_binary(_event: &Event) -> bool {
    todo!()
}
