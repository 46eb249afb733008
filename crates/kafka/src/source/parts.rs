//! What an operator is told of each partition.

use std::time::{Duration, Instant};

use broker::{Part, PartState};

use super::partition::Partition;
use super::state::State;

/// How old what is known of a partition's end may be. One without a leader holds up the question for all, once.
const STALE: Duration = Duration::from_secs(20);

impl State {
    pub(super) fn parts(&self, now: Instant) -> Vec<Part> {
        let trouble = self.trouble.as_ref().or(self.commits.trouble.as_ref());
        if self.partitions.is_empty() {
            // Nothing is assigned; why, is worth a line nevertheless.
            let part = |why: &String| Part {
                name: "group".to_owned(),
                state: PartState::Unreachable,
                lag: self.lag_before,
                detail: Some(why.clone()),
            };
            return trouble.map(part).into_iter().collect();
        }
        self.partitions.values().map(|partition| self.part(partition, trouble, now)).collect()
    }

    fn part(&self, partition: &Partition, trouble: Option<&String>, now: Instant) -> Part {
        let (state, detail) = if partition.leaving {
            (PartState::Leaving, Some("it is being handed to another member of the group".to_owned()))
        } else if partition.is_full {
            (PartState::HeldBack, Some(self.why_full(partition)))
        } else if let Some(why) = partition.refused.as_ref().map(|refused| &refused.why).or(trouble) {
            (PartState::Unreachable, Some(why.clone()))
        } else if now.saturating_duration_since(partition.ends_at) > STALE {
            let why = "where it ends cannot be learnt: the lag is what it was before";
            (PartState::Unreachable, Some(why.to_owned()))
        } else {
            (PartState::Reading, None)
        };
        Part { name: format!("partition {}", partition.number), state, lag: partition.lag(), detail }
    }

    /// Names the record that the others wait behind.
    fn why_full(&self, partition: &Partition) -> String {
        let Some(first) = partition.progress.first_unsettled() else {
            return "too many settles wait to be committed".to_owned();
        };
        let mut held = self.slots.iter();
        let held = held
            .find(|held| held.partition == partition.number && held.received.offset == first)
            .map(|held| &held.received);
        let key =
            held.or_else(|| partition.again.get(&first)).and_then(|received| received.record.key.as_ref());
        let key = key.map_or_else(String::new, |key| format!(", of key {key}"));
        format!(
            "record {}-{first}{key} is not settled, and so much behind it is that a commit cannot carry more",
            partition.number
        )
    }
}
