//! The committer: the one thread that writes.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::append::{Inbox, Pending, Stop};
use crate::disk::Disk;
use crate::error::{AppendError, Shortage, StoreError};
use crate::log::Log;
use crate::reserve::Reserve;
use crate::segment;
use crate::settle::SettleLog;
use crate::store::{Appended, Shared};
use crate::trouble::Trouble;
use crate::writer::{BUFFER, Writer};

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Disk,
    pub(crate) reserve: Reserve,
    buffer: Vec<u8>,
    /// Logs whose last round no mark follows yet.
    unmarked: Vec<Arc<Log>>,
    /// When the next segment grows too old.
    pub(crate) retention_at: Option<Instant>,
    /// A segment was sealed, or space is short.
    retention_due: bool,
}

/// What a failed write means.
pub(crate) enum Failure {
    Short(Shortage),
    Broken(Arc<str>),
}

impl Failure {
    fn of(log: &Log, what: &str, error: &io::Error) -> Self {
        Shortage::of(error).map_or_else(|| Self::Broken(broken(log, what, error)), Self::Short)
    }
}

fn broken(log: &Log, what: &str, error: &io::Error) -> Arc<str> {
    let directory = log.directory.display();
    format!(
        "cannot {what} {directory}: {error}; nothing more is written until a restart, check the disk first"
    )
    .into()
}

/// Tells those who wait that nobody works for them any more, however the thread ends.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the log's committer failed unexpectedly; restart, and report it".into());
        }
        self.0.queue.abandon();
    }
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, reserve: Reserve) -> Self {
        Self {
            disk: shared.options.disk.clone(),
            shared,
            reserve,
            buffer: Vec::with_capacity(BUFFER),
            unmarked: Vec::new(),
            retention_at: None,
            retention_due: false,
        }
    }

    pub(crate) fn run(mut self) {
        let queue = Arc::clone(&self.shared.queue);
        let _gone = Gone(Arc::clone(&self.shared));
        let mut inbox = Inbox::default();
        self.retain_all();
        loop {
            let idle = self.unmarked.is_empty();
            if !queue.take(&mut inbox, idle, self.retention_at) {
                self.mark_idle();
                if self.retention_at.is_some_and(|at| at <= Instant::now()) {
                    self.retain_all();
                }
                continue;
            }
            if inbox.stop == Stop::Now {
                return;
            }
            self.appends(&mut inbox.appends);
            self.settles(&mut inbox);
            if std::mem::take(&mut self.retention_due) {
                self.retain_all();
            }
            if inbox.stop == Stop::Drain {
                self.mark_idle();
                return;
            }
        }
    }

    fn appends(&mut self, appends: &mut Vec<Pending>) {
        if appends.is_empty() {
            return;
        }
        let bytes = appends.iter().map(|pending| pending.batch.bytes()).sum();
        // Stable: within a log the order of the calls stays.
        appends.sort_by_key(|pending| pending.log.id);
        for group in appends.chunk_by_mut(|a, b| a.log.id == b.log.id) {
            self.write(group);
        }
        for group in appends.chunk_by_mut(|a, b| a.log.id == b.log.id) {
            self.sync(group);
        }
        // Room first, so that whoever is answered finds it.
        self.shared.queue.answered(bytes);
        for pending in appends.drain(..) {
            (pending.done)(pending.outcome.unwrap_or(Err(AppendError::Closed)));
        }
    }

    /// Writes the appends of one log, in order. What it could not write it has an outcome for.
    fn write(&mut self, group: &mut [Pending]) {
        let log = Arc::clone(&group[0].log);
        let mut writer = log.writer.lock();
        let mut durable = 0;
        let (failure, at) = 'failed: {
            let mut unsettled = log.unsettled_bytes();
            for (at, pending) in group.iter_mut().enumerate() {
                if let Some(refusal) = self.refusal(&log, unsettled.as_mut(), pending) {
                    pending.outcome = Some(Err(refusal));
                    continue;
                }
                if writer.is_full(pending.batch.bytes(), self.shared.options.segment_bytes)
                    && let Err(failure) = self.rotate(&log, &mut writer, || durable = at)
                {
                    break 'failed (failure, at);
                }
                let now_ms = (self.shared.options.clock)();
                if let Some(by_ms) = writer.follow_clock(now_ms) {
                    let log = Arc::clone(log.name());
                    self.shared.options.tell.tell(&Trouble::ClockSetBack { log, by_ms });
                }
                match writer.stage(&mut pending.batch, &mut self.buffer, now_ms) {
                    Ok((first, time_ms)) => pending.outcome = Some(Ok(Appended { first, time_ms })),
                    Err(error) => break 'failed (Failure::of(&log, "write to", &error), at),
                }
            }
            match writer.flush(&mut self.buffer) {
                Ok(()) => return,
                Err(error) => (Failure::of(&log, "write to", &error), group.len()),
            }
        };
        self.buffer.clear();
        self.failed(&log, &mut writer, failure, &mut group[durable..], at - durable);
    }

    /// `unsettled`: bytes of the log's backlog, where it is bounded; grows by what is let through.
    fn refusal(&mut self, log: &Log, unsettled: Option<&mut u64>, pending: &Pending) -> Option<AppendError> {
        if let Some((reason, _)) = self.shared.queue.poisoned() {
            return Some(AppendError::Poisoned(Arc::clone(reason)));
        }
        if pending.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Some(AppendError::Expired);
        }
        if !self.reserve.retake() {
            self.retention_due = true;
            return Some(AppendError::DiskFull);
        }
        let unsettled = unsettled?;
        let bound_bytes = self.shared.options.log_bytes_max;
        let with_it = *unsettled + pending.batch.bytes() as u64;
        if with_it > bound_bytes {
            return Some(AppendError::LogFull { bound_bytes, held_by: log.held_by() });
        }
        *unsettled = with_it;
        None
    }

    /// Seals the active segment and begins the next. `durable` is called when all that was staged is.
    fn rotate(&mut self, log: &Log, writer: &mut Writer, durable: impl FnOnce()) -> Result<(), Failure> {
        writer.flush(&mut self.buffer).map_err(|error| Failure::of(log, "write to", &error))?;
        // Even without room a failed sync leaves no telling what is on the disk.
        writer.sync().map_err(|error| Failure::Broken(broken(log, "sync", &error)))?;
        let sealed = commit(log, writer);
        durable();
        log.publish(writer.next());
        let path = segment::index_path(&log.directory, writer.base);
        // Without its side file, or with half of it, the segment is read at the next start.
        drop(std::fs::write(path, sealed));
        self.retention_due = true;
        self.begin_segment(log, writer)
    }

    /// `failed_at`: the first of these that was not wholly staged; what comes before it is in the file or the buffer.
    fn failed(
        &mut self,
        log: &Log,
        writer: &mut Writer,
        failure: Failure,
        group: &mut [Pending],
        failed_at: usize,
    ) {
        let failure = match failure {
            Failure::Short(shortage) => {
                if shortage == Shortage::DiskSpace {
                    self.reserve.give_up();
                }
                match writer.roll_back() {
                    Ok(()) => failure,
                    Err(error) => Failure::Broken(broken(log, "take back what found no room in", &error)),
                }
            }
            Failure::Broken(_) => failure,
        };
        let (written, refused) = match failure {
            Failure::Short(shortage) => (shortage.into(), shortage.into()),
            Failure::Broken(reason) => {
                self.shared.poison(Arc::clone(&reason));
                (AppendError::Unknown(Arc::clone(&reason)), AppendError::Poisoned(reason))
            }
        };
        for (at, pending) in group.iter_mut().enumerate() {
            if !matches!(pending.outcome, Some(Err(_))) {
                let error = if at <= failed_at { &written } else { &refused };
                pending.outcome = Some(Err(error.clone()));
            }
        }
        self.retention_due = true;
    }

    fn sync(&mut self, group: &mut [Pending]) {
        let log = Arc::clone(&group[0].log);
        let mut writer = log.writer.lock();
        if !writer.has_staged() {
            return;
        }
        // Once anything has failed nothing is synced any more: what was written is left to the next start to judge.
        let synced = match self.shared.queue.poisoned() {
            Some((reason, _)) => Err(Arc::clone(reason)),
            None => writer.sync().map_err(|error| self.broken(&log, "sync", &error)),
        };
        match synced {
            Ok(()) => {
                writer.commit(active(&mut log.segments.write()));
                log.publish(writer.next());
                drop(writer);
                if !self.unmarked.iter().any(|known| known.id == log.id) {
                    self.unmarked.push(log);
                }
            }
            Err(reason) => {
                let end = log.end();
                for pending in group {
                    // What a rotation synced before is durable whatever happened now.
                    if pending.outcome.as_ref().is_some_and(|o| o.as_ref().is_ok_and(|a| a.first >= end)) {
                        pending.outcome = Some(Err(AppendError::Unknown(Arc::clone(&reason))));
                    }
                }
            }
        }
    }

    /// Poisons the store; returns the reason.
    fn broken(&self, log: &Log, what: &str, error: &io::Error) -> Arc<str> {
        let reason = broken(log, what, error);
        self.shared.poison(Arc::clone(&reason));
        reason
    }

    fn mark_idle(&mut self) {
        for log in self.unmarked.drain(..) {
            if self.shared.queue.poisoned().is_some() {
                continue;
            }
            if let Err(error) = log.writer.lock().mark_idle()
                && let Failure::Broken(reason) = Failure::of(&log, "write to", &error)
            {
                self.shared.poison(reason);
            }
        }
    }

    fn settles(&mut self, inbox: &mut Inbox) {
        if inbox.settles.is_empty() && inbox.flushes.is_empty() {
            return;
        }
        let mut failed = Vec::new();
        // Whoever flushes is in here beside those that have changed.
        inbox.settles.sort_unstable_by_key(Arc::as_ptr);
        inbox.settles.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for settles in inbox.settles.drain(..) {
            match self.settle(&settles) {
                Ok(()) => self.retention_due = true,
                Err(error) => failed.push((settles, error)),
            }
        }
        for (settles, flushed) in inbox.flushes.drain(..) {
            let error = failed.iter().find(|(of, _)| Arc::ptr_eq(of, &settles));
            flushed(error.map_or(Ok(()), |(_, error)| Err(error.clone())));
        }
    }

    fn settle(&mut self, settles: &Arc<SettleLog>) -> Result<(), StoreError> {
        if let Some(error) = self.shared.queue.poison_error() {
            return Err(error);
        }
        let mut written = settles.commit(&self.disk, &mut self.buffer);
        if written.as_ref().is_err_and(|error| Shortage::of(error) == Some(Shortage::DiskSpace)) {
            self.reserve.give_up();
            self.retention_due = true;
            written = settles.commit(&self.disk, &mut self.buffer);
        }
        self.buffer.clear();
        let Err(error) = written else { return Ok(()) };
        let Some(shortage) = Shortage::of(&error) else {
            return Err(StoreError::Poisoned(self.broken(settles.log(), "write the progress on", &error)));
        };
        // Everything is still in memory and is written anew, until there is room for it, or a file descriptor.
        settles.queue_again();
        Err(StoreError::short(shortage, format!("the progress of subscription {}", settles.name())))
    }

    /// Seals an active segment that is settled to its end, so that its space can be freed.
    pub(crate) fn seal(&mut self, log: &Log) {
        let mut writer = log.writer.lock();
        if !writer.has_staged()
            && writer.next() > writer.base
            && let Err(Failure::Broken(reason)) = self.begin_segment(log, &mut writer)
        {
            self.shared.poison(reason);
        }
    }

    fn begin_segment(&self, log: &Log, writer: &mut Writer) -> Result<(), Failure> {
        let created = segment::create(&self.disk, &log.directory, writer.next());
        let (file, next) = created.map_err(|error| Failure::of(log, "create a segment in", &error))?;
        let path = segment::path(&log.directory, next.base);
        *writer = Writer::new(self.disk.clone(), Arc::new(file), path, &next, writer.last_ms());
        log.segments.write().push_back(next);
        Ok(())
    }
}

/// Commits what was synced, and returns the side file of the segment, should it be sealed now.
fn commit(log: &Log, writer: &mut Writer) -> Vec<u8> {
    let mut segments = log.segments.write();
    let active = active(&mut segments);
    writer.commit(active);
    segment::encode_index(active)
}

fn active(segments: &mut std::collections::VecDeque<segment::Segment>) -> &mut segment::Segment {
    segments.back_mut().expect("a log always has an active segment")
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
