//! What has been read of each partition and not been handed out, and which of it is next.
//!
//! Partitions are merged by the time at which their records were taken in; within a partition the order is that of its
//! offsets. A record therefore counts as no older than what stands before it in its partition, whatever its producer's
//! clock said: then "the first record at or after a time", which is what a broker can be asked for, is a place in this
//! order, and a listing that goes on from a record leaves out nothing.

use std::collections::VecDeque;

use broker::{Browsed, Position};

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// What is older is not wanted.
    from: u64,
    /// The lowest offset that may still come.
    next: u64,
    /// The topic's end is reached when all below this has come.
    high: u64,
    /// The youngest record so far, in milliseconds since the Unix epoch.
    reached_ms: u64,
    waiting: VecDeque<Waiting>,
    /// Whether an end that librdkafka tells of now is no older than `high`.
    fresh: bool,
    /// An end was told that may be older than `high`.
    doubt: bool,
    pub(super) paused: bool,
}

#[derive(Debug)]
struct Waiting {
    order_ms: u64,
    bytes: usize,
    browsed: Browsed,
}

impl Lane {
    /// A partition that is read from an offset on, and its end as it was looked up before.
    pub(super) fn new(from: u64, high: u64) -> Self {
        Self { from, next: from.min(high), high, fresh: true, ..Self::default() }
    }

    /// Where reading begins, or goes on.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// An offset has come that is not to be handed out. Whether one that came is wanted at all.
    pub(super) fn wants(&mut self, offset: u64) -> bool {
        self.next = offset + 1;
        self.doubt = false;
        offset >= self.from
    }

    pub(super) fn push(&mut self, browsed: Browsed, bytes: usize) {
        self.reached_ms = self.reached_ms.max(browsed.1);
        self.waiting.push_back(Waiting { order_ms: self.reached_ms, bytes, browsed });
    }

    /// librdkafka says that it has come to the partition's end. Holes need not be waited for, then: what compaction took
    /// away, and the markers of transactions.
    pub(super) fn ended(&mut self) {
        if self.fresh {
            self.next = self.next.max(self.high);
        } else {
            self.doubt = self.next < self.high;
        }
    }

    /// The end has been looked up again. What was told of it until now may have been this one's already, and librdkafka
    /// tells each once: unless something comes, it has to be asked for anew.
    pub(super) fn raise(&mut self, high: u64) {
        self.fresh &= self.high == high;
        self.high = high;
        self.doubt |= self.next < high;
    }

    /// Whether it has to be read anew from [`next`](Self::next) on, so that its end is told again.
    pub(super) fn doubtful(&self) -> bool {
        self.doubt
    }

    /// It is read anew: what librdkafka tells from now on is later than any `high`.
    pub(super) fn sought(&mut self) {
        (self.fresh, self.doubt) = (true, false);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether something has to come from it before anything else is handed out.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.is_empty() && self.next < self.high
    }
}

/// All partitions of a topic, by number.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) lanes: Vec<Lane>,
    bytes: usize,
}

impl Lanes {
    /// What waits to be handed out, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(
        &mut self,
        partition: u32,
        offset: u64,
        time_ms: u64,
        record: broker::Record,
        bytes: usize,
    ) {
        if let Some(lane) = self.lanes.get_mut(partition as usize) {
            lane.push((Position::Pair(partition, offset), time_ms, record), bytes);
            self.bytes += bytes;
        }
    }

    /// Whether all that stood below the partitions' ends has come and been handed out.
    pub(super) fn at_end(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_empty() && !lane.is_awaited())
    }

    /// The oldest record that waits and its size, unless an older one may still come.
    pub(super) fn pop(&mut self) -> Option<(Browsed, usize)> {
        let mut oldest: Option<(u64, usize)> = None;
        for (number, lane) in self.lanes.iter().enumerate() {
            match lane.waiting.front() {
                Some(first) if oldest.is_none_or(|(ms, _)| first.order_ms < ms) => {
                    oldest = Some((first.order_ms, number));
                }
                Some(_) => {}
                None if lane.is_awaited() => return None,
                None => {}
            }
        }
        let first = self.lanes[oldest?.1].waiting.pop_front()?;
        self.bytes -= first.bytes;
        Some((first.browsed, first.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_was_told_too_early_is_asked_for_anew() {
        // 0 to 3 are records and 4 is a marker; the end behind it is told before it has been looked up.
        let mut lane = Lane::new(0, 0);
        (0..4).for_each(|offset| assert!(lane.wants(offset)));
        lane.ended();
        assert!(!lane.doubtful() && !lane.is_awaited());
        lane.raise(5);
        assert!(
            lane.is_awaited() && lane.doubtful(),
            "nothing more comes, and librdkafka tells no end twice"
        );
        lane.sought();
        lane.ended();
        assert!(!lane.is_awaited() && !lane.doubtful());
        lane.raise(6);
        assert!(lane.wants(5));
        assert!(!lane.doubtful() && !lane.is_awaited(), "what comes settles it");
        lane.raise(6);
        assert!(!lane.doubtful(), "nothing is new");
    }
}
