//! What holds when file descriptors run out: whatever was to be opened, nothing has happened and it can be done again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::common::*;
use postrider_log::{Disk, Faults, Operation, Options, Store};

const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
/// Settling every other one of these takes more than a settle log may grow to before it is rewritten.
const MANY: u64 = 8200;

/// Lets one opening of a file or directory find no file descriptor.
#[derive(Debug)]
struct Starved {
    openings_before: AtomicI64,
    errno: i32,
}

impl Faults for Starved {
    fn before(&self, operation: Operation, _: &Path) -> Result<(), (usize, io::Error)> {
        let opens = matches!(operation, Operation::Create | Operation::OpenDirectory);
        if opens && self.openings_before.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Err((0, io::Error::from_raw_os_error(self.errno)));
        }
        Ok(())
    }
}

/// Does it, and once more where it was refused for want of file descriptors.
fn twice<T, E: std::fmt::Display>(what: &str, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    attempt().unwrap_or_else(|refusal| {
        let refusal = refusal.to_string();
        assert!(refusal.contains("ulimit -n") && refusal.contains("limits.connections"), "{what}: {refusal}");
        attempt().unwrap_or_else(|error| panic!("{what}, the second time: {error}"))
    })
}

/// Work that creates, rotates, rewrites, removes and deletes.
fn work(path: &Path, starved: Arc<Starved>) {
    let disk = Disk::with_faults(starved);
    let options = || Options { disk: disk.clone(), retention_age: Duration::ZERO, ..options() };
    let (store, damage) = twice("open", || Store::open(path, options()));
    assert_eq!(damage, []);
    let log = twice("create a log", || store.ensure_log("t"));
    let settles = twice("create s", || store.ensure_settle_log("s", &log, b"", 1));
    twice("create deleted", || store.ensure_settle_log("deleted", &log, b"", 1));
    let many = vec![&b"x"[..]; MANY as usize];
    assert_eq!(twice("append many", || append(&store, &log, &many)).first, 1);
    for n in 0..10 {
        let appended = twice("append", || append(&store, &log, &[&[b'y'; 1500]]));
        assert_eq!(appended.first, MANY + 1 + n);
    }
    settles.purge((1..MANY).step_by(2).map(|n| (n, n + 1)));
    twice("flush a large change", || flush(&settles));
    settles.settle(2, 3, settles.version()).unwrap();
    twice("flush by rewriting", || flush(&settles));
    assert!(twice("delete", || store.delete_settle_log("deleted")));
    assert_eq!(log.first(), 1, "s holds all of it");
    settles.purge([(1, MANY + 5)]);
    twice("flush", || flush(&settles));
    // Retention runs after the answer of the round; the next one comes after it.
    twice("flush", || flush(&settles));
    twice("flush", || flush(&settles));
    assert_eq!(store.poisoned(), None);
    assert!(log.first() > MANY, "what is settled is removed");
}

#[test]
fn one_opening_that_finds_no_file_descriptor_is_repeated_and_nothing_is_lost() {
    for nth in 0.. {
        // A disk in memory where there is one: there are many turns.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let errno = if nth % 2 == 0 { EMFILE } else { ENFILE };
        let starved = Arc::new(Starved { openings_before: nth.into(), errno });
        work(directory.path(), Arc::clone(&starved));
        let (store, damage) = open(directory.path());
        assert_eq!(damage, [], "opening {nth}");
        let (log, settles) = (store.log("t").unwrap(), store.settle_log("s").unwrap());
        let first = log.first();
        assert!(first <= MANY + 5, "opening {nth}: removed up to {first}");
        let left: Vec<u64> = texts(&log, first).iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(left, (first..MANY + 11).collect::<Vec<_>>(), "opening {nth}");
        assert_eq!(settles.floor(), MANY + 5, "opening {nth}");
        assert!(store.settle_log("deleted").is_none(), "opening {nth}");
        if starved.openings_before.load(Ordering::Relaxed) >= 0 {
            assert!(nth > 20, "so few openings: {nth}");
            return;
        }
    }
}
