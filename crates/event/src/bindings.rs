//! What the bindings to brokers have in common: a `content-type` that tells the mode, prefixed names, and messages that
//! are no CloudEvents.

use bytes::Bytes;

use crate::rules::media_type;
use crate::rules::name::NAME_BYTES_MAX;
use crate::{Builder, Data, Event, Malformed};

/// The name of what is not prefixed.
pub(crate) const CONTENT_TYPE: &str = "content-type";

/// The event format that a content type of `application/cloudevents…` names.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Json,
    Batch,
    Other,
}

impl Format {
    /// `None` where the content type names none, which makes the message one in binary mode or no CloudEvent.
    pub(crate) fn of(content_type: &[u8]) -> Option<Self> {
        // Kafka binding 1.0.2, 3, and in its words Google's Pub/Sub binding, 3:
        //# If the header is present and its value is prefixed with the CloudEvents
        //# media type `application/cloudevents`, indicating the use of a known
        //# event format, the receiver uses _structured_ mode,
        //# otherwise it defaults to _binary_ mode.
        // Media types have no case (RFC 2045), which the drafts of the Kafka binding after 1.0.2 recall here.
        const MEDIA_TYPE: &[u8] = b"application/cloudevents";
        const BATCH: &[u8] = b"application/cloudevents-batch";
        let essence = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let begins =
            |with: &[u8]| essence.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
        if essence.eq_ignore_ascii_case(crate::http::STRUCTURED.as_bytes()) {
            Some(Self::Json)
        } else if begins(BATCH) {
            Some(Self::Batch)
        } else {
            begins(MEDIA_TYPE).then_some(Self::Other)
        }
    }
}

/// A message's `content-type`: the exact name counts before the same in another case, which no rule forbids, and which
/// bridges from HTTP write.
#[derive(Clone, Copy, Default)]
pub(crate) struct ContentType<V> {
    exact: Found<V>,
    other_case: Found<V>,
}

/// A name by the values that it has in the message.
#[derive(Clone, Copy, Default)]
pub(crate) enum Found<V> {
    #[default]
    Absent,
    Once(V),
    /// Its first value; others follow.
    Often(V),
}

impl<V: Copy> ContentType<V> {
    /// Takes the value where the name is this one.
    pub(crate) fn take(&mut self, name: &[u8], value: V) {
        if !name.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes()) {
            return;
        }
        let found = if name == CONTENT_TYPE.as_bytes() { &mut self.exact } else { &mut self.other_case };
        *found = match *found {
            Found::Absent => Found::Once(value),
            Found::Once(first) | Found::Often(first) => Found::Often(first),
        };
    }

    pub(crate) fn found(&self) -> Found<V> {
        if matches!(self.exact, Found::Absent) { self.other_case } else { self.exact }
    }

    /// The value that tells the mode.
    pub(crate) fn first(&self) -> Option<V> {
        match self.found() {
            Found::Absent => None,
            Found::Once(value) | Found::Often(value) => Some(value),
        }
    }
}

/// Wraps a message that is no CloudEvent. A producer that knows nothing of CloudEvents owes its content type nothing: one
/// that is no media type is left out, and so is one that is and cannot be an attribute's value (it may hold a tab, or be
/// longer than all attributes may be).
pub(crate) fn wrap(
    builder: Builder,
    content_type: Option<&str>,
    data: Option<Bytes>,
) -> Result<Event, Malformed> {
    let builder = match data {
        Some(bytes) => builder.data(Data::Binary(bytes)),
        None => builder,
    };
    if let Some(text) = content_type
        && media_type::is_valid(text)
        && let Ok(event) = builder.clone().data_content_type(text).build()
    {
        return Ok(event);
    }
    builder.build()
}

const PREFIX_BYTES: usize = 3;

/// Where prefixed names of extensions are put together, one after another.
pub(crate) struct PrefixedName {
    bytes: [u8; PREFIX_BYTES + NAME_BYTES_MAX],
}

impl PrefixedName {
    pub(crate) fn new(prefix: [u8; PREFIX_BYTES]) -> Self {
        let mut bytes = [0; PREFIX_BYTES + NAME_BYTES_MAX];
        bytes[..PREFIX_BYTES].copy_from_slice(&prefix);
        Self { bytes }
    }

    pub(crate) fn of(&mut self, attribute: &str) -> &str {
        let end = PREFIX_BYTES + attribute.len();
        self.bytes[PREFIX_BYTES..end].copy_from_slice(attribute.as_bytes());
        std::str::from_utf8(&self.bytes[..end]).expect("attribute names are lower-case letters and digits")
    }
}
