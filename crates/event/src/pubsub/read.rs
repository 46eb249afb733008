use std::borrow::Cow;

use bytes::Bytes;

use super::PREFIX;
use crate::bindings::{self, Format, Found};
use crate::draft::{Draft, Raw};
use crate::model::Core;
use crate::rules::{text, timestamp};
use crate::{Data, Event, Malformed, Value, json};

/// Reads the event that a message carries in binary or structured mode; `None` where nothing marks it as one.
///
/// A message is marked by an attribute whose name begins with `ce-`, or by a `content-type` that begins with
/// `application/cloudevents`; one that is marked and breaks a rule is malformed. In what spellings the content type comes,
/// the [module](super) tells.
///
/// Names of Pub/Sub's attributes have case, and the binding writes its own in lower case. An attribute's name in another
/// case breaks a rule, and so `ce-ID` and `CE-id` are malformed rather than overlooked.
///
/// In binary mode empty data is no data. All attributes come as strings, their canonical form.
pub fn from_message<'a, S>(
    attributes: impl IntoIterator<Item = (&'a S, &'a S)>,
    data: Bytes,
) -> Result<Option<Event>, Malformed>
where
    S: AsRef<str> + ?Sized + 'a,
{
    let mut reader = Reader::default();
    for (name, value) in attributes {
        reader.attribute(name.as_ref(), value.as_ref());
    }
    match reader.content_type.first().and_then(|value| Format::of(value.as_bytes())) {
        // Pub/Sub binding 1.0, 3.2.3: such a message may repeat attributes beside its data; the data alone counts.
        Some(format) => {
            single(reader.content_type)?;
            structured(format, data).map(Some)
        }
        None if reader.is_marked => reader.binary(data).map(Some),
        None => Ok(None),
    }
}

/// The extension that has a wrapped message's id, which is the event's `id` too.
pub const MESSAGE_ID: &str = "pubsubmessageid";

/// The extension that has the time at which a wrapped message was published, which is the event's `time` too.
pub const PUBLISH_TIME: &str = "pubsubpublishtime";

/// The extension that has a wrapped message's ordering key; left out where there is none, and where it is no text that an
/// attribute can have.
pub const ORDERING_KEY: &str = "pubsuborderingkey";

/// What the server knows of a message.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    /// The topic's own name: what follows `/topics/` in its full one.
    pub topic: &'a str,
    /// Unique within the topic, says Pub/Sub.
    pub message_id: &'a str,
    /// In milliseconds since the Unix epoch.
    pub publish_time_ms: Option<i64>,
    /// Empty where there is none.
    pub ordering_key: &'a str,
}

impl Plain<'_> {
    fn builder(&self) -> crate::Builder {
        // A `%` is the one character of a topic's name that a URI has another use for.
        let source = format!("/pubsub/{}", self.topic.replace('%', "%25"));
        let mut builder = Event::builder().id(self.message_id).source(source).kind(self.topic);
        builder = builder.extension(MESSAGE_ID, Value::String(self.message_id));
        if let Some(time) = self.publish_time_ms.and_then(timestamp::rfc3339) {
            builder = builder.extension(PUBLISH_TIME, Value::String(&time)).time(time);
        }
        if !self.ordering_key.is_empty() && text::is_allowed(self.ordering_key) {
            builder = builder.extension(ORDERING_KEY, Value::String(self.ordering_key));
        }
        builder
    }
}

/// Wraps a message that is no CloudEvent: its data as it is becomes the event's, a `content-type` that is a valid media
/// type becomes `datacontenttype`, and what the server knows of it becomes the rest. `id` is the message's, `source` is
/// `/pubsub/{topic}`, `type` the topic, `time` when it was published; and the three are extensions as well, with the
/// ordering key. Other attributes of the message are none of the event's.
///
/// Fails only by what stands in `plain`, where its topic or id are none that Pub/Sub gives.
pub fn from_plain<'a, S>(
    plain: Plain<'_>,
    attributes: impl IntoIterator<Item = (&'a S, &'a S)>,
    data: Bytes,
) -> Result<Event, Malformed>
where
    S: AsRef<str> + ?Sized + 'a,
{
    let mut content_type = ContentType::default();
    for (name, value) in attributes {
        content_type.take(name.as_ref().as_bytes(), value.as_ref());
    }
    let data = (!data.is_empty()).then_some(data);
    bindings::wrap(plain.builder(), single(content_type).ok().flatten(), data)
}

/// Its `content-type`.
type ContentType<'a> = bindings::ContentType<&'a str>;

/// The attributes of one message, as far as the binding gives them a meaning.
#[derive(Default)]
struct Reader<'a> {
    draft: Draft<'a>,
    content_type: ContentType<'a>,
    /// `ce-datacontenttype`: counts where there is no `content-type`.
    prefixed_content_type: Option<&'a str>,
    /// Whether an attribute's name began with the prefix.
    is_marked: bool,
    /// The first attribute that breaks a rule: of no matter in structured mode, which only the whole message tells.
    malformed: Option<Malformed>,
}

impl<'a> Reader<'a> {
    fn attribute(&mut self, name: &'a str, value: &'a str) {
        let Some((prefix, attribute)) = name.split_at_checked(PREFIX.len()) else { return };
        if !prefix.as_bytes().eq_ignore_ascii_case(&PREFIX) {
            return self.content_type.take(name.as_bytes(), value);
        }
        self.is_marked = true;
        if let Err(malformed) = self.prefixed(prefix, attribute, value) {
            self.malformed.get_or_insert(malformed);
        }
    }

    fn prefixed(&mut self, prefix: &str, attribute: &'a str, value: &'a str) -> Result<(), Malformed> {
        // Pub/Sub binding 1.0, 3.1.3.1:
        //# each attribute name MUST
        //# be prefixed with "ce-".
        if prefix.as_bytes() != PREFIX {
            return Err(Malformed::new(
                attribute,
                "must come in an attribute that begins with ce- in lower case, as Pub/Sub's attribute names have case (Pub/Sub binding 1.0, section 3.1.3.1)",
            ));
        }
        if Core::of(attribute) == Some(Core::DataContentType) {
            return match self.prefixed_content_type.replace(value) {
                None => Ok(()),
                Some(_) => Err(Malformed::new(attribute, "must come in a single attribute")),
            };
        }
        // Values are no percent-encoded text here, unlike HTTP's: what looks so is meant so.
        self.draft.add(Cow::Borrowed(attribute), Raw::String(Cow::Borrowed(value)))
    }

    fn binary(mut self, data: Bytes) -> Result<Event, Malformed> {
        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        // Pub/Sub binding 1.0, 3.1.1:
        //# the [Pub/Sub Attribute `content-type`][content-type], if
        //# present, MUST be used as the CloudEvents `datacontenttype` attribute.
        if let Some(text) = single(self.content_type)?.or(self.prefixed_content_type.map(trim)) {
            let name = Cow::Borrowed(Core::DataContentType.name());
            self.draft.add(name, Raw::String(Cow::Borrowed(text)))?;
        }
        self.draft.check()?;
        self.draft.pack((!data.is_empty()).then_some(Data::Binary(data)))
    }
}

fn structured(format: Format, data: Bytes) -> Result<Event, Malformed> {
    match format {
        // An event without data still has data in structured mode, as its attributes stand there.
        Format::Json if data.is_empty() => Err(Malformed::event(
            "must stand in the message's data in structured mode, and the data is empty (Pub/Sub binding 1.0, section 3.2.2)",
        )),
        Format::Json => json::from_bytes(data),
        Format::Batch => Err(Malformed::event(
            "must come alone: the Pub/Sub binding has no batches (Pub/Sub binding 1.0, section 1.3)",
        )),
        Format::Other => Err(Malformed::event("must be in the JSON format: no other is supported here")),
    }
}

/// The one value of a `content-type`, not yet checked to be a media type.
fn single(content_type: ContentType<'_>) -> Result<Option<&str>, Malformed> {
    match content_type.found() {
        Found::Absent => Ok(None),
        Found::Once(value) => Ok(Some(trim(value))),
        Found::Often(_) => {
            Err(Malformed::new(Core::DataContentType.name(), "must come in a single content-type attribute"))
        }
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
