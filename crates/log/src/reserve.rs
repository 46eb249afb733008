use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk::Disk;

/// How long after a failed attempt the next one is made, at the earliest.
const RETRY: Duration = Duration::from_secs(1);

/// Disk space taken ahead. When the disk fills it is given up, so that settling, which frees space, finds room; appends
/// are refused from then on until it could be taken again.
#[derive(Debug)]
pub(crate) struct Reserve {
    disk: Disk,
    path: PathBuf,
    bytes: u64,
    held: bool,
    tried: Option<Instant>,
}

impl Reserve {
    /// Takes the space if it can. A disk too full for that does not keep the store from opening: it has to drain.
    pub(crate) fn open(disk: Disk, path: &Path, bytes: u64) -> io::Result<Self> {
        let mut reserve = Self { disk, path: path.to_owned(), bytes, held: false, tried: None };
        match fs::metadata(path) {
            Ok(found) if found.len() == bytes && bytes > 0 => reserve.held = true,
            Ok(_) => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        reserve.retake();
        Ok(reserve)
    }

    /// Whether appends may be taken in.
    pub(crate) fn is_held(&self) -> bool {
        self.held || self.bytes == 0
    }

    pub(crate) fn give_up(&mut self) {
        if self.held {
            // Should this fail there is no room for settling either, and its own write tells.
            drop(self.disk.unlink(&self.path));
            self.held = false;
            self.tried = Some(Instant::now());
        }
    }

    /// Takes the space again if enough is free; whether it is held now. Tries at most once a second.
    pub(crate) fn retake(&mut self) -> bool {
        if self.is_held() || self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return self.is_held();
        }
        self.retake_now()
    }

    /// As [`Reserve::retake`], when something has just been freed.
    pub(crate) fn retake_now(&mut self) -> bool {
        if self.is_held() {
            return true;
        }
        self.tried = Some(Instant::now());
        // What was just given up is free, and is not to be taken back from those it was given up for: more has to be.
        let free = self.path.parent().and_then(|directory| rustix::fs::statvfs(directory).ok());
        let free = free.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free < self.bytes + self.bytes / 8 {
            return false;
        }
        let taken =
            self.disk.create(&self.path).and_then(|file| self.disk.allocate(&file, &self.path, self.bytes));
        self.held = taken.is_ok();
        if !self.held {
            drop(fs::remove_file(&self.path));
        }
        self.held
    }
}
