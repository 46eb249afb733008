//! The headers of one hop.

use broker::{Hop, Origin, TraceParent};

use super::{Named, Writer, last};

pub(super) const TRACEPARENT: &str = "traceparent";
pub(super) const TRACESTATE: &str = "tracestate";
pub(super) const ORIGIN: &str = "postrider-origin";
pub(super) const SEQUENCE: &str = "postrider-sequence";

pub(super) const HEADERS_MAX: usize = 4;

pub(super) fn write(hop: &Hop, into: &mut Writer) {
    if let Some(trace) = &hop.traceparent {
        into.put(TRACEPARENT, &traceparent(trace));
        if let Some(state) = &hop.tracestate {
            into.put(TRACESTATE, state.as_bytes());
        }
    }
    if let Some(Origin(origin)) = hop.origin {
        into.put(ORIGIN, &hex::<32>(origin));
    }
    if hop.sequence != 0 {
        decimal(hop.sequence, |digits| into.put(SEQUENCE, digits));
    }
}

/// What does not parse is as if it were not there: these headers are nobody's data.
pub(super) fn read<'a>(headers: impl Iterator<Item = Named<'a>> + Clone) -> Hop {
    let text = |name| last(headers.clone(), name).and_then(|value| std::str::from_utf8(value).ok());
    let traceparent = last(headers.clone(), TRACEPARENT).and_then(TraceParent::parse);
    Hop {
        traceparent,
        tracestate: traceparent.and_then(|_| text(TRACESTATE)).map(Into::into),
        origin: text(ORIGIN).and_then(Origin::parse),
        sequence: text(SEQUENCE).and_then(|digits| digits.parse().ok()).unwrap_or(0),
    }
}

/// `traceparent` in version 00, as [`TraceParent`] prints it, without going through a formatter.
fn traceparent(trace: &TraceParent) -> [u8; 55] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    text[3..35].copy_from_slice(&hex::<32>(trace.trace));
    text[36..52].copy_from_slice(&hex::<16>(trace.parent.into()));
    text[53..].copy_from_slice(&hex::<2>(trace.flags.into()));
    text
}

/// The lowest `N` hexadecimal digits of a number, in lower case.
pub(super) fn hex<const N: usize>(mut number: u128) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
    text
}

/// A number's decimal digits, without an allocation.
pub(super) fn decimal(mut number: u64, with: impl FnOnce(&[u8])) {
    let mut text = [b'0'; 20];
    let mut begin = text.len() - 1;
    loop {
        text[begin] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
        begin -= 1;
    }
    with(&text[begin..]);
}
