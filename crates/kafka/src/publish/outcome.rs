//! What a record's report means.

use broker::{Outcome, Position, RefusalKind};
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

use crate::errors;
use crate::topics::Facts;

pub(super) fn durable(message: &BorrowedMessage<'_>) -> Outcome {
    let (partition, offset) = (message.partition(), message.offset());
    match (u32::try_from(partition), u64::try_from(offset)) {
        (Ok(partition), Ok(offset)) => Outcome::Durable(Position::Pair(partition, offset)),
        // A repeat of a record that the broker has, which it knows too little of to say where it stands.
        _ => Outcome::Durable(Position::Text(format!("{partition}-?").into())),
    }
}

/// A report of failure. Refused is only what is known to be never written: for everything else the broker may have taken
/// an attempt whose answer was lost.
pub(super) fn failed(code: RDKafkaErrorCode, topic: &str, facts: &Facts, bytes: usize) -> Outcome {
    use RDKafkaErrorCode as C;
    let (kind, message) = match code {
        C::UnknownTopic | C::UnknownTopicOrPartition | C::UnknownPartition => {
            (RefusalKind::UnknownTopic, format!("there is no topic {topic} on the broker"))
        }
        C::TopicAuthorizationFailed => (
            RefusalKind::Denied,
            format!(
                "the broker's ACLs do not let this user write to topic {topic}: allow the operation WRITE"
            ),
        ),
        C::ClusterAuthorizationFailed => (
            RefusalKind::Denied,
            "the broker's ACLs do not let this user write: allow IDEMPOTENT_WRITE on the cluster".into(),
        ),
        C::MessageSizeTooLarge | C::InvalidMessageSize => return too_large(bytes, topic, facts),
        C::InvalidRecord => (
            RefusalKind::Denied,
            format!("topic {topic} takes no such record: a compacted topic takes only records with a key"),
        ),
        C::PolicyViolation => {
            (RefusalKind::Denied, format!("a policy of the cluster keeps the record out of topic {topic}"))
        }
        _ => {
            return Outcome::Unknown(format!(
                "{}; it may have been written: send it again with the same id",
                errors::words(code)
            ));
        }
    };
    Outcome::refused(kind, message)
}

/// The broker refused a batch for its size.
fn too_large(bytes: usize, topic: &str, facts: &Facts) -> Outcome {
    // Where the record itself fits, it was its batch that did not: the topic takes less than it did.
    if facts.bytes_max().is_some_and(|most| bytes + 4096 < most as usize) {
        return Outcome::refused_for_now(
            RefusalKind::Unavailable,
            format!("topic {topic} takes less in one batch than it did: try again"),
        );
    }
    match facts.bytes_max() {
        Some(most) => larger_than_topic(bytes, topic, most as usize),
        None => Outcome::refused(
            RefusalKind::TooLarge,
            format!("{} bytes; topic {topic} takes less (max.message.bytes)", thousands(bytes)),
        ),
    }
}

pub(super) fn larger_than_topic(bytes: usize, topic: &str, most: usize) -> Outcome {
    let message =
        format!("{} bytes; topic {topic} takes {} (max.message.bytes)", thousands(bytes), thousands(most));
    Outcome::refused(RefusalKind::TooLarge, message)
}

pub(super) fn larger_than_sent(bytes: usize, most: usize) -> Outcome {
    let message = format!(
        "{} bytes; at most {} are sent: raise the property message.max.bytes, and the topic's max.message.bytes",
        thousands(bytes),
        thousands(most)
    );
    Outcome::refused(RefusalKind::TooLarge, message)
}

/// librdkafka did not take a record.
pub(super) fn not_taken(error: &KafkaError, topic: &str, facts: &Facts, bytes: usize) -> Outcome {
    use RDKafkaErrorCode as C;
    match error.rdkafka_error_code() {
        Some(
            code @ (C::UnknownTopic
            | C::UnknownPartition
            | C::UnknownTopicOrPartition
            | C::MessageSizeTooLarge
            | C::TopicAuthorizationFailed),
        ) => failed(code, topic, facts, bytes),
        Some(C::QueueFull) => Outcome::refused_for_now(RefusalKind::Overloaded, "librdkafka's queue is full"),
        _ => {
            Outcome::refused_for_now(RefusalKind::Unavailable, format!("librdkafka did not take it: {error}"))
        }
    }
}

/// A number with its thousands apart, as people read sizes.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let first = (digits.len() - 1) % 3 + 1;
    let mut text = digits[..first].to_owned();
    for group in digits.as_bytes()[first..].chunks(3) {
        text.push(',');
        text.extend(group.iter().map(|digit| char::from(*digit)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_people_read_them() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_200_345, "1,200,345")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn only_what_is_never_written_is_refused() {
        use RDKafkaErrorCode as C;
        let outcome = |code| failed(code, "orders", &Facts::default(), 10);
        for code in [
            C::MessageTimedOut,
            C::PurgeQueue,
            C::PurgeInflight,
            C::NotEnoughReplicasAfterAppend,
            C::RequestTimedOut,
            C::BrokerTransportFailure,
            C::Fatal,
        ] {
            assert!(matches!(outcome(code), Outcome::Unknown(_)), "{code:?}");
        }
        for code in [C::UnknownTopic, C::TopicAuthorizationFailed, C::MessageSizeTooLarge, C::InvalidRecord] {
            assert!(matches!(outcome(code), Outcome::Refused(_)), "{code:?}");
        }
    }
}
