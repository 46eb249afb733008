use std::borrow::Cow;

use bytes::Bytes;

use super::PREFIX;
use crate::bindings::{self, Format, Found};
use crate::draft::{Draft, Raw};
use crate::model::Core;
use crate::rules::name;
use crate::{Builder, Data, Event, Malformed, json};

/// Reads the event that a record carries in binary or structured mode; `None` where nothing marks it as one.
///
/// A record is marked by a header whose name begins with `ce_`, or by a `content-type` that begins with
/// `application/cloudevents`; one that is marked and breaks a rule is malformed. Headers may be given as `str` or as
/// bytes: names that strangers chose need not be UTF-8.
///
/// Kafka's header names have case, and the binding writes its own in lower case. `Content-Type` in another case is
/// read too, where the exact name is absent: no rule forbids it, and bridges from HTTP write it so. An attribute's
/// name in another case breaks a rule, as attributes are named in lower case, and so `ce_ID` and `CE_id` are
/// malformed rather than overlooked.
///
/// In binary mode a null value is no data, and an empty value is data of no bytes. All attributes come as strings,
/// their canonical form.
pub fn from_message<'a, N>(
    headers: impl IntoIterator<Item = (&'a N, Option<&'a [u8]>)>,
    value: Option<Bytes>,
) -> Result<Option<Event>, Malformed>
where
    N: AsRef<[u8]> + ?Sized + 'a,
{
    let mut reader = Reader::default();
    for (name, value) in headers {
        reader.header(name.as_ref(), value);
    }
    match reader.content_type.first().flatten().and_then(Format::of) {
        // Kafka binding 1.0.2, 3.3.3: such a record may repeat attributes as headers; the value alone counts.
        Some(format) => {
            text(reader.content_type)?;
            structured(format, value).map(Some)
        }
        None if reader.is_marked => reader.binary(value).map(Some),
        None => Ok(None),
    }
}

/// Wraps a record that is no CloudEvent: the value as it is becomes the data, a `content-type` that is a valid media
/// type becomes `datacontenttype`, and the rest is what the caller has put into `builder`.
///
/// Fails only by what stands in `builder`: nothing in a record keeps its value from being wrapped.
pub fn from_plain<'a, N>(
    builder: Builder,
    headers: impl IntoIterator<Item = (&'a N, Option<&'a [u8]>)>,
    value: Option<Bytes>,
) -> Result<Event, Malformed>
where
    N: AsRef<[u8]> + ?Sized + 'a,
{
    let mut content_type = ContentType::default();
    for (name, value) in headers {
        content_type.take(name.as_ref(), value);
    }
    bindings::wrap(builder, text(content_type).ok().flatten(), value)
}

/// Its `content-type`, which may be null as any header.
type ContentType<'a> = bindings::ContentType<Option<&'a [u8]>>;

/// The headers of one record, as far as the binding gives them a meaning.
#[derive(Default)]
struct Reader<'a> {
    draft: Draft<'a>,
    content_type: ContentType<'a>,
    /// Whether a header's name began with the prefix.
    is_marked: bool,
    /// The first header that breaks a rule: of no matter in structured mode, which only the whole record tells.
    malformed: Option<Malformed>,
}

impl<'a> Reader<'a> {
    fn header(&mut self, name: &'a [u8], value: Option<&'a [u8]>) {
        let Some((prefix, attribute)) = name.split_at_checked(PREFIX.len()) else { return };
        if !prefix.eq_ignore_ascii_case(&PREFIX) {
            return self.content_type.take(name, value);
        }
        self.is_marked = true;
        if let Err(malformed) = self.attribute(prefix, attribute, value) {
            self.malformed.get_or_insert(malformed);
        }
    }

    fn attribute(
        &mut self,
        prefix: &[u8],
        attribute: &'a [u8],
        value: Option<&'a [u8]>,
    ) -> Result<(), Malformed> {
        // Kafka binding 1.0.2, 3.2.3:
        //# Both header keys and header values MUST be encoded
        //# as UTF-8 strings.
        let Ok(attribute) = std::str::from_utf8(attribute) else {
            return Err(Malformed::new(
                &String::from_utf8_lossy(attribute),
                "must be named in UTF-8 by its ce_ header (Kafka binding 1.0.2, section 3.2.3)",
            ));
        };
        if prefix != PREFIX {
            return Err(Malformed::new(
                attribute,
                "must come in a header that begins with ce_ in lower case, as Kafka's header names have case (Kafka binding 1.0.2, section 3.2.3.1)",
            ));
        }
        // The attribute has a header of its own (3.2.1), and "individually mapped" (3.2.3) leaves room for one.
        if Core::of(attribute) == Some(Core::DataContentType) {
            return Err(Malformed::new(
                attribute,
                "must come as the content-type header, never as ce_datacontenttype (Kafka binding 1.0.2, section 3.2.1)",
            ));
        }
        let Some(value) = value else {
            // Told before the null: what is wrong with the name would come back once the null is gone.
            return Err(Malformed::new(attribute, name::broken_rule(attribute).unwrap_or(NULL)));
        };
        // Header values are no percent-encoded text here, unlike HTTP's: what looks so is meant so.
        let text = std::str::from_utf8(value).map_err(|_| Malformed::new(attribute, NOT_UTF_8))?;
        self.draft.add(Cow::Borrowed(attribute), Raw::String(Cow::Borrowed(text)))
    }

    fn binary(mut self, value: Option<Bytes>) -> Result<Event, Malformed> {
        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        // Kafka binding 1.0.2, 3.2.1:
        //# For the _binary_ mode, the header `content-type` property MUST be mapped
        //# directly to the CloudEvents `datacontenttype` attribute.
        if let Some(text) = text(self.content_type)? {
            let name = Cow::Borrowed(Core::DataContentType.name());
            self.draft.add(name, Raw::String(Cow::Borrowed(text)))?;
        }
        self.draft.check()?;
        // Kafka binding, 3.2.2; said outright by the drafts after 1.0.2:
        //# In binary mode, the Kafka representation of a CloudEvent with no `data` is a
        //# Kafka message with no value.
        // So an empty value is data, of no bytes.
        self.draft.pack(value.map(Data::Binary))
    }
}

const NULL: &str = "must have a value in its ce_ header: leave the header out instead of sending null (Kafka binding 1.0.2, section 3.2.3)";
const NOT_UTF_8: &str = "must be UTF-8 in its ce_ header (Kafka binding 1.0.2, section 3.2.3)";

fn structured(format: Format, value: Option<Bytes>) -> Result<Event, Malformed> {
    match (format, value) {
        (Format::Json, Some(value)) => json::from_bytes(value),
        // An event without data still has a value in structured mode, as its attributes stand there.
        (Format::Json, None) => Err(Malformed::event(
            "must stand in the record's value in structured mode, and the value is null (Kafka binding 1.0.2, section 3.3.2)",
        )),
        (Format::Batch, _) => Err(Malformed::event(
            "must come alone: the Kafka binding has no batches (Kafka binding 1.0.2, section 1.3)",
        )),
        (Format::Other, _) => Err(Malformed::event("must be in the JSON format: no other is supported here")),
    }
}

/// The one value of a `content-type`, not yet checked to be a media type.
fn text(content_type: ContentType<'_>) -> Result<Option<&str>, Malformed> {
    let refused = |rule| Err(Malformed::new(Core::DataContentType.name(), rule));
    match content_type.found() {
        Found::Absent => Ok(None),
        Found::Often(_) => refused("must come in a single content-type header"),
        Found::Once(None) => refused(
            "must have a value in its content-type header: leave the header out instead of sending null",
        ),
        Found::Once(Some(value)) => match std::str::from_utf8(value) {
            Ok(text) => Ok(Some(text.trim_matches([' ', '\t']))),
            Err(_) => refused("must be ASCII text (RFC 2046)"),
        },
    }
}
