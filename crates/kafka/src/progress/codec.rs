//! How progress travels in a commit's metadata: base64 (URL-safe, without padding) of
//!
//! ```text
//! version  1 byte
//! CRC-24   3 bytes, of the committed offset (8 bytes, little-endian), the version and all that follows
//! span     varint: what is told ends this far above the committed offset; nothing from there on is settled
//! pieces   one chunk of 256 offsets after another, beginning with that of the committed offset; offsets below it and from
//!          the end on count as settled. Each begins with a varint, whose lowest two bits say what it is:
//!   0 (n)    n chunks are settled; n = 0: all the rest is
//!   1 (n)    n chunks are unsettled
//!   2 (n)    n chunks as bit sets of 32 bytes each, a set bit is unsettled
//!   3 (2n)   one chunk: n bytes, an unsettled index each
//!   3 (2n+1) one chunk: n bytes, indexes at which the state changes, from settled at first
//! notes    where there are any: their count and the earliest first_ms (varints), then three columns of bits: distances
//!          of the noted offsets (less one, but for the first), attempts less one, first_ms after the earliest
//! ```
//!
//! Chunks are aligned to offsets and not to the committed one, so that they stay what they are while it rises. The
//! committed offset is part of the checksum: where a tool moved it and left the metadata, the metadata no longer counts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::chunk::{self, Bits, SIZE};
use super::wire;

pub(super) const VERSION: u8 = 1;
/// Version and checksum.
pub(super) const HEAD: usize = 4;
/// No metadata of ours is longer, however high the broker's limit is.
pub(super) const CHARS_MAX: usize = 1 << 16;
/// Kafka's offsets are signed.
pub(super) const OFFSET_MAX: u64 = i64::MAX as u64;

pub(super) const SETTLED: u64 = 0;
pub(super) const UNSETTLED: u64 = 1;
pub(super) const BIT_SETS: u64 = 2;
pub(super) const ONE: u64 = 3;

/// The most bytes that a chunk with this many unsettled offsets takes, now and when any of them are settled.
pub(super) fn chunk_bound(unsettled: usize) -> usize {
    if unsettled == 0 { 0 } else { one_len(unsettled).min(1 + 32) }
}

/// Bytes that fit into so many characters of base64.
pub(super) fn bytes_in(chars: usize) -> usize {
    chars.min(CHARS_MAX) / 4 * 3 + chars.min(CHARS_MAX) % 4 * 3 / 4
}

/// Version, checksum, span and the end of the pieces.
pub(super) fn frame_bound(span: u64) -> usize {
    HEAD + wire::varint_len(span) + 1
}

/// Puts the parts together.
pub(super) fn seal(base: u64, span: u64, pieces: &[u8], notes: &[u8]) -> String {
    let mut body = Vec::with_capacity(HEAD + 10 + pieces.len() + notes.len());
    body.extend_from_slice(&[VERSION, 0, 0, 0]);
    wire::put_varint(&mut body, span);
    body.extend_from_slice(pieces);
    body.extend_from_slice(notes);
    let crc = wire::crc24([&base.to_le_bytes(), &body[..1], &body[HEAD..]]);
    body[1..HEAD].copy_from_slice(&crc.to_be_bytes()[1..]);
    URL_SAFE_NO_PAD.encode(body)
}

/// Writes pieces, in order, as many as fit.
#[derive(Debug)]
pub(super) struct PieceWriter {
    bytes: Vec<u8>,
    max: usize,
    /// The piece that may still grow: its kind, how many chunks it is about, and what follows its head.
    run: (u64, u64, Vec<u8>),
    /// The chunk that is being put together.
    number: u64,
    bits: Bits,
    /// The first chunk that no piece is about.
    written: u64,
    full: bool,
}

impl PieceWriter {
    pub(super) fn new(base: u64, max: usize) -> Self {
        let number = base / SIZE;
        let run = (SETTLED, 0, Vec::new());
        Self { bytes: Vec::new(), max, run, number, bits: [0; 4], written: number, full: false }
    }

    /// What of a chunk is unsettled. Chunks come in order; the same may come several times.
    pub(super) fn chunk(&mut self, number: u64, bits: &Bits) {
        if number != self.number {
            self.flush();
            self.number = number;
        }
        self.bits.iter_mut().zip(bits).for_each(|(bits, more)| *bits |= more);
    }

    /// `from..to` is unsettled.
    pub(super) fn range(&mut self, from: u64, to: u64) {
        let (first, last) = (from / SIZE, to / SIZE);
        let up_to = |from, to| {
            let mut bits = [0; 4];
            chunk::set(&mut bits, from, to);
            bits
        };
        if first == last {
            return self.chunk(first, &up_to(from % SIZE, to % SIZE));
        }
        self.chunk(first, &up_to(from % SIZE, SIZE));
        self.flush();
        if first + 1 < last {
            self.settled_up_to(first + 1);
            self.piece(UNSETTLED, last - first - 1, last - first - 1, &[]);
        }
        self.chunk(last, &up_to(0, to % SIZE));
    }

    /// Whether something did not fit: nothing more will.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The pieces, and where they end, at most at `end`.
    pub(super) fn finish(mut self, end: u64) -> (Vec<u8>, u64) {
        self.flush();
        self.close();
        let reached = self.written * SIZE;
        if self.full {
            return (self.bytes, reached.min(end));
        }
        if reached < end {
            wire::put_varint(&mut self.bytes, SETTLED);
        }
        (self.bytes, end)
    }

    /// Makes the chunk that has been put together a piece: the shortest one.
    fn flush(&mut self) {
        let bits = std::mem::take(&mut self.bits);
        if bits == [0; 4] {
            return;
        }
        self.settled_up_to(self.number);
        if bits == [u64::MAX; 4] {
            return self.piece(UNSETTLED, 1, 1, &[]);
        }
        let unsettled = bits.iter().map(|word| word.count_ones() as usize).sum();
        let changes = chunk::changes(&bits).count();
        let set = 32 + usize::from(self.run.0 != BIT_SETS);
        if set <= one_len(unsettled).min(one_len(changes)) {
            let mut bytes = [0; 32];
            for (bytes, word) in bytes.chunks_exact_mut(8).zip(bits) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            self.piece(BIT_SETS, 1, 1, &bytes);
        } else if one_len(unsettled) <= one_len(changes) {
            let indexes: Vec<u8> = chunk::ones(&bits).collect();
            self.piece(ONE, (unsettled as u64) << 1, 1, &indexes);
        } else {
            let indexes: Vec<u8> = chunk::changes(&bits).collect();
            self.piece(ONE, (changes as u64) << 1 | 1, 1, &indexes);
        }
    }

    fn settled_up_to(&mut self, number: u64) {
        if self.written < number {
            let chunks = number - self.written;
            self.piece(SETTLED, chunks, chunks, &[]);
        }
    }

    /// Adds a piece, or lets the last one grow. Nothing more is written once one did not fit.
    fn piece(&mut self, kind: u64, value: u64, chunks: u64, data: &[u8]) {
        if kind != self.run.0 || kind == ONE {
            self.close();
            self.run.0 = kind;
        }
        let (_, so_far, run) = &mut self.run;
        let len = self.bytes.len() + wire::varint_len((*so_far + value) << 2) + run.len() + data.len();
        if self.full || len > self.max {
            self.full = true;
            return;
        }
        *so_far += value;
        run.extend_from_slice(data);
        self.written += chunks;
    }

    /// The last piece no longer grows.
    fn close(&mut self) {
        let (kind, value, data) = &mut self.run;
        if *value > 0 {
            wire::put_varint(&mut self.bytes, *value << 2 | *kind);
            self.bytes.append(data);
            *value = 0;
        }
    }
}

/// What one chunk with so many indexes takes.
fn one_len(indexes: usize) -> usize {
    wire::varint_len((indexes as u64) << 3) + indexes
}
