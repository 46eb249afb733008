//! Retention on a disk that fails, and beside readers.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::common::*;
use postrider_log::{Cursor, Disk, Faults, Item, Log, Operation, Options, Store, Tell, Trouble};

/// Runs code of the test before each operation of the disk.
struct Hook<F>(F);

impl<F> fmt::Debug for Hook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl<F: Fn(Operation, &Path) -> io::Result<()> + Send + Sync> Faults for Hook<F> {
    fn before(&self, operation: Operation, path: &Path) -> Result<(), (usize, io::Error)> {
        (self.0)(operation, path).map_err(|error| (0, error))
    }
}

type Troubles = Arc<Mutex<Vec<Trouble>>>;

/// A store that removes what is settled at once.
fn open_with(path: &Path, disk: Disk) -> (Store, Arc<Log>, Troubles) {
    let troubles = Troubles::default();
    let told = Arc::clone(&troubles);
    let tell = Tell::new(move |trouble| told.lock().unwrap().push(trouble.clone()));
    let options = Options { disk, tell, retention_age: Duration::ZERO, ..options() };
    let (store, _) = Store::open(path, options).unwrap();
    let log = store.ensure_log("t").unwrap();
    (store, log, troubles)
}

/// Settles all; when it returns, retention has run.
fn settle_all(store: &Store, log: &Arc<Log>) {
    let settles = store.ensure_settle_log("s", log, b"", 1).unwrap();
    settles.settle(1, log.end(), settles.version()).unwrap();
    // Retention runs after the answer of the round; the next one comes after it.
    flush(&settles).unwrap();
    flush(&settles).unwrap();
}

/// A log with a subscription that holds a few segments.
fn held(path: &Path) {
    let (store, _) = open(path);
    let log = store.ensure_log("t").unwrap();
    store.ensure_settle_log("s", &log, b"", 1).unwrap();
    fill(&store, &log, 0..400);
    assert!(segments(path).len() > 3);
}

#[test]
fn a_removal_that_was_not_synced_is_told_and_retention_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    held(directory.path());
    let removed = Mutex::new(false);
    let disk = Disk::with_faults(Arc::new(Hook(move |operation, path: &Path| {
        let mut removed = removed.lock().unwrap();
        match operation {
            Operation::Unlink => *removed = path.extension().is_some_and(|e| e == "segment"),
            Operation::SyncDirectory if std::mem::take(&mut *removed) => {
                return Err(io::Error::from_raw_os_error(5));
            }
            _ => {}
        }
        Ok(())
    })));
    let (store, log, troubles) = open_with(directory.path(), disk);
    settle_all(&store, &log);
    assert_eq!(segments(directory.path()).len(), 1, "all but the active one went");
    assert!(log.first() > 300, "{}", log.first());
    let troubles = troubles.lock().unwrap();
    assert!(matches!(&troubles[..], [Trouble::Retention { .. }]), "told, and once: {troubles:?}");
}

#[test]
fn a_segment_that_cannot_be_removed_stays_is_told_once_and_goes_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    held(directory.path());
    let flaky = Flaky::new();
    let (store, log, troubles) = open_with(directory.path(), flaky.disk());
    flaky.fail(
        |operation, path| operation == Operation::Unlink && path.extension().is_some_and(|e| e == "segment"),
        13,
    );
    settle_all(&store, &log);
    settle_all(&store, &log);
    assert_eq!(log.first(), 1);
    assert_eq!(read(&log, 1).len(), 400, "it can still be read");
    assert_eq!(troubles.lock().unwrap().len(), 1, "{troubles:?}");
    assert!(store.poisoned().is_none(), "no reason to end all writing");
    flaky.heal();
    settle_all(&store, &log);
    assert!(log.first() > 300);
}

#[test]
fn a_clock_that_was_far_ahead_for_a_moment_is_told_and_forgotten() {
    static NOW_MS: AtomicU64 = AtomicU64::new(HOUR_MS);
    const HOUR_MS: u64 = 3_600_000;
    let directory = tempfile::tempdir().unwrap();
    let troubles = Troubles::default();
    let told = Arc::clone(&troubles);
    let options = || Options {
        tell: Tell::new({
            let told = Arc::clone(&told);
            move |trouble| told.lock().unwrap().push(trouble.clone())
        }),
        clock: || NOW_MS.load(Ordering::Relaxed),
        retention_age: Duration::from_secs(3600),
        ..options()
    };
    let (store, _) = Store::open(directory.path(), options()).unwrap();
    let log = store.ensure_log("t").unwrap();
    let at = |now_ms| {
        NOW_MS.store(now_ms, Ordering::Relaxed);
        append(&store, &log, &[&[0; 500]]).unwrap().time_ms
    };
    assert_eq!([at(HOUR_MS), at(HOUR_MS - 1000)], [HOUR_MS; 2], "small corrections do not turn times back");
    // A century ahead, for more than a segment.
    (0..20).for_each(|_| assert_eq!(at(900_000 * HOUR_MS), 900_000 * HOUR_MS));
    assert_eq!(at(HOUR_MS + 5), HOUR_MS + 5, "the next record has the clock's time again");
    assert!(matches!(troubles.lock().unwrap()[..], [Trouble::ClockSetBack { .. }]), "{troubles:?}");
    (0..20).for_each(|_| assert_eq!(at(HOUR_MS + 7), HOUR_MS + 7));
    assert_eq!(log.first_at(HOUR_MS).unwrap(), 1);
    assert!(log.first_at(HOUR_MS + 6).unwrap() <= 24, "nothing of that time is left out");
    assert!(segments(directory.path()).len() > 3);
    (0..20).for_each(|_| assert_eq!(at(2 * HOUR_MS + 10), 2 * HOUR_MS + 10));
    assert!(
        log.first() > 23,
        "what was stamped a century ahead grows old with what follows: {}",
        log.first()
    );
    drop((store, log));
    let (store, _) = Store::open(directory.path(), options()).unwrap();
    let log = store.log("t").unwrap();
    assert_eq!(append(&store, &log, &[b"x"]).unwrap().time_ms, 2 * HOUR_MS + 10, "nor is it remembered");
    assert_eq!(troubles.lock().unwrap().len(), 1, "told once: {troubles:?}");
}

#[test]
fn a_segment_that_somebody_else_removed_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    held(directory.path());
    let (store, log, troubles) = open_with(directory.path(), Disk::default());
    std::fs::remove_file(&segments(directory.path())[0]).unwrap();
    settle_all(&store, &log);
    assert!(log.first() > 300, "{}", log.first());
    assert_eq!(*troubles.lock().unwrap(), []);
}

#[test]
fn a_reader_beside_retention_finds_records_or_a_hole_and_no_error() {
    let directory = tempfile::tempdir().unwrap();
    held(directory.path());
    let reader: Arc<OnceLock<Arc<Log>>> = Arc::default();
    let (log_of, seen) = (Arc::clone(&reader), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&seen);
    let disk = Disk::with_faults(Arc::new(Hook(move |operation, path: &Path| {
        // Right after the removal of a segment.
        if operation == Operation::SyncDirectory
            && path.ends_with("t")
            && let Some(log) = log_of.get()
        {
            let item = Cursor::new(Arc::clone(log), 1).next();
            assert!(matches!(item, Ok(Some(Item::Hole { from: 1, .. }))), "{item:?}");
            assert!(matches!(log.read(1, 64), Ok(None)));
            *count.lock().unwrap() += 1;
        }
        Ok(())
    })));
    let (store, log, _) = open_with(directory.path(), disk);
    assert!(reader.set(Arc::clone(&log)).is_ok());
    settle_all(&store, &log);
    assert!(*seen.lock().unwrap() > 2, "the reader looked in between");
}
