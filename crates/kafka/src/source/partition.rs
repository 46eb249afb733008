//! One partition that is read here: what of it waits, and what of it is settled.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use broker::Note;

use super::rewind::{Mark, Rewound};
use super::slots::Received;
use crate::group::Committed;
use crate::progress::{self, Passed, Progress};

/// Share of the commit's metadata at which reading stops, and at which it goes on.
const FULL: f64 = 0.75;
const HALF_FULL: f64 = 0.5;
/// Most holes that wait for the log's beginning to be asked; beyond, they are joined.
const HOLES_MAX: usize = 64;

/// Offsets that were jumped over.
#[derive(Clone, Copy, Debug)]
struct Hole {
    from: u64,
    to: u64,
    /// How many of them were not settled.
    count: u64,
    /// Which jump it was, the last where several were joined.
    jump: u64,
}

/// What was known of a partition when it was asked where its log begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    incarnation: u64,
    jumps: u64,
    /// So far its log went, by all that was read of it and told to be settled.
    pub(super) reached: u64,
    /// An end before that which has been looked into.
    pub(super) excused: Option<u64>,
}

/// What a commit tells of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing that still holds: it stands elsewhere, or in another log.
    Nothing,
    /// Its progress, of this revision.
    Progress(u64),
    /// A place, and nothing of what is settled from there on: that may have been in another log.
    Place(u64),
}

/// Why the broker did not take a commit, though it takes those of others.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) why: String,
    /// When it is to be tried again.
    pub(super) again: Instant,
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) number: u32,
    /// Tells it from what was read under the same number before: given by the state.
    pub(super) incarnation: u64,
    pub(super) progress: Progress,
    /// One past the last offset that librdkafka has brought us to.
    pub(super) read: u64,
    /// Received and never handed out, in the order of offsets.
    pub(super) queue: VecDeque<Received>,
    /// Released, or handed out elsewhere before: they come before the queue, in the order of offsets.
    pub(super) again: BTreeMap<u64, Received>,
    /// It is in the ring of partitions that have something to hand out.
    pub(super) in_ring: bool,
    /// It is being handed to another owner: nothing of it is handed out any more.
    pub(super) leaving: bool,
    /// One past the last record of the log, as last asked.
    pub(super) high: u64,
    /// Hand out nothing at or after this.
    pub(super) until: u64,
    /// It is not known whether the log goes as far as what was restored as settled: it is not read before.
    pub(super) unjudged: bool,
    /// The metadata is too full to read on.
    pub(super) is_full: bool,
    /// librdkafka has been told to pause it.
    pub(super) is_paused: bool,
    /// What is durable, and up to which settle of the source it goes.
    pub(super) told: Told,
    pub(super) durable: u64,
    /// What stands committed, as far as is known; and that it is of another log, so that nobody may believe it.
    pub(super) committed: Option<Committed>,
    pub(super) distrusted: bool,
    /// The last settle of the source that was of this partition.
    pub(super) touched: u64,
    /// The broker does not take its commits.
    pub(super) refused: Option<Refused>,
    /// Jumps over what compaction or retention took, of which it is not known yet which.
    holes: Vec<Hole>,
    /// How many there were so far.
    jumps: u64,
    /// When it was last learnt where it ends.
    pub(super) ends_at: Instant,
    /// Since when there is more on the log and nothing comes.
    pub(super) behind_since: Option<Instant>,
    /// Where reading began here, and when the youngest record that came was taken in (milliseconds since the Unix epoch).
    pub(super) began: u64,
    pub(super) youngest_ms: u64,
    /// The last end that was looked into, where it was before what was reached: transactions may be open there.
    pub(super) excused: Option<u64>,
    /// What came though it is below `read`, or that the log ends before: that is to be looked into.
    pub(super) rewound: Option<Rewound>,
    /// The last record that came.
    pub(super) last: Option<Mark>,
}

impl Partition {
    pub(super) fn new(number: u32, progress: Progress, high: u64, until: u64) -> Self {
        Self {
            number,
            incarnation: 0,
            read: progress.next(),
            began: progress.next(),
            told: Told::Progress(progress.revision()),
            committed: None,
            distrusted: false,
            progress,
            queue: VecDeque::new(),
            again: BTreeMap::new(),
            in_ring: false,
            leaving: false,
            high,
            until,
            unjudged: false,
            is_full: false,
            is_paused: false,
            durable: 0,
            touched: 0,
            refused: None,
            holes: Vec::new(),
            jumps: 0,
            ends_at: Instant::now(),
            behind_since: None,
            youngest_ms: 0,
            excused: None,
            rewound: None,
            last: None,
        }
    }

    /// What is to be handed out next.
    pub(super) fn peek(&self) -> Option<&Received> {
        if self.leaving {
            return None;
        }
        self.again.first_key_value().map(|(_, received)| received).or_else(|| self.queue.front())
    }

    /// Takes it.
    pub(super) fn pop(&mut self) -> Option<Received> {
        if self.leaving {
            return None;
        }
        let again = self.again.pop_first().map(|(_, received)| received);
        again.or_else(|| self.queue.pop_front())
    }

    /// Everything below has been handed out.
    pub(super) fn handed_out(&self) -> u64 {
        let again = self.again.first_key_value().map(|(offset, _)| *offset);
        let queued = self.queue.front().map(|received| received.offset);
        again.into_iter().chain(queued).min().unwrap_or_else(|| self.next())
    }

    /// There is more to commit than was.
    pub(super) fn is_dirty(&self) -> bool {
        self.telling() != self.told
    }

    /// What a commit would tell now. Until it is known whether the log is still the one that was read, that is a place
    /// that hides nothing of another one: whoever reads it next may find that log longer than this one was.
    pub(super) fn telling(&self) -> Told {
        match &self.rewound {
            None => Told::Progress(self.progress.revision()),
            Some(rewound) => Told::Place(rewound.lowest.min(self.progress.base())),
        }
    }

    /// What stands committed is of another log, or may be.
    pub(super) fn is_suspect(&self) -> bool {
        self.distrusted || (self.rewound.is_some() && self.is_dirty())
    }

    /// The first offset of which nothing is known yet.
    pub(super) fn next(&self) -> u64 {
        self.progress.next().max(self.read)
    }

    /// Records that are not settled, read or not.
    pub(super) fn lag(&self) -> u64 {
        self.progress.lag(self.high.min(self.until))
    }

    pub(super) fn note(&self, offset: u64) -> Note {
        self.progress.note_of(offset).unwrap_or_default()
    }

    /// Looks whether reading may go on, with hysteresis.
    pub(super) fn judge_fullness(&mut self, metadata_max: usize) {
        let fullness = self.progress.fullness(metadata_max);
        self.is_full = fullness >= if self.is_full { HALF_FULL } else { FULL };
    }

    /// It is to be read, as far as it is concerned.
    pub(super) fn wants_reading(&self) -> bool {
        let is_known = !self.unjudged && self.rewound.as_ref().is_none_or(|rewound| rewound.end.is_none());
        is_known && !self.is_full && !self.leaving && self.next() < self.until
    }

    /// Librdkafka brought a record, or passed what is none. True: the record is to be handed out.
    pub(super) fn receive(&mut self, offset: u64) -> bool {
        let from = self.progress.next();
        self.read = self.read.max(offset + 1);
        self.high = self.high.max(offset + 1);
        self.behind_since = None;
        let (received, passed) = self.progress.receive(offset);
        self.jumped(from, offset, passed);
        received == progress::Received::New
    }

    /// There is nothing to read below `offset`.
    pub(super) fn pass(&mut self, offset: u64) {
        if offset > self.read {
            let from = self.progress.next();
            self.read = offset;
            let passed = self.progress.skip_to(offset);
            self.jumped(from, offset, passed);
        }
    }

    /// Librdkafka stands at `position` and has brought nothing of what is before it: markers of transactions are passed
    /// without a word. Beyond its end a partition is not ours to settle, whatever librdkafka has polled there.
    pub(super) fn pass_silently(&mut self, position: u64) {
        self.pass(position.min(self.high).min(self.until));
    }

    /// Nothing has come for so long, though there is more.
    pub(super) fn is_behind(&self, now: Instant, patience: Duration) -> bool {
        self.behind_since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
    }

    fn jumped(&mut self, from: u64, to: u64, passed: Passed) {
        let count = passed.awaited + passed.unknown;
        let many = self.holes.len() >= HOLES_MAX;
        if count == 0 {
            return;
        }
        self.jumps += 1;
        let jump = self.jumps;
        match self.holes.last_mut() {
            Some(last) if many => *last = Hole { to, count: last.count + count, jump, ..*last },
            _ => self.holes.push(Hole { from, to, count, jump }),
        }
    }

    /// What the log's beginning and end are asked for, by [`judge_holes`](Self::judge_holes) and
    /// [`judge_end`](Self::judge_end).
    pub(super) fn question(&self) -> Question {
        let reached = self.next().max(self.progress.told_end().unwrap_or(0));
        Question { incarnation: self.incarnation, jumps: self.jumps, reached, excused: self.excused }
    }

    /// The question was asked of this partition, and not of what was read under its number before.
    pub(super) fn asked(&self, question: &Question) -> bool {
        self.incarnation == question.incarnation
    }

    /// The log begins at `low`, as was answered to this question: what was jumped over before that is lost. How many
    /// records, and where the first was. What had been jumped over when it was asked is forgotten then: what is beyond is
    /// no record. Of later jumps the answer says nothing, for the log's beginning may have moved since.
    pub(super) fn judge_holes(&mut self, low: u64, asked: Question) -> Option<(u64, u64)> {
        if !self.asked(&asked) {
            return None;
        }
        let mut lost = None;
        self.holes.retain(|hole| {
            if hole.jump > asked.jumps {
                return true;
            }
            if hole.from < low {
                let (first, before) = lost.unwrap_or((hole.from, 0));
                lost = Some((first, before + hole.count.min(low.min(hole.to) - hole.from)));
            }
            false
        });
        lost.map(|(first, count)| (count, first))
    }
}
