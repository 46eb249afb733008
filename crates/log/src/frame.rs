//! Records and marks as they stand in a segment: length (u32), CRC-32C (u32), sequence (u64), time in milliseconds
//! (u64), bytes. A mark is a frame without bytes whose length is `u32::MAX` and whose time is its own offset.

/// Bytes in front of a record's bytes, and of a whole mark.
pub(crate) const HEADER: usize = 24;
const MARK: u32 = u32::MAX;

/// Records for one append, framed as they will stand in the segment, so that the committer only stamps and writes them.
#[derive(Debug, Default)]
pub struct Batch {
    buffer: Vec<u8>,
    records: u32,
}

impl Batch {
    /// Room for so many records of so many bytes altogether.
    pub fn with_capacity(records: usize, bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes + records * HEADER), records: 0 }
    }

    /// Adds a record: `encode` appends its bytes. They must be fewer than 4 GiB.
    pub fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.resize(start + HEADER, 0);
        encode(&mut self.buffer);
        let length = u32::try_from(self.buffer.len() - start - HEADER).unwrap_or(MARK);
        debug_assert!(length < MARK, "a record is smaller than 4 GiB");
        self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.records += 1;
    }

    pub fn records(&self) -> u32 {
        self.records
    }

    /// Bytes it will take in the segment.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Fills in sequence, time and checksum of every record, and tells each record's offset in the batch.
    pub(crate) fn stamp(&mut self, seed: u32, first: u64, time_ms: u64, mut each: impl FnMut(usize, u64)) {
        let mut at = 0;
        let mut sequence = first;
        while at < self.buffer.len() {
            each(at, sequence);
            let length = u32_at(&self.buffer, at) as usize;
            let frame = &mut self.buffer[at..at + HEADER + length];
            frame[8..16].copy_from_slice(&sequence.to_le_bytes());
            frame[16..24].copy_from_slice(&time_ms.to_le_bytes());
            let checksum = checksum(seed, frame);
            frame[4..8].copy_from_slice(&checksum.to_le_bytes());
            at += HEADER + length;
            sequence += 1;
        }
    }

    pub(crate) fn framed(&self) -> &[u8] {
        &self.buffer
    }
}

/// The header of a frame, as read; nothing of it is trusted before [`Head::validates`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    length: u32,
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
}

impl Head {
    /// `None`: fewer than [`HEADER`] bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= HEADER).then(|| Self {
            length: u32_at(bytes, 0),
            sequence: u64_at(bytes, 8),
            time_ms: u64_at(bytes, 16),
        })
    }

    pub(crate) fn is_mark(self) -> bool {
        self.length == MARK
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(self) -> usize {
        HEADER + if self.is_mark() { 0 } else { self.length as usize }
    }

    /// Whether the frame at the front of `bytes`, which stands at `offset` of its file, is one of this file.
    pub(crate) fn validates(self, bytes: &[u8], seed: u32, offset: u64) -> bool {
        bytes.get(..self.frame_bytes()).is_some_and(|frame| self.seals(checksum(seed, frame), frame, offset))
    }

    /// Whether `checksum`, of the whole frame that `front` begins, makes it one of this file.
    pub(crate) fn seals(self, checksum: u32, front: &[u8], offset: u64) -> bool {
        checksum == u32_at(front, 4) && (!self.is_mark() || self.time_ms == offset)
    }
}

/// A mark says: all records below `sequence`, all bytes below `offset`, were durable before it was written.
pub(crate) fn mark(seed: u32, sequence: u64, offset: u64) -> [u8; HEADER] {
    let mut frame = [0; HEADER];
    frame[..4].copy_from_slice(&MARK.to_le_bytes());
    frame[8..16].copy_from_slice(&sequence.to_le_bytes());
    frame[16..24].copy_from_slice(&offset.to_le_bytes());
    let checksum = checksum(seed, &frame);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    frame
}

/// What a file's checksums start from.
pub(crate) fn seed(epoch: u64) -> u32 {
    crc32c::crc32c(&epoch.to_le_bytes())
}

/// Of a frame; of its front, for `crc32c_append` to go on from with the rest.
pub(crate) fn checksum(seed: u32, frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &frame[..4]), &frame[8..])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
