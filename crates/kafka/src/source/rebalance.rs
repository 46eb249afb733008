//! Partitions come and go: what is done before they are read, and before they are given away.
//!
//! All of it runs on the reader's thread, in librdkafka's callbacks, while it polls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::partition::{Partition, Told};
use super::shared::Shared;
use super::state::Phase;
use crate::cluster::{Cluster, Place};
use crate::context::Context;
use crate::group::{self, Committed};
use crate::progress::Progress;
use crate::standing;

/// What the holders of a leaving partition's records have to settle them.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a new partition's progress is asked for before the member is made anew. librdkafka gives up a member that
/// does not poll for five minutes.
const RESTORE: Duration = Duration::from_secs(120);

/// How often the last commit of partitions that leave is tried again.
const LAST_COMMITS: u32 = 4;

/// A member of the group: librdkafka's callbacks to it.
pub(super) struct Member {
    pub(super) context: Context,
    pub(super) cluster: Arc<Cluster>,
    pub(super) shared: Arc<Shared>,
    /// Where each partition's reading ends; `None`: nowhere.
    pub(super) until: Option<BTreeMap<u32, u64>>,
}

/// What is known of a partition before it is read.
struct Found {
    partition: u32,
    committed: Option<Committed>,
    /// Where its log begins and ends; `None` while nobody leads it.
    low: Option<u64>,
    high: Option<u64>,
    /// What was settled is of another log, or of one that was truncated: where it ends, transactions that are open
    /// included.
    truncated: Option<u64>,
    /// This process knew the same of what is committed before it lost the partition.
    distrusted: bool,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.assign(consumer, list),
            Rebalance::Revoke(list) if consumer.assignment_lost() => self.lose(&partitions(list)),
            Rebalance::Revoke(list) => self.revoke(consumer, &partitions(list)),
            Rebalance::Error(error) => tracing::warn!(group = self.shared.name, %error, "a rebalance failed"),
        }
    }
}

impl Member {
    /// Restores what was settled of new partitions, before anything of them comes, and tells librdkafka where to begin.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let numbers = partitions(list);
        let found = if numbers.is_empty() { Vec::new() } else { self.find(consumer, &numbers) };
        self.resume(consumer, &numbers);
        let mut state = self.shared.state.lock();
        for mut one in found {
            state.remove(&[one.partition]);
            one.distrusted = state.take_distrust(one.partition, one.committed.as_ref());
            let (partition, gap) = restore(&self.shared.topic, &one, self.until(one.partition));
            if let Some(mut element) = list.find_partition(&self.shared.topic, one.partition.cast_signed()) {
                let begin = Offset::Offset(partition.read.cast_signed());
                element.set_offset(begin).expect("offsets come from Kafka, so they are not negative");
            }
            state.add(partition);
            if let Some((records, message)) = gap {
                state.gap(records, message);
            }
        }
        if state.partitions.is_empty() {
            state.idle_since.get_or_insert_with(Instant::now);
        } else {
            state.assigned = true;
        }
        state.trouble = None;
        let read: Vec<u32> = state.partitions.keys().copied().collect();
        drop(state);
        self.shared.dirty.notify_all();
        tracing::info!(group = self.shared.name, topic = self.shared.topic, new = ?numbers, all = ?read, "partitions assigned");
        self.shared.wake();
    }

    /// librdkafka remembers that it was told to pause a partition, also while that is somebody else's.
    fn resume(&self, consumer: &BaseConsumer<Self>, numbers: &[u32]) {
        let mut list = TopicPartitionList::with_capacity(numbers.len());
        for number in numbers {
            list.add_partition(&self.shared.topic, number.cast_signed());
        }
        if let Err(error) = consumer.resume(&list) {
            tracing::warn!(group = self.shared.name, %error, "new partitions cannot be resumed");
        }
    }

    fn until(&self, partition: u32) -> u64 {
        self.until.as_ref().map_or(u64::MAX, |until| until.get(&partition).copied().unwrap_or(0))
    }

    /// Asks until it is answered. Empty where that was in vain: then the member is to be made anew, and what comes of
    /// these partitions meanwhile is dropped.
    fn find(&self, consumer: &BaseConsumer<Self>, numbers: &[u32]) -> Vec<Found> {
        let deadline = Instant::now() + RESTORE;
        loop {
            let error = match self.ask(consumer, numbers) {
                Ok(found) => return found,
                Err(error) => error,
            };
            tracing::warn!(group = self.shared.name, %error, "the progress of new partitions cannot be read yet");
            let mut state = self.shared.state.lock();
            state.trouble = Some(error.to_string());
            if state.phase != Phase::Open {
                return Vec::new();
            }
            if Instant::now() > deadline {
                state.restart = Some(error.to_string());
                return Vec::new();
            }
            self.shared.changed.wait_for(&mut state, Duration::from_millis(500));
        }
    }

    fn ask(&self, consumer: &BaseConsumer<Self>, numbers: &[u32]) -> Result<Vec<Found>, broker::Error> {
        let topic = &self.shared.topic;
        let mut committed = group::committed_of_member(consumer, &self.shared.name, topic, numbers)?;
        // A partition that nobody leads is no reason not to read the others.
        let lows = self.cluster.known_offsets(topic, numbers, Place::Low);
        let highs = self.cluster.known_offsets(topic, numbers, Place::High);
        let mut truncated = standing::truncated(&self.cluster, topic, &committed, &highs)?;
        let found = |number: &u32| Found {
            partition: *number,
            committed: committed.remove(number),
            low: lows.get(number).copied(),
            high: highs.get(number).copied(),
            truncated: truncated.remove(number),
            distrusted: false,
        };
        Ok(numbers.iter().map(found).collect())
    }

    /// Gives partitions away in good order: nothing new is handed out, what is held may be settled for a while, and what
    /// was settled is committed before their next owner reads it.
    fn revoke(&self, consumer: &BaseConsumer<Self>, numbers: &[u32]) {
        if numbers.is_empty() {
            return;
        }
        {
            let mut state = self.shared.state.lock();
            for number in numbers {
                if let Some(partition) = state.partitions.get_mut(number) {
                    partition.leaving = true;
                }
            }
            state.recall();
            self.shared.wake();
            let deadline = Instant::now() + DRAIN;
            while state.holds_leaving() && !state.abandoned && state.phase == Phase::Open {
                if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                    break;
                }
            }
        }
        let member = self.shared.member.lock();
        let last = self.shared.state.lock().take_leave(numbers);
        self.shared.wake();
        if let Some(list) = last {
            let result = commit_at_last(consumer, &list);
            self.shared.state.lock().left(&result);
        } else {
            self.shared.state.lock().answer_flushes();
        }
        drop(member);
        tracing::info!(group = self.shared.name, topic = self.shared.topic, gone = ?numbers, "partitions given away");
    }

    /// Partitions are somebody else's already.
    fn lose(&self, numbers: &[u32]) {
        tracing::warn!(group = self.shared.name, topic = self.shared.topic, lost = ?numbers, "partitions lost: this member was away for too long");
        let mut state = self.shared.state.lock();
        state.lose(numbers);
        drop(state);
        self.shared.wake();
    }
}

/// The last commit of partitions that leave. What fails because the group is just moving on is tried again.
fn commit_at_last(consumer: &BaseConsumer<Member>, list: &TopicPartitionList) -> KafkaResult<()> {
    use RDKafkaErrorCode as C;
    for _ in 0..LAST_COMMITS {
        let result = consumer.commit(list, CommitMode::Sync);
        match &result {
            Err(error)
                if matches!(
                    error.rdkafka_error_code(),
                    Some(C::StaleMemberEpoch | C::RebalanceInProgress | C::CoordinatorLoadInProgress)
                ) =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            _ => return result,
        }
    }
    consumer.commit(list, CommitMode::Sync)
}

fn partitions(list: &TopicPartitionList) -> Vec<u32> {
    list.elements().iter().map(|element| element.partition().cast_unsigned()).collect()
}

/// What was lost of a partition: how many records, where that is known, and a sentence.
type Lost = (Option<u64>, String);

/// A partition as its last owner left it, and what was lost since.
fn restore(topic: &str, found: &Found, until: u64) -> (Partition, Option<Lost>) {
    let number = found.partition;
    let new = |progress: Progress| {
        // Where the log ends is asked every second; until it is known, nothing is said to be unread.
        let high = found.high.unwrap_or(progress.base());
        let mut partition = Partition::new(number, progress, high, until);
        partition.committed.clone_from(&found.committed);
        partition
    };
    let Some(committed) = &found.committed else {
        // A partition that is younger than the subscription, whose records are its own from the first one on.
        return (new(Progress::new(found.low.unwrap_or(0))), None);
    };
    if found.truncated.is_some() || found.distrusted {
        let low = found.low.unwrap_or(0);
        let settled = standing::told_end(committed);
        let why = match found.truncated {
            Some(end) => format!("ends at offset {end}, before the {settled} that had been settled"),
            None => format!("is not the log of which {settled} was settled, as was found before it was lost"),
        };
        let message = format!(
            "partition {number} of topic {topic} {why}: it was truncated or made anew, and is read from its beginning"
        );
        let mut partition = new(Progress::new(low));
        // What stands committed holds of another log: that must not be believed again once this one has grown so far.
        (partition.told, partition.distrusted) = (Told::Nothing, true);
        return (partition, Some((None, message)));
    }
    let (mut progress, strange) = Progress::restore(committed.offset, &committed.metadata);
    if let Some(reason) = strange {
        tracing::warn!(
            topic,
            partition = number,
            "what was settled out of order is not known and comes again: {reason}"
        );
    }
    // The revision before: that what was lost has passed is worth a commit.
    let before = progress.revision();
    let lost = found.low.map_or(0, |low| progress.lose_below(low));
    let gap = (lost > 0).then(|| {
        let message = format!(
            "{lost} unsettled records of partition {number} of topic {topic}, from offset {} on, were removed by retention \
             (the partition begins at {})",
            committed.offset,
            found.low.unwrap_or(0)
        );
        (Some(lost), message)
    });
    // Whether it is still the same log is judged once it has a leader.
    let unjudged = found.high.is_none() && progress.told_end().is_some();
    let mut partition = new(progress);
    partition.told = Told::Progress(before);
    partition.unjudged = unjudged;
    (partition, gap)
}

#[cfg(test)]
mod tests;
