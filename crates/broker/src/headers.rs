//! What travels beside an event, as pairs of a name and a text: for brokers whose records have such, be they called
//! headers or attributes.
//!
//! | Header | Value |
//! |---|---|
//! | `traceparent`, `tracestate` | W3C Trace Context of this hop |
//! | `postrider-origin` | the publishing process, 32 hexadecimal digits |
//! | `postrider-sequence` | its counter |
//! | `postrider-foreign` | present where the data is no event: why it is none |
//! | [`LetterNames::topic`], `subscription`, `attempts` | of a [`Letter`] |
//! | `postrider-dead-letter-position` | position |
//! | `postrider-dead-letter-reason` | reason; what marks a letter |
//! | `postrider-dead-letter-first`, `-last` | milliseconds since the Unix epoch |
//! | `postrider-dead-letter-status` | status, where there was an answer |
//! | `postrider-dead-letter-answer` | answer |
//!
//! Numbers are decimal. What does not parse is as if it were not there: these headers are nobody's data. Readers ask for
//! a header by its name, and where a broker lets a name come more than once, which of them counts is its driver's to say.

use crate::{Hop, Letter, Origin, TraceParent};

/// Present where the data is no event; its value says why.
pub const FOREIGN: &str = "postrider-foreign";

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const ORIGIN: &str = "postrider-origin";
const SEQUENCE: &str = "postrider-sequence";

const POSITION: &str = "postrider-dead-letter-position";
const REASON: &str = "postrider-dead-letter-reason";
const FIRST: &str = "postrider-dead-letter-first";
const LAST: &str = "postrider-dead-letter-last";
const STATUS: &str = "postrider-dead-letter-status";
const ANSWER: &str = "postrider-dead-letter-answer";

/// How many headers a hop has at most.
pub const HOP_MAX: usize = 4;

/// How many headers a letter has at most.
pub const LETTER_MAX: usize = 9;

/// Headers of a letter that a broker's own tools may know by other names.
#[derive(Clone, Copy, Debug)]
pub struct LetterNames {
    pub topic: &'static str,
    pub subscription: &'static str,
    pub attempts: &'static str,
}

impl LetterNames {
    /// Where no tool knows any.
    pub const OWN: Self = Self {
        topic: "postrider-dead-letter-topic",
        subscription: "postrider-dead-letter-subscription",
        attempts: "postrider-dead-letter-attempts",
    };
}

/// Hands each header of the hop to `put`, name and value. Nothing is allocated.
pub fn write_hop(hop: &Hop, mut put: impl FnMut(&str, &str)) {
    if let Some(trace) = &hop.traceparent {
        put(TRACEPARENT, ascii(&trace.to_bytes()));
        if let Some(state) = &hop.tracestate {
            put(TRACESTATE, state);
        }
    }
    if let Some(origin) = &hop.origin {
        put(ORIGIN, ascii(&origin.to_bytes()));
    }
    if hop.sequence != 0 {
        decimal(hop.sequence, |digits| put(SEQUENCE, digits));
    }
}

/// The hop that the headers tell of; `header` gives the value of one.
pub fn read_hop<'a>(header: impl Fn(&str) -> Option<&'a [u8]>) -> Hop {
    let text = |name| header(name).and_then(|value| std::str::from_utf8(value).ok());
    let traceparent = header(TRACEPARENT).and_then(TraceParent::parse);
    Hop {
        traceparent,
        tracestate: traceparent.and_then(|_| text(TRACESTATE)).map(Into::into),
        origin: text(ORIGIN).and_then(Origin::parse),
        sequence: text(SEQUENCE).and_then(|digits| digits.parse().ok()).unwrap_or(0),
    }
}

/// Hands each header of the letter to `put`, name and value.
pub fn write_letter(letter: &Letter, names: LetterNames, mut put: impl FnMut(&str, &str)) {
    put(names.topic, &letter.topic);
    put(names.subscription, &letter.subscription);
    decimal(letter.attempts.into(), |digits| put(names.attempts, digits));
    put(POSITION, &letter.position);
    put(REASON, &letter.reason);
    decimal(letter.first_ms, |digits| put(FIRST, digits));
    decimal(letter.last_ms, |digits| put(LAST, digits));
    if let Some(status) = letter.status {
        decimal(status.into(), |digits| put(STATUS, digits));
    }
    put(ANSWER, &letter.answer);
}

/// The letter that the headers tell of; `None` where none of them marks one. What is missing or does not parse is empty
/// or 0.
pub fn read_letter<'a>(names: LetterNames, header: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Letter> {
    let owned = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let reason = owned(header(REASON)?);
    let text = |name| header(name).map(owned).unwrap_or_default();
    let number = |name| text(name).parse::<u64>().ok();
    Some(Letter {
        topic: text(names.topic),
        position: text(POSITION),
        subscription: text(names.subscription),
        reason,
        attempts: number(names.attempts).and_then(|count| count.try_into().ok()).unwrap_or(0),
        first_ms: number(FIRST).unwrap_or(0),
        last_ms: number(LAST).unwrap_or(0),
        status: number(STATUS).and_then(|status| status.try_into().ok()),
        answer: text(ANSWER),
    })
}

/// A number's decimal digits, without an allocation.
fn decimal(mut number: u64, with: impl FnOnce(&str)) {
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
    with(ascii(&text[begin..]));
}

fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("digits and hyphens are ASCII")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn letter() -> Letter {
        Letter {
            topic: "orders.created".into(),
            position: "3-42".into(),
            subscription: "dev.orders.billing".into(),
            reason: "attempts_used_up".into(),
            attempts: 30,
            first_ms: 1_700_000_000_000,
            last_ms: u64::MAX,
            status: Some(500),
            answer: "no such\ncustomer: é".into(),
        }
    }

    fn hop() -> Hop {
        let traceparent = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        Hop { traceparent, tracestate: Some("a=b,c=d".into()), origin: Some(Origin(7)), sequence: 1_000_000 }
    }

    fn written(hop: &Hop, letter: &Letter) -> HashMap<String, String> {
        let mut headers = HashMap::new();
        let mut put = |name: &str, value: &str| {
            let before = headers.insert(name.to_owned(), value.to_owned());
            assert_eq!(before, None, "{name} is written once");
        };
        write_hop(hop, &mut put);
        write_letter(letter, LetterNames::OWN, &mut put);
        headers
    }

    #[test]
    fn hops_and_letters_come_back_whole() {
        let headers = written(&hop(), &letter());
        assert_eq!(headers.len(), HOP_MAX + LETTER_MAX);
        let header = |name: &str| headers.get(name).map(String::as_bytes);
        assert_eq!(read_hop(header), hop());
        assert_eq!(read_letter(LetterNames::OWN, header), Some(letter()));
        let unanswered = Letter { status: None, ..letter() };
        let headers = written(&Hop::default(), &unanswered);
        assert_eq!(headers.len(), LETTER_MAX - 1, "a hop that knows nothing has no header");
        let header = |name: &str| headers.get(name).map(String::as_bytes);
        assert_eq!(read_letter(LetterNames::OWN, header), Some(unanswered));
    }

    #[test]
    fn headers_that_do_not_parse_are_as_if_they_were_not_there() {
        let bad = HashMap::from([
            ("traceparent", &b"nonsense"[..]),
            ("tracestate", b"a=b"),
            ("postrider-origin", b"\xff\xff"),
            ("postrider-sequence", b"-3"),
        ]);
        let header = |name: &str| bad.get(name).copied();
        assert_eq!(read_hop(header), Hop::default());
        assert_eq!(read_letter(LetterNames::OWN, header), None);
        let marked = HashMap::from([("postrider-dead-letter-reason", &b"\xff"[..]), (STATUS, b"70000")]);
        let read = read_letter(LetterNames::OWN, |name| marked.get(name).copied()).expect("it is marked");
        assert_eq!((&*read.reason, read.status, read.attempts), ("\u{fffd}", None, 0));
    }

    #[test]
    fn numbers_are_written_as_they_print() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        for number in powers.flat_map(|n| [n - 1, n, n + 1]).chain([u64::MAX]) {
            decimal(number, |digits| assert_eq!(digits, number.to_string()));
        }
    }
}
