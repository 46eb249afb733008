use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};

use crate::append::{Pending, Queue, Stop};
use crate::commit::Committer;
use crate::disk::Disk;
use crate::error::{AppendError, Damage, OpenError, StoreError};
use crate::frame::Batch;
use crate::lock::{check_format, lock, make_directory};
use crate::log::Log;
use crate::names;
use crate::progress::{Change, Progress};
use crate::reserve::Reserve;
use crate::segment::SEGMENT_BYTES_MAX;
use crate::settle::SettleLog;
use crate::settle_file::{self, SettleFile};
use crate::trouble::Tell;

/// How a store is kept. The defaults are those of production.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is sealed before it would grow beyond this.
    pub segment_bytes: u64,
    /// Appends that wait or are being written, in bytes; one append is always let in.
    pub queue_bytes: usize,
    /// Disk space taken ahead, so that a full disk can drain. 0: none.
    pub reserve_bytes: u64,
    /// Most unsettled bytes of a log that has subscriptions.
    pub log_bytes_max: u64,
    /// Settled segments go when they are older than this…
    pub retention_age: Duration,
    /// …or when their log is larger than this.
    pub retention_bytes: u64,
    /// How long settles may wait to be written together.
    pub settle_delay: Duration,
    pub disk: Disk,
    pub tell: Tell,
    /// Milliseconds since the Unix epoch.
    pub clock: fn() -> u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            queue_bytes: 64 << 20,
            reserve_bytes: 256 << 20,
            log_bytes_max: 10 << 30,
            retention_age: Duration::from_secs(7 * 24 * 3600),
            retention_bytes: 10 << 30,
            settle_delay: Duration::from_millis(50),
            disk: Disk::default(),
            tell: Tell::default(),
            clock: crate::commit::now_ms,
        }
    }
}

/// Where a batch became durable: its records have the sequences from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub first: u64,
    pub time_ms: u64,
}

/// One data directory. Dropping it ends it as a crash would; [`Store::close`] writes what waits.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    /// The committer and the directory's lock, until closed.
    running: Mutex<Option<(JoinHandle<()>, File)>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    path: PathBuf,
    pub(crate) options: Options,
    pub(crate) queue: Arc<Queue>,
    pub(crate) logs: RwLock<HashMap<Arc<str>, Arc<Log>>>,
    settles: RwLock<BTreeMap<String, Arc<SettleLog>>>,
    /// Held while a log or settle log is created or deleted.
    changing: Mutex<()>,
    next_id: AtomicU32,
    retention_held: AtomicBool,
}

impl Store {
    /// Opens or creates a data directory. Damage that was found is told beside it: the store works with what is left.
    pub fn open(path: &Path, options: Options) -> Result<(Self, Vec<Damage>), OpenError> {
        let disk = options.disk.clone();
        make_directory(&disk, path)?;
        let held = lock(&disk, path)?;
        check_format(&disk, path)?;
        // What exists may have been made by a process that was killed before it synced the name.
        for directory in ["logs", "subscriptions"].map(|name| path.join(name)) {
            fs::create_dir_all(&directory).map_err(OpenError::path("create", &directory))?;
            disk.sync_directory(&directory).map_err(OpenError::path("sync", &directory))?;
        }
        disk.sync_directory(path).map_err(OpenError::path("sync", path))?;
        let reserve_path = path.join("reserve");
        let reserve = Reserve::open(disk, &reserve_path, options.reserve_bytes);
        let reserve = reserve.map_err(OpenError::path("prepare", &reserve_path))?;
        let queue = Arc::new(Queue::new(options.queue_bytes, options.settle_delay));
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            options: Options { segment_bytes: options.segment_bytes.min(SEGMENT_BYTES_MAX), ..options },
            queue,
            logs: RwLock::default(),
            settles: RwLock::default(),
            changing: Mutex::default(),
            next_id: AtomicU32::new(0),
            retention_held: AtomicBool::new(false),
        });
        let mut damage = shared.open_logs()?;
        damage.extend(shared.open_settles()?);
        if damage.iter().any(|damage| matches!(damage, Damage::Subscription { .. })) {
            shared.retention_held.store(true, Ordering::Relaxed);
        }
        let committer = Committer::new(Arc::clone(&shared), reserve);
        let thread = std::thread::Builder::new().name("log-committer".into());
        let thread = thread.spawn(|| committer.run()).map_err(OpenError::path("start a thread for", path))?;
        Ok((Self { shared, running: Mutex::new(Some((thread, held))) }, damage))
    }

    pub fn log(&self, name: &str) -> Option<Arc<Log>> {
        self.shared.logs.read().get(name).cloned()
    }

    pub fn logs(&self) -> Vec<Arc<Log>> {
        self.shared.logs.read().values().cloned().collect()
    }

    /// Creates a log, durably, unless it exists. Blocks for some syncs.
    pub fn ensure_log(&self, name: &str) -> Result<Arc<Log>, StoreError> {
        let _changing = self.shared.changing.lock();
        if let Some(log) = self.log(name) {
            return Ok(log);
        }
        self.usable()?;
        self.shared.create_log(name)
    }

    /// Appends records together: durably all, or none. Order is that of the calls. Never blocks; `done` is called by the
    /// committer's thread (or at once, where it is refused at once) and must not block either.
    pub fn append(
        &self,
        log: &Arc<Log>,
        batch: Batch,
        deadline: Option<Instant>,
        done: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) {
        if batch.records() == 0 {
            return done(Ok(Appended { first: log.end(), time_ms: 0 }));
        }
        if batch.bytes() as u64 > SEGMENT_BYTES_MAX / 2 {
            return done(Err(AppendError::TooLarge));
        }
        let (log, done) = (Arc::clone(log), Box::new(done));
        self.shared.queue.append(Pending { log, batch, deadline, done, outcome: None });
    }

    pub fn settle_log(&self, name: &str) -> Option<Arc<SettleLog>> {
        self.shared.settles.read().get(name).cloned()
    }

    /// In the order of their names.
    pub fn settle_logs(&self) -> Vec<Arc<SettleLog>> {
        self.shared.settles.read().values().cloned().collect()
    }

    /// Creates a settle log over a log, durably, with all below `floor` settled; the one that exists, where one does.
    /// `meta` is kept for the caller. Blocks for some syncs.
    pub fn ensure_settle_log(
        &self,
        name: &str,
        log: &Arc<Log>,
        meta: &[u8],
        floor: u64,
    ) -> Result<Arc<SettleLog>, StoreError> {
        let _changing = self.shared.changing.lock();
        if let Some(settles) = self.settle_log(name) {
            return Ok(settles);
        }
        self.usable()?;
        let progress = Progress::from_floor(floor);
        let file = names::encode(name, names::SETTLE_LOG_BYTES_MAX).and_then(|file| {
            let path = self.shared.settle_path(&file);
            SettleFile::create(&self.shared.options.disk, &path, log.name(), meta, &progress)
        });
        let file = file.map_err(|error| StoreError::of(format!("subscription {name}"), &error))?;
        let queue = Arc::clone(&self.shared.queue);
        let settles =
            SettleLog::new(name.to_owned(), Arc::clone(log), meta.to_vec(), queue, (file, progress));
        self.shared.settles.write().insert(name.to_owned(), Arc::clone(&settles));
        Ok(settles)
    }

    /// Deletes a settle log, durably, or what is left of one that could not be read. `false`: there was neither. Blocks
    /// for some syncs.
    pub fn delete_settle_log(&self, name: &str) -> Result<bool, StoreError> {
        let _changing = self.shared.changing.lock();
        self.usable()?;
        let failed = |error: io::Error| StoreError::of(format!("subscription {name}"), &error);
        let Some(settles) = self.settle_log(name) else {
            let Ok(file) = names::encode(name, names::SETTLE_LOG_BYTES_MAX) else { return Ok(false) };
            let path = self.shared.settle_path(&file);
            return settle_file::delete_quarantined(&self.shared.options.disk, &path).map_err(failed);
        };
        settles.delete().map_err(failed)?;
        self.shared.settles.write().remove(name);
        Ok(true)
    }

    /// While held, nothing is removed. A store that found a subscription unreadable opens so, because it does not know
    /// what that has not settled.
    pub fn hold_retention(&self, hold: bool) {
        self.shared.retention_held.store(hold, Ordering::Relaxed);
    }

    /// Why, and since when, nothing is written any more.
    pub fn poisoned(&self) -> Option<(Arc<str>, SystemTime)> {
        self.shared.queue.poisoned().cloned()
    }

    /// Answers and writes what was taken in, ends the committer and unlocks the directory. Blocks for as long as that
    /// takes. Later calls answer `Closed`.
    pub fn close(&self) {
        self.stop(Stop::Drain);
    }

    fn stop(&self, how: Stop) {
        let running = self.running.lock().take();
        if let Some((thread, lock)) = running {
            self.shared.queue.stop(how);
            // A panic there has been told by poisoning already.
            drop(thread.join());
            drop(lock);
        }
    }

    fn usable(&self) -> Result<(), StoreError> {
        match self.shared.queue.poison_error() {
            Some(error) => Err(error),
            None if self.running.lock().is_none() => Err(StoreError::Closed),
            None => Ok(()),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop(Stop::Now);
    }
}

impl Shared {
    /// Ends all writing, and tells those who wait for records.
    pub(crate) fn poison(&self, reason: Arc<str>) {
        self.queue.poison(reason);
        self.logs.read().values().for_each(|log| log.wake());
    }

    pub(crate) fn is_retention_held(&self) -> bool {
        self.retention_held.load(Ordering::Relaxed)
    }

    fn settle_path(&self, file: &str) -> PathBuf {
        self.path.join("subscriptions").join(format!("{file}.settle"))
    }

    fn open_logs(&self) -> Result<Vec<Damage>, OpenError> {
        let mut damage = Vec::new();
        for (name, path) in entries(&self.path.join("logs"))? {
            let Some(name) = names::decode(&name) else { continue };
            damage.extend(self.open_log(&name, path)?);
        }
        Ok(damage)
    }

    fn open_log(&self, name: &str, path: PathBuf) -> Result<Vec<Damage>, OpenError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (log, damage) = Log::open(&self.options.disk, id, name.into(), path)?;
        self.logs.write().insert(Arc::clone(log.name()), log);
        Ok(damage)
    }

    fn create_log(&self, name: &str) -> Result<Arc<Log>, StoreError> {
        let failed = |error: io::Error| StoreError::of(format!("log {name}"), &error);
        let path = self.make_log_directory(name).map_err(failed)?;
        let opened = self.open_log(name, path).map_err(|error| match error {
            OpenError::Path { source, .. } => failed(source),
            other => StoreError::Failed(other.to_string()),
        });
        opened?;
        self.logs.read().get(name).cloned().ok_or(StoreError::Closed)
    }

    /// Makes the directory of a log with a durable name. On failure nothing stays, so that the next attempt syncs what
    /// it made itself.
    fn make_log_directory(&self, name: &str) -> io::Result<PathBuf> {
        let logs = self.path.join("logs");
        let path = logs.join(names::encode(name, names::LOG_BYTES_MAX)?);
        let names = self.options.disk.open_directory(&logs)?;
        fs::create_dir_all(&path)?;
        if let Err(error) = names.sync() {
            drop(fs::remove_dir(&path));
            return Err(error);
        }
        Ok(path)
    }

    fn open_settles(&self) -> Result<Vec<Damage>, OpenError> {
        let mut damage = Vec::new();
        for (file, path) in entries(&self.path.join("subscriptions"))? {
            if file.ends_with(".new") {
                // A rewrite that was cut short; what it was to replace is still there.
                fs::remove_file(&path).map_err(OpenError::path("remove", &path))?;
            }
            if let Some(name) = file.strip_suffix(".settle").and_then(names::decode) {
                self.open_settle(name, &path, &mut damage)?;
            } else if let Some(subscription) = file.strip_suffix(".quarantined").and_then(names::decode)
                && !path.with_extension("settle").exists()
            {
                // Set aside at an earlier start, and not made again since.
                damage.push(Damage::Subscription { subscription, path });
            }
        }
        Ok(damage)
    }

    fn open_settle(&self, name: String, path: &Path, damage: &mut Vec<Damage>) -> Result<(), OpenError> {
        let disk = &self.options.disk;
        let Some(mut opened) = SettleFile::open(disk, path)? else {
            let aside = settle_file::quarantine_path(path);
            disk.rename(path, &aside).map_err(OpenError::path("set aside", path))?;
            let directory = self.path.join("subscriptions");
            disk.sync_directory(&directory).map_err(OpenError::path("sync", &directory))?;
            damage.push(Damage::Subscription { subscription: name, path: aside });
            return Ok(());
        };
        if opened.damaged {
            let path = settle_file::quarantine_path(path);
            damage.push(Damage::Settles { subscription: name.clone(), path });
        }
        if !self.logs.read().contains_key(opened.log.as_str()) {
            let directory = self.make_log_directory(&opened.log);
            let directory = directory.map_err(OpenError::path("create the log of", path))?;
            damage.extend(self.open_log(&opened.log, directory)?);
        }
        let Some(log) = self.logs.read().get(opened.log.as_str()).cloned() else { return Ok(()) };
        let end = log.end();
        if opened.progress.is_beyond(end) {
            // The log lost its end. Its sequences will be given to new records, which must not count as settled.
            let lost = Damage::Records {
                log: Arc::clone(log.name()),
                path: path.to_owned(),
                from: end,
                to: opened.progress.floor.max(end + 1),
            };
            damage.push(lost);
            opened.progress.apply(Change::Moved { floor: opened.progress.floor.min(end) });
            let made = SettleFile::create(disk, path, &opened.log, &opened.meta, &opened.progress);
            opened.file = made.map_err(OpenError::path("write", path))?;
        }
        let queue = Arc::clone(&self.queue);
        let settles = SettleLog::new(name.clone(), log, opened.meta, queue, (opened.file, opened.progress));
        self.settles.write().insert(name, settles);
        Ok(())
    }
}

fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, OpenError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(OpenError::path("list", directory))? {
        let entry = entry.map_err(OpenError::path("list", directory))?;
        found.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    found.sort();
    Ok(found)
}
