//! What this process knows of partitions that it lost before it could commit.
//!
//! While a group's coordinator is away nothing can be committed, and the member's session may end meanwhile. Where such a
//! partition comes back, and the commit that stands there is still the one that this process had made or found, nobody
//! has gone on since: then what was settled here beyond it holds, and need not come again.

use std::collections::BTreeMap;

use super::partition::Partition;
use crate::group::Committed;
use crate::standing;

#[derive(Debug)]
struct Memory {
    /// What may stand on the broker if nobody else has committed: the last commit that is known to stand there, and one
    /// whose answer may have been lost.
    last: [Option<Committed>; 2],
    /// What would have been committed next.
    ours: Committed,
}

/// By partition.
#[derive(Debug, Default)]
pub(super) struct Memories(BTreeMap<u32, Memory>);

impl Memories {
    /// A partition goes.
    pub(super) fn keep(&mut self, partition: &Partition, metadata_max: usize) {
        if !partition.is_dirty() {
            self.0.remove(&partition.number);
            return;
        }
        let ours = Committed {
            offset: partition.progress.base(),
            metadata: partition.progress.encode(metadata_max).text,
        };
        let last = [partition.committed.clone(), partition.tried.clone()];
        self.0.insert(partition.number, Memory { last, ours });
    }

    /// A partition comes, on which this stands committed, and whose log ends here: what is known to have been settled
    /// beyond. A log that does not go as far has lost it, and may have other records in its place by now.
    pub(super) fn recall(&mut self, number: u32, found: &Committed, end: Option<u64>) -> Option<Committed> {
        let Memory { last, ours } = self.0.remove(&number)?;
        let is_last = last.iter().flatten().any(|last| last == found);
        let is_there = end.is_some_and(|end| standing::told_end(&ours) <= end);
        (is_last && is_there).then_some(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;

    fn committed(offset: u64) -> Committed {
        Committed { offset, metadata: String::new() }
    }

    /// Read up to 10 from 5 on, where 5 stands committed, and settled but for 7.
    fn lost() -> Memories {
        let mut partition = Partition::new(3, Progress::new(5), 10, u64::MAX);
        (partition.committed, partition.tried) = (Some(committed(5)), Some(committed(6)));
        for offset in 5..10 {
            partition.receive(offset);
            if offset != 7 {
                partition.progress.settle(offset);
            }
        }
        let mut memories = Memories::default();
        memories.keep(&partition, 4096);
        memories
    }

    #[test]
    fn what_was_settled_holds_while_nobody_else_has_committed() {
        for found in [5, 6] {
            let ours = lost().recall(3, &committed(found), Some(10)).expect("it is as it was left");
            let (progress, _) = Progress::restore(ours.offset, &ours.metadata);
            assert_eq!(ours.offset, 7);
            assert!(!progress.is_settled(7) && progress.is_settled(8) && progress.is_settled(9));
        }
    }

    #[test]
    fn nothing_is_recalled_of_what_moved_on_was_truncated_or_is_another() {
        assert_eq!(lost().recall(3, &committed(8), Some(20)), None, "somebody has committed since");
        assert_eq!(lost().recall(3, &committed(5), Some(9)), None, "the log ends before");
        assert_eq!(lost().recall(3, &committed(5), None), None, "where it ends is not known");
        assert_eq!(lost().recall(4, &committed(5), Some(10)), None);
        let mut memories = lost();
        memories.keep(&Partition::new(3, Progress::new(5), 10, u64::MAX), 4096);
        assert_eq!(
            memories.recall(3, &committed(5), Some(10)),
            None,
            "it had nothing to commit the last time"
        );
    }
}
