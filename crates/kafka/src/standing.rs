//! Whether what a group has committed is of the log that is there: a topic may be truncated, or made anew under its name.

use std::collections::BTreeMap;

use broker::Error;

use crate::cluster::{Cluster, Place};
use crate::group::Committed;
use crate::progress::Progress;

/// One past the last offset that a commit tells to be settled: beyond the committed one, where the metadata knows more.
pub(crate) fn told_end(committed: &Committed) -> u64 {
    let (progress, _) = Progress::restore(committed.offset, &committed.metadata);
    progress.told_end().unwrap_or(committed.offset).max(progress.next())
}

/// The partitions whose logs end before what was settled of them, and where they end. Nothing of what was committed holds
/// for these: which of their records are new, an offset does not tell.
pub(crate) fn truncated(
    cluster: &Cluster,
    topic: &str,
    committed: &BTreeMap<u32, Committed>,
    highs: &BTreeMap<u32, u64>,
) -> Result<BTreeMap<u32, u64>, Error> {
    let doubtful = beyond(committed, highs);
    let reached = |number: &u32| Some((*number, (told_end(committed.get(number)?), *highs.get(number)?)));
    let doubtful: BTreeMap<u32, (u64, u64)> = doubtful.iter().filter_map(reached).collect();
    let shorts = explain(cluster, topic, &doubtful)?;
    let end = |(number, short): (u32, Short)| match short {
        Short::Ends(end) => Some((number, end)),
        Short::Grown => Some((number, highs.get(&number).copied()?)),
        Short::Open => None,
    };
    Ok(shorts.into_iter().filter_map(end).collect())
}

/// Why a log ends before what had been read or settled of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// It does, here.
    Ends(u64),
    /// It does not: transactions are open there, and whoever settled from outside may have gone beyond them.
    Open,
    /// It did, and no longer does. It was truncated and has grown since; or a transaction has just ended, or who answered
    /// first no longer led it.
    Grown,
}

impl Short {
    /// Of a log that ended at `high`, then at `end`, open transactions included, and at `again` without them.
    pub(crate) fn new(reached: u64, high: u64, end: u64, again: u64) -> Self {
        match end {
            end if end < reached => Self::Ends(end),
            _ if again == high => Self::Open,
            _ => Self::Grown,
        }
    }
}

/// Why these partitions, of which so much was reached, end at these highs, (reached, high) by number. Blocks.
pub(crate) fn explain(
    cluster: &Cluster,
    topic: &str,
    short: &BTreeMap<u32, (u64, u64)>,
) -> Result<BTreeMap<u32, Short>, Error> {
    if short.is_empty() {
        return Ok(BTreeMap::new());
    }
    let numbers: Vec<u32> = short.keys().copied().collect();
    let ends = cluster.log_ends(topic, &numbers)?;
    let again: BTreeMap<u32, u64> = cluster.offsets(topic, numbers, Place::High)?.into_iter().collect();
    let why = |(number, (reached, high)): (&u32, &(u64, u64))| {
        let (end, again) = (ends.get(number)?, again.get(number)?);
        Some((*number, Short::new(*reached, *high, *end, *again)))
    };
    Ok(short.iter().filter_map(why).collect())
}

/// The partitions of which more is settled than these ends.
fn beyond(committed: &BTreeMap<u32, Committed>, ends: &BTreeMap<u32, u64>) -> Vec<u32> {
    let is_beyond = |(number, committed): &(&u32, &Committed)| {
        ends.get(number).is_some_and(|end| told_end(committed) > *end)
    };
    committed.iter().filter(is_beyond).map(|(number, _)| *number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 is stuck, and all from 101 up to 5000 is settled.
    fn stuck() -> Committed {
        let mut progress = Progress::new(100);
        progress.receive(100);
        progress.settle_range(101, 5000);
        Committed { offset: progress.base(), metadata: progress.encode(4096).text }
    }

    #[test]
    fn what_is_settled_out_of_order_counts_where_a_log_was_truncated() {
        let committed = BTreeMap::from([(0, stuck()), (1, stuck()), (2, stuck())]);
        assert_eq!(told_end(&stuck()), 5000);
        let ends = BTreeMap::from([(0, 200), (1, 5000)]);
        assert_eq!(beyond(&committed, &ends), [0], "1 goes as far, and of 2 nothing is known");
        let plain = Committed { offset: 7, metadata: String::new() };
        assert_eq!(told_end(&plain), 7);
    }

    #[test]
    fn where_transactions_are_open_a_log_ends_behind_them() {
        assert_eq!(Short::new(100, 50, 60, 55), Short::Ends(60));
        assert_eq!(Short::new(100, 50, 100, 50), Short::Open);
        assert_eq!(Short::new(100, 50, 100, 100), Short::Grown, "or it has been truncated");
    }
}
