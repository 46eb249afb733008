//! Where every event is made: attributes are gathered, checked against the specification, and packed.

use std::borrow::Cow;

use crate::model::{Core, Kind};
use crate::rules::{media_type, name, text, timestamp, uri};
use crate::{Data, Event, Malformed, SPEC_VERSION};

/// Most extension attributes of one event. The specification sets no limit; this one bounds what a stranger can make
/// us keep, and exceeds what the brokers and HTTP servers take.
pub const EXTENSIONS_MAX: usize = 256;

/// Most bytes that the attributes of one event may have together.
pub const ATTRIBUTES_BYTES_MAX: usize = 256 * 1024;

pub(crate) const STRING: &str = "must be a string (CloudEvents 1.0.2, Type System)";
const TWICE: &str = "must appear only once";

/// Attributes on their way into an [`Event`], borrowed from the message where they need no unescaping.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft<'a> {
    spec_version: Member<'a>,
    core: [Member<'a>; Core::ALL.len()],
    extensions: Vec<Extension<'a>>,
}

#[derive(Clone, Debug, Default)]
enum Member<'a> {
    #[default]
    Absent,
    /// There, but null.
    Unset,
    Text(Cow<'a, str>),
}

#[derive(Clone, Debug)]
struct Extension<'a> {
    name: Cow<'a, str>,
    /// `None`: there, but null.
    value: Option<(Kind, Cow<'a, str>)>,
}

/// An attribute's value as it came in.
#[derive(Clone, Debug)]
pub(crate) enum Raw<'a> {
    Unset,
    Boolean(bool),
    Integer(i32),
    String(Cow<'a, str>),
}

impl<'a> Draft<'a> {
    /// Takes an attribute in. Names are checked here, values by [`Draft::check`].
    pub(crate) fn add(&mut self, attribute: Cow<'a, str>, value: Raw<'a>) -> Result<(), Malformed> {
        let slot = match Core::of(&attribute) {
            Some(core) => Some(&mut self.core[core as usize]),
            None if attribute == "specversion" => Some(&mut self.spec_version),
            None => None,
        };
        let Some(slot) = slot else { return self.add_extension(attribute, value) };
        // CloudEvents 1.0.2, Context Attributes, gives an event one value an attribute; the drafts after it say
        // outright:
        //# Each context attribute MUST only appear at most once in a CloudEvent.
        if !matches!(slot, Member::Absent) {
            return Err(Malformed::new(&attribute, TWICE));
        }
        *slot = match value {
            Raw::String(text) => Member::Text(text),
            Raw::Unset => Member::Unset,
            // CloudEvents 1.0.2, Type System; the attributes that it defines are all written as strings:
            //# All context attribute values MUST be of one of the types listed above.
            Raw::Boolean(_) | Raw::Integer(_) => return Err(Malformed::new(&attribute, STRING)),
        };
        Ok(())
    }

    fn add_extension(&mut self, attribute: Cow<'a, str>, value: Raw<'a>) -> Result<(), Malformed> {
        // CloudEvents 1.0.2, Extension Context Attributes:
        //# Extension attributes MUST follow the same naming convention and use the
        //# same type system as standard attributes.
        if let Some(rule) = name::broken_rule(&attribute) {
            return Err(Malformed::new(&attribute, rule));
        }
        if self.extensions.len() == EXTENSIONS_MAX {
            return Err(Malformed::event(
                "has more than 256 extension attributes, which is the most that is taken",
            ));
        }
        let value = match value {
            Raw::Unset => None,
            Raw::Boolean(value) => Some((Kind::Boolean, Cow::Borrowed(if value { "true" } else { "false" }))),
            Raw::Integer(value) => Some((Kind::Integer, Cow::Owned(value.to_string()))),
            Raw::String(value) => Some((Kind::String, value)),
        };
        self.extensions.push(Extension { name: attribute, value });
        Ok(())
    }

    /// Takes an attribute out again, so that it can be added anew.
    pub(crate) fn remove(&mut self, attribute: &str) {
        match Core::of(attribute) {
            Some(core) => self.core[core as usize] = Member::Absent,
            None => self.extensions.retain(|e| e.name != attribute),
        }
    }

    pub(crate) fn core(&self, core: Core) -> Option<&str> {
        match &self.core[core as usize] {
            Member::Text(text) => Some(text),
            Member::Absent | Member::Unset => None,
        }
    }

    /// Checks every value against its rule.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        self.check_spec_version()?;
        for core in Core::ALL {
            match self.core(core) {
                Some(value) => check_core(core, value)?,
                None if core.is_required() => return Err(missing(core.name())),
                None => {}
            }
        }
        for extension in &self.extensions {
            if let Some((_, value)) = &extension.value {
                check_text(&extension.name, value)?;
            }
        }
        Ok(())
    }

    fn check_spec_version(&self) -> Result<(), Malformed> {
        match &self.spec_version {
            // CloudEvents 1.0.2, specversion:
            //# Compliant event producers MUST use a value of `1.0` when referring to
            //# this version of the specification.
            Member::Text(version) if version == SPEC_VERSION => Ok(()),
            Member::Text(_) => Err(Malformed::new(
                "specversion",
                "must be \"1.0\", the version that is spoken here (CloudEvents 1.0.2)",
            )),
            Member::Absent | Member::Unset => Err(missing("specversion")),
        }
    }

    /// Packs what [`Draft::check`] has let pass.
    pub(crate) fn pack(mut self, data: Option<Data>) -> Result<Event, Malformed> {
        self.extensions.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = self.extensions.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(Malformed::new(&pair[0].name, TWICE));
        }
        let core = Core::ALL.map(|core| self.core(core).unwrap_or_default());
        let extensions = self
            .extensions
            .iter()
            .filter_map(|e| e.value.as_ref().map(|(kind, text)| (&*e.name, *kind, &**text)));
        let length = core.iter().map(|value| value.len() + 1).sum::<usize>()
            + extensions.clone().map(|(name, _, text)| name.len() + text.len() + 2).sum::<usize>();
        if length > ATTRIBUTES_BYTES_MAX {
            return Err(Malformed::event(
                "has more than 256 KiB of attributes, which is the most that is taken",
            ));
        }
        Ok(Event::pack(length, core, extensions, data))
    }
}

/// Whether the specification defines the attribute: all of those are strings.
pub(crate) fn is_defined(attribute: &str) -> bool {
    Core::of(attribute).is_some() || attribute == "specversion"
}

fn missing(attribute: &str) -> Malformed {
    // CloudEvents 1.0.2, Context Attributes:
    //# Every CloudEvent conforming to this specification MUST include context
    //# attributes designated as REQUIRED
    Malformed::new(attribute, "is required (CloudEvents 1.0.2, Required Attributes)")
}

fn check_core(core: Core, value: &str) -> Result<(), Malformed> {
    // CloudEvents 1.0.2, id, source, type, dataschema, subject:
    //# MUST be a non-empty string
    //# MUST be a non-empty URI-reference
    //# If present, MUST be a non-empty URI
    //# If present, MUST be a non-empty string
    if value.is_empty() {
        return Err(Malformed::new(
            core.name(),
            if core.is_required() {
                "must not be empty (CloudEvents 1.0.2, Required Attributes)"
            } else {
                "must not be empty: leave it out instead (CloudEvents 1.0.2, Optional Attributes)"
            },
        ));
    }
    check_text(core.name(), value)?;
    let broken = match core {
        Core::Source if !uri::is_reference(value) => {
            "must be a URI-reference as in RFC 3986: percent-encode spaces and other characters that it does not allow"
        }
        Core::DataSchema if !uri::is_absolute(value) => {
            "must be an absolute URI as in RFC 3986, section 4.3: with a scheme and without a fragment"
        }
        // CloudEvents 1.0.2, time:
        //# If present, MUST adhere to the format specified in RFC 3339
        Core::Time if !timestamp::is_valid(value) => {
            "must be a timestamp as in RFC 3339, such as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00.5+01:00"
        }
        // CloudEvents 1.0.2, datacontenttype:
        //# If present, MUST adhere to the format specified in RFC 2046
        Core::DataContentType if !media_type::is_valid(value) => {
            "must be a media type as in RFC 2046, such as application/json or text/plain; charset=utf-8"
        }
        _ => return Ok(()),
    };
    Err(Malformed::new(core.name(), broken))
}

fn check_text(attribute: &str, value: &str) -> Result<(), Malformed> {
    if text::is_allowed(value) {
        return Ok(());
    }
    Err(Malformed::new(
        attribute,
        "must not hold control characters (U+0000-U+001F, U+007F-U+009F) or noncharacters (CloudEvents 1.0.2, Type System)",
    ))
}
