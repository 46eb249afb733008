//! The compact form in which events are stored and travel between our own processes.
//!
//! | Bytes | What |
//! |---|---|
//! | 1 | version of this form, 1 |
//! | 1 | data: 0 none, 1 binary, 2 JSON |
//! | 4 | length of the attributes, little-endian |
//! | so many | the attributes, packed as [`Event`] keeps them |
//! | the rest | the data |

use bytes::Bytes;
use memchr::memchr;

use crate::draft::{ATTRIBUTES_BYTES_MAX, is_defined};
use crate::model::{Core, END, Kind, split_record};
use crate::rules::{name, text};
use crate::{Data, Event, Malformed};

const VERSION: u8 = 1;
const PREFIX_BYTES: usize = 6;

impl Event {
    /// Appends the compact stored form, which [`Event::decode`] reads back without validating again.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let (kind, data) = match &self.data {
            None => (0, &[][..]),
            Some(Data::Binary(bytes)) => (1, &bytes[..]),
            Some(Data::Json(bytes)) => (2, &bytes[..]),
        };
        into.reserve(self.encoded_len());
        into.extend_from_slice(&[VERSION, kind]);
        into.extend_from_slice(&(self.head.len() as u32).to_le_bytes());
        into.extend_from_slice(&self.head);
        into.extend_from_slice(data);
    }

    /// How many bytes [`Event::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        PREFIX_BYTES + self.size()
    }

    /// Reads the stored form; attributes and data become slices of `bytes`. Damaged bytes are an error, never a panic:
    /// the shape and the characters of the attributes are checked, as everything that is built on them relies on these;
    /// their grammars are not.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let damaged = || Malformed::event("is not in the stored form: its bytes are damaged");
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>().ok_or_else(damaged)?;
        let [version, kind, length @ ..] = *prefix;
        if version != VERSION {
            return Err(Malformed::event(format!(
                "is stored in form {version}, which this version does not know"
            )));
        }
        let head = rest.get(..u32::from_le_bytes(length) as usize).ok_or_else(damaged)?;
        let data_at = PREFIX_BYTES + head.len();
        let data = match kind {
            0 if bytes.len() == data_at => None,
            1 => Some(Data::Binary(bytes.slice(data_at..))),
            2 => Some(Data::Json(bytes.slice(data_at..))),
            _ => return Err(damaged()),
        };
        let ends = std::str::from_utf8(head).ok().and_then(shape).ok_or_else(damaged)?;
        Ok(Self { head: bytes.slice(PREFIX_BYTES..data_at), ends, data })
    }
}

/// Finds the ends of the core attributes; `None` where the text is not packed as [`Event`] packs.
fn shape(head: &str) -> Option<[u32; Core::ALL.len()]> {
    if head.len() > ATTRIBUTES_BYTES_MAX {
        return None;
    }
    let mut ends = [0; Core::ALL.len()];
    let mut at = 0;
    for (core, end) in Core::ALL.into_iter().zip(&mut ends) {
        let value = &head[at..at + memchr(END as u8, &head.as_bytes()[at..])?];
        if (core.is_required() && value.is_empty()) || !text::is_allowed(value) {
            return None;
        }
        at += value.len();
        *end = at as u32;
        at += END.len_utf8();
    }
    let extensions = &head[at..];
    if !extensions.is_empty() && !extensions.ends_with(END) {
        return None;
    }
    let mut previous = "";
    for record in extensions.split_terminator(END) {
        let (name, kind, value) = split_record(record)?;
        let sound = match kind {
            Kind::String => text::is_allowed(value),
            Kind::Integer => value.parse::<i32>().is_ok_and(|n| n.to_string() == value),
            Kind::Boolean => matches!(value, "true" | "false"),
        };
        let fresh = name > previous && !is_defined(name);
        if !sound || !fresh || name::broken_rule(name).is_some() {
            return None;
        }
        previous = name;
    }
    Some(ends)
}
