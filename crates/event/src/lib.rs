//! CloudEvents 1.0.2: the model, the JSON format, and the HTTP binding in binary, structured and batched mode.
//!
//! Pure: no I/O, no clock, no randomness. An [`Event`] is cheap to clone; its data is a [`Bytes`] slice of what came
//! in, and is never taken apart.

pub mod http;
pub mod json;

use std::borrow::Cow;

use bytes::Bytes;

/// A valid CloudEvent 1.0. Constructed only by validation: [`Builder::build`], [`json`], [`http`] or [`Event::decode`].
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    _todo: (),
}

/// The value of a context attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Boolean(bool),
    Integer(i32),
    /// String, URI, URI-reference, Timestamp and (base64) Binary: their canonical string form.
    String(&'a str),
}

/// An event's payload, untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Bytes of the type that `datacontenttype` names.
    Binary(Bytes),
    /// A JSON text, verbatim as it stood in the `data` member of an event in structured mode.
    Json(Bytes),
}

/// Why something is not a CloudEvent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {rule}", .attribute.as_deref().unwrap_or("event"))]
pub struct Malformed {
    /// The attribute (or JSON member) at fault.
    pub attribute: Option<String>,
    /// The rule that it breaks, as a sentence that a publisher can act on.
    pub rule: Cow<'static, str>,
}

/// Builds an event attribute by attribute.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    _todo: (),
}

impl Event {
    pub fn builder() -> Builder {
        Builder::default()
    }
    pub fn id(&self) -> &str {
        todo!()
    }
    pub fn source(&self) -> &str {
        todo!()
    }
    /// The `type` attribute.
    pub fn kind(&self) -> &str {
        todo!()
    }
    pub fn subject(&self) -> Option<&str> {
        todo!()
    }
    pub fn time(&self) -> Option<&str> {
        todo!()
    }
    pub fn data_content_type(&self) -> Option<&str> {
        todo!()
    }
    pub fn data_schema(&self) -> Option<&str> {
        todo!()
    }
    /// Any attribute by its name, extensions included.
    pub fn attribute(&self, _name: &str) -> Option<Value<'_>> {
        todo!()
    }
    /// All attributes but `specversion`, in a stable order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        std::iter::empty()
    }
    pub fn data(&self) -> Option<&Data> {
        todo!()
    }
    /// Appends the compact stored form, which [`Event::decode`] reads back without validating again.
    pub fn encode(&self, _into: &mut Vec<u8>) {
        todo!()
    }
    /// How many bytes [`Event::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        todo!()
    }
    /// Reads the stored form; data becomes a slice of `bytes`. Damaged bytes are an error, never a panic.
    pub fn decode(_bytes: Bytes) -> Result<Self, Malformed> {
        todo!()
    }
}

impl Builder {
    pub fn id(self, _id: impl Into<String>) -> Self {
        todo!()
    }
    pub fn source(self, _source: impl Into<String>) -> Self {
        todo!()
    }
    /// The `type` attribute.
    pub fn kind(self, _kind: impl Into<String>) -> Self {
        todo!()
    }
    pub fn subject(self, _subject: impl Into<String>) -> Self {
        todo!()
    }
    /// An RFC 3339 timestamp.
    pub fn time(self, _time: impl Into<String>) -> Self {
        todo!()
    }
    pub fn data_content_type(self, _media_type: impl Into<String>) -> Self {
        todo!()
    }
    pub fn extension(self, _name: &str, _value: Value<'_>) -> Self {
        todo!()
    }
    pub fn data(self, _data: Data) -> Self {
        todo!()
    }
    pub fn build(self) -> Result<Event, Malformed> {
        todo!()
    }
}
