use std::fmt::{self, Write as _};

use bytes::Bytes;
use event::Event;

/// What order and partition follow. At most 1,024 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Bytes);

impl Key {
    pub const BYTES_MAX: usize = 1024;

    /// `None` where the bytes are empty or too long.
    pub fn new(bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        (!bytes.is_empty() && bytes.len() <= Self::BYTES_MAX).then_some(Self(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// 128 bits that stand for the key where its bytes are not kept (the engine's lanes). Two of a billion keys collide
    /// with a chance below 10⁻²⁰; should they, they share a lane, which costs speed and never order.
    pub fn digest(&self) -> u128 {
        fingerprint(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Two independently seeded multiply-xor-fold passes (the construction of wyhash): no cryptography, but stable across
/// processes and platforms, which the standard library's hashers do not promise.
fn fingerprint(bytes: &[u8]) -> u128 {
    fn fold(a: u64, b: u64) -> u64 {
        let wide = u128::from(a) * u128::from(b);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
    fn pass(bytes: &[u8], seed: u64) -> u64 {
        const P0: u64 = 0xa076_1d64_78bd_642f;
        const P1: u64 = 0xe703_7ed1_a0b4_28db;
        let mut h = seed ^ fold(bytes.len() as u64 ^ P0, P1);
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            h = fold(u64::from_le_bytes(word) ^ P1, h ^ P0);
        }
        let mut last = [0; 8];
        last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        fold(fold(u64::from_le_bytes(last) ^ P0, h ^ P1), P0 ^ seed)
    }
    u128::from(pass(bytes, 0x8ebc_6af0_9c88_c6e3)) << 64 | u128::from(pass(bytes, 0x5899_65cc_7537_4cc3))
}

/// One record, on its way to a broker or from it.
#[derive(Clone, Debug)]
pub struct Record {
    pub key: Option<Key>,
    pub body: Body,
    pub hop: Hop,
    /// Present on a record of a dead-letter topic: why and whence it came there. Broker headers, never attributes.
    pub letter: Option<Box<Letter>>,
}

/// What a record carries.
#[derive(Clone, Debug)]
pub enum Body {
    Event(Event),
    /// Bytes that a foreign producer wrote and that make no event, with the reason why they make none.
    Foreign {
        bytes: Bytes,
        reason: String,
    },
}

impl Body {
    /// Its bytes: those of the event's data and attributes, or the foreign ones.
    pub fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.size(),
            Self::Foreign { bytes, .. } => bytes.len(),
        }
    }
}

/// The headers of one hop. They travel beside the event and are never attributes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    pub traceparent: Option<TraceParent>,
    /// `tracestate`, as it came; only ever present with a `traceparent`.
    pub tracestate: Option<Box<str>>,
    /// The publishing process, new at each start (`postrider-origin`). Absent on foreign records.
    pub origin: Option<Origin>,
    /// One counter a process, in call order, so that it rises within a key (`postrider-sequence`). 0 where unknown.
    pub sequence: u64,
}

/// A publishing process: random, new at each start. Printed as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(pub u128);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Origin {
    /// As it is printed: ASCII. Every record has one, so it goes without the machinery of formatting.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut text = [b'0'; 32];
        hex(&self.0.to_be_bytes(), &mut text);
        text
    }

    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

/// W3C Trace Context's `traceparent`, parsed, so that it is carried without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: u128,
    pub parent: u64,
    pub flags: u8,
}

impl TraceParent {
    /// Reads version 00, and any later version as version 00 (W3C Trace Context §4.2.4). `None`: not a valid header,
    /// which the rule says to treat as absent.
    pub fn parse(text: &[u8]) -> Option<Self> {
        // Lower case alone, which `from_str_radix` does not insist on.
        fn hex(text: &[u8]) -> Option<u64> {
            text.iter().try_fold(0, |value, digit| {
                let digit = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                };
                Some(value << 4 | u64::from(digit))
            })
        }
        let (fixed, rest) = text.split_at_checked(55)?;
        if fixed[2] != b'-' || fixed[35] != b'-' || fixed[52] != b'-' {
            return None;
        }
        let version = hex(&fixed[..2])?;
        if version == 0xff || (version == 0 && !rest.is_empty()) || rest.first().is_some_and(|b| *b != b'-') {
            return None;
        }
        let trace = u128::from(hex(&fixed[3..19])?) << 64 | u128::from(hex(&fixed[19..35])?);
        let parent = hex(&fixed[36..52])?;
        (trace != 0 && parent != 0).then_some(Self { trace, parent, flags: hex(&fixed[53..])? as u8 })
    }

    /// The header, version 00: ASCII. Every delivery has one, so it goes without the machinery of formatting.
    pub fn to_bytes(&self) -> [u8; 55] {
        let mut text = [b'-'; 55];
        hex(&[0], &mut text[..2]);
        hex(&self.trace.to_be_bytes(), &mut text[3..35]);
        hex(&self.parent.to_be_bytes(), &mut text[36..52]);
        hex(&[self.flags], &mut text[53..]);
        text
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| f.write_char(char::from(*byte)))
    }
}

/// Writes bytes as hexadecimal digits, two each, in lower case.
fn hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in bytes.iter().zip(into.as_chunks_mut::<2>().0) {
        *digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]];
    }
}

/// Why a record is in a dead-letter topic, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The logical topic it was published to.
    pub topic: String,
    /// Its [`Position`](crate::Position) there, printed.
    pub position: String,
    /// The durable name of the subscription that gave it up.
    pub subscription: String,
    /// A stable word: `attempts_used_up`, `too_old`, `answered_dead_letter`, `foreign`, …
    pub reason: String,
    /// Spent attempts.
    pub attempts: u32,
    /// First and last attempt, in milliseconds since the Unix epoch.
    pub first_ms: u64,
    pub last_ms: u64,
    /// The HTTP status of the last answer, where there was one.
    pub status: Option<u16>,
    /// The head of the last answer, or the transport's error.
    pub answer: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_printed() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(text.as_bytes()).map(|t| t.to_string()).as_deref(), Some(text));
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later";
        assert_eq!(TraceParent::parse(later.as_bytes()).map(|t| t.to_string()).as_deref(), Some(text));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn an_origin_is_written_as_it_prints() {
        for origin in [0, 7, u128::MAX, 0x0123_4567_89ab_cdef << 60].map(Origin) {
            assert_eq!(origin.to_bytes(), origin.to_string().as_bytes());
            assert_eq!(Origin::parse(&origin.to_string()), Some(origin));
        }
    }

    #[test]
    fn digests_tell_keys_apart_and_do_not_change() {
        let digest = |k: &str| Key::new(k.to_owned()).map(|k| k.digest());
        assert_ne!(digest("a"), digest("b"));
        assert_ne!(digest("a"), digest("a\0"));
        assert_eq!(digest(""), None);
        assert_eq!(Key::new(vec![b'x'; 1025]), None);
    }
}
