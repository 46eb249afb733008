//! Retention: whole segments go, oldest first, once every subscription has durably settled them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::commit::Committer;
use crate::log::Log;
use crate::segment::{self, Segment};
use crate::trouble::Trouble;

/// How long after a segment could not be removed that is tried again, at the latest.
const RETRY: Duration = Duration::from_secs(60);

impl Committer {
    /// Looks at every log, and sets the time to look again.
    pub(crate) fn retain_all(&mut self) {
        if self.shared.queue.poisoned().is_some() {
            self.retention_at = None;
            return;
        }
        let logs: Vec<_> = self.shared.logs.read().values().cloned().collect();
        let next = logs.iter().filter_map(|log| self.retain(log)).min();
        self.retention_at = next.map(|wait| Instant::now() + wait);
        if !self.reserve.is_held() {
            self.reserve.retake_now();
        }
    }

    /// Removes what is settled and too old or too much; all that is settled while the disk is full. Returns how long
    /// until the oldest settled segment is too old.
    pub(crate) fn retain(&mut self, log: &Log) -> Option<Duration> {
        if self.shared.is_retention_held() {
            return None;
        }
        let floor = log.settled_floor();
        let short = !self.reserve.is_held() && floor.is_some();
        if short && floor >= Some(log.end()) {
            self.seal(log);
        }
        let age_ms = u64::try_from(self.shared.options.retention_age.as_millis()).unwrap_or(u64::MAX);
        let mut total = log.bytes();
        loop {
            {
                let segments = log.segments.read();
                let oldest = &segments[0];
                if segments.len() == 1 || floor.is_some_and(|floor| oldest.end > floor) {
                    return None;
                }
                // No record is younger than those after it, nor than now, whatever a glitch of the clock stamped it with.
                let now_ms = (self.shared.options.clock)();
                let times = segments.iter().map(|segment| segment.last_ms).filter(|last_ms| *last_ms > 0);
                let last_ms = times.min().unwrap_or(now_ms).min(now_ms);
                let left_ms = last_ms.saturating_add(age_ms).saturating_sub(now_ms);
                if left_ms > 0 && total <= self.shared.options.retention_bytes && !short {
                    return Some(Duration::from_millis(left_ms));
                }
            }
            // Out of memory first, so that a reader who finds no file finds no segment either.
            let segment = log.segments.write().pop_front()?;
            total -= segment.bytes;
            if let Err(segment) = self.remove(log, segment) {
                log.segments.write().push_front(segment);
                return Some(RETRY);
            }
        }
    }

    /// Removes the file of a segment, or sets it aside. Gives the segment back where that failed.
    fn remove(&self, log: &Log, segment: Segment) -> Result<(), Segment> {
        let path = segment::path(&log.directory, segment.base);
        let removed = self.disk.open_directory(&log.directory).and_then(|directory| {
            let removed = if segment.holes.is_empty() {
                self.disk.unlink(&path)
            } else {
                self.disk.rename(&path, &segment::quarantine_path(&log.directory, segment.base))
            };
            match removed {
                // Whoever else removed it, it is gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(directory),
                other => other.map(|()| directory),
            }
        });
        let directory = match removed {
            Ok(directory) => directory,
            Err(error) => {
                self.tell_stuck(log, path, &error);
                return Err(segment);
            }
        };
        log.forget_file(segment.base);
        match directory.sync() {
            // Should the power bring it back, the next start finds it and removes it.
            Err(error) => self.tell_stuck(log, path, &error),
            Ok(()) => log.retention_told.store(false, Ordering::Relaxed),
        }
        // After the segment: a side file alone is nothing, a segment alone is read.
        drop(self.disk.unlink(&segment::index_path(&log.directory, segment.base)));
        Ok(())
    }

    fn tell_stuck(&self, log: &Log, path: PathBuf, error: &io::Error) {
        if !log.retention_told.swap(true, Ordering::Relaxed) {
            let log = Arc::clone(log.name());
            let trouble = Trouble::Retention { log, path, error: error.to_string() };
            self.shared.options.tell.tell(&trouble);
        }
    }
}
