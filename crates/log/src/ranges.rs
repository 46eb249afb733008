use std::collections::BTreeMap;

/// A set of sequences, as the ranges it consists of: a million neighbours are one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// First → one past the last. Neither overlapping nor touching.
    ranges: BTreeMap<u64, u64>,
    total: u64,
}

impl Ranges {
    /// Adds `from..to`; returns how many of them are new.
    pub fn insert(&mut self, mut from: u64, mut to: u64) -> u64 {
        if from >= to {
            return 0;
        }
        let before = self.total;
        if let Some((&start, &end)) = self.ranges.range(..from).next_back()
            && end >= from
        {
            from = start;
            to = to.max(end);
            self.ranges.remove(&start);
            self.total -= end - start;
        }
        while let Some((&start, &end)) = self.ranges.range(from..=to).next().map(visited) {
            to = to.max(end);
            self.ranges.remove(&start);
            self.total -= end - start;
        }
        self.ranges.insert(from, to);
        self.total += to - from;
        self.total - before
    }

    /// Takes out everything below `floor`.
    pub(crate) fn remove_below(&mut self, floor: u64) {
        while let Some((&start, &end)) = self.ranges.first_key_value().map(visited)
            && start < floor
        {
            self.ranges.pop_first();
            self.total -= end.min(floor) - start;
            if end > floor {
                self.ranges.insert(floor, end);
            }
        }
    }

    pub fn clear(&mut self) {
        self.ranges.clear();
        self.total = 0;
    }

    /// The end of the range that holds `sequence`.
    pub fn end_of(&self, sequence: u64) -> Option<u64> {
        self.ranges.range(..=sequence).next_back().map(|(_, &end)| end).filter(|&end| end > sequence)
    }

    /// How many members are in `from..to`, where none begins before `from` and ends after it.
    pub(crate) fn count_from(&self, from: u64, to: u64) -> u64 {
        self.ranges.range(from..to.max(from)).map(visited).map(|(start, &end)| end.min(to) - start).sum()
    }

    /// How many members are below `end`. Costs as many ranges as stand on the shorter side of it, and it is asked nearly
    /// always with an `end` above all of them.
    pub(crate) fn count_below(&self, end: u64) -> u64 {
        let (mut lower, mut upper) = (self.ranges.range(..end), self.ranges.range(end..));
        let split = lower.clone().next_back().map_or(0, |(_, &to)| to.saturating_sub(end));
        let (mut below, mut above) = (0, split);
        loop {
            match upper.next().map(visited) {
                None => return self.total - above,
                Some((start, to)) => above += to - start,
            }
            match lower.next().map(visited) {
                None => return below,
                Some((start, &to)) => below += to.min(end) - start,
            }
        }
    }

    /// One past the highest member.
    pub fn end(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, &end)| end)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(&from, &to)| (from, to))
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Number of ranges, which is what they cost.
    pub fn pieces(&self) -> usize {
        self.ranges.len()
    }
}

/// Counts what an operation looks at, in tests.
fn visited<T>(entry: T) -> T {
    #[cfg(test)]
    tests::VISITS.set(tests::VISITS.get() + 1);
    entry
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        pub(crate) static VISITS: Cell<u64> = const { Cell::new(0) };
    }

    #[test]
    fn a_million_neighbours_are_one_range() {
        let mut ranges = Ranges::default();
        for n in 1..1_000_000 {
            assert_eq!(ranges.insert(n, n + 1), 1);
        }
        assert_eq!(ranges.pieces(), 1);
        assert_eq!(ranges.end_of(1), Some(1_000_000));
    }

    #[test]
    fn counting_looks_at_the_shorter_side() {
        let mut ranges = Ranges::default();
        (0..1000).for_each(|n| assert_eq!(ranges.insert(3 * n, 3 * n + 1), 1));
        for (end, members) in [(3000, 1000), (2990, 997), (10, 4), (0, 0)] {
            VISITS.set(0);
            assert_eq!(ranges.count_below(end), members);
            assert!(VISITS.get() <= 9, "{} ranges were looked at below {end}", VISITS.get());
        }
    }

    proptest! {
        #[test]
        fn ranges_are_a_set(inserts in prop::collection::vec((0u64..60, 0u64..12), 0..40), floor in 0u64..70, end in 0u64..70) {
            let mut ranges = Ranges::default();
            let mut model = BTreeSet::new();
            for (from, length) in inserts {
                let new = (from..from + length).filter(|n| model.insert(*n)).count();
                prop_assert_eq!(ranges.insert(from, from + length), new as u64);
            }
            let pieces: Vec<_> = ranges.iter().collect();
            prop_assert!(pieces.windows(2).all(|w| w[0].1 < w[1].0), "ranges touch: {:?}", pieces);
            prop_assert_eq!(ranges.count_below(end), model.range(..end).count() as u64);
            let begins = pieces.iter().all(|(from, to)| !(from + 1..*to).contains(&floor));
            if begins && floor <= end {
                prop_assert_eq!(ranges.count_from(floor, end), model.range(floor..end).count() as u64);
            }
            ranges.remove_below(floor);
            model = model.split_off(&floor);
            for n in 0..80 {
                prop_assert_eq!(ranges.end_of(n).is_some(), model.contains(&n));
            }
            prop_assert_eq!(ranges.count_below(u64::MAX), model.len() as u64);
        }
    }
}
