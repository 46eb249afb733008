//! What one message may have, by "Pub/Sub quotas and limits", Resource limits
//! (<https://cloud.google.com/pubsub/quotas#resource_limits>).

use std::fmt;

use crate::shown;

/// Most attributes of one message.
pub const ATTRIBUTES_MAX: usize = 100;

/// Most bytes of an attribute's name ("Attribute key size").
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 256;

/// Most bytes of an attribute's value.
pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 1024;

/// Most bytes of an ordering key.
pub const ORDERING_KEY_BYTES_MAX: usize = 1024;

/// Most bytes of a publish request, which a message's data may have too ("10 MB", which the server counts as this).
const REQUEST_BYTES_MAX: usize = 10_000_000;

/// What a request has beside its one message: the topic's full name, and lengths.
const REQUEST_FRAME_BYTES: usize = 512;

/// Most bytes of one message, attributes and ordering key included, as it travels: what leaves room for the rest of a
/// request that has it alone.
pub const MESSAGE_BYTES_MAX: usize = REQUEST_BYTES_MAX - REQUEST_FRAME_BYTES;

/// A message that is larger than Pub/Sub takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit}: {found}; Pub/Sub takes {most}")]
pub struct TooLarge {
    pub limit: Limit,
    pub found: usize,
    pub most: usize,
}

/// What there may be only so much of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    MessageBytes,
    Attributes,
    /// Of the attribute of this name, which may be cut.
    NameBytes(String),
    /// Of the attribute of this name.
    ValueBytes(String),
    OrderingKeyBytes,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MessageBytes => f.write_str("bytes of the message"),
            Self::Attributes => f.write_str("attributes of the message"),
            Self::NameBytes(name) => write!(f, "bytes of the attribute name {name}"),
            Self::ValueBytes(name) => write!(f, "bytes of the attribute {name}"),
            Self::OrderingKeyBytes => f.write_str("bytes of the ordering key"),
        }
    }
}

/// How many bytes the message has as it travels, or what of it is too large.
pub fn check<'a, S>(
    attributes: impl IntoIterator<Item = (&'a S, &'a S)>,
    ordering_key: &str,
    data_bytes: usize,
) -> Result<usize, TooLarge>
where
    S: AsRef<str> + ?Sized + 'a,
{
    let mut bytes = field(data_bytes) + field(ordering_key.len());
    let mut count = 0;
    for (name, value) in attributes {
        let (name, value) = (name.as_ref(), value.as_ref());
        at_most(ATTRIBUTE_NAME_BYTES_MAX, name.len(), || Limit::NameBytes(shown(name)))?;
        at_most(ATTRIBUTE_VALUE_BYTES_MAX, value.len(), || Limit::ValueBytes(shown(name)))?;
        // An entry of a map is a message of its own, whose two fields are written even where they are empty.
        bytes += framed(framed(name.len()) + framed(value.len()));
        count += 1;
    }
    at_most(ATTRIBUTES_MAX, count, || Limit::Attributes)?;
    at_most(ORDERING_KEY_BYTES_MAX, ordering_key.len(), || Limit::OrderingKeyBytes)?;
    at_most(MESSAGE_BYTES_MAX, bytes, || Limit::MessageBytes)?;
    Ok(bytes)
}

fn at_most(most: usize, found: usize, limit: impl FnOnce() -> Limit) -> Result<(), TooLarge> {
    if found <= most { Ok(()) } else { Err(TooLarge { limit: limit(), found, most }) }
}

/// A field of so many bytes in the wire format of Protocol Buffers; none where it is empty.
fn field(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { framed(bytes) }
}

/// Tag, length in groups of seven bits, content.
fn framed(bytes: usize) -> usize {
    let bits = (usize::BITS - bytes.leading_zeros()).max(1);
    1 + bits.div_ceil(7) as usize + bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_wire_format() {
        assert_eq!(check::<str>([], "", 0), Ok(0));
        // 0a 01 78
        assert_eq!(check::<str>([], "", 1), Ok(3));
        // 0a 7f …, 0a 80 01 …
        assert_eq!(check::<str>([], "", 127), Ok(129));
        assert_eq!(check::<str>([], "", 128), Ok(131));
        // 12 06 0a 01 61 12 01 62
        assert_eq!(check([("a", "b")], "", 0), Ok(8));
        // 12 04 0a 00 12 00, 2a 01 6b
        assert_eq!(check([("", "")], "k", 0), Ok(9));
    }

    #[test]
    fn what_is_too_large_is_told_with_both_sizes() {
        let long = "é".repeat(513);
        let names: Vec<String> = (0..=ATTRIBUTES_MAX).map(|n| format!("a{n}")).collect();
        let attributes = || names.iter().map(|name| (&**name, "v"));
        let told = |result: Result<usize, TooLarge>| result.expect_err("too large").to_string();
        assert_eq!(told(check([("a", &*long)], "", 0)), "bytes of the attribute a: 1026; Pub/Sub takes 1024");
        assert_eq!(told(check(attributes(), "", 0)), "attributes of the message: 101; Pub/Sub takes 100");
        assert_eq!(told(check::<str>([], &long, 0)), "bytes of the ordering key: 1026; Pub/Sub takes 1024");
        assert_eq!(
            told(check::<str>([], "", MESSAGE_BYTES_MAX)),
            "bytes of the message: 9999493; Pub/Sub takes 9999488"
        );
        let TooLarge { limit, found, most } = check([(&*long, "")], "", 0).expect_err("a long name");
        assert_eq!((found, most), (1026, 256));
        assert_eq!(limit, Limit::NameBytes(format!("{}…", "é".repeat(64))));
        let value = "v".repeat(ATTRIBUTE_VALUE_BYTES_MAX);
        assert!(check(attributes().skip(1).map(|(name, _)| (name, &*value)), &value, 1 << 20).is_ok());
        assert!(check::<str>([], "", MESSAGE_BYTES_MAX - 5).is_ok());
    }
}
