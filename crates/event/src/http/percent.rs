//! Header values: the percent codec of HTTP binding 1.0.2, 3.1.3.2.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use memchr::memchr;

use crate::rules::word::{self, HIGHS, below, equal};

/// Whether the character stands for itself in an encoded value.
fn is_plain(byte: u8) -> bool {
    // HTTP binding 1.0.2, 3.1.3.2:
    //# The following characters MUST be percent-encoded: Space (U+0020),
    //# Double-quote (U+0022), Percent (U+0025), Any characters outside the
    //# printable ASCII range of U+0021-U+007E inclusive
    matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%'
}

/// Which of eight bytes do not.
fn to_encode(word: u64) -> u64 {
    below(word, 0x21) | equal(word, b'"') | equal(word, b'%') | equal(word, 0x7f) | word & HIGHS
}

/// The value as a header carries it: the bytes themselves where there is nothing to encode.
pub(super) fn encode(value: Bytes) -> HeaderValue {
    let has_some = word::any(&value, to_encode).unwrap_or_else(|| !value.iter().copied().all(is_plain));
    let encoded = if has_some { encode_each(&value) } else { value };
    HeaderValue::from_maybe_shared(encoded).expect("printable ASCII is a header value")
}

fn encode_each(value: &[u8]) -> Bytes {
    // Byte by byte of the UTF-8 form, so that what UTF-16 holds as a surrogate pair is one character (a MUST).
    //# Percent-encoding SHOULD be performed using upper-case for values A-F
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(value.len() + 16);
    for &byte in value {
        if is_plain(byte) {
            encoded.push(byte);
        } else {
            encoded.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
        }
    }
    encoded.into()
}

/// The value that a header means. The error is the rule that it breaks.
pub(super) fn decode(header: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    // HTTP binding 1.0.2, 3.1.3.2:
    //# any HTTP header value MUST first be unescaped with respect to double-quoted strings
    //# A single round of percent-decoding MUST then be performed
    match (unquote(header), memchr(b'%', header)) {
        (None, None) => std::str::from_utf8(header).map(Cow::Borrowed).map_err(|_| NOT_UTF_8),
        (None, Some(_)) => decode_percent(header).map(Cow::Owned),
        (Some(unquoted), _) => decode_percent(&unquoted).map(Cow::Owned),
    }
}

const NOT_UTF_8: &str = "must be UTF-8 once percent-decoded (HTTP binding 1.0.2, section 3.1.3.2)";
const NOT_PERCENT: &str = "must have two hexadecimal digits after each %; send a % itself as %25 (HTTP binding 1.0.2, section 3.1.3.2)";

/// The content of a value that is one quoted string (RFC 7230, section 3.2.6). What only begins or ends with a quote,
/// or has quotes within, is none: senders that encode nothing mean these quotes.
fn unquote(header: &[u8]) -> Option<Vec<u8>> {
    let inner = header.strip_prefix(b"\"")?;
    let mut content = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    loop {
        match *bytes.next()? {
            b'"' => break,
            b'\\' => content.push(*bytes.next()?),
            other => content.push(other),
        }
    }
    bytes.as_slice().is_empty().then_some(content)
}

fn decode_percent(value: &[u8]) -> Result<String, &'static str> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr(b'%', rest) {
        decoded.extend_from_slice(&rest[..at]);
        // Either case, and characters that needed none:
        //# decoding MUST accept lower-case values
        //# values that have been unncessarily percent-encoded MUST be accepted
        let (high, low) = match rest[at + 1..] {
            [high, low, ..] => (nibble(high).ok_or(NOT_PERCENT)?, nibble(low).ok_or(NOT_PERCENT)?),
            _ => return Err(NOT_PERCENT),
        };
        decoded.push(high << 4 | low);
        rest = &rest[at + 3..];
    }
    decoded.extend_from_slice(rest);
    //# encoded byte sequences which are invalid in UTF-8 MUST be rejected
    String::from_utf8(decoded).map_err(|_| NOT_UTF_8)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|n| n as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_headers_cannot_carry_is_encoded() {
        for (value, encoded) in [
            ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("say \"100%\"", "say%20%22100%25%22"),
            ("~!#$&'()*+,/:;=?@[]<>\\^`{|}", "~!#$&'()*+,/:;=?@[]<>\\^`{|}"),
            ("a\r\nx: y", "a%0D%0Ax:%20y"),
            ("", ""),
        ] {
            assert_eq!(encode(Bytes::from_static(value.as_bytes())), encoded, "{value}");
        }
    }

    #[test]
    fn every_byte_is_encoded_or_plain_wherever_it_stands() {
        for length in [1, 7, 8, 9, 20] {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut value = vec![b'v'; length];
                    value[at] = byte;
                    let plain = is_plain(byte);
                    let encoded = encode(value.clone().into());
                    assert_eq!(encoded.len() == length, plain, "{byte:#x} at {at} of {length}");
                    assert_eq!(decode_percent(encoded.as_bytes()).ok(), String::from_utf8(value).ok());
                }
            }
        }
    }

    #[test]
    fn a_plain_value_is_not_copied() {
        let value = Bytes::from(b"order-1/a:b".to_vec());
        let header = encode(value.clone());
        assert_eq!(header.as_bytes().as_ptr(), value.as_ptr());
    }

    #[test]
    fn a_value_is_decoded_once() {
        for (header, meant) in [
            ("plain", "plain"),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("%e2%82%ac", "€"),
            ("%41%42", "AB"),
            ("%2541", "%41"),
            ("a+b", "a+b"),
            ("", ""),
        ] {
            assert_eq!(decode(header.as_bytes()).as_deref(), Ok(meant), "{header}");
        }
        assert_eq!(
            decode("größe".as_bytes()).as_deref(),
            Ok("größe"),
            "raw UTF-8 of senders that encode nothing"
        );
    }

    #[test]
    fn a_quoted_value_is_unquoted_before_it_is_decoded() {
        for (header, meant) in [
            (r#""two words""#, "two words"),
            (r#""say \"hi\" \\ bye""#, "say \"hi\" \\ bye"),
            (r#""100%25""#, "100%"),
            (r#""%22""#, "\""),
            (r#""\%34\1""#, "41"),
            (r#""""#, ""),
            (r#"%22no%22"#, "\"no\""),
            (r#"say "hi""#, "say \"hi\""),
            (r#""open"#, "\"open"),
            (r#""a" and "b""#, "\"a\" and \"b\""),
            (r#"""#, "\""),
        ] {
            assert_eq!(decode(header.as_bytes()).as_deref(), Ok(meant), "{header}");
        }
    }

    #[test]
    fn what_is_no_encoding_of_utf_8_is_refused() {
        for bad in
            ["%C0%A0", "%ff", "%ED%A0%80", "%E2%82", "a%", "%4", "%zz", "%+1", "100% sure", "\"%C0%A0\""]
        {
            assert!(decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(decode(b"\xff").is_err());
    }
}
