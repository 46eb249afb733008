//! CloudEvents 1.0.2: the model, the JSON format, the HTTP binding in binary, structured and batched mode, and the
//! bindings to Kafka and to Google Pub/Sub in binary and structured mode.
//!
//! Pure: no I/O, no clock, no randomness. An [`Event`] is cheap to clone; its data is a [`Bytes`] slice of what came
//! in, and is never taken apart.
//!
//! ```
//! use postrider_event::http::{self as binding, Encoding};
//! use postrider_event::{Event, json};
//!
//! let event = json::from_bytes(
//!     r#"{"specversion":"1.0","id":"1","source":"/orders","type":"order.created","data":{"total":5}}"#.into(),
//! )?;
//! assert_eq!(event.kind(), "order.created");
//!
//! let mut headers = http::HeaderMap::new();
//! let body = binding::to_binary(&event, Encoding::Percent, &mut headers);
//! assert_eq!(headers["ce-type"], "order.created");
//! assert_eq!(headers["content-type"], "application/json");
//! assert_eq!(body, r#"{"total":5}"#);
//!
//! let refused = Event::builder().id("1").source("not a URI").kind("t").build().unwrap_err();
//! assert_eq!(refused.attribute.as_deref(), Some("source"));
//! # Ok::<(), postrider_event::Malformed>(())
//! ```
//!
//! Where the code keeps a MUST of the specification, the sentence stands beside it, marked `//#`.

mod bindings;
mod builder;
mod draft;
pub mod http;
pub mod json;
pub mod kafka;
mod model;
pub mod pubsub;
mod rules;
mod stored;

use std::borrow::Cow;

use bytes::Bytes;

pub use builder::Builder;
pub use draft::{ATTRIBUTES_BYTES_MAX, EXTENSIONS_MAX};
pub use model::{Event, Value};
pub use rules::name::NAME_BYTES_MAX;
pub use rules::timestamp::rfc3339;

/// The one version of the specification that is spoken here.
pub const SPEC_VERSION: &str = "1.0";

/// An event's payload, untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Bytes of the type that `datacontenttype` names.
    Binary(Bytes),
    /// A JSON text, verbatim as it stood in the `data` member of an event in structured mode.
    Json(Bytes),
}

impl Data {
    /// The bytes as a body carries them.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Binary(bytes) | Self::Json(bytes) => bytes,
        }
    }

    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Binary(bytes) | Self::Json(bytes) => bytes,
        }
    }
}

/// Why something is not a CloudEvent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {rule}", .attribute.as_deref().unwrap_or("event"))]
pub struct Malformed {
    /// The attribute (or JSON member) at fault. A stranger's name is cut where it is overlong, and holds no control
    /// characters.
    pub attribute: Option<String>,
    /// The rule that it breaks, as a sentence that a publisher can act on.
    pub rule: Cow<'static, str>,
}

impl Malformed {
    pub(crate) fn new(attribute: &str, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { attribute: Some(shown(attribute)), rule: rule.into() }
    }

    pub(crate) fn event(rule: impl Into<Cow<'static, str>>) -> Self {
        Self { attribute: None, rule: rule.into() }
    }
}

/// A name as answers and logs may have it: it may come from a stranger.
fn shown(name: &str) -> String {
    let end = name.floor_char_boundary(NAME_BYTES_MAX);
    let shown = name[..end].chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    let cut = (end < name.len()).then_some('…');
    shown.chain(cut).collect()
}
