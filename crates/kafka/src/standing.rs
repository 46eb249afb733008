//! Whether what a group has committed is of the log that is there: a topic may be truncated, or made anew under its name.

use std::collections::BTreeMap;

use broker::Error;

use crate::cluster::Cluster;
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
    if doubtful.is_empty() {
        return Ok(BTreeMap::new());
    }
    // A high is that of committed transactions: whoever settled from outside may have gone beyond it.
    let mut ends = cluster.log_ends(topic, &doubtful)?;
    let still = beyond(committed, &ends);
    ends.retain(|partition, _| still.contains(partition));
    Ok(ends)
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
}
