//! The headers of a dead letter: KIP-1191's names where it has one, so that Kafka's own tools know them, and names of
//! ours for the rest.
//!
//! | Header | Of a [`Letter`] |
//! |---|---|
//! | `__dlq.errors.topic` | topic |
//! | `__dlq.errors.partition`, `__dlq.errors.offset` | position, where it is Kafka's |
//! | `__dlq.errors.group` | subscription |
//! | `__dlq.errors.delivery.count` | attempts |
//! | `__dlq.errors.message` | reason and answer, for readers that know no more |
//! | `postrider-dead-letter-position` | position |
//! | `postrider-dead-letter-reason` | reason; what marks a letter |
//! | `postrider-dead-letter-first`, `-last` | milliseconds since the Unix epoch |
//! | `postrider-dead-letter-status` | status, where there was an answer |
//! | `postrider-dead-letter-answer` | answer |
//!
//! Numbers are decimal text.

use broker::{Letter, Position};

use super::hop::decimal;
use super::{Named, Writer, last};

const TOPIC: &str = "__dlq.errors.topic";
const PARTITION: &str = "__dlq.errors.partition";
const OFFSET: &str = "__dlq.errors.offset";
const GROUP: &str = "__dlq.errors.group";
const COUNT: &str = "__dlq.errors.delivery.count";
const MESSAGE: &str = "__dlq.errors.message";
const POSITION: &str = "postrider-dead-letter-position";
const REASON: &str = "postrider-dead-letter-reason";
const FIRST: &str = "postrider-dead-letter-first";
const LAST: &str = "postrider-dead-letter-last";
const STATUS: &str = "postrider-dead-letter-status";
const ANSWER: &str = "postrider-dead-letter-answer";

pub(super) const HEADERS_MAX: usize = 12;

pub(super) fn write(letter: &Letter, into: &mut Writer) {
    into.put(TOPIC, letter.topic.as_bytes());
    if let Position::Pair(partition, offset) = Position::parse(&letter.position) {
        decimal(partition.into(), |digits| into.put(PARTITION, digits));
        decimal(offset, |digits| into.put(OFFSET, digits));
    }
    into.put(GROUP, letter.subscription.as_bytes());
    decimal(letter.attempts.into(), |digits| into.put(COUNT, digits));
    into.put(MESSAGE, format!("{}: {}", letter.reason, letter.answer).as_bytes());
    into.put(POSITION, letter.position.as_bytes());
    into.put(REASON, letter.reason.as_bytes());
    decimal(letter.first_ms, |digits| into.put(FIRST, digits));
    decimal(letter.last_ms, |digits| into.put(LAST, digits));
    if let Some(status) = letter.status {
        decimal(status.into(), |digits| into.put(STATUS, digits));
    }
    into.put(ANSWER, letter.answer.as_bytes());
}

/// `None` where the record has no mark of a letter of ours. What is missing or does not parse is empty or 0.
pub(super) fn read<'a>(headers: impl Iterator<Item = Named<'a>> + Clone) -> Option<Letter> {
    let reason = last(headers.clone(), REASON)?;
    let owned = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let text = |name| last(headers.clone(), name).map(owned).unwrap_or_default();
    let number = |name| text(name).parse::<u64>().ok();
    Some(Letter {
        topic: text(TOPIC),
        position: text(POSITION),
        subscription: text(GROUP),
        reason: owned(reason),
        attempts: number(COUNT).and_then(|count| count.try_into().ok()).unwrap_or(0),
        first_ms: number(FIRST).unwrap_or(0),
        last_ms: number(LAST).unwrap_or(0),
        status: number(STATUS).and_then(|status| status.try_into().ok()),
        answer: text(ANSWER),
    })
}
