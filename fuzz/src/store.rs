//! A data directory as a store left it, to be damaged and opened again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use log::{Batch, Log, Note, Options, Store};
use tempfile::TempDir;

pub const LOG: &str = "orders";
pub const SUBSCRIPTION: &str = "billing";
/// Sequences of the records, from 1; each round's were appended and made durable together.
pub const ROUNDS: u64 = 8;
pub const RECORDS_A_ROUND: u64 = 4;
pub const END: u64 = 1 + ROUNDS * RECORDS_A_ROUND;

/// The files of a data directory, by their path in it, directories that hold none included.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

/// What a record holds.
pub fn payload(sequence: u64) -> Vec<u8> {
    format!("record {sequence} ").into_bytes().repeat(1 + sequence as usize % 3)
}

/// Which records the subscription has settled: some, out of order.
pub fn settled(sequence: u64) -> bool {
    sequence < 4 || sequence.is_multiple_of(3)
}

pub fn options() -> Options {
    Options {
        segment_bytes: 700,
        queue_bytes: 1 << 20,
        reserve_bytes: 0,
        settle_delay: Duration::ZERO,
        // Old records stay: what is missing was damaged.
        retention_age: Duration::from_secs(1 << 30),
        ..Options::default()
    }
}

/// A directory in memory where there is one: no disk is worn by millions of syncs.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    TempDir::with_prefix_in("postrider-fuzz-", place).expect("a directory of our own")
}

/// As a store left it that was closed in good order: several sealed segments, an active one, a settle log.
pub fn template() -> &'static Files {
    static TEMPLATE: OnceLock<Files> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let directory = scratch();
        let (store, damage) = Store::open(directory.path(), options()).expect("an empty directory opens");
        assert_eq!(damage, []);
        let log = store.ensure_log(LOG).expect("a log is made");
        let settles = store.ensure_settle_log(SUBSCRIPTION, &log, b"meta", 1).expect("a settle log is made");
        for round in 0..ROUNDS {
            append(&store, &log, 1 + round * RECORDS_A_ROUND);
        }
        for sequence in (1..END).filter(|sequence| settled(*sequence)) {
            settles.settle(sequence, sequence + 1, settles.version()).expect("nobody moved it");
            flush(&settles);
        }
        let note = Note { attempts: 3, first_ms: 1_700_000_000_000 };
        settles.note(5, note, settles.version()).expect("nobody moved it");
        flush(&settles);
        store.close();
        read(directory.path())
    })
}

fn append(store: &Store, log: &Arc<Log>, first: u64) {
    let mut batch = Batch::with_capacity(RECORDS_A_ROUND as usize, 100);
    for sequence in first..first + RECORDS_A_ROUND {
        batch.push(|into| into.extend_from_slice(&payload(sequence)));
    }
    let (done, answer) = sync_channel(1);
    store.append(log, batch, None, move |appended| drop(done.send(appended)));
    let appended = answer.recv().expect("an answer comes").expect("there is room");
    assert_eq!(appended.first, first);
}

fn flush(settles: &Arc<log::SettleLog>) {
    let (done, answer) = sync_channel(1);
    settles.flush(move |flushed| drop(done.send(flushed)));
    answer.recv().expect("an answer comes").expect("there is room");
}

fn read(directory: &Path) -> Files {
    fn walk(root: &Path, at: &Path, into: &mut Files) {
        for entry in std::fs::read_dir(at).expect("our own directory") {
            let path = entry.expect("our own directory").path();
            if path.is_dir() {
                walk(root, &path, into);
            } else {
                let name = path.strip_prefix(root).expect("below the root").to_owned();
                into.files.insert(name, std::fs::read(&path).expect("our own file"));
            }
        }
    }
    let mut files = Files::default();
    walk(directory, directory, &mut files);
    files
}

impl Files {
    pub fn write(&self, directory: &Path) {
        for (name, bytes) in &self.files {
            let path = directory.join(name);
            std::fs::create_dir_all(path.parent().expect("a file is in a directory"))
                .expect("our own directory");
            std::fs::write(path, bytes).expect("our own directory");
        }
    }
}
