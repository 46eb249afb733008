//! What moves a subscription that is open in this process: operators who purge and seek, and a log that was truncated.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use broker::{Error, ErrorKind, Input};
use futures::channel::oneshot;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::partition::{Partition, Told};
use super::rebalance::Member;
use super::rewind::{self, Verdict};
use super::shared::Shared;
use super::state::{Phase, State};
use super::thread::Reader;
use crate::cluster::{Place, millis};
use crate::progress::Progress;

/// The longest that librdkafka is waited for when it is to read elsewhere.
const SEEK: Duration = Duration::from_secs(5);

/// What only the reader's thread can do.
#[derive(Debug)]
pub(super) enum Command {
    /// Go on reading at these offsets, as if nothing from there on had been settled.
    Seek { targets: BTreeMap<u32, u64>, done: oneshot::Sender<Result<(), Error>> },
}

impl Shared {
    /// Whether its source is neither closed nor closing.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().phase == Phase::Open
    }

    /// The partitions that are read here.
    pub(crate) fn partitions(&self) -> Vec<u32> {
        let state = self.state.lock();
        state.partitions.values().filter(|partition| !partition.leaving).map(|p| p.number).collect()
    }

    /// Settles these offsets, (partition, offset), read or not, as far as they are of partitions that are read here;
    /// what is held of them is revoked. Returns how many were unsettled, once that is durable. `Unavailable`: one of the
    /// partitions has just left. `Conflict`: so many are settled one by one that a commit cannot tell them.
    pub(crate) async fn purge(&self, offsets: &[(u32, u64)]) -> Result<u64, Error> {
        self.settle_durably(|state| state.purge(offsets)).await
    }

    /// Settles everything below these ends, by partition. As [`purge`](Self::purge).
    pub(crate) async fn purge_below(&self, ends: &BTreeMap<u32, u64>) -> Result<u64, Error> {
        self.settle_durably(|state| state.purge_below(ends)).await
    }

    async fn settle_durably(
        &self,
        settle: impl FnOnce(&mut State) -> Result<u64, Error>,
    ) -> Result<u64, Error> {
        let (count, since) = {
            let mut state = self.state.lock();
            state.ended()?;
            let since = state.settles;
            (settle(&mut state)?, since)
        };
        self.wake();
        self.flush_since(since).await?;
        Ok(count)
    }

    /// Moves the cursor of these partitions, durably; what is held of them is revoked. `Unavailable`: one of them has just
    /// left, and nothing was moved.
    pub(crate) async fn seek(&self, targets: BTreeMap<u32, u64>) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        let since = {
            let mut state = self.state.lock();
            if state.phase != Phase::Open {
                return Err(Error::closed());
            }
            state.commands.push_back(Command::Seek { targets, done });
            self.changed.notify_all();
            state.settles
        };
        answer.await.unwrap_or_else(|_| Err(restarted(&self.name)))?;
        self.flush_since(since).await
    }
}

/// A purge that would be forgotten is refused.
pub(crate) fn untold(number: u32, told_below: u64, base: u64) -> Error {
    let message = format!(
        "so many records of partition {number} are settled one by one that they can only be remembered up to offset \
         {told_below}: nothing was changed; settle those from offset {base} on first, or all"
    );
    Error::new(ErrorKind::Conflict, message)
}

fn restarted(name: &str) -> Error {
    let message = format!("the reader of subscription {name} ended before its cursor was moved: try again");
    Error::new(ErrorKind::Unavailable, message)
}

impl State {
    /// What was asked of partitions that have left since cannot be done here.
    fn all_here(&self, mut numbers: impl Iterator<Item = u32>) -> Result<(), Error> {
        let gone = |number: &u32| self.partitions.get(number).is_none_or(|partition| partition.leaving);
        let Some(gone) = numbers.find(gone) else { return Ok(()) };
        let topic = self.topic();
        let message =
            format!("partition {gone} of topic {topic} has just left: nothing was changed; ask again");
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// Whether a commit can tell that these are settled, too.
    fn can_tell(&self, offsets: &[(u32, u64)]) -> Result<(), Error> {
        let mut after: BTreeMap<u32, (Progress, u64)> = BTreeMap::new();
        for (number, offset) in offsets {
            let Some(partition) = self.partitions.get(number) else { continue };
            let new = || (partition.progress.clone(), 0);
            let (progress, last) = after.entry(*number).or_insert_with(new);
            progress.settle_range(*offset, *offset + 1);
            *last = (*last).max(*offset);
        }
        for (number, (progress, last)) in after {
            let told = progress.encode(self.commits.metadata_max()).told_below;
            if let Some(told) = told.filter(|told| *told <= last) {
                return Err(untold(number, told, progress.base()));
            }
        }
        Ok(())
    }

    fn purge(&mut self, offsets: &[(u32, u64)]) -> Result<u64, Error> {
        self.all_here(offsets.iter().map(|(number, _)| *number))?;
        let here = |(number, offset): &&(u32, u64)| {
            self.partitions.get(number).is_some_and(|p| *offset < p.next().max(p.high))
        };
        let offsets: Vec<(u32, u64)> = offsets.iter().filter(here).copied().collect();
        self.can_tell(&offsets)?;
        let mut count = 0;
        for (number, offset) in offsets {
            let Some(partition) = self.partitions.get_mut(&number) else { continue };
            if !partition.progress.is_settled(offset) {
                count += 1;
                self.settle_below(number, offset, offset + 1);
            }
        }
        Ok(count)
    }

    fn purge_below(&mut self, ends: &BTreeMap<u32, u64>) -> Result<u64, Error> {
        self.all_here(ends.keys().copied())?;
        let mut count = 0;
        for (number, end) in ends {
            let Some(partition) = self.partitions.get_mut(number) else { continue };
            let beyond = partition.progress.held_in(*end, u64::MAX).count() as u64;
            count += partition.progress.lag(*end).saturating_sub(beyond);
            self.settle_below(*number, 0, *end);
        }
        Ok(count)
    }

    /// Settles `from..to` of a partition, in the progress and wherever it waits.
    fn settle_below(&mut self, number: u32, from: u64, to: u64) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        partition.progress.settle_range(from, to);
        self.settles += 1;
        partition.touched = self.settles;
        let outbox = &mut self.outbox;
        self.slots.free_where(
            |held| held.partition == number && (from..to).contains(&held.received.offset),
            |lease, _| outbox.push_back(Input::Revoked(lease)),
        );
        self.forget_waiting(number, from, to);
    }

    /// What waits of `from..to` is not handed out any more.
    fn forget_waiting(&mut self, number: u32, from: u64, to: u64) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        let (mut records, mut bytes) = (0, 0);
        partition.queue.retain(|received| {
            let goes = (from..to).contains(&received.offset);
            if goes {
                records += 1;
                bytes += u64::from(received.bytes);
            }
            !goes
        });
        partition.again.retain(|offset, _| !(from..to).contains(offset));
        self.queued_records -= records;
        self.queued_bytes -= bytes;
    }

    /// The partition is read from `target` on, as if nothing were known of it.
    pub(super) fn reset(&mut self, number: u32, target: u64) {
        self.revoke(number);
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        let mut moved = Partition::new(number, Progress::new(target), partition.high, partition.until);
        (moved.is_paused, moved.ends_at) = (partition.is_paused, partition.ends_at);
        // It stands elsewhere than what was committed, and than what is just being committed.
        moved.told = Told::Nothing;
        (moved.distrusted, moved.committed) = (partition.is_suspect(), partition.committed.take());
        self.settles += 1;
        moved.touched = self.settles;
        self.add(moved);
        self.leave_ring(number);
    }
}

impl Reader {
    /// Looks into offsets that came below what had come before. Nothing of theirs is handed out until it is known what
    /// they are; where the broker cannot tell, it is asked again.
    pub(super) fn judge_rewinds(&self, consumer: &BaseConsumer<Member>) {
        if !self.shared.state.lock().has_rewound() {
            return;
        }
        // What is committed may hide what comes: it is replaced before anything is found out.
        self.shared.dirty.notify_all();
        let rewinds = self.shared.state.lock().rewinds(Instant::now());
        for number in rewinds {
            let reread =
                self.shared.state.lock().partitions.get_mut(&number).and_then(Partition::take_reread);
            if let Some(offset) = reread {
                self.seek(consumer, number, offset);
                continue;
            }
            if let Err(error) = self.judge_rewind(consumer, number) {
                tracing::warn!(topic = self.shared.topic, %error, "a rewind cannot be judged yet");
            }
        }
        self.shared.dirty.notify_all();
    }

    /// librdkafka begins elsewhere where the log does not have the offset that it was at: the log was truncated, or it is
    /// another one of the same name. Which offsets of it are new, nobody knows; those are younger than what came before,
    /// so reading goes on at that time and a while earlier, and nowhere after what was not settled.
    fn judge_rewind(&self, consumer: &BaseConsumer<Member>, number: u32) -> Result<(), Error> {
        let topic = &self.shared.topic;
        let ask = |place| {
            let found = self.cluster.offsets(topic, [number], place);
            found.map(|offsets| offsets.first().map_or(0, |(_, offset)| *offset))
        };
        let high = ask(Place::High)?;
        let place = {
            let mut state = self.shared.state.lock();
            let Some(partition) = state.partitions.get_mut(&number) else { return Ok(()) };
            match partition.judge_rewind(Some(high), Instant::now()) {
                Verdict::Unknown => return Ok(()),
                Verdict::Twice => {
                    state.acquit(number);
                    return Ok(());
                }
                Verdict::Truncated => rewind::place(partition.youngest_ms, millis(SystemTime::now())),
            }
        };
        let from = ask(place)?;
        {
            let mut state = self.shared.state.lock();
            let Some(partition) = state.partitions.get_mut(&number) else { return Ok(()) };
            let target = from.min(partition.progress.base());
            let (reached, rewound) = (partition.question().reached, partition.rewound);
            partition.high = high;
            state.reset(number, target);
            let since = match rewound.map(|rewound| (rewound.end, rewound.lowest)) {
                Some((Some(end), _)) => format!("the log ended at {end}"),
                Some((None, lowest)) => format!("{lowest} came again"),
                None => format!("the log ends at {high}"),
            };
            let message = format!(
                "partition {number} of topic {topic} was truncated or made anew: offset {reached} had been reached, and \
                 {since}; it is read from offset {target} on"
            );
            state.gap(None, message);
            drop(state);
            self.shared.wake();
            self.seek(consumer, number, target);
        }
        Ok(())
    }

    pub(super) fn obey(&self, consumer: &BaseConsumer<Member>, command: Command) {
        let Command::Seek { targets, done } = command;
        // No partition leaves meanwhile, for that happens while this thread polls.
        let mut result = self.shared.state.lock().all_here(targets.keys().copied());
        let targets = if result.is_ok() { targets } else { BTreeMap::new() };
        for (number, target) in targets {
            self.shared.state.lock().reset(number, target);
            self.shared.wake();
            // Nothing is polled between the reset and the seek, so what comes is from the new place.
            if !self.seek(consumer, number, target) {
                let what = format!("partition {number} of topic {} cannot be moved to", self.shared.topic);
                result = Err(Error::new(ErrorKind::Unavailable, what));
            }
        }
        let _gone = done.send(result);
    }

    /// False: it failed, and the member is to be made anew, which begins where the progress says.
    fn seek(&self, consumer: &BaseConsumer<Member>, number: u32, offset: u64) -> bool {
        let to = rdkafka::Offset::Offset(offset.cast_signed());
        match consumer.seek(&self.shared.topic, number.cast_signed(), to, SEEK) {
            Ok(()) => true,
            Err(error) => {
                let reason = format!("partition {number} cannot be moved to offset {offset}: {error}");
                self.shared.state.lock().restart = Some(reason);
                false
            }
        }
    }
}
