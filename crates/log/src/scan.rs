use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::frame::{HEADER, Head};

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

    fn search(&self, expected: u64, marks_only: bool) -> io::Result<Option<u64>> {
        let mut rest = vec![0; (self.limit - self.offset) as usize];
        let mut have = 0;
        while have < rest.len() {
            match self.file.read_at(&mut rest[have..], self.offset + have as u64)? {
                0 => break,
                n => have += n,
            }
        }
        let most = expected.saturating_add(rest.len() as u64);
        for at in 1..=have.saturating_sub(HEADER) {
            let Some(head) = Head::read(&rest[at..have]) else { break };
            // The cheap conditions first: nearly all offsets fail them, and no checksum is computed.
            let plausible = head.sequence >= expected
                && head.sequence <= most
                && head.frame_bytes() <= have - at
                && (head.is_mark() || !marks_only);
            let offset = self.offset + at as u64;
            if plausible && head.validates(&rest[at..have], self.seed, offset) {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }
}
