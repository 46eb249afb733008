use std::borrow::Cow;

use crate::draft::{self, Draft, Raw};
use crate::json::scan;
use crate::model::Core;
use crate::rules::media_type;
use crate::{Data, Event, Malformed, SPEC_VERSION, Value};

/// Builds an event attribute by attribute. What is set twice has its last value; [`Builder::build`] checks all.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    draft: Draft<'static>,
    data: Option<Data>,
    /// The first name that breaks a rule, told by `build`.
    malformed: Option<Malformed>,
}

impl Builder {
    pub fn id(self, id: impl Into<String>) -> Self {
        self.set_core(Core::Id, id.into())
    }

    pub fn source(self, source: impl Into<String>) -> Self {
        self.set_core(Core::Source, source.into())
    }

    /// The `type` attribute.
    pub fn kind(self, kind: impl Into<String>) -> Self {
        self.set_core(Core::Type, kind.into())
    }

    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.set_core(Core::Subject, subject.into())
    }

    /// An RFC 3339 timestamp.
    pub fn time(self, time: impl Into<String>) -> Self {
        self.set_core(Core::Time, time.into())
    }

    pub fn data_content_type(self, media_type: impl Into<String>) -> Self {
        self.set_core(Core::DataContentType, media_type.into())
    }

    /// An absolute URI.
    pub fn data_schema(self, schema: impl Into<String>) -> Self {
        self.set_core(Core::DataSchema, schema.into())
    }

    /// An extension attribute. A name that the specification defines is refused by [`Builder::build`].
    pub fn extension(mut self, name: &str, value: Value<'_>) -> Self {
        if draft::is_defined(name) {
            let rule = "is defined by the specification and names no extension (CloudEvents 1.0.2)";
            self.malformed.get_or_insert_with(|| Malformed::new(name, rule));
            return self;
        }
        let value = match value {
            Value::Boolean(value) => Raw::Boolean(value),
            Value::Integer(value) => Raw::Integer(value),
            Value::String(text) => Raw::String(Cow::Owned(text.to_owned())),
        };
        self.put(Cow::Owned(name.to_owned()), value)
    }

    pub fn data(mut self, data: Data) -> Self {
        self.data = Some(data);
        self
    }

    /// Checks everything; the error names the first attribute at fault.
    pub fn build(mut self) -> Result<Event, Malformed> {
        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        self.draft.add(Cow::Borrowed("specversion"), Raw::String(Cow::Borrowed(SPEC_VERSION)))?;
        self.draft.check()?;
        if let Some(Data::Json(text)) = &self.data {
            // It goes into envelopes as it is, so it must be what it says.
            if !self.draft.core(Core::DataContentType).is_none_or(media_type::is_json) {
                return Err(Malformed::new(
                    "datacontenttype",
                    "must be a JSON type, as the data is a JSON value",
                ));
            }
            if !scan::is_json(text) {
                return Err(Malformed::new("data", "must be one valid JSON text"));
            }
        }
        self.draft.pack(self.data)
    }

    fn set_core(self, core: Core, value: String) -> Self {
        self.put(Cow::Borrowed(core.name()), Raw::String(Cow::Owned(value)))
    }

    fn put(mut self, name: Cow<'static, str>, value: Raw<'static>) -> Self {
        self.draft.remove(&name);
        if let Err(malformed) = self.draft.add(name, value) {
            self.malformed.get_or_insert(malformed);
        }
        self
    }
}
