//! What a commit's metadata says. It may be anybody's: nothing is believed that was not checked.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker::Note;

use super::ahead::Ahead;
use super::chunk::SIZE;
use super::codec::{BIT_SETS, CHARS_MAX, HEAD, OFFSET_MAX, ONE, SETTLED, UNSETTLED, VERSION};
use super::wire::{self, BitReader};

/// What is known above a committed offset. An error is one sentence: why the metadata says nothing.
pub(super) fn decode(base: u64, text: &str) -> Result<Ahead, String> {
    if text.is_empty() {
        return Ok(Ahead::default());
    }
    let foreign = |why: &str| Err(format!("the commit's metadata is not from here: {why}"));
    if text.len() > CHARS_MAX {
        return foreign(&format!("it has {} characters", text.len()));
    }
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else { return foreign("it is no base64") };
    let Some((head, body)) = bytes.split_at_checked(HEAD) else { return foreign("it is too short") };
    if head[0] != VERSION {
        return foreign(&format!("its version is {}, and {VERSION} is understood", head[0]));
    }
    let crc = wire::crc24([&base.to_le_bytes(), &head[..1], body]).to_be_bytes();
    if head[1..] != crc[1..] {
        return Err(format!(
            "the commit's metadata is damaged, or was written for another offset than {base}: its checksum differs"
        ));
    }
    parse(base, body).ok_or_else(|| "the commit's metadata contradicts itself".to_owned())
}

fn parse(base: u64, mut body: &[u8]) -> Option<Ahead> {
    let body = &mut body;
    let end = base.checked_add(wire::take_varint(body)?).filter(|end| *end <= OFFSET_MAX)?;
    let settled = pieces(base, end, body)?;
    let notes = notes(base, body)?;
    let ahead = Ahead::new(settled, notes);
    ahead.notes.keys().all(|offset| !ahead.contains(*offset)).then_some(ahead)
}

/// The settled ranges, put together from the unsettled ones between them.
struct Settled {
    ranges: Vec<Range<u64>>,
    /// Where the settled range that is being put together begins.
    from: u64,
    end: u64,
}

impl Settled {
    fn unsettled(&mut self, from: u64, to: u64) {
        let (from, to) = (from.max(self.from), to.min(self.end));
        if from >= to {
            return;
        }
        if self.from < from {
            self.ranges.push(self.from..from);
        }
        self.from = to;
    }

    fn finish(mut self) -> Vec<Range<u64>> {
        if self.from < self.end {
            self.ranges.push(self.from..self.end);
        }
        self.ranges
    }
}

fn pieces(base: u64, end: u64, body: &mut &[u8]) -> Option<Vec<Range<u64>>> {
    let mut settled = Settled { ranges: Vec::new(), from: base, end };
    let (mut number, chunks) = (base / SIZE, end.div_ceil(SIZE));
    while base < end && number * SIZE < end {
        let head = wire::take_varint(body)?;
        let (kind, value) = (head & 3, head >> 2);
        let length = if kind == ONE { 1 } else { value };
        let at = number * SIZE;
        match kind {
            SETTLED if value == 0 => break,
            _ if length == 0 || length > chunks - number => return None,
            SETTLED => {}
            UNSETTLED => settled.unsettled(at, at + length * SIZE),
            BIT_SETS => {
                for (number, set) in (number..).zip(take(body, length.checked_mul(32)?)?.chunks_exact(32)) {
                    bit_set(&mut settled, number * SIZE, set);
                }
            }
            _ => indexes(&mut settled, at, value & 1 == 1, take(body, value >> 1)?)?,
        }
        number += length;
    }
    Some(settled.finish())
}

fn bit_set(settled: &mut Settled, at: u64, set: &[u8]) {
    let is_set = |index: &u64| set[(*index / 8) as usize] >> (*index % 8) & 1 == 1;
    for index in (0..SIZE).filter(is_set) {
        settled.unsettled(at + index, at + index + 1);
    }
}

fn indexes(settled: &mut Settled, at: u64, are_changes: bool, indexes: &[u8]) -> Option<()> {
    indexes.is_sorted_by(|a, b| a < b).then_some(())?;
    let offset = |index: &u8| at + u64::from(*index);
    if are_changes {
        for change in indexes.chunks(2) {
            settled.unsettled(offset(&change[0]), change.get(1).map_or(at + SIZE, offset));
        }
    } else {
        indexes.iter().map(offset).for_each(|offset| settled.unsettled(offset, offset + 1));
    }
    Some(())
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken)
}

fn notes(base: u64, body: &mut &[u8]) -> Option<BTreeMap<u64, Note>> {
    let mut notes = BTreeMap::new();
    if body.is_empty() {
        return Some(notes);
    }
    let count = usize::try_from(wire::take_varint(body)?).ok()?;
    let earliest = wire::take_varint(body)?;
    let mut columns = BitReader::new(body);
    let (distances, attempts, times) =
        (columns.column(count)?, columns.column(count)?, columns.column(count)?);
    columns.is_at_end().then_some(())?;
    let mut next = base;
    for ((distance, attempts), time) in distances.into_iter().zip(attempts).zip(times) {
        let offset = next.checked_add(distance).filter(|offset| *offset < OFFSET_MAX)?;
        let attempts = u32::try_from(attempts).ok()?.checked_add(1)?;
        notes.insert(offset, Note { attempts, first_ms: earliest.checked_add(time)? });
        next = offset + 1;
    }
    Some(notes)
}
