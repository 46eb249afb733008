//! Offsets that come though they are below what had come before: fetched twice, or of a log that was truncated or made
//! anew. Nothing here asks the broker.
//!
//! A log that was truncated grows again, and once it is as long as it was, offsets do not tell it from the old one. So as
//! soon as there is a doubt, a place before all that may be new is committed in place of the progress, until it is known
//! what happened; and what stood committed before is not believed by this process where that could not be replaced.

use std::time::{Duration, Instant};

use super::partition::{Partition, Question};
use super::slots::Received;
use super::state::State;
use crate::cluster::Place;
use crate::group::Committed;
use crate::standing::Short;

/// How much earlier than the youngest record that came the records are that may be new after a truncation: clocks of
/// producers differ.
const MARGIN_MS: u64 = 10 * 60 * 1000;

/// How long the last record is waited for, when records before it come again. In vain, the log does not have it any more.
const AGAIN: Duration = Duration::from_secs(5);

/// What tells a record from another one at its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    offset: u64,
    published_ms: u64,
    bytes: u32,
}

impl Mark {
    pub(super) fn of(received: &Received) -> Self {
        Self { offset: received.offset, published_ms: received.published_ms, bytes: received.bytes }
    }
}

/// What came again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rewound {
    /// The first offset of it, or where the log begins: nothing that is new stands before.
    pub(super) lowest: u64,
    since: Instant,
    /// Whether the record that had come last has come again, as it was.
    same: Option<bool>,
    /// Where the log ended, before what had been reached: that was seen, whatever has come since.
    pub(super) end: Option<u64>,
    /// The last record is to be read again: nothing else tells.
    reread: bool,
}

/// What a rewind is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same records, fetched twice.
    Twice,
    /// The log is not the one that had been read up to there.
    Truncated,
    /// That is not known yet.
    Unknown,
}

impl Partition {
    /// Whether a record is below what had come before, which is noted.
    pub(super) fn is_rewound(&mut self, received: &Received, now: Instant) -> bool {
        if received.offset >= self.read {
            return false;
        }
        let rewound = self.rewound.get_or_insert(Rewound {
            lowest: received.offset,
            since: now,
            same: None,
            end: None,
            reread: false,
        });
        rewound.lowest = rewound.lowest.min(received.offset);
        if let Some(last) = &self.last
            && rewound.same != Some(false)
            && received.offset >= last.offset
        {
            // Behind the last one there was no record.
            rewound.same = Some(Mark::of(received) == *last);
        }
        true
    }

    /// The log ends at `high` and begins at `low`, as was answered to this question; where that is before what had been
    /// reached, why, as far as is known. A log that may have been truncated is noted.
    pub(super) fn judge_end(&mut self, asked: &Question, high: u64, low: u64, short: Option<Short>) {
        if !self.asked(asked) {
            return;
        }
        if high >= asked.reached {
            (self.unjudged, self.excused) = (false, None);
            return;
        }
        // Where it is not known why, the next answer may tell.
        let Some(short) = short else { return };
        // Open transactions hold back nobody who has read beyond them.
        let was_read = self.last.is_some() && high < self.read;
        let (end, reread) = match short {
            Short::Ends(end) => (Some(end), false),
            Short::Open | Short::Grown if was_read => (None, true),
            Short::Open => (None, false),
            Short::Grown => (Some(high), false),
        };
        (self.unjudged, self.excused) = (false, Some(high));
        if end.is_some() || reread {
            let new = Rewound { lowest: low, since: Instant::now(), same: None, end, reread };
            let rewound = self.rewound.get_or_insert(new);
            (rewound.lowest, rewound.end) = (rewound.lowest.min(low), rewound.end.or(end));
        }
    }

    /// The offset of the last record, where that is to be read again. Told once.
    pub(super) fn take_reread(&mut self) -> Option<u64> {
        let rewound = self.rewound.as_mut().filter(|rewound| rewound.reread)?;
        (rewound.reread, rewound.since) = (false, Instant::now());
        self.last.as_ref().map(|last| last.offset)
    }

    /// What a rewind is, as far as is known; `high` is one past the last record of the log as it is now. That the log has
    /// grown beyond what was read proves nothing: it may have been truncated before. So the last record must come again.
    pub(super) fn judge_rewind(&self, high: Option<u64>, now: Instant) -> Verdict {
        let Some(rewound) = &self.rewound else { return Verdict::Twice };
        let shorter = high.is_some_and(|high| high < self.read);
        match rewound.same {
            _ if rewound.lowest < self.began || shorter || rewound.end.is_some() => Verdict::Truncated,
            Some(true) => Verdict::Twice,
            Some(false) => Verdict::Truncated,
            None if self.last.is_none() || now.saturating_duration_since(rewound.since) >= AGAIN => {
                Verdict::Truncated
            }
            None => Verdict::Unknown,
        }
    }
}

impl State {
    pub(super) fn has_rewound(&self) -> bool {
        self.partitions.values().any(|partition| partition.rewound.is_some())
    }

    /// The partitions whose rewind cannot be judged from here alone.
    pub(super) fn rewinds(&mut self, now: Instant) -> Vec<u32> {
        let rewound = self.partitions.values().filter(|partition| partition.rewound.is_some());
        let (twice, doubtful): (Vec<&Partition>, Vec<&Partition>) =
            rewound.partition(|partition| partition.judge_rewind(None, now) == Verdict::Twice);
        let doubtful = doubtful.iter().map(|partition| partition.number).collect();
        let twice: Vec<u32> = twice.iter().map(|partition| partition.number).collect();
        twice.into_iter().for_each(|number| self.acquit(number));
        doubtful
    }

    /// It was the same log.
    pub(super) fn acquit(&mut self, number: u32) {
        if let Some(partition) = self.partitions.get_mut(&number) {
            partition.rewound = None;
        }
        self.answer_flushes();
    }

    /// What is committed of a partition is what this process knew to be of another log, and could not replace.
    pub(super) fn take_distrust(&mut self, number: u32, committed: Option<&Committed>) -> bool {
        self.distrusted.remove(&number).is_some_and(|before| committed == Some(&before))
    }
}

/// Where the records begin that may be new, when the youngest one that came is of this time. A time that is yet to come is
/// some producer's mistake, and would pass over all that is new.
pub(super) fn place(youngest_ms: u64, now_ms: u64) -> Place {
    match youngest_ms.min(now_ms).saturating_sub(MARGIN_MS) {
        0 => Place::Low,
        ms => Place::At(ms),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use broker::{Body, Hop, Record};

    use super::*;
    use crate::progress::Progress;

    fn received(offset: u64, published_ms: u64) -> Received {
        let body = Body::Foreign { bytes: "data".into(), reason: "a test".into() };
        let record = Record { key: None, body, hop: Hop::default(), letter: None };
        Received { offset, published_ms, bytes: 4, record: Arc::new(record) }
    }

    /// Began at 10; 10 and 11 were read, each taken in at its offset, and a marker was passed.
    fn partition() -> Partition {
        let mut partition = Partition::new(0, Progress::new(10), 13, u64::MAX);
        for offset in [10, 11] {
            let received = received(offset, offset);
            assert!(!partition.is_rewound(&received, Instant::now()));
            partition.last = Some(Mark::of(&received));
            partition.receive(offset);
        }
        partition.pass(13);
        partition
    }

    #[test]
    fn the_last_record_tells_whether_a_log_has_grown_again() {
        let now = Instant::now();
        for (published_ms, verdict) in [(11, Verdict::Twice), (12, Verdict::Truncated)] {
            let mut partition = partition();
            assert!(partition.is_rewound(&received(10, 10), now));
            assert_eq!(partition.judge_rewind(Some(20), now), Verdict::Unknown, "the last is yet to come");
            assert!(partition.is_rewound(&received(11, published_ms), now));
            assert_eq!(partition.judge_rewind(Some(20), now), verdict);
        }
        let mut partition = partition();
        assert!(partition.is_rewound(&received(12, 12), now));
        assert_eq!(partition.judge_rewind(Some(20), now), Verdict::Truncated, "there was no record");
    }

    #[test]
    fn what_cannot_be_the_same_log_is_not_waited_for() {
        let now = Instant::now();
        let mut partition = partition();
        assert_eq!(partition.judge_rewind(None, now), Verdict::Twice, "nothing came again");
        assert!(partition.is_rewound(&received(10, 10), now));
        assert_eq!(partition.judge_rewind(Some(12), now), Verdict::Truncated, "it ends before what was read");
        assert_eq!(partition.judge_rewind(Some(13), now + AGAIN), Verdict::Truncated, "the last is gone");
        assert!(partition.is_rewound(&received(9, 9), now));
        assert_eq!(partition.judge_rewind(None, now), Verdict::Truncated, "it began after that");
    }

    #[test]
    fn a_time_that_is_yet_to_come_passes_over_nothing() {
        let now = 1_700_000_000_000;
        assert_eq!(place(now + 86_400_000, now), Place::At(now - MARGIN_MS));
        assert_eq!(place(now - 5, now), Place::At(now - 5 - MARGIN_MS));
        assert_eq!(place(0, now), Place::Low);
    }

    #[test]
    fn nothing_is_passed_beyond_the_end_that_is_to_be_read() {
        let mut partition = Partition::new(0, Progress::new(0), 100, 50);
        partition.pass_silently(70);
        assert_eq!(partition.progress.base(), 50, "what stands behind the end is another's to read");
    }
}
