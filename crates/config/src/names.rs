//! The grammars of names. What a name may be is what every broker takes, so that a switch of brokers never fails for it.

use crate::broker::BrokerKind;
use crate::resolve::{DEAD_LETTER_SUFFIX, REDRIVE_SUFFIX};

/// Longest name of a service or a subscription, in bytes.
const NAME_MAX: usize = 100;

/// Longest logical name of a topic, in bytes.
const TOPIC_MAX: usize = 200;

/// Longest prefix, in bytes.
const PREFIX_MAX: usize = 60;

/// Longest durable name, in bytes. With what a dead-letter topic adds it is still a topic of Kafka, and with what a redrive
/// adds the embedded broker still has file names for it.
pub(crate) const DURABLE_MAX: usize = EMBEDDED_SUBSCRIPTION_MAX - REDRIVE_SUFFIX.len();

/// Longest subscription of the embedded broker: a file name of 255 bytes, less its longest suffix.
const EMBEDDED_SUBSCRIPTION_MAX: usize = 243;
const _: () = assert!(DURABLE_MAX + DEAD_LETTER_SUFFIX.len() <= KAFKA_MAX);

/// Longest topic of Kafka (`Topic.MAX_NAME_LENGTH`, from the length of a file name).
const KAFKA_MAX: usize = 249;

/// Shortest and longest resource id of Pub/Sub.
const PUBSUB_MIN: usize = 3;
const PUBSUB_MAX: usize = 255;

/// A service, a subscription or a broker.
pub(crate) fn name(name: &str) -> Result<(), String> {
    grammar(name, NAME_MAX)
}

pub(crate) fn topic(name: &str) -> Result<(), String> {
    grammar(name, TOPIC_MAX)
}

/// It ends in whatever parts it from the service's name: `dev.`.
pub(crate) fn prefix(prefix: &str) -> Result<(), String> {
    if prefix.is_empty() {
        return Ok(());
    }
    bounded(prefix, PREFIX_MAX)?;
    begins_with_letter(prefix)?;
    safe_characters(prefix)
}

fn grammar(name: &str, max: usize) -> Result<(), String> {
    bounded(name, max)?;
    begins_with_letter(name)?;
    safe_characters(name)?;
    if name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err("it must end in a letter or a digit".to_owned())
    }
}

fn bounded(name: &str, max: usize) -> Result<(), String> {
    match name.len() {
        0 => Err("it is empty".to_owned()),
        length if length > max => Err(format!("it has {length} bytes, and may have {max}")),
        _ => Ok(()),
    }
}

fn begins_with_letter(name: &str) -> Result<(), String> {
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Ok(())
    } else {
        Err("it must begin with a letter".to_owned())
    }
}

fn safe_characters(name: &str) -> Result<(), String> {
    if name.bytes().all(is_safe) {
        Ok(())
    } else {
        Err("it may have only A-Z, a-z, 0-9, `.`, `_` and `-`".to_owned())
    }
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Whether a broker of this kind takes the name for a topic.
pub(crate) fn on_broker(kind: BrokerKind, name: &str) -> Result<(), String> {
    match kind {
        // The embedded broker has Kafka's rule, so that whatever runs on it can move.
        BrokerKind::Embedded | BrokerKind::Kafka => kafka(name),
        // Only there a topic may be another project's.
        BrokerKind::Pubsub => {
            match name.strip_prefix("projects/").and_then(|full| full.split_once("/topics/")) {
                Some((owner, name)) => project(owner).and_then(|()| pubsub(name)),
                None => pubsub(name),
            }
        }
    }
}

/// <https://cloud.google.com/resource-manager/docs/creating-managing-projects>, and the older ones, which begin with a
/// domain: `example.com:shop`.
pub(crate) fn project(id: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    if !id.is_empty() && id.bytes().all(good) {
        Ok(())
    } else {
        Err("a project's id has a-z, 0-9 and `-`".to_owned())
    }
}

/// Most labels of one resource, and longest key or value of one, in characters.
pub(crate) const LABELS_MAX: usize = 64;
const LABEL_MAX: usize = 63;

/// <https://cloud.google.com/resource-manager/docs/labels-overview#requirements>.
pub(crate) fn label(key: &str, value: &str) -> Result<(), String> {
    let good = |c: char| c.is_lowercase() || c.is_numeric() || matches!(c, '_' | '-');
    let fits = |text: &str| text.chars().all(good) && text.chars().count() <= LABEL_MAX;
    if !key.starts_with(char::is_lowercase) || !fits(key) {
        Err(format!("a label's key has up to {LABEL_MAX} of a-z, 0-9, `_` and `-`, a letter first"))
    } else if !fits(value) {
        Err(format!("a label's value has up to {LABEL_MAX} of a-z, 0-9, `_` and `-`"))
    } else {
        Ok(())
    }
}

/// `org.apache.kafka.common.internals.Topic.validate`.
fn kafka(name: &str) -> Result<(), String> {
    bounded(name, KAFKA_MAX)?;
    if matches!(name, "." | "..") {
        return Err("it must not be `.` or `..`".to_owned());
    }
    safe_characters(name)
}

/// <https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names>; it holds for subscriptions, too.
pub(crate) fn pubsub(name: &str) -> Result<(), String> {
    bounded(name, PUBSUB_MAX)?;
    if name.len() < PUBSUB_MIN {
        return Err(format!("it must have at least {PUBSUB_MIN} characters"));
    }
    begins_with_letter(name)?;
    if name.to_ascii_lowercase().starts_with("goog") {
        return Err("it must not begin with `goog`".to_owned());
    }
    if name.bytes().all(|byte| is_safe(byte) || matches!(byte, b'~' | b'+' | b'%')) {
        Ok(())
    } else {
        Err("it may have only A-Z, a-z, 0-9, `.`, `_`, `-`, `~`, `+` and `%`".to_owned())
    }
}

/// Kafka's metrics write `.` as `_`, so it refuses a topic whose name is then another's.
pub(crate) fn kafka_metric(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::{label, name, on_broker, prefix};
    use crate::broker::BrokerKind::{Embedded, Kafka, Pubsub};

    #[test]
    fn names_are_what_every_broker_takes() {
        for good in ["orders", "Orders-2", "a", "a.b_c-d9"] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        for bad in ["", "2orders", "orders.", ".orders", "or ders", "örders", "a/b", &"a".repeat(101)] {
            assert!(name(bad).is_err(), "{bad} was taken");
        }
        assert_eq!(prefix(""), Ok(()));
        assert_eq!(prefix("dev."), Ok(()));
        assert!(prefix("9.").is_err());
    }

    #[test]
    fn labels_are_what_google_takes() {
        for (key, value) in [("team", "shop-1"), ("team", ""), ("a_b", "1")] {
            assert_eq!(label(key, value), Ok(()), "{key}={value}");
        }
        for (key, value) in [("Team", "a"), ("", "a"), ("1a", "a"), ("team", "A"), ("team", &"a".repeat(64))]
        {
            assert!(label(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn each_broker_has_its_rule() {
        assert_eq!(on_broker(Kafka, "2.orders"), Ok(()));
        assert!(on_broker(Pubsub, "2.orders").is_err(), "Pub/Sub wants a letter first");
        assert!(on_broker(Pubsub, "ab").is_err(), "Pub/Sub wants three characters");
        assert!(on_broker(Pubsub, "google-orders").is_err(), "`goog` is Google's");
        assert_eq!(on_broker(Pubsub, "shop%2Forders"), Ok(()));
        assert_eq!(on_broker(Pubsub, "projects/other/topics/orders"), Ok(()), "another project's");
        assert!(on_broker(Pubsub, "projects/Other/topics/orders").is_err(), "no project's id has capitals");
        assert!(on_broker(Pubsub, "projects/other/topics/google").is_err());
        assert!(on_broker(Pubsub, "projects/other/orders").is_err());
        assert!(on_broker(Kafka, "shop%2Forders").is_err());
        assert!(on_broker(Kafka, "..").is_err());
        assert_eq!(on_broker(Embedded, &"a".repeat(249)), Ok(()));
        assert!(on_broker(Embedded, &"a".repeat(250)).is_err());
        assert_eq!(on_broker(Pubsub, &"a".repeat(255)), Ok(()));
    }
}
