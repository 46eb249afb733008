//! Retention: whole segments go, oldest first, once every subscription has durably settled them.

use std::time::{Duration, Instant};

use crate::commit::{Committer, now_ms};
use crate::log::Log;
use crate::segment;

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
            let (base, bytes, damaged) = {
                let segments = log.segments.read();
                let oldest = &segments[0];
                if segments.len() == 1 || floor.is_some_and(|floor| oldest.end > floor) {
                    return None;
                }
                let left_ms = oldest.last_ms.saturating_add(age_ms).saturating_sub(now_ms());
                if left_ms > 0 && total <= self.shared.options.retention_bytes && !short {
                    return Some(Duration::from_millis(left_ms));
                }
                (oldest.base, oldest.bytes, !oldest.holes.is_empty())
            };
            // The segment before its side file: a side file alone is nothing, a segment alone is read.
            let path = segment::path(&log.directory, base);
            let gone = if damaged {
                self.disk.rename(&path, &segment::quarantine_path(&log.directory, base))
            } else {
                self.disk.unlink(&path)
            };
            let gone = gone.and_then(|()| self.disk.sync_directory(&log.directory));
            if gone.is_err() {
                // It stays, costs space, and is tried again at the next occasion; nothing is lost by it.
                return None;
            }
            drop(self.disk.unlink(&segment::index_path(&log.directory, base)));
            log.segments.write().pop_front();
            log.forget_file(base);
            total -= bytes;
        }
    }
}
