//! The headers of a dead letter: KIP-1191's names where it has one, so that Kafka's own tools know them, and names of
//! ours for the rest ([`headers`]).
//!
//! | Header | Of a [`Letter`] |
//! |---|---|
//! | `__dlq.errors.topic` | topic |
//! | `__dlq.errors.partition`, `__dlq.errors.offset` | position, where it is Kafka's |
//! | `__dlq.errors.group` | subscription |
//! | `__dlq.errors.delivery.count` | attempts |
//! | `__dlq.errors.message` | reason and answer, for readers that know no more |

use broker::headers::{self, LETTER_MAX, LetterNames};
use broker::{Letter, Position};

use super::Writer;

pub(super) const NAMES: LetterNames = LetterNames {
    topic: "__dlq.errors.topic",
    subscription: "__dlq.errors.group",
    attempts: "__dlq.errors.delivery.count",
};
const PARTITION: &str = "__dlq.errors.partition";
const OFFSET: &str = "__dlq.errors.offset";
const MESSAGE: &str = "__dlq.errors.message";

pub(super) const HEADERS_MAX: usize = LETTER_MAX + 3;

pub(super) fn write(letter: &Letter, into: &mut Writer) {
    headers::write_letter(letter, NAMES, |name, value| into.put(name, value.as_bytes()));
    if let Position::Pair(partition, offset) = Position::parse(&letter.position) {
        into.put(PARTITION, partition.to_string().as_bytes());
        into.put(OFFSET, offset.to_string().as_bytes());
    }
    into.put(MESSAGE, format!("{}: {}", letter.reason, letter.answer).as_bytes());
}
