//! What holds of a store in a process that truly has no file descriptors left. A binary of its own, since the limit is
//! that of the process.

#![expect(clippy::unwrap_used, reason = "what fails in a test is to fail the test")]

use std::sync::Arc;
use std::sync::mpsc::channel;

use postrider_log::{AppendError, Appended, Batch, Cursor, Item, Log, Options, SettleLog, Store, StoreError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Settling every other one of these takes more than a settle log may grow to before it is rewritten.
const MANY: u64 = 8200;

fn append(store: &Store, log: &Arc<Log>, records: u64) -> Result<Appended, AppendError> {
    let mut batch = Batch::default();
    (0..records).for_each(|_| batch.push(|out| out.extend_from_slice(b"record")));
    let (send, receive) = channel();
    store.append(log, batch, None, move |answer| drop(send.send(answer)));
    receive.recv().unwrap()
}

fn flush(settles: &Arc<SettleLog>) -> Result<(), StoreError> {
    let (send, receive) = channel();
    settles.flush(move |answer| drop(send.send(answer)));
    receive.recv().unwrap()
}

fn records(log: &Arc<Log>) -> u64 {
    let mut cursor = Cursor::new(Arc::clone(log), 1);
    let mut records = 0;
    while let Some(item) = cursor.next().unwrap() {
        assert!(matches!(item, Item::Record(_)), "{item:?}");
        records += 1;
    }
    records
}

#[test]
fn without_file_descriptors_work_is_refused_and_goes_on_when_there_are_some_again() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { segment_bytes: 4096, reserve_bytes: 0, ..Options::default() };
    let (store, _) = Store::open(directory.path(), options()).unwrap();
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    store.ensure_settle_log("deleted", &log, b"", 1).unwrap();
    // The segment is full, and the settle log is to be rewritten.
    append(&store, &log, MANY).unwrap();
    settles.purge((1..MANY).step_by(2).map(|n| (n, n + 1)));
    flush(&settles).unwrap();

    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
    settles.settle(2, 3, settles.version()).unwrap();
    let flushed = [flush(&settles), flush(&settles)];
    let appended = [append(&store, &log, 1), append(&store, &log, 1)];
    let changed = [
        store.ensure_log("other").map(drop),
        store.ensure_settle_log("new", &log, b"", 1).map(drop),
        store.delete_settle_log("deleted").map(drop),
    ];
    let read = Cursor::new(Arc::clone(&log), 1).next();
    setrlimit(Resource::Nofile, limit).unwrap();

    for refused in flushed.iter().chain(&changed) {
        assert!(matches!(refused, Err(StoreError::NoDescriptors(_))), "{refused:?}");
    }
    assert_eq!(appended, [Err(AppendError::NoDescriptors), Err(AppendError::NoDescriptors)]);
    assert!(read.is_err(), "{read:?}");
    assert_eq!(store.poisoned(), None);

    assert_eq!(append(&store, &log, 1).unwrap().first, MANY + 1);
    flush(&settles).unwrap();
    store.ensure_log("other").unwrap();
    store.ensure_settle_log("new", &log, b"", 1).unwrap();
    assert_eq!(store.delete_settle_log("deleted"), Ok(true));
    drop((store, log, settles));
    let (store, damage) = Store::open(directory.path(), options()).unwrap();
    assert_eq!(damage, []);
    assert_eq!(records(&store.log("t").unwrap()), MANY + 1);
    assert_eq!(store.settle_log("s").unwrap().floor(), 4);
    assert!(store.log("other").is_some() && store.settle_log("new").is_some());
    assert!(store.settle_log("deleted").is_none());
}
