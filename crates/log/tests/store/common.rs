//! A disk that fails when told to, and that knows what a power loss may take away.

use std::collections::{BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use postrider_log::{
    AppendError, Appended, Batch, Cursor, Damage, Disk, Faults, Item, Log, Operation, Options, Store,
    StoreError,
};

#[derive(Debug, Default)]
pub(crate) struct Flaky {
    state: Mutex<State>,
}

type Which = fn(Operation, &Path) -> bool;

#[derive(Debug, Default)]
struct State {
    /// Operations left until every one fails (the power is gone).
    left: Option<usize>,
    fail: Option<(Which, i32)>,
    /// Bytes that writes may still take (a full disk).
    room: Option<usize>,
    /// Bytes of each written file that a power loss cannot take.
    synced: HashMap<PathBuf, u64>,
    operations: usize,
    syncs: usize,
    /// Directories whose entries a power loss cannot take.
    directories: BTreeSet<PathBuf>,
    /// What was truncated and not synced since: from where, and the bytes.
    truncated: HashMap<PathBuf, (u64, Vec<u8>)>,
}

impl Flaky {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub(crate) fn disk(self: &Arc<Self>) -> Disk {
        Disk::with_faults(Arc::clone(self) as Arc<dyn Faults>)
    }

    pub(crate) fn die_after(&self, operations: usize) {
        self.state.lock().unwrap().left = Some(operations);
    }

    /// Fails operations with this error number.
    pub(crate) fn fail(&self, which: Which, errno: i32) {
        self.state.lock().unwrap().fail = Some((which, errno));
    }

    pub(crate) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.fail = None;
        state.room = None;
    }

    pub(crate) fn room(&self, bytes: usize) {
        self.state.lock().unwrap().room = Some(bytes);
    }

    pub(crate) fn operations(&self) -> usize {
        self.state.lock().unwrap().operations
    }

    pub(crate) fn has_synced(&self, directory: &Path) -> bool {
        self.state.lock().unwrap().directories.contains(directory)
    }

    pub(crate) fn syncs(&self) -> usize {
        self.state.lock().unwrap().syncs
    }

    /// A truncation that was not synced may not have happened.
    fn undo_truncations(&self) {
        for (path, (at, bytes)) in self.state.lock().unwrap().truncated.drain() {
            let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
            if file.metadata().unwrap().len() == at {
                file.write_all_at(&bytes, at).unwrap();
            }
        }
    }

    /// What a power loss leaves: of what was written after a file's last sync, some is cut off and some is garbled.
    pub(crate) fn lose_power(&self, seed: u64) {
        self.undo_truncations();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut synced: Vec<_> = self.state.lock().unwrap().synced.drain().collect();
        synced.sort();
        for (path, kept) in synced {
            let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
            let length = file.metadata().unwrap().len();
            if length <= kept {
                continue;
            }
            let cut = random.u64(kept..=length);
            file.set_len(cut).unwrap();
            if cut > kept && random.bool() {
                let from = random.u64(kept..cut);
                let garbage: Vec<u8> =
                    (from..cut.min(from + 600)).map(|_| if random.bool() { 0 } else { 0xaa }).collect();
                file.write_all_at(&garbage, from).unwrap();
            }
        }
    }
}

impl Faults for Flaky {
    fn before(&self, operation: Operation, path: &Path) -> Result<(), (usize, io::Error)> {
        let mut state = self.state.lock().unwrap();
        state.operations += 1;
        let eio = || io::Error::from_raw_os_error(5);
        if let Some(left) = &mut state.left {
            if *left == 0 {
                let part = if let Operation::Write { bytes, .. } = operation { bytes / 2 } else { 0 };
                // Only the operation that the power loss hits is done in part.
                state.left = None;
                state.fail = Some((|_, _| true, 5));
                return Err((part, eio()));
            }
            *left -= 1;
        }
        if let Some((which, errno)) = state.fail
            && which(operation, path)
        {
            return Err((0, io::Error::from_raw_os_error(errno)));
        }
        match operation {
            Operation::Write { bytes, offset } => {
                state.synced.entry(path.to_owned()).or_insert(offset);
                if let Some(room) = &mut state.room {
                    if *room < bytes {
                        let part = std::mem::take(room);
                        return Err((part, io::Error::from_raw_os_error(28)));
                    }
                    *room -= bytes;
                }
            }
            Operation::Allocate if state.room.is_some() => return Err((0, io::Error::from_raw_os_error(28))),
            Operation::Sync => {
                state.syncs += 1;
                state.truncated.remove(path);
                let length = std::fs::metadata(path).map_or(0, |m| m.len());
                state.synced.insert(path.to_owned(), length);
            }
            Operation::SyncDirectory => drop(state.directories.insert(path.to_owned())),
            Operation::Truncate { bytes } => {
                let mut whole = std::fs::read(path).unwrap();
                let tail = whole.split_off(whole.len().min(bytes as usize));
                state.truncated.insert(path.to_owned(), (bytes, tail));
                if let Some(synced) = state.synced.get_mut(path) {
                    *synced = (*synced).min(bytes);
                }
            }
            Operation::Rename => {
                let from = path.with_extension("new");
                if let Some(synced) = state.synced.remove(&from) {
                    state.synced.insert(path.to_owned(), synced);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Small segments, no reserve.
pub(crate) fn options() -> Options {
    Options { segment_bytes: 4096, reserve_bytes: 0, ..Options::default() }
}

pub(crate) fn open(path: &Path) -> (Store, Vec<Damage>) {
    Store::open(path, options()).unwrap()
}

pub(crate) fn batch(records: &[&[u8]]) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        batch.push(|out| out.extend_from_slice(record));
    }
    batch
}

pub(crate) fn append(store: &Store, log: &Arc<Log>, records: &[&[u8]]) -> Result<Appended, AppendError> {
    let (send, receive) = channel();
    store.append(log, batch(records), None, move |answer| drop(send.send(answer)));
    receive.recv().unwrap()
}

/// Publishes numbered records one after another.
pub(crate) fn fill(store: &Store, log: &Arc<Log>, records: std::ops::Range<u64>) {
    for n in records {
        append(store, log, &[format!("record {n}").as_bytes()]).unwrap();
    }
}

pub(crate) fn flush(settles: &Arc<postrider_log::SettleLog>) -> Result<(), StoreError> {
    let (send, receive) = channel();
    settles.flush(move |answer| drop(send.send(answer)));
    receive.recv().unwrap()
}

pub(crate) fn read(log: &Arc<Log>, from: u64) -> Vec<Item> {
    let mut cursor = Cursor::new(Arc::clone(log), from);
    let mut items = Vec::new();
    while let Some(item) = cursor.next().unwrap() {
        items.push(item);
    }
    items
}

/// Sequences and texts of all that can be read.
pub(crate) fn texts(log: &Arc<Log>, from: u64) -> Vec<(u64, String)> {
    let record = |item| match item {
        Item::Record(record) => Some((record.sequence, String::from_utf8(record.bytes.to_vec()).unwrap())),
        Item::Hole { .. } => None,
    };
    read(log, from).into_iter().filter_map(record).collect()
}

pub(crate) fn segments(path: &Path) -> Vec<PathBuf> {
    files(path, "segment")
}

pub(crate) fn files(path: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in std::fs::read_dir(path).unwrap() {
        let directory = directory.unwrap().path();
        if directory.is_dir() {
            found.extend(files(&directory, extension));
        } else if directory.extension().is_some_and(|e| e == extension) {
            found.push(directory);
        }
    }
    found.sort();
    found
}

pub(crate) fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}
