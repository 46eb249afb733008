//! The event itself: its attributes packed into one text, its data beside it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::{Builder, Data, SPEC_VERSION};

/// A valid CloudEvent 1.0. Constructed only by validation: [`Builder::build`], [`json`](crate::json),
/// [`http`](crate::http), or [`Event::decode`] of what once was validated.
///
/// Its attributes stand in one shared text, its data is a [`Bytes`]: a clone copies neither. Data is a slice of the
/// message that the event came in, which stays in memory as long as any event of it does; so are the attributes of an
/// event that was read from its stored form.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// The core attributes' values in [`Core`]'s order, each ended by U+0000 and empty where absent; then each
    /// extension, in the order of names: name, [`Kind`]'s mark, value, U+0000. No attribute can hold such characters,
    /// so they part. It is UTF-8, and shared as bytes so that a header's value can be a slice of it.
    pub(crate) head: Bytes,
    /// Where each core value ends.
    pub(crate) ends: [u32; Core::ALL.len()],
    pub(crate) data: Option<Data>,
}

/// The value of a context attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Boolean(bool),
    Integer(i32),
    /// String, URI, URI-reference, Timestamp and (base64) Binary: their canonical string form.
    String(&'a str),
}

/// The attributes that the specification defines, but `specversion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    Id,
    Source,
    Type,
    Subject,
    Time,
    DataContentType,
    DataSchema,
}

/// The type of an extension's value, by the mark that stands before it in the packed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    String = 1,
    Integer = 2,
    Boolean = 3,
}

pub(crate) const END: char = '\0';

impl Core {
    pub(crate) const ALL: [Self; 7] = [
        Self::Id,
        Self::Source,
        Self::Type,
        Self::Subject,
        Self::Time,
        Self::DataContentType,
        Self::DataSchema,
    ];

    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "source" => Self::Source,
            "type" => Self::Type,
            "subject" => Self::Subject,
            "time" => Self::Time,
            "datacontenttype" => Self::DataContentType,
            "dataschema" => Self::DataSchema,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Source => "source",
            Self::Type => "type",
            Self::Subject => "subject",
            Self::Time => "time",
            Self::DataContentType => "datacontenttype",
            Self::DataSchema => "dataschema",
        }
    }

    pub(crate) fn is_required(self) -> bool {
        matches!(self, Self::Id | Self::Source | Self::Type)
    }
}

impl Kind {
    pub(crate) fn mark(self) -> char {
        char::from(self as u8)
    }

    pub(crate) fn of(mark: u8) -> Option<Self> {
        Some(match mark {
            1 => Self::String,
            2 => Self::Integer,
            3 => Self::Boolean,
            _ => return None,
        })
    }
}

impl Event {
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub fn id(&self) -> &str {
        self.core_text(Core::Id)
    }

    pub fn source(&self) -> &str {
        self.core_text(Core::Source)
    }

    /// The `type` attribute.
    pub fn kind(&self) -> &str {
        self.core_text(Core::Type)
    }

    pub fn subject(&self) -> Option<&str> {
        self.core(Core::Subject)
    }

    pub fn time(&self) -> Option<&str> {
        self.core(Core::Time)
    }

    pub fn data_content_type(&self) -> Option<&str> {
        self.core(Core::DataContentType)
    }

    /// The type of the data as a body of its own has it: `datacontenttype`, or `application/json` for a JSON value
    /// that came without one.
    pub fn content_type(&self) -> Option<&str> {
        // JSON event format 1.0.2, 3.1.2: where a JSON event without `datacontenttype` is re-serialized elsewhere,
        // that SHOULD be "set explicitly to the implied `application/json` content type to preserve the semantics of
        // the event".
        self.data_content_type().or_else(|| self.implied_content_type())
    }

    pub(crate) fn implied_content_type(&self) -> Option<&'static str> {
        matches!(self.data, Some(Data::Json(_))).then_some("application/json")
    }

    /// Whether the data is of a type that makes receivers take a binary message for one in structured mode: both bindings
    /// tell the mode by the beginning of the content type. Events within events are such.
    pub(crate) fn holds_an_event(&self) -> bool {
        const MEDIA_TYPE: &[u8] = b"application/cloudevents";
        let content_type = &self.head[self.place(Core::DataContentType)];
        content_type.get(..MEDIA_TYPE.len()).is_some_and(|head| head.eq_ignore_ascii_case(MEDIA_TYPE))
    }

    pub fn data_schema(&self) -> Option<&str> {
        self.core(Core::DataSchema)
    }

    /// Any attribute by its name, `specversion` and extensions included.
    pub fn attribute(&self, name: &str) -> Option<Value<'_>> {
        match Core::of(name) {
            Some(core) => self.core(core).map(Value::String),
            None if name == "specversion" => Some(Value::String(SPEC_VERSION)),
            None => self.extensions().find(|(n, _)| *n == name).map(|(_, value)| value),
        }
    }

    /// All attributes but `specversion`: those that the specification defines, then the extensions by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        let core = Core::ALL.into_iter().filter_map(|c| self.core(c).map(|v| (c.name(), Value::String(v))));
        core.chain(self.extensions())
    }

    /// The extension attributes, by name.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.packed_extensions().map(|(name, kind, text)| (name, Value::of(kind, text)))
    }

    pub fn data(&self) -> Option<&Data> {
        self.data.as_ref()
    }

    /// How large the event is, in bytes: its attributes, as canonical strings with one or two bytes each between
    /// them, and its data. What limits are compared with: it is the same whichever mode the event came in or goes
    /// out.
    pub fn size(&self) -> usize {
        self.head.len() + self.data.as_ref().map_or(0, |data| data.bytes().len())
    }

    pub(crate) fn core(&self, core: Core) -> Option<&str> {
        Some(self.core_text(core)).filter(|text| !text.is_empty())
    }

    /// Its bytes, which share the event's memory and are not looked at; `None` where it is absent.
    pub(crate) fn core_bytes(&self, core: Core) -> Option<Bytes> {
        let place = self.place(core);
        (!place.is_empty()).then(|| self.head.slice(place))
    }

    fn core_text(&self, core: Core) -> &str {
        self.text(self.place(core))
    }

    /// Where the value stands in the head; empty where it is absent.
    fn place(&self, core: Core) -> Range<usize> {
        let at = core as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize + END.len_utf8());
        start..self.ends[at] as usize
    }

    fn text(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(&self.head[range]).expect("attributes are UTF-8, and parted at whole characters")
    }

    /// Each extension's name, type and canonical string.
    pub(crate) fn packed_extensions(&self) -> impl Iterator<Item = (&str, Kind, &str)> {
        let start = self.ends[Core::ALL.len() - 1] as usize + END.len_utf8();
        self.text(start..self.head.len()).split_terminator(END).filter_map(split_record)
    }

    /// Packs checked values; `length` is that of the whole head, `extensions` are sorted by name.
    pub(crate) fn pack<'a>(
        length: usize,
        core: [&str; Core::ALL.len()],
        extensions: impl Iterator<Item = (&'a str, Kind, &'a str)>,
        data: Option<Data>,
    ) -> Self {
        let mut head = String::with_capacity(length);
        let ends = core.map(|value| {
            head.push_str(value);
            let end = head.len() as u32;
            head.push(END);
            end
        });
        for (name, kind, text) in extensions {
            head.push_str(name);
            head.push(kind.mark());
            head.push_str(text);
            head.push(END);
        }
        Self { head: head.into(), ends, data }
    }
}

/// Takes a packed extension apart: name, mark, value.
pub(crate) fn split_record(record: &str) -> Option<(&str, Kind, &str)> {
    let (at, kind) =
        record.bytes().enumerate().find_map(|(at, mark)| Kind::of(mark).map(|kind| (at, kind)))?;
    Some((&record[..at], kind, &record[at + 1..]))
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        map.entries(self.attributes().map(|(name, value)| (name, value.to_text())));
        map.entry(&"data", &self.data).finish()
    }
}

impl<'a> Value<'a> {
    fn of(kind: Kind, text: &'a str) -> Self {
        match kind {
            Kind::String => Self::String(text),
            Kind::Integer => text.parse().map_or(Self::String(text), Self::Integer),
            Kind::Boolean => Self::Boolean(text == "true"),
        }
    }

    /// The canonical string form (CloudEvents 1.0.2, Type System).
    pub fn to_text(self) -> Cow<'a, str> {
        match self {
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
            Self::Integer(value) => Cow::Owned(value.to_string()),
            Self::String(text) => Cow::Borrowed(text),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}
