//! What goes into a commit's metadata, and what is left out where it does not fit.

use broker::Note;

use super::chunk::{self, SIZE};
use super::codec::{self, PieceWriter};
use super::wire::{self, BitWriter};
use super::{Encoded, Progress};

impl Progress {
    /// What is settled above [`base`](Self::base), and the notes, in at most `max_chars` characters.
    ///
    /// What is settled goes first. Notes take the room that is left; those with the most attempts, and of the same
    /// attempts those of the lowest offsets, go before others.
    pub(crate) fn encode(&self, max_chars: usize) -> Encoded {
        let base = self.base();
        let end = self.settled_end();
        let mut notes: Vec<(u64, Note)> = self.notes.iter().collect();
        notes.extend(self.ahead.notes.iter().map(|(&offset, &note)| (offset, note)));
        if end <= base && notes.is_empty() {
            return Encoded::default();
        }
        let bytes = codec::bytes_in(max_chars);
        let Some(room) = bytes.checked_sub(codec::frame_bound(end - base)) else {
            return Encoded {
                text: String::new(),
                dropped_notes: notes.len(),
                told_below: (end > base).then_some(base),
            };
        };
        let (pieces, told) = self.pieces(base, end, room);
        let told = told.max(base);
        let dropped_notes = keep_most_tried(base, &mut notes, (room + 1).saturating_sub(pieces.len()));
        let text = codec::seal(base, told - base, &pieces, &columns(base, &notes));
        Encoded { text, dropped_notes, told_below: (told < end).then_some(told) }
    }

    fn pieces(&self, base: u64, end: u64, room: usize) -> (Vec<u8>, u64) {
        if end <= base {
            return (Vec::new(), base);
        }
        let mut writer = PieceWriter::new(base, room);
        for (&number, held) in self.chunks.range(..end.div_ceil(SIZE)) {
            let mut bits = *held.bits();
            chunk::cut(&mut bits, (end - number * SIZE).min(SIZE));
            writer.chunk(number, &bits);
            if writer.is_full() {
                return writer.finish(end);
            }
        }
        let mut awaited = self.next;
        for settled in self.ahead.settled() {
            writer.range(awaited, settled.start);
            awaited = settled.end;
        }
        writer.finish(end)
    }

    /// One past the highest settled offset; [`base`](Self::base) or less where none is settled above it.
    fn settled_end(&self) -> u64 {
        if let Some(end) = self.ahead.end() {
            return end;
        }
        let mut end = self.next;
        for (&number, held) in self.chunks.iter().rev() {
            let first = number * SIZE;
            if first + SIZE < end {
                break;
            }
            match chunk::last_zero_below(held.bits(), end - first) {
                Some(index) => return first + index + 1,
                None => end = first,
            }
        }
        end
    }
}

/// Drops notes until the others fit into `room` bytes; returns how many.
fn keep_most_tried(base: u64, notes: &mut Vec<(u64, Note)>, room: usize) -> usize {
    let all = notes.len();
    if columns_len(base, notes) <= room {
        return 0;
    }
    notes.sort_unstable_by_key(|(offset, note)| (std::cmp::Reverse(note.attempts), *offset));
    let (mut fitting, mut too_many) = (0, all);
    let mut kept = Vec::with_capacity(all);
    while fitting + 1 < too_many {
        let middle = fitting.midpoint(too_many);
        kept.clear();
        kept.extend_from_slice(&notes[..middle]);
        kept.sort_unstable_by_key(|(offset, _)| *offset);
        if columns_len(base, &kept) <= room {
            fitting = middle;
        } else {
            too_many = middle;
        }
    }
    notes.truncate(fitting);
    notes.sort_unstable_by_key(|(offset, _)| *offset);
    all - fitting
}

fn columns_len(base: u64, notes: &[(u64, Note)]) -> usize {
    let Some(earliest) = earliest(notes) else { return 0 };
    let (_, distances) = wire::column_bits(distances(base, notes));
    let (_, attempts) = wire::column_bits(attempts(notes));
    let (_, times) = wire::column_bits(times(earliest, notes));
    let bits = distances.saturating_add(attempts).saturating_add(times);
    wire::varint_len(notes.len() as u64) + wire::varint_len(earliest) + bits.div_ceil(8) as usize
}

fn columns(base: u64, notes: &[(u64, Note)]) -> Vec<u8> {
    let Some(earliest) = earliest(notes) else { return Vec::new() };
    let mut bytes = Vec::new();
    wire::put_varint(&mut bytes, notes.len() as u64);
    wire::put_varint(&mut bytes, earliest);
    let mut bits = BitWriter::default();
    bits.column(distances(base, notes));
    bits.column(attempts(notes));
    bits.column(times(earliest, notes));
    bytes.extend(bits.into_bytes());
    bytes
}

fn earliest(notes: &[(u64, Note)]) -> Option<u64> {
    notes.iter().map(|(_, note)| note.first_ms).min()
}

fn distances(base: u64, notes: &[(u64, Note)]) -> impl Iterator<Item = u64> + Clone + '_ {
    let mut next = base;
    notes.iter().map(move |(offset, _)| {
        let distance = offset - next;
        next = offset + 1;
        distance
    })
}

fn attempts(notes: &[(u64, Note)]) -> impl Iterator<Item = u64> + Clone + '_ {
    notes.iter().map(|(_, note)| u64::from(note.attempts) - 1)
}

fn times(earliest: u64, notes: &[(u64, Note)]) -> impl Iterator<Item = u64> + Clone + '_ {
    notes.iter().map(move |(_, note)| note.first_ms - earliest)
}
