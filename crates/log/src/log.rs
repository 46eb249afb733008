use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::{Mutex, RwLock};

use crate::cursor::{Cursor, Item, Record};
use crate::disk::Disk;
use crate::error::{Damage, OpenError};
use crate::frame;
use crate::recover;
use crate::scan::{Frame, Scanner};
use crate::segment::{self, Segment};
use crate::writer::Writer;

/// Segment files that are kept open for reading, a log.
const FILES_OPEN: usize = 4;

/// One sequence of records. Sequences begin at 1 and are never given twice.
#[derive(Debug)]
pub struct Log {
    pub(crate) id: u32,
    name: Arc<str>,
    pub(crate) directory: PathBuf,
    /// In order, never empty; the last is the active one, of which it tells what is durable.
    pub(crate) segments: RwLock<VecDeque<Segment>>,
    pub(crate) writer: Mutex<Writer>,
    /// Durable floors of the subscriptions, which retention does not pass.
    pub(crate) floors: RwLock<Vec<Arc<Floor>>>,
    /// One past the last durable record.
    end: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
    /// That a segment could not be removed has been told.
    pub(crate) retention_told: AtomicBool,
    files: Mutex<VecDeque<(u64, Arc<File>)>>,
}

/// How far a subscription has durably settled all.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) subscription: Arc<str>,
    pub(crate) durable: AtomicU64,
    /// The floor as it is in memory, for telling who is behind.
    pub(crate) live: AtomicU64,
}

/// Where a sequence stands.
#[derive(Debug)]
pub(crate) enum Place {
    In {
        base: u64,
        seed: u32,
        offset: u64,
        limit: u64,
    },
    /// Nothing is left of it and of what follows, up to here.
    Lost {
        to: u64,
    },
    End,
}

impl Log {
    pub(crate) fn open(
        disk: &Disk,
        id: u32,
        name: Arc<str>,
        directory: PathBuf,
    ) -> Result<(Arc<Self>, Vec<Damage>), OpenError> {
        let recovered = recover::recover(disk, &directory, &name)?;
        let last_ms = recovered.segments.iter().rev().map(|s| s.last_ms).find(|last_ms| *last_ms > 0);
        let active = &recovered.segments[recovered.segments.len() - 1];
        let path = segment::path(&directory, active.base);
        let writer =
            Writer::new(disk.clone(), Arc::new(recovered.active), path, active, last_ms.unwrap_or(0));
        let log = Self {
            id,
            name,
            directory,
            end: AtomicU64::new(active.end),
            writer: Mutex::new(writer),
            segments: RwLock::new(recovered.segments),
            floors: RwLock::default(),
            wakers: Mutex::default(),
            retention_told: AtomicBool::new(false),
            files: Mutex::default(),
        };
        Ok((Arc::new(log), recovered.damage))
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The first sequence that is still held. Equal to [`Log::end`] where there is none.
    pub fn first(&self) -> u64 {
        self.segments.read()[0].base
    }

    /// One past the last durable record.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Bytes on disk, durable ones.
    pub fn bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.bytes).sum()
    }

    /// Bytes from the lowest durable floor of its subscriptions on; `None` without subscriptions.
    pub fn unsettled_bytes(&self) -> Option<u64> {
        let floor = self.settled_floor()?;
        let segments = self.segments.read();
        let live = segments.iter().filter(|segment| segment.end > floor);
        Some(live.map(|s| s.bytes - if floor > s.base { s.offset_before(floor) } else { 0 }).sum())
    }

    pub(crate) fn settled_floor(&self) -> Option<u64> {
        self.floors.read().iter().map(|floor| floor.durable.load(Ordering::Acquire)).min()
    }

    /// The subscription that is furthest behind.
    pub(crate) fn held_by(&self) -> Arc<str> {
        let floors = self.floors.read();
        let last = floors.iter().min_by_key(|floor| floor.live.load(Ordering::Relaxed));
        last.map_or_else(|| "".into(), |floor| Arc::clone(&floor.subscription))
    }

    /// Wakes those who registered, though nothing became durable: something else is to be looked at.
    pub fn wake(&self) {
        wake_all(&self.wakers);
    }

    /// The first record of this time or later; [`Log::end`] where there is none. Reads up to an index interval. What was
    /// stamped by a clock that had been far ahead counts as later.
    pub fn first_at(self: &Arc<Self>, time_ms: u64) -> io::Result<u64> {
        let from = {
            let segments = self.segments.read();
            let Some(segment) = segments.iter().find(|s| s.end > s.base && s.last_ms >= time_ms) else {
                return Ok(self.end());
            };
            segment.sequence_before(time_ms)
        };
        let mut cursor = Cursor::brief(Arc::clone(self), from);
        while let Some(item) = cursor.next()? {
            if let Item::Record(record) = item
                && record.time_ms >= time_ms
            {
                return Ok(record.sequence);
            }
        }
        Ok(self.end())
    }

    /// Reads one durable record again, by the offset that a cursor told: one `pread` of a page, two where the record is
    /// larger. `None`: it is gone or damaged, and its segment will be kept aside.
    pub fn read(&self, sequence: u64, offset: u32) -> io::Result<Option<Record>> {
        let Place::In { base, seed, limit, .. } = self.place(sequence) else { return Ok(None) };
        let file = match self.file(base) {
            // Removed by retention since we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.extent(base).is_none() => {
                return Ok(None);
            }
            other => other?,
        };
        let mut scanner = Scanner::single(file, seed, u64::from(offset), limit);
        match scanner.next()? {
            Frame::Record { sequence: found, time_ms, bytes, .. } if found == sequence => {
                Ok(Some(Record { sequence, time_ms, offset, bytes }))
            }
            _ => {
                self.damaged(base, sequence, sequence + 1);
                Ok(None)
            }
        }
    }

    /// Remembers that a record, though whole, is of no use to its reader: its segment is kept aside for an operator
    /// instead of being removed.
    pub fn set_aside(&self, sequence: u64) {
        if let Place::In { base, .. } = self.place(sequence) {
            self.damaged(base, sequence, sequence + 1);
        }
    }

    /// Wakes this task once, when more has become durable. Register first, then look at [`Log::end`] again.
    pub fn register(&self, waker: &Waker) {
        register(&self.wakers, waker);
    }

    pub(crate) fn place(&self, sequence: u64) -> Place {
        let segments = self.segments.read();
        let at = segments.partition_point(|segment| segment.end <= sequence);
        let Some(segment) = segments.get(at) else { return Place::End };
        if sequence < segment.base {
            return Place::Lost { to: segment.base };
        }
        let offset = segment.offset_before(sequence);
        Place::In { base: segment.base, seed: frame::seed(segment.epoch), offset, limit: segment.bytes }
    }

    /// Bytes and end of a segment that is still held, and whether it is the active one.
    pub(crate) fn extent(&self, base: u64) -> Option<(u64, u64, bool)> {
        let segments = self.segments.read();
        let at = segments.binary_search_by_key(&base, |segment| segment.base).ok()?;
        Some((segments[at].bytes, segments[at].end, at + 1 == segments.len()))
    }

    /// Remembers that records of a segment turned out to be damaged, so that it is kept aside in the end.
    pub(crate) fn damaged(&self, base: u64, from: u64, to: u64) {
        let mut segments = self.segments.write();
        if let Ok(at) = segments.binary_search_by_key(&base, |segment| segment.base)
            && !segments[at].holes.contains(&(from, to))
        {
            segments[at].holes.push((from, to));
        }
    }

    /// The file of a segment, opened or out of the few that are kept open.
    pub(crate) fn file(&self, base: u64) -> io::Result<Arc<File>> {
        let mut files = self.files.lock();
        if let Some(at) = files.iter().position(|(of, _)| *of == base) {
            return Ok(Arc::clone(&files[at].1));
        }
        let file = Arc::new(File::open(segment::path(&self.directory, base))?);
        if files.len() == FILES_OPEN {
            files.pop_front();
        }
        files.push_back((base, Arc::clone(&file)));
        Ok(file)
    }

    pub(crate) fn forget_file(&self, base: u64) {
        self.files.lock().retain(|(of, _)| *of != base);
    }

    /// Shows readers what has just become durable.
    pub(crate) fn publish(&self, end: u64) {
        self.end.store(end, Ordering::Release);
        wake_all(&self.wakers);
    }
}

pub(crate) fn register(wakers: &Mutex<Vec<Waker>>, waker: &Waker) {
    let mut wakers = wakers.lock();
    if !wakers.iter().any(|known| known.will_wake(waker)) {
        wakers.push(waker.clone());
    }
}

pub(crate) fn wake_all(wakers: &Mutex<Vec<Waker>>) {
    // Woken outside of the lock: a waker may run code that registers again.
    let woken = std::mem::take(&mut *wakers.lock());
    woken.into_iter().for_each(Waker::wake);
}
