//! Subscriptions that are not open in this process. Everything blocks.

use std::collections::BTreeMap;

use broker::{Error, ErrorKind, Start};

use crate::cluster::{Cluster, Place};
use crate::group::{self, Committed, Group, patiently};
use crate::progress::{METADATA_CHARS, Progress};
use crate::source::untold;
use crate::standing;

/// Where a subscription stands in one partition.
struct Cursor {
    progress: Progress,
    /// One past the partition's last record.
    high: u64,
}

/// A subscription's cursors, by partition. `NotFound` where its group has committed nothing.
fn cursors(
    cluster: &Cluster,
    group: &Group<'_>,
    name: &str,
    topic: &str,
) -> Result<BTreeMap<u32, Cursor>, Error> {
    let partitions: Vec<u32> = (0..cluster.partitions(topic)?).collect();
    let committed = patiently(|| group.committed(topic, &partitions))?;
    if committed.is_empty() {
        return Err(unknown(name, topic));
    }
    let lows = cluster.offsets(topic, partitions.iter().copied(), Place::Low)?;
    let highs = cluster.offsets(topic, partitions, Place::High)?;
    let truncated = standing::truncated(cluster, topic, &committed, &highs.iter().copied().collect())?;
    let cursor = |((number, low), (_, high)): ((u32, u64), (u32, u64))| {
        let mut progress = match committed.get(&number) {
            // Its next reader begins there, too.
            _ if truncated.contains_key(&number) => Progress::new(low),
            Some(committed) => Progress::restore(committed.offset, &committed.metadata).0,
            None => Progress::new(low),
        };
        // What retention took is no longer there to be settled.
        progress.lose_below(low);
        (number, Cursor { progress, high })
    };
    Ok(lows.into_iter().zip(highs).map(cursor).collect())
}

/// Settles these offsets.
pub(super) fn purge(cluster: &Cluster, name: &str, topic: &str, chosen: &[(u32, u64)]) -> Result<u64, Error> {
    let group = Group::new(cluster, name)?;
    let mut cursors = cursors(cluster, &group, name, topic)?;
    let (mut count, mut changed) = (0, BTreeMap::new());
    for (number, offset) in chosen {
        let Some(Cursor { progress, high }) = cursors.get_mut(number) else { continue };
        if offset < high && !progress.is_settled(*offset) {
            progress.settle_range(*offset, *offset + 1);
            changed.insert(*number, Committed { offset: 0, metadata: String::new() });
            count += 1;
        }
    }
    for (number, commit) in &mut changed {
        let progress = &cursors[number].progress;
        let encoded = progress.encode(METADATA_CHARS);
        if let Some(told_below) = encoded.told_below {
            return Err(untold(*number, told_below, progress.base()));
        }
        *commit = Committed { offset: progress.base(), metadata: encoded.text };
    }
    commit(&group, name, topic, &changed)?;
    Ok(count)
}

/// Settles all that stand before now.
pub(super) fn purge_all(cluster: &Cluster, name: &str, topic: &str) -> Result<u64, Error> {
    let group = Group::new(cluster, name)?;
    let cursors = cursors(cluster, &group, name, topic)?;
    let count = cursors.values().map(|cursor| cursor.progress.lag(cursor.high)).sum();
    let ends = cursors.iter().map(|(number, cursor)| (*number, at(cursor.high)));
    commit(&group, name, topic, &ends.collect())?;
    Ok(count)
}

/// Moves the cursor.
pub(super) fn seek(cluster: &Cluster, name: &str, topic: &str, to: Start) -> Result<(), Error> {
    let group = Group::new(cluster, name)?;
    let partitions: Vec<u32> = (0..cluster.partitions(topic)?).collect();
    if patiently(|| group.committed(topic, &partitions))?.is_empty() {
        return Err(unknown(name, topic));
    }
    let targets = cluster.offsets(topic, partitions, group::place(to))?;
    let targets = targets.into_iter().map(|(number, offset)| (number, at(offset)));
    commit(&group, name, topic, &targets.collect())
}

/// A place before which all is settled, and nothing from it on.
fn at(offset: u64) -> Committed {
    Committed { offset, metadata: String::new() }
}

fn commit(
    group: &Group<'_>,
    name: &str,
    topic: &str,
    offsets: &BTreeMap<u32, Committed>,
) -> Result<(), Error> {
    match group.try_commit(topic, offsets) {
        Err(error) if group::is_active(&error) => {
            let members = group.members();
            let who = if members.is_empty() { String::new() } else { format!(" ({})", members.join(", ")) };
            let message = format!(
                "subscription {name} is read by another process{who}: nothing was changed; ask that process, or stop it"
            );
            Err(Error::new(ErrorKind::Conflict, message))
        }
        Err(error) => Err(group.commit_failed(topic, &error)),
        Ok(()) => Ok(()),
    }
}

fn unknown(name: &str, topic: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no subscription {name} on topic {topic}"))
}
