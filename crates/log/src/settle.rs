use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use parking_lot::Mutex;

use crate::append::Queue;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::log::{self, Floor, Log};
use crate::progress::{Change, Note, Progress};
use crate::ranges::Ranges;
use crate::settle_file::{SettleFile, begin_frame};

/// So many changes are written at once, however short the last write is ago.
const CHANGES_MAX: usize = 1000;

/// What one subscription has settled of a log. Changes take effect in memory at once and are durable within 100 ms, or
/// when [`SettleLog::flush`] answers.
#[derive(Debug)]
pub struct SettleLog {
    name: String,
    log: Arc<Log>,
    meta: Vec<u8>,
    queue: Arc<Queue>,
    pub(crate) floor: Arc<Floor>,
    state: Mutex<State>,
    file: Mutex<SettleFile>,
    wakers: Mutex<Vec<Waker>>,
}

#[derive(Debug, Default)]
struct State {
    progress: Progress,
    version: Version,
    // Not yet durable, applied in this order.
    moved: bool,
    done: Ranges,
    notes: BTreeMap<u64, Note>,
    changes: usize,
    /// The committer knows.
    queued: bool,
    deleted: bool,
}

/// Counts what was done to a cursor from outside. Whoever holds records under an older version looks again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The cursor was moved: nothing that was held before is valid.
    pub seeks: u32,
    /// Records were settled by somebody else: what is settled is no longer valid.
    pub purges: u32,
}

/// The version is not the present one, so nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved;

impl SettleLog {
    pub(crate) fn new(
        name: String,
        log: Arc<Log>,
        meta: Vec<u8>,
        queue: Arc<Queue>,
        (file, progress): (SettleFile, Progress),
    ) -> Arc<Self> {
        let floor = Floor {
            subscription: name.as_str().into(),
            durable: progress.floor.into(),
            live: progress.floor.into(),
        };
        let floor = Arc::new(floor);
        log.floors.write().push(Arc::clone(&floor));
        Arc::new(Self {
            name,
            log,
            meta,
            queue,
            floor,
            state: Mutex::new(State { progress, ..State::default() }),
            file: Mutex::new(file),
            wakers: Mutex::default(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// What was given at its creation.
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// Why nothing is made durable any more. The tasks that wait for the log's records are woken when it begins.
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.queue.poisoned().map(|(reason, _)| Arc::clone(reason))
    }

    pub fn version(&self) -> Version {
        self.state.lock().version
    }

    /// The lowest sequence that is not settled.
    pub fn floor(&self) -> u64 {
        self.state.lock().progress.floor
    }

    pub fn is_settled(&self, sequence: u64) -> bool {
        self.state.lock().progress.is_done(sequence)
    }

    /// The lowest unsettled sequence from `from` on, which may be one that does not exist yet, and its note.
    pub fn next_unsettled(&self, from: u64, version: Version) -> Result<(u64, Note), Moved> {
        let state = self.state.lock();
        if state.version != version {
            return Err(Moved);
        }
        let sequence = state.progress.next_unsettled(from);
        let notes = &state.progress.notes;
        let note = if notes.is_empty() { None } else { notes.get(&sequence).copied() };
        Ok((sequence, note.unwrap_or_default()))
    }

    /// How many records below `end` are not settled.
    pub fn unsettled_below(&self, end: u64) -> u64 {
        self.state.lock().progress.unsettled_below(end)
    }

    /// Settles records `from..to`, by their holder; returns how many were not settled before.
    pub fn settle(self: &Arc<Self>, from: u64, to: u64, version: Version) -> Result<u64, Moved> {
        let mut state = self.state.lock();
        if state.version != version {
            return Err(Moved);
        }
        let new = state.complete(from, to);
        self.changed(state);
        Ok(new)
    }

    /// Remembers a note of an unsettled record, by its holder.
    pub fn note(self: &Arc<Self>, sequence: u64, note: Note, version: Version) -> Result<(), Moved> {
        let mut state = self.state.lock();
        if state.version != version {
            return Err(Moved);
        }
        if !state.progress.is_done(sequence) {
            state.progress.notes.insert(sequence, note);
            state.notes.insert(sequence, note);
            state.changes += 1;
            self.changed(state);
        }
        Ok(())
    }

    /// Settles records from outside; returns how many were not settled before. Holders see a new [`Version`].
    pub fn purge(self: &Arc<Self>, ranges: impl IntoIterator<Item = (u64, u64)>) -> u64 {
        let mut state = self.state.lock();
        let new = ranges.into_iter().map(|(from, to)| state.complete(from, to)).sum();
        state.version.purges = state.version.purges.wrapping_add(1);
        self.changed(state);
        log::wake_all(&self.wakers);
        new
    }

    /// Settles all below `floor`, and nothing else. Holders see a new [`Version`].
    pub fn seek(self: &Arc<Self>, floor: u64) {
        let mut state = self.state.lock();
        state.progress = Progress::from_floor(floor);
        state.done.clear();
        state.notes.clear();
        state.moved = true;
        state.changes += 1;
        state.version.seeks = state.version.seeks.wrapping_add(1);
        self.changed(state);
        log::wake_all(&self.wakers);
    }

    /// Calls back when every change so far is durable, or with the reason why it never will be. Dropped uncalled where
    /// the store was dropped.
    pub fn flush(self: &Arc<Self>, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.queue.flush(Arc::clone(self), Box::new(done));
    }

    /// Wakes this task once, at the next change of [`SettleLog::version`].
    pub fn register(&self, waker: &Waker) {
        log::register(&self.wakers, waker);
    }

    fn changed(self: &Arc<Self>, mut state: parking_lot::MutexGuard<'_, State>) {
        self.floor.live.store(state.progress.floor, Ordering::Relaxed);
        let urgent = state.changes >= CHANGES_MAX;
        let news = !std::mem::replace(&mut state.queued, true);
        // The committer takes the state's lock while it holds none of its queue, so neither waits for the other.
        let first_urgent = urgent && state.changes == CHANGES_MAX;
        drop(state);
        if news {
            self.queue.settles_changed(Arc::clone(self));
        }
        if first_urgent {
            self.queue.settles_urgent();
        }
    }

    /// After a [`SettleLog::commit`] for which something ran out. What changed since may have queued it already.
    pub(crate) fn queue_again(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.state.lock().queued, true) {
            self.queue.settles_changed(Arc::clone(self));
        }
    }

    /// Makes all changes so far durable. Where something runs out for that, they stay to be written, all of them anew.
    pub(crate) fn commit(&self, disk: &Disk, buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut file = self.file.lock();
        let rewrite = file.wants_rewrite();
        buffer.clear();
        begin_frame(buffer);
        let mut copy = None;
        let floor = {
            let mut state = self.state.lock();
            if state.deleted {
                return Ok(());
            }
            state.queued = false;
            if state.changes == 0 && !rewrite {
                return Ok(());
            }
            if rewrite {
                copy = Some(state.progress.clone());
            } else {
                state.encode(buffer);
            }
            state.taken();
            state.progress.floor
        };
        match copy {
            Some(progress) => {
                let path = file.path().to_owned();
                *file = SettleFile::create(disk, &path, self.log.name(), &self.meta, &progress)?;
            }
            None => file.append(buffer)?,
        }
        self.floor.durable.store(floor, Ordering::Release);
        Ok(())
    }

    /// Removes the file; retention no longer waits for this subscription.
    pub(crate) fn delete(&self) -> io::Result<()> {
        let mut file = self.file.lock();
        file.delete()?;
        self.state.lock().deleted = true;
        self.log.floors.write().retain(|floor| !Arc::ptr_eq(floor, &self.floor));
        Ok(())
    }
}

impl State {
    fn complete(&mut self, from: u64, to: u64) -> u64 {
        let new = self.progress.complete(from, to);
        if new > 0 {
            self.done.insert(from, to);
            self.changes += 1;
        }
        new
    }

    fn encode(&self, into: &mut Vec<u8>) {
        if self.moved {
            // Notes and ranges made before the move are gone; those made after it follow. The floor may have risen
            // since, which the present one tells as well.
            Change::Moved { floor: self.progress.floor }.encode(into);
        }
        for (from, to) in self.done.iter() {
            Change::Done { from, to }.encode(into);
        }
        for (&sequence, &note) in &self.notes {
            Change::Note { sequence, note }.encode(into);
        }
    }

    fn taken(&mut self) {
        self.moved = false;
        self.done.clear();
        self.notes.clear();
        self.changes = 0;
    }
}
