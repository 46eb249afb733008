use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::frame::{self, HEADER, Head};

/// For reading on and on.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Reads the frames of a segment one after another, in chunks. The buffer is used again once its slices are dropped.
#[derive(Debug)]
pub(crate) struct Scanner {
    file: Arc<File>,
    seed: u32,
    /// Where the next frame begins.
    offset: u64,
    limit: u64,
    /// How much is read at a time, at least. One larger record is read whole.
    chunk: usize,
    buffer: BytesMut,
}

/// What stands at an offset.
#[derive(Debug)]
pub(crate) enum Frame {
    Record {
        offset: u64,
        sequence: u64,
        time_ms: u64,
        bytes: Bytes,
    },
    /// Its sequence is that of the next record.
    Mark {
        sequence: u64,
    },
    /// No frame of this file begins here.
    Bad,
    End,
}

impl Scanner {
    pub(crate) fn new(file: Arc<File>, seed: u32, offset: u64, limit: u64) -> Self {
        Self { file, seed, offset, limit, chunk: CHUNK, buffer: BytesMut::new() }
    }

    /// For reading one record: no more than its bytes, or a page.
    pub(crate) fn single(file: Arc<File>, seed: u32, offset: u64, limit: u64) -> Self {
        Self::new(file, seed, offset, limit).in_chunks(4096)
    }

    /// Reads so many bytes at a time, at least.
    pub(crate) fn in_chunks(self, chunk: usize) -> Self {
        Self { chunk, ..self }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads no further than this many bytes of the file.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub(crate) fn jump(&mut self, offset: u64) {
        self.offset = offset;
        self.buffer.clear();
    }

    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        let offset = self.offset;
        if offset >= self.limit {
            return Ok(Frame::End);
        }
        if !self.fill(HEADER)? {
            return Ok(Frame::Bad);
        }
        let Some(head) = Head::read(&self.buffer) else { return Ok(Frame::Bad) };
        if !self.fill(head.frame_bytes())? || !head.validates(&self.buffer, self.seed, offset) {
            return Ok(Frame::Bad);
        }
        let mut frame = self.buffer.split_to(head.frame_bytes());
        self.offset += head.frame_bytes() as u64;
        if head.is_mark() {
            return Ok(Frame::Mark { sequence: head.sequence });
        }
        let bytes = frame.split_off(HEADER).freeze();
        Ok(Frame::Record { offset, sequence: head.sequence, time_ms: head.time_ms, bytes })
    }

    /// Whether the buffer now holds so many bytes from `offset` on.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        if self.buffer.len() >= bytes {
            return Ok(true);
        }
        if bytes as u64 > self.limit - self.offset {
            return Ok(false);
        }
        let have = self.buffer.len();
        let end = (bytes.max(self.chunk) as u64).min(self.limit - self.offset) as usize;
        self.buffer.reserve(end - have);
        self.buffer.resize(end, 0);
        match self.file.read_exact_at(&mut self.buffer[have..], self.offset + have as u64) {
            Ok(()) => Ok(true),
            // Shorter than its length was when it was sealed: what is missing is damage like any other.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.buffer.truncate(have);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// After [`Frame::Bad`]: the offset of the next frame that validates and continues the sequence, if there is one.
    pub(crate) fn next_valid(&self, expected: u64) -> io::Result<Option<u64>> {
        self.search(expected, false)
    }

    /// After [`Frame::Bad`]: whether a mark follows, which proves that what is bad here was once durable.
    pub(crate) fn mark_follows(&self, expected: u64) -> io::Result<bool> {
        self.search(expected, true).map(|found| found.is_some())
    }

    /// Reads a chunk at a time, and what of a frame lies beyond it only where its header may be one.
    fn search(&self, expected: u64, marks_only: bool) -> io::Result<Option<u64>> {
        let most = expected.saturating_add(self.limit - self.offset);
        let mut chunk = Vec::new();
        let mut start = self.offset + 1;
        loop {
            let left = usize::try_from(self.limit.saturating_sub(start)).unwrap_or(usize::MAX);
            chunk.resize(left.min(self.chunk.max(HEADER)), 0);
            let have = read_up_to(&self.file, &mut chunk, start)?;
            // The file may be shorter than its length was when it was sealed.
            let end = if have < chunk.len() { start + have as u64 } else { self.limit };
            for (at, header) in chunk[..have].windows(HEADER).enumerate() {
                let Some(head) = Head::read(header) else { break };
                let offset = start + at as u64;
                // The cheap conditions first: nearly all offsets fail them, and no checksum is computed.
                let plausible = head.sequence >= expected
                    && head.sequence <= most
                    && head.frame_bytes() as u64 <= end - offset
                    && (head.is_mark() || !marks_only);
                if plausible && self.validates(head, &chunk[at..have], offset)? {
                    return Ok(Some(offset));
                }
            }
            if start + have as u64 >= end {
                return Ok(None);
            }
            // A header that this chunk does not hold whole is found in the next.
            start += (have - HEADER + 1) as u64;
        }
    }

    /// Whether the frame at `offset`, which `front` holds whole or the beginning of, is one of this file.
    fn validates(&self, head: Head, front: &[u8], offset: u64) -> io::Result<bool> {
        if front.len() >= head.frame_bytes() {
            return Ok(head.validates(front, self.seed, offset));
        }
        let mut checksum = frame::checksum(self.seed, front);
        let mut piece = vec![0; CHUNK];
        let mut done = front.len();
        while done < head.frame_bytes() {
            let wanted = piece.len().min(head.frame_bytes() - done);
            if read_up_to(&self.file, &mut piece[..wanted], offset + done as u64)? < wanted {
                return Ok(false);
            }
            checksum = crc32c::crc32c_append(checksum, &piece[..wanted]);
            done += wanted;
        }
        Ok(head.seals(checksum, front, offset))
    }
}

/// Fills `into` from `offset` of the file on, as far as that goes; returns how far.
fn read_up_to(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut have = 0;
    while have < into.len() {
        match file.read_at(&mut into[have..], offset + have as u64)? {
            0 => break,
            n => have += n,
        }
    }
    Ok(have)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::frame::{Batch, mark};

    const SEED: u32 = 7;

    /// Frames of many sizes, of which some are damaged and the last is cut short. Returns where whole ones begin, with
    /// their sequences and whether they are marks.
    fn damaged_file() -> (Vec<u8>, Vec<(u64, u64, bool)>) {
        let (mut bytes, mut whole) = (Vec::new(), Vec::new());
        for (n, length) in [0, 1, 300, 23, 24, 25, 2, 90, 41, 700, 3, 47].into_iter().enumerate() {
            let sequence = n as u64 + 1;
            let at = bytes.len();
            bytes.extend_from_slice(&mark(SEED, sequence, at as u64));
            let mut batch = Batch::default();
            // Its bytes look like the header of a longer record, again and again.
            let decoy = [&[200, 0, 0, 0, 1, 2, 3, 4][..], &sequence.to_le_bytes()].concat();
            batch.push(|out| out.extend(decoy.iter().cycle().take(length)));
            batch.stamp(SEED, sequence, 1000, |_, _| {});
            let record = bytes.len();
            bytes.extend_from_slice(batch.framed());
            for (frame, is_mark) in [(at, true), (record, false)] {
                if n % 3 == 1 || (n == 6 && is_mark) {
                    bytes[frame + 4] ^= 1;
                } else {
                    whole.push((frame as u64, sequence, is_mark));
                }
            }
        }
        bytes.truncate(bytes.len() - 1);
        whole.pop();
        (bytes, whole)
    }

    fn scanner(file: &Arc<File>, limit: usize, chunk: usize) -> Scanner {
        Scanner::new(Arc::clone(file), SEED, 0, limit as u64).in_chunks(chunk)
    }

    fn file_of(bytes: &[u8]) -> Arc<File> {
        let path = tempfile::NamedTempFile::new().unwrap();
        fs::write(&path, bytes).unwrap();
        Arc::new(path.into_file())
    }

    #[test]
    fn the_next_frame_is_found_from_everywhere_however_chunks_end() {
        let (bytes, whole) = damaged_file();
        let file = file_of(&bytes);
        let chunks: Vec<usize> = (HEADER..80).chain([1, 333, bytes.len(), CHUNK]).collect();
        let begin = whole.iter().map(|(at, ..)| *at);
        for from in begin.flat_map(|at| [at.saturating_sub(1), at, at + 1, at + HEADER as u64]) {
            for &chunk in &chunks {
                for expected in [0, 8] {
                    let mut scanner = scanner(&file, bytes.len(), chunk);
                    scanner.jump(from);
                    let follows = |marks: bool| {
                        let fits = |&&(at, of, is_mark): &&(u64, u64, bool)| {
                            at > from && of >= expected && (is_mark || !marks)
                        };
                        whole.iter().find(fits).map(|(at, ..)| *at)
                    };
                    let what = format!("from {from}, at least {expected}, in chunks of {chunk}");
                    assert_eq!(scanner.next_valid(expected).unwrap(), follows(false), "{what}");
                    assert_eq!(scanner.mark_follows(expected).unwrap(), follows(true).is_some(), "{what}");
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was_ends_the_search() {
        let (bytes, whole) = damaged_file();
        let (last, ..) = whole[whole.len() - 1];
        for cut in last as usize..bytes.len() {
            let file = file_of(&bytes[..cut]);
            let found = (cut >= last as usize + HEADER).then_some(last);
            for chunk in [1, 25, 64, CHUNK] {
                let mut scanner = scanner(&file, bytes.len() + 500, chunk);
                scanner.jump(last - 1);
                assert_eq!(scanner.next_valid(1).unwrap(), found, "cut at {cut}, in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn a_large_record_behind_damage_is_validated_piece_by_piece() {
        let mut bytes = vec![0xff; 100];
        let mut batch = Batch::default();
        batch.push(|out| out.extend((0..2 * CHUNK + 5).map(|n| n as u8)));
        batch.stamp(SEED, 3, 1000, |_, _| {});
        bytes.extend_from_slice(batch.framed());
        let find = |bytes: &[u8]| scanner(&file_of(bytes), bytes.len(), CHUNK).next_valid(1).unwrap();
        assert_eq!(find(&bytes), Some(100));
        assert_eq!(find(&bytes[..bytes.len() - 1]), None, "its end is missing");
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(find(&bytes), None, "its last byte is another");
    }
}
