use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::log::{Log, Place};
use crate::scan::{CHUNK, Frame, Scanner};

/// For reading up to the record that is looked for, from the index's last point before it.
const SHORT_CHUNK: usize = 16 * 1024;
/// Beyond so many records to skip, a cursor looks the place up instead of reading up to it.
const SKIP_READING: u64 = 256;

/// A durable record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub sequence: u64,
    /// When it was taken in, in milliseconds since the Unix epoch. Goes back within a log only after a clock that had been
    /// more than a minute ahead was set right.
    pub time_ms: u64,
    /// Where it stands in its segment, for [`Log::read`].
    pub offset: u32,
    /// A slice of a chunk of up to 256 KiB, which lives as long as any slice of it: copy what is to be kept long.
    pub bytes: Bytes,
}

/// What stands next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Record(Record),
    /// Sequences `from..to` are gone: removed by retention where they stand before [`Log::first`], else damaged.
    Hole {
        from: u64,
        to: u64,
    },
}

/// Reads a log in order, only what is durable. It holds one chunk of memory and one open file. Every call may read from
/// disk, up to 256 KiB or one record, and blocks for as long as that takes.
#[derive(Debug)]
pub struct Cursor {
    log: Arc<Log>,
    next: u64,
    chunk: usize,
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    base: u64,
    limit: u64,
    scanner: Scanner,
}

impl Cursor {
    /// Begins at this sequence.
    pub fn new(log: Arc<Log>, next: u64) -> Self {
        Self { log, next, chunk: CHUNK, reading: None }
    }

    /// The same for who looks a record or two up: it reads less ahead, and takes more calls to go on.
    pub fn brief(log: Arc<Log>, next: u64) -> Self {
        Self { chunk: SHORT_CHUNK, ..Self::new(log, next) }
    }

    /// The sequence that the next item tells of.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Goes on at another sequence.
    pub fn seek(&mut self, next: u64) {
        if next < self.next || next - self.next > SKIP_READING {
            self.reading = None;
        }
        self.next = next;
    }

    /// The next item; `None` at the durable end, for now.
    #[expect(clippy::should_implement_trait, reason = "it fails, and goes on after its end")]
    pub fn next(&mut self) -> io::Result<Option<Item>> {
        loop {
            let Some(reading) = &mut self.reading else {
                match self.log.place(self.next) {
                    Place::End => return Ok(None),
                    Place::Lost { to } => return Ok(Some(self.hole(to))),
                    Place::In { base, seed, offset, limit } => {
                        let file = match self.log.file(base) {
                            // Unlinked by retention since we looked: look again.
                            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                                if self.log.extent(base).is_none() {
                                    continue;
                                }
                                return Err(error);
                            }
                            other => other?,
                        };
                        let scanner = Scanner::new(file, seed, offset, limit).in_chunks(self.chunk);
                        self.reading = Some(Reading { base, limit, scanner });
                    }
                }
                continue;
            };
            match reading.scanner.next()? {
                Frame::Record { sequence, .. } if sequence < self.next => {}
                Frame::Record { offset, sequence, .. } if sequence > self.next => {
                    reading.scanner.jump(offset);
                    return Ok(Some(self.damaged(sequence)));
                }
                Frame::Record { offset, sequence, time_ms, bytes } => {
                    self.next += 1;
                    let offset = u32::try_from(offset).map_err(io::Error::other)?;
                    return Ok(Some(Item::Record(Record { sequence, time_ms, offset, bytes })));
                }
                Frame::Mark { sequence } if sequence > self.next => {
                    return Ok(Some(self.damaged(sequence)));
                }
                Frame::Mark { .. } => {}
                Frame::Bad => match reading.scanner.next_valid(self.next)? {
                    Some(offset) => reading.scanner.jump(offset),
                    None => reading.scanner.jump(reading.limit),
                },
                Frame::End => match self.log.extent(reading.base) {
                    Some((bytes, _, _)) if bytes > reading.limit => {
                        reading.limit = bytes;
                        reading.scanner.set_limit(bytes);
                    }
                    Some((_, end, _)) if end > self.next => return Ok(Some(self.damaged(end))),
                    Some((_, _, true)) => return Ok(None),
                    Some((_, _, false)) | None => self.reading = None,
                },
            }
        }
    }

    fn damaged(&mut self, to: u64) -> Item {
        if let Some(reading) = &self.reading {
            self.log.damaged(reading.base, self.next, to);
        }
        self.hole(to)
    }

    fn hole(&mut self, to: u64) -> Item {
        let from = std::mem::replace(&mut self.next, to);
        Item::Hole { from, to }
    }
}
