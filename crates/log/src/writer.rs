use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::Disk;
use crate::frame::{self, Batch};
use crate::segment::{self, Point, SEGMENT_HEADER, Segment};

/// A batch of this size is written from where it is instead of being copied together with others.
const DIRECT: usize = 128 * 1024;
/// The copied-together bytes are written out when they are this many.
pub(crate) const BUFFER: usize = 1 << 20;

/// How far the newest record's time may be ahead of the clock and be kept to, so that times do not go back.
const AHEAD_MS_MAX: u64 = 60_000;

/// The writing end of a log: its active segment. Only the committer writes.
#[derive(Debug)]
pub(crate) struct Writer {
    disk: Disk,
    file: Arc<File>,
    path: PathBuf,
    pub(crate) base: u64,
    seed: u32,
    /// What is durable: bytes, next sequence, last time.
    durable: At,
    /// What is staged or written.
    tail: At,
    /// Whether a mark stands at the tail already, so that this round needs none.
    marked: bool,
    /// Index points of staged records.
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
struct At {
    bytes: u64,
    next: u64,
    last_ms: u64,
}

impl Writer {
    /// Over the active segment, as recovered or created. `last_ms`: of the log, where the segment is empty.
    pub(crate) fn new(disk: Disk, file: Arc<File>, path: PathBuf, segment: &Segment, last_ms: u64) -> Self {
        let at = At { bytes: segment.bytes, next: segment.end, last_ms: last_ms.max(segment.last_ms) };
        let (base, seed) = (segment.base, frame::seed(segment.epoch));
        Self { disk, file, path, base, seed, durable: at, tail: at, marked: false, points: Vec::new() }
    }

    /// Whether so many more bytes belong into the next segment.
    pub(crate) fn is_full(&self, bytes: usize, segment_bytes: u64) -> bool {
        self.tail.next > self.base && self.tail.bytes + bytes as u64 > segment_bytes
    }

    pub(crate) fn has_staged(&self) -> bool {
        self.tail.next > self.durable.next
    }

    pub(crate) fn next(&self) -> u64 {
        self.tail.next
    }

    pub(crate) fn last_ms(&self) -> u64 {
        self.tail.last_ms
    }

    /// Where the newest record is stamped more than a minute ahead of the clock, the clock has been set back: times go on
    /// from it then, or a single glitch would stamp all records for years. Returns by how much.
    pub(crate) fn follow_clock(&mut self, now_ms: u64) -> Option<u64> {
        let ahead_ms = self.tail.last_ms.checked_sub(now_ms).filter(|ahead_ms| *ahead_ms > AHEAD_MS_MAX)?;
        self.tail.last_ms = now_ms;
        Some(ahead_ms)
    }

    /// Stamps a batch and puts it into `buffer` (which is this log's until [`Writer::flush`]) or the file. Returns the
    /// first sequence and the time, which goes back by no clock's small corrections.
    pub(crate) fn stage(
        &mut self,
        batch: &mut Batch,
        buffer: &mut Vec<u8>,
        now_ms: u64,
    ) -> io::Result<(u64, u64)> {
        if !self.marked {
            buffer.extend_from_slice(&frame::mark(self.seed, self.tail.next, self.tail.bytes));
            self.tail.bytes += frame::HEADER as u64;
            self.marked = true;
        }
        let (first, time_ms) = (self.tail.next, now_ms.max(self.tail.last_ms));
        let (start, points) = (self.tail.bytes, &mut self.points);
        batch.stamp(self.seed, first, time_ms, |at, sequence| {
            // Segments end below 4 GiB, which the store sees to.
            let offset = (start + at as u64) as u32;
            let far = |last: &Point| u64::from(offset - last.offset) >= segment::INDEX_INTERVAL;
            if points.last().is_none_or(far) {
                points.push(Point { sequence, time_ms, offset });
            }
        });
        if batch.bytes() >= DIRECT {
            self.flush(buffer)?;
            self.disk.write(&self.file, &self.path, batch.framed(), self.tail.bytes)?;
            self.tail.bytes += batch.bytes() as u64;
        } else {
            buffer.extend_from_slice(batch.framed());
            self.tail.bytes += batch.bytes() as u64;
            if buffer.len() >= BUFFER {
                self.flush(buffer)?;
            }
        }
        self.tail.next += u64::from(batch.records());
        self.tail.last_ms = time_ms;
        Ok((first, time_ms))
    }

    pub(crate) fn flush(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let at = self.tail.bytes - buffer.len() as u64;
        let written = self.disk.write(&self.file, &self.path, buffer, at);
        buffer.clear();
        written
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file, &self.path)
    }

    /// After [`Writer::sync`]: what was staged is durable, and `segment` tells it.
    pub(crate) fn commit(&mut self, segment: &mut Segment) {
        self.durable = self.tail;
        self.marked = false;
        segment.bytes = self.durable.bytes;
        segment.end = self.durable.next;
        segment.last_ms = self.durable.last_ms;
        self.points.drain(..).for_each(|point| segment.point(point));
    }

    /// Takes back what was staged and not committed, in the file too, durably: what was refused must not come back with
    /// the power.
    pub(crate) fn roll_back(&mut self) -> io::Result<()> {
        self.tail = self.durable;
        self.marked = false;
        self.points.clear();
        self.disk.truncate(&self.file, &self.path, self.durable.bytes)?;
        self.disk.sync_all(&self.file, &self.path)
    }

    /// Puts the mark of the next round down now, while nothing else is to be done, so that damage to the last round is
    /// told from a torn tail as well. It needs no sync: where it is lost, the tail is judged as if it had been torn.
    pub(crate) fn mark_idle(&mut self) -> io::Result<()> {
        if self.marked || self.tail.bytes == SEGMENT_HEADER as u64 {
            return Ok(());
        }
        let mark = frame::mark(self.seed, self.tail.next, self.tail.bytes);
        self.disk.write(&self.file, &self.path, &mark, self.tail.bytes)?;
        self.tail.bytes += mark.len() as u64;
        self.marked = true;
        Ok(())
    }
}
