//! How long a topic keeps its records.

use std::time::Duration;

/// What a topic that has to be created is to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retention {
    /// What the cluster has new topics keep: a week, unless it is configured otherwise.
    Default,
    /// All. Kafka knows no topic that keeps what one group has not settled, so the settled records stay as well.
    Endless,
}

impl Retention {
    pub(super) fn config(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Default => &[],
            // A cluster's default may be to compact, which would remove all but the last letter of a key.
            Self::Endless => {
                &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")]
            }
        }
    }
}

/// What an existing topic keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    is_compacted: bool,
    is_deleted: bool,
    /// `None`: for ever.
    age_max: Option<Duration>,
    /// Of each partition. `None`: any size.
    bytes_max: Option<u64>,
}

impl Kept {
    /// From the topic's configuration. `None` where that does not tell.
    pub(super) fn read<'a>(value: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        let policy = value("cleanup.policy")?;
        let limit = |name| value(name)?.parse::<i64>().ok();
        Some(Self {
            is_compacted: policy.contains("compact"),
            is_deleted: policy.contains("delete"),
            age_max: u64::try_from(limit("retention.ms")?).ok().map(Duration::from_millis),
            bytes_max: u64::try_from(limit("retention.bytes")?).ok(),
        })
    }

    /// What it removes though nobody has settled it, in words. `None`: nothing.
    pub(super) fn loses(&self) -> Option<String> {
        let mut losses = Vec::new();
        if self.is_compacted {
            losses.push("it keeps one record of a key only (cleanup.policy)".to_owned());
        }
        if let Some(age) = self.age_max.filter(|_| self.is_deleted) {
            losses.push(format!("it keeps records for {} (retention.ms)", words(age)));
        }
        if let Some(bytes) = self.bytes_max.filter(|_| self.is_deleted) {
            losses.push(format!("it keeps {bytes} bytes of each partition (retention.bytes)"));
        }
        Some(losses.join("; ")).filter(|losses| !losses.is_empty())
    }
}

/// The largest unit that comes out even.
fn words(age: Duration) -> String {
    const UNITS: [(u128, &str); 4] =
        [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1000, "seconds")];
    let ms = age.as_millis();
    let even = UNITS.iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit));
    even.map_or_else(|| format!("{ms} ms"), |(unit, name)| format!("{} {name}", ms / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(policy: &str, ms: &str, bytes: &str) -> Option<String> {
        let kept = Kept::read(|name| match name {
            "cleanup.policy" => Some(policy),
            "retention.ms" => Some(ms),
            "retention.bytes" => Some(bytes),
            _ => None,
        });
        kept.expect("all of it is told").loses()
    }

    #[test]
    fn what_a_topic_loses_is_told_in_words() {
        assert_eq!(losses("delete", "-1", "-1"), None, "it keeps all");
        assert_eq!(losses("", "604800000", "5"), None, "Kafka 4 knows topics that are never cleaned up");
        let week = losses("delete", "604800000", "-1").expect("a week is not for ever");
        assert!(week.contains("for 7 days"), "{week}");
        let size = losses("delete", "-1", "1000").expect("a bound is a bound");
        assert!(size.contains("1000 bytes"), "{size}");
        let compacted = losses("compact", "604800000", "-1").expect("all but the last of a key go");
        assert!(compacted.contains("of a key") && !compacted.contains("days"), "{compacted}");
        let both = losses("compact,delete", "90000", "1").expect("all three");
        assert!(
            both.contains("of a key") && both.contains("90 seconds") && both.contains("1 bytes"),
            "{both}"
        );
    }

    #[test]
    fn what_is_not_told_is_no_reason_to_warn() {
        assert_eq!(Kept::read(|_| None), None);
    }

    #[test]
    fn what_is_created_for_good_loses_nothing() {
        let made = |wanted| Retention::Endless.config().iter().find(|(name, _)| *name == wanted);
        let kept = Kept::read(|name| made(name).map(|(_, value)| *value));
        assert_eq!(kept.expect("all of it is set").loses(), None);
    }
}
