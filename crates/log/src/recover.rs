//! What a log's directory holds, found out at start-up: sealed segments by their side files, the active one by reading
//! it, its torn tail truncated.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::{Damage, OpenError};
use crate::frame::{self, HEADER, seed};
use crate::scan::{Frame, Scanner};
use crate::segment::{self, Header, Point, SEGMENT_HEADER, Segment};

/// The first record of a log.
const FIRST: u64 = 1;

#[derive(Debug)]
pub(crate) struct Recovered {
    /// In order; the last is the active one.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) active: File,
    pub(crate) damage: Vec<Damage>,
}

pub(crate) fn recover(disk: &Disk, directory: &Path, log: &Arc<str>) -> Result<Recovered, OpenError> {
    let bases = bases(directory)?;
    // A segment may have been created by a process that was killed before it synced the name.
    disk.sync_directory(directory).map_err(OpenError::path("sync", directory))?;
    let mut found = Recovering { disk, directory, log, segments: VecDeque::new(), damage: Vec::new() };
    let mut active = None;
    for (at, &base) in bases.iter().enumerate() {
        match bases.get(at + 1) {
            Some(&next) => found.sealed(base, next)?,
            None => active = Some(found.active(base)?),
        }
    }
    let active = match active {
        Some(file) => file,
        None => found.create(FIRST)?,
    };
    Ok(Recovered { segments: found.segments, active, damage: found.damage })
}

fn bases(directory: &Path) -> Result<Vec<u64>, OpenError> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(directory).map_err(OpenError::path("list", directory))? {
        let entry = entry.map_err(OpenError::path("list", directory))?;
        bases.extend(entry.file_name().to_str().and_then(segment::base_of));
    }
    bases.sort_unstable();
    Ok(bases)
}

struct Recovering<'a> {
    disk: &'a Disk,
    directory: &'a Path,
    log: &'a Arc<str>,
    segments: VecDeque<Segment>,
    damage: Vec<Damage>,
}

impl Recovering<'_> {
    fn lost(&mut self, path: &Path, from: u64, to: u64) {
        self.damage.push(Damage::Records { log: Arc::clone(self.log), path: path.to_owned(), from, to });
    }

    fn push(&mut self, path: &Path, segment: Segment) {
        for (from, to) in segment.holes.clone() {
            self.lost(path, from, to);
        }
        if let Some(before) = self.segments.back().map(|s| s.end)
            && before < segment.base
        {
            self.lost(path, before, segment.base);
        }
        self.segments.push_back(segment);
    }

    fn create(&mut self, base: u64) -> Result<File, OpenError> {
        let path = segment::path(self.directory, base);
        let created = segment::create(self.disk, self.directory, base);
        let (file, segment) = created.map_err(OpenError::path("create", &path))?;
        self.push(&path, segment);
        Ok(file)
    }

    fn header(&self, path: &Path, file: &File, base: u64) -> Result<Option<u64>, OpenError> {
        match segment::read_header(file, base).map_err(OpenError::path("read", path))? {
            Header::Valid { epoch } => Ok(Some(epoch)),
            Header::Invalid => Ok(None),
            Header::Newer { version } => {
                Err(OpenError::NewerFormat { path: path.to_owned(), found: version, known: 1 })
            }
        }
    }

    fn quarantine(&mut self, path: &Path, base: u64) -> Result<(), OpenError> {
        let aside = segment::quarantine_path(self.directory, base);
        let renamed = self.disk.rename(path, &aside).and_then(|()| self.disk.sync_directory(self.directory));
        renamed.map_err(OpenError::path("set aside", path))
    }

    fn sealed(&mut self, base: u64, next: u64) -> Result<(), OpenError> {
        let path = segment::path(self.directory, base);
        let file = File::open(&path).map_err(OpenError::path("open", &path))?;
        let bytes = file.metadata().map_err(OpenError::path("read", &path))?.len();
        let Some(epoch) = self.header(&path, &file, base)? else {
            self.quarantine(&path, base)?;
            if self.segments.is_empty() {
                // Otherwise the next segment's `push` sees the hole.
                self.lost(&path, base, next);
            }
            return Ok(());
        };
        let index_path = segment::index_path(self.directory, base);
        let index = fs::read(&index_path).ok().and_then(|index| segment::decode_index(&index, epoch, bytes));
        let rebuild = index.is_none();
        let mut segment = match index {
            Some(segment) => segment,
            None => {
                let mut segment = Segment::new(base, epoch);
                segment.bytes = bytes;
                read_sealed(Arc::new(file), &mut segment).map_err(OpenError::path("read", &path))?;
                segment
            }
        };
        if segment.end < next {
            segment.holes.push((segment.end, next));
            segment.end = next;
        }
        // Best effort, as at sealing: without it the next start reads the segment once more.
        if rebuild {
            drop(fs::write(&index_path, segment::encode_index(&segment)));
        }
        self.push(&path, segment);
        Ok(())
    }

    fn active(&mut self, base: u64) -> Result<File, OpenError> {
        let path = segment::path(self.directory, base);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(OpenError::path("open", &path))?;
        let bytes = file.metadata().map_err(OpenError::path("read", &path))?.len();
        let Some(epoch) = self.header(&path, &file, base)? else {
            if bytes <= SEGMENT_HEADER as u64 {
                // Its creation was cut short, so nothing was ever acknowledged in it.
                self.disk.unlink(&path).map_err(OpenError::path("remove", &path))?;
                return self.create(base);
            }
            // How many records it held cannot be told; more than fit into it would be too many, and their sequences
            // must not be given to others. The successor is made first, so that a crash here forgets none of this.
            let next = base + bytes / HEADER as u64 + 1;
            if self.segments.is_empty() {
                self.lost(&path, base, next);
            }
            let file = self.create(next)?;
            self.quarantine(&path, base)?;
            return Ok(file);
        };
        let mut segment = Segment::new(base, epoch);
        segment.bytes = bytes;
        let reader = file.try_clone().map_err(OpenError::path("open", &path))?;
        read_active(Arc::new(reader), &mut segment).map_err(OpenError::path("read", &path))?;
        if segment.bytes < bytes && !segment.holes.is_empty() {
            // The mark that proves what was lost may stand in the tail. One that takes its place keeps it proven, so that the
            // next start finds the same; where there is no room for it, only that is not so.
            let mark = frame::mark(seed(epoch), segment.end, segment.bytes);
            if self.disk.write(&file, &path, &mark, segment.bytes).is_ok() {
                segment.bytes += mark.len() as u64;
            }
        }
        if segment.bytes < bytes {
            let cut = self.disk.truncate(&file, &path, segment.bytes);
            cut.map_err(OpenError::path("truncate the torn tail of", &path))?;
        }
        // What was read may stand in the page cache only: it is handed out as durable from here on, so it has to be.
        self.disk.sync_all(&file, &path).map_err(OpenError::path("sync", &path))?;
        self.push(&path, segment);
        Ok(file)
    }
}

/// Reads the active segment up to its torn tail, which no mark follows: `bytes` becomes where that begins.
fn read_active(file: Arc<File>, segment: &mut Segment) -> io::Result<()> {
    read(file, segment, true)
}

/// Reads a sealed segment, all of which was durable.
pub(crate) fn read_sealed(file: Arc<File>, segment: &mut Segment) -> io::Result<()> {
    read(file, segment, false)
}

fn read(file: Arc<File>, segment: &mut Segment, may_be_torn: bool) -> io::Result<()> {
    let mut scanner = Scanner::new(file, seed(segment.epoch), SEGMENT_HEADER as u64, segment.bytes);
    loop {
        let at = scanner.offset();
        let frame = match scanner.next()? {
            // A frame of this file where another one belongs: a write that went to the wrong place. It must not take
            // the end back, or sequences that were given out would be given out again.
            Frame::Record { sequence, .. } if sequence < segment.end => {
                scanner.jump(at);
                Frame::Bad
            }
            frame => frame,
        };
        match frame {
            Frame::Record { offset, sequence, time_ms, .. } => {
                hole(segment, sequence);
                let offset = u32::try_from(offset).map_err(io::Error::other)?;
                segment.point(Point { sequence, time_ms, offset });
                segment.end = sequence + 1;
                segment.last_ms = time_ms;
            }
            Frame::Mark { sequence } => hole(segment, sequence),
            Frame::End => return Ok(()),
            Frame::Bad if may_be_torn && !scanner.mark_follows(segment.end)? => {
                segment.bytes = at;
                return Ok(());
            }
            Frame::Bad => match scanner.next_valid(segment.end)? {
                Some(offset) => scanner.jump(offset),
                None => return Ok(()),
            },
        }
    }
}

/// A frame continues with this sequence: what lies before it is lost.
fn hole(segment: &mut Segment, sequence: u64) {
    if sequence > segment.end {
        segment.holes.push((segment.end, sequence));
        segment.end = sequence;
    }
}
