//! What a partition's reader has settled, and how that travels in a commit's metadata.
//!
//! Offsets below [`Progress::base`] are settled: it is the offset to commit. Between it and [`Progress::next`] stands what
//! was read; the unsettled offsets there are kept, a bit each, and all others are settled. So a hole costs nothing, be it
//! of compaction or of a transaction's marker, and memory follows what is unsettled, not how far it is spread. What is
//! known of offsets from `next` on came from a commit ([`Progress::restore`]): which of them whoever committed had settled.
//!
//! ```text
//!    settled   │ ██ ░ █ ░░░ ██ ░ │ ▒ ▒▒▒ ▒          █ unsettled, held   ░ settled or a hole
//!              base            next                ▒ restored as settled; between them: awaited
//! ```
//!
//! Neither reads a clock nor does any I/O: the reader commits [`Progress::base`] with [`Progress::encode`].

mod ahead;
mod chunk;
mod codec;
mod decode;
mod encode;
mod notes;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use broker::Note;

use ahead::Ahead;
use chunk::{Chunk, SIZE};
use notes::Notes;

/// The most characters of metadata that a broker takes by default (`offset.metadata.max.bytes`).
pub(crate) const METADATA_CHARS: usize = 4096;

/// The progress of one consumer group in one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The unsettled offsets below `next`, by chunk number. No chunk is empty.
    chunks: BTreeMap<u64, Chunk>,
    held: usize,
    next: u64,
    notes: Notes,
    ahead: Ahead,
    /// Bytes that the chunks may take in metadata, one by one.
    chunks_bound: usize,
    revision: u64,
}

/// What an offset that was read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Unsettled, and held from now on.
    New,
    /// Settled before: skip it.
    Settled,
    /// Held already: it was fetched twice.
    Known,
}

/// Offsets that were passed over, and so are settled now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Those that were there once, for whoever committed had read them and not settled them: compaction or retention
    /// took them.
    pub(crate) awaited: u64,
    /// Those of which nothing was known. Compaction, retention, or there was never a record to read.
    pub(crate) unknown: u64,
}

/// The most bytes that metadata may take from now on, unless more is read or noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// For what is settled, and the frame around it.
    pub(crate) settled: usize,
    /// For the notes. They are what is dropped where not all fits.
    pub(crate) notes: usize,
}

/// What goes into a commit's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// ASCII; empty where nothing is to be told.
    pub(crate) text: String,
    /// Notes that did not fit: those with the fewest attempts. After a crash, these deliveries begin with none.
    pub(crate) dropped_notes: usize,
    /// Where not even what is settled fits: from this offset on nothing of it is told. After a crash, it comes again.
    pub(crate) told_below: Option<u64>,
}

impl Progress {
    /// Nothing is known from `base` on.
    pub(crate) fn new(base: u64) -> Self {
        Self { next: base, ..Self::default() }
    }

    /// What was committed. Metadata that says nothing (a foreign client's, a newer version's, a damaged one) comes back
    /// as the reason, one sentence, and what stood in it is read again.
    pub(crate) fn restore(committed: u64, metadata: &str) -> (Self, Option<String>) {
        let mut progress = Self::new(committed);
        match decode::decode(committed, metadata) {
            Err(reason) => (progress, Some(reason)),
            Ok(ahead) => {
                progress.ahead = ahead;
                progress.next = progress.ahead.forget_below(committed);
                (progress, None)
            }
        }
    }

    /// Everything below is settled: the offset to commit.
    pub(crate) fn base(&self) -> u64 {
        self.first_unsettled().unwrap_or(self.next)
    }

    /// The first offset that was not read, or passed over, or known to be settled without.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// One past the last offset that a commit told to be settled, where that has not been read yet.
    pub(crate) fn told_end(&self) -> Option<u64> {
        self.ahead.end()
    }

    /// How many offsets are held: read and unsettled.
    #[cfg(test)]
    pub(crate) fn unsettled(&self) -> usize {
        self.held
    }

    /// The first offset that is held.
    pub(crate) fn first_unsettled(&self) -> Option<u64> {
        let (number, chunk) = self.chunks.first_key_value()?;
        chunk.first().map(|index| number * SIZE + u64::from(index))
    }

    /// Rises whenever there is more to commit. A commit that remembers it knows what it carried.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// An offset was read. They come in order; those that are jumped over do not exist, and are settled.
    pub(crate) fn receive(&mut self, offset: u64) -> (Received, Passed) {
        if offset < self.next {
            let received = if self.is_held(offset) { Received::Known } else { Received::Settled };
            return (received, Passed::default());
        }
        let passed = if offset > self.next { self.skip_to(offset) } else { Passed::default() };
        if offset < self.next {
            return (Received::Settled, passed);
        }
        let chunk = self.chunks.entry(offset / SIZE).or_default();
        let before = chunk.len();
        chunk.insert(index(offset));
        self.chunks_bound += codec::chunk_bound(before + 1) - codec::chunk_bound(before);
        self.held += 1;
        self.next = offset + 1;
        if !self.ahead.is_empty() {
            if let Some(note) = self.ahead.notes.remove(&offset) {
                self.notes.insert(offset, note);
            }
            self.next = self.ahead.forget_below(self.next);
        }
        (Received::New, passed)
    }

    /// Nothing is to be read below `offset` any more: what was not read there is settled. What is held stays held.
    pub(crate) fn skip_to(&mut self, offset: u64) -> Passed {
        if offset <= self.next {
            return Passed::default();
        }
        let awaited = self.ahead.awaited(self.next, offset);
        let unknown = offset - self.next - awaited - self.ahead.settled_below(offset);
        // A hole above what is held need not be committed for its own sake: it moves no base.
        if self.held == 0 || awaited > 0 {
            self.revision += 1;
        }
        self.next = self.ahead.forget_below(offset);
        Passed { awaited, unknown }
    }

    /// Retention took everything below `low`: returns how many offsets were lost, that is neither read nor settled.
    /// What is held stays held, for the caller has it; [`held_in`](Self::held_in) tells which.
    pub(crate) fn lose_below(&mut self, low: u64) -> u64 {
        let passed = self.skip_to(low);
        passed.awaited + passed.unknown
    }

    /// Settles a held offset; returns whether it was held. What is not is left alone.
    pub(crate) fn settle(&mut self, offset: u64) -> bool {
        let number = offset / SIZE;
        let Some(chunk) = self.chunks.get_mut(&number).filter(|chunk| chunk.contains(index(offset))) else {
            return false;
        };
        chunk.remove(index(offset));
        let left = chunk.len();
        self.chunks_bound -= codec::chunk_bound(left + 1) - codec::chunk_bound(left);
        if left == 0 {
            self.chunks.remove(&number);
        }
        self.held -= 1;
        self.revision += 1;
        if !self.notes.is_empty() {
            self.notes.remove(offset);
        }
        true
    }

    /// Settles all of `from..to`, also what was not read yet.
    pub(crate) fn settle_range(&mut self, from: u64, to: u64) {
        let held: Vec<u64> = self.held_in(from, to).collect();
        for offset in held {
            self.settle(offset);
        }
        if to > self.next && from < to {
            self.ahead.settle(from.max(self.next), to);
            self.next = self.ahead.forget_below(self.next);
            self.revision += 1;
        }
    }

    /// Whether an offset was read and is unsettled.
    fn is_held(&self, offset: u64) -> bool {
        self.chunks.get(&(offset / SIZE)).is_some_and(|chunk| chunk.contains(index(offset)))
    }

    /// The held offsets of `from..to`, in order.
    pub(crate) fn held_in(&self, from: u64, to: u64) -> impl Iterator<Item = u64> + '_ {
        let chunks = self.chunks.range(from / SIZE..to.max(from).div_ceil(SIZE));
        let all = chunks.flat_map(|(number, chunk)| {
            chunk::ones(chunk.bits()).map(move |index| number * SIZE + u64::from(index))
        });
        all.filter(move |offset| (from..to).contains(offset))
    }

    /// Remembers a note with a held offset, or forgets it where it has no attempts; returns whether it is held.
    pub(crate) fn note(&mut self, offset: u64, note: Note) -> bool {
        if !self.is_held(offset) {
            return false;
        }
        let before =
            if note.attempts == 0 { self.notes.remove(offset) } else { self.notes.insert(offset, note) };
        self.revision += u64::from(before != (note.attempts > 0).then_some(note));
        true
    }

    /// The note of an offset that is not settled, be it that it was not read yet.
    pub(crate) fn note_of(&self, offset: u64) -> Option<Note> {
        self.notes.get(offset).or_else(|| self.ahead.notes.get(&offset).copied())
    }

    /// Whether an offset is settled: below [`next`](Self::next) whatever is not held, from there on what a commit said.
    pub(crate) fn is_settled(&self, offset: u64) -> bool {
        if offset < self.next { !self.is_held(offset) } else { self.ahead.contains(offset) }
    }

    /// How many offsets below `end`, the partition's end, are not settled, as far as is known: holes that were not read
    /// yet count.
    pub(crate) fn lag(&self, end: u64) -> u64 {
        let unread = end.saturating_sub(self.next);
        let known = if unread == 0 { 0 } else { self.ahead.settled_below(end) };
        self.held as u64 + unread - known
    }

    /// The most bytes that [`encode`](Self::encode) will need from now on, whatever is settled in whatever order, unless
    /// more is read or noted. Not counted is what is awaited: until it is read, it takes what it took when it came.
    ///
    /// Each chunk takes at most what its unsettled offsets take as a list, or a bit set, and these only become fewer. A
    /// run of settled chunks may stand before each but the first. There are no more runs than settled chunks either, and
    /// a chunk that becomes settled gives up the two bytes that its run may take. (Where a run takes more, the chunks are
    /// a million offsets apart, and a run is counted for each.)
    pub(crate) fn bound(&self) -> Bound {
        let base = self.base();
        let span = self.next - base;
        if self.held == 0 {
            return Bound::default();
        }
        let chunks = self.chunks.len() as u64;
        let reach = self.next.div_ceil(SIZE) - base / SIZE;
        let run = wire::varint_len(reach << 2);
        let runs = if run > 2 { chunks } else { chunks.min(reach - chunks) };
        Bound {
            settled: codec::frame_bound(span) + self.chunks_bound + runs as usize * run,
            notes: self.notes.bound(span),
        }
    }

    /// The [`bound`](Self::bound) as a part of what fits into so many characters: the reader stops reading this partition
    /// at 0.75 and goes on below 0.5.
    pub(crate) fn fullness(&self, max_chars: usize) -> f64 {
        let Bound { settled, notes } = self.bound();
        (settled + notes) as f64 / codec::bytes_in(max_chars).max(1) as f64
    }
}

/// Where in its chunk an offset stands.
fn index(offset: u64) -> u8 {
    (offset % SIZE) as u8
}
