//! What holds of settle logs when the disk or their bytes fail.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use crate::common::*;
use postrider_log::{Damage, Note, OpenError, Operation, Options, Store, StoreError};

const ENOSPC: i32 = 28;

#[test]
fn settles_that_found_no_room_are_written_when_there_is_some() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let (store, _) = Store::open(directory.path(), Options { disk: flaky.disk(), ..options() }).unwrap();
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"meta", 1).unwrap();
    fill(&store, &log, 0..10);
    flaky.fail(|operation, _| matches!(operation, Operation::Write { .. } | Operation::Create), ENOSPC);
    settles.settle(1, 4, settles.version()).unwrap();
    settles.note(6, Note { attempts: 2, first_ms: 9 }, settles.version()).unwrap();
    assert!(matches!(flush(&settles), Err(StoreError::DiskFull(_))));
    flaky.heal();
    flush(&settles).unwrap();
    drop((store, log, settles));
    let (store, damage) = open(directory.path());
    assert_eq!(damage, []);
    let settles = store.settle_log("s").unwrap();
    assert_eq!((settles.floor(), settles.meta()), (4, &b"meta"[..]));
    assert_eq!(settles.next_unsettled(6, settles.version()), Ok((6, Note { attempts: 2, first_ms: 9 })));
}

/// A store whose settles are written where a flush asks for it.
fn flushing_only(path: &Path, flaky: &Arc<Flaky>) -> Store {
    let settle_delay = std::time::Duration::from_secs(9999);
    Store::open(path, Options { disk: flaky.disk(), settle_delay, ..options() }).unwrap().0
}

#[test]
fn a_flush_tells_of_its_own_subscription_alone() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let store = flushing_only(directory.path(), &flaky);
    let log = store.ensure_log("t").unwrap();
    let all = ["a", "full", "z"].map(|name| store.ensure_settle_log(name, &log, b"", 1).unwrap());
    append(&store, &log, &[b"x"]).unwrap();
    all.iter().for_each(|settles| assert_eq!(settles.settle(1, 2, settles.version()), Ok(1)));
    let is_full = |operation, path: &Path| {
        matches!(operation, Operation::Write { .. }) && path.file_stem().is_some_and(|stem| stem == "full")
    };
    flaky.fail(is_full, ENOSPC);
    let (send, answers) = channel();
    let flushed = all.clone();
    // Called by the committer, whose next round therefore has all of these.
    store.append(&log, batch(&[b"y"]), None, move |_| {
        for settles in flushed {
            let (send, name) = (send.clone(), settles.name().to_owned());
            settles.flush(move |answer| send.send((name, answer)).unwrap());
        }
    });
    let answers: Vec<_> = answers.iter().map(|(name, answer)| (name, answer.is_ok())).collect();
    assert_eq!(answers, [("a".into(), true), ("full".into(), false), ("z".into(), true)]);
}

#[test]
fn settles_that_find_no_room_do_not_pile_up() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let store = flushing_only(directory.path(), &flaky);
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    fill(&store, &log, 0..100);
    flaky.fail(|operation, _| matches!(operation, Operation::Write { .. } | Operation::Create), ENOSPC);
    for n in 1..50 {
        settles.settle(n, n + 1, settles.version()).unwrap();
        assert!(matches!(flush(&settles), Err(StoreError::DiskFull(_))));
    }
    let before = flaky.operations();
    assert!(matches!(flush(&settles), Err(StoreError::DiskFull(_))));
    let tried = flaky.operations() - before;
    assert!(tried <= 4, "one settle log was tried with {tried} operations of the disk in one round");
    flaky.heal();
    flush(&settles).unwrap();
}

#[test]
fn a_settle_log_outlives_any_cut_and_tells_a_flipped_bit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    {
        let (store, _) = open(path);
        let log = store.ensure_log("t").unwrap();
        let settles = store.ensure_settle_log("dev.s", &log, b"meta", 1).unwrap();
        fill(&store, &log, 0..20);
        for n in 1..6 {
            settles.settle(n, n + 1, settles.version()).unwrap();
            flush(&settles).unwrap();
        }
    }
    let file = files(path, "settle").remove(0);
    let whole = std::fs::read(&file).unwrap();
    let first_change = whole.len() - 5 * 25;
    for cut in first_change..whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let (store, damage) = open(path);
        assert_eq!(damage, [], "cut at {cut}");
        let settles = store.settle_log("dev.s").unwrap();
        let floor = 1 + (cut - first_change) as u64 / 25;
        assert_eq!(settles.floor(), floor, "cut at {cut}");
        settles.settle(10, 11, settles.version()).unwrap();
        flush(&settles).unwrap();
        drop((store, settles));
        let (store, _) = open(path);
        let settles = store.settle_log("dev.s").unwrap();
        assert!(settles.is_settled(10) && settles.floor() == floor, "what follows a torn tail is kept");
    }
    for at in 0..whole.len() as u64 {
        std::fs::write(&file, &whole).unwrap();
        flip(&file, at);
        let (store, damage) = open(path);
        match (&damage[..], store.settle_log("dev.s")) {
            ([Damage::Subscription { subscription, .. }], None) => assert_eq!(subscription, "dev.s"),
            ([Damage::Settles { .. }], Some(settles)) => assert!(settles.floor() < 6),
            // The last change cannot be told from a torn one: it is handed out again.
            ([], Some(settles)) => assert!(settles.floor() >= 5, "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
        drop(store);
        for aside in files(path, "quarantined") {
            std::fs::remove_file(aside).unwrap();
        }
    }
}

#[test]
fn an_unreadable_settle_log_is_told_at_every_start_until_it_is_made_again_or_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let options = || Options { retention_age: std::time::Duration::ZERO, ..options() };
    let open = || Store::open(path, options()).unwrap();
    {
        let (store, _) = open();
        let log = store.ensure_log("t").unwrap();
        for name in ["given up", "made again"] {
            store.ensure_settle_log(name, &log, b"", 1).unwrap();
        }
        fill(&store, &log, 0..300);
    }
    files(path, "settle").iter().for_each(|file| flip(file, 40));
    for start in 0..3 {
        let (store, damage) = open();
        assert!(
            matches!(&damage[..], [
                Damage::Subscription { subscription: first, .. },
                Damage::Subscription { subscription: second, .. },
            ] if first == "given up" && second == "made again"),
            "start {start}: {damage:?}"
        );
        let log = store.log("t").unwrap();
        fill(&store, &log, 300..301);
        assert_eq!(log.first(), 1, "start {start}: nothing is removed that they may not have settled");
    }
    {
        let (store, _) = open();
        assert_eq!(store.delete_settle_log("given up"), Ok(true));
        assert_eq!(store.delete_settle_log("given up"), Ok(false));
        let log = store.log("t").unwrap();
        store.ensure_settle_log("made again", &log, b"", 1).unwrap();
    }
    let (store, damage) = open();
    assert_eq!(damage, []);
    assert_eq!(store.delete_settle_log("made again"), Ok(true));
    drop(store);
    assert_eq!(open().1, [], "what was deleted leaves nothing behind");
}

#[test]
fn a_settle_log_of_a_newer_version_is_refused_and_not_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    {
        let (store, _) = open(path);
        let log = store.ensure_log("t").unwrap();
        store.ensure_settle_log("s", &log, b"", 1).unwrap();
    }
    let file = files(path, "settle").remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..24]);
    bytes[24..28].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&file, &bytes).unwrap();
    let error = Store::open(path, options()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "it is left as it is");
}

#[test]
fn a_log_that_lost_its_end_settles_nothing_in_advance() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    {
        let (store, _) = open(path);
        let log = store.ensure_log("t").unwrap();
        let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
        fill(&store, &log, 0..20);
        settles.settle(1, 21, settles.version()).unwrap();
        flush(&settles).unwrap();
    }
    let segment = segments(path).remove(0);
    std::fs::OpenOptions::new().write(true).open(segment).unwrap().set_len(300).unwrap();
    let (store, damage) = open(path);
    assert!(matches!(damage[..], [Damage::Records { .. }]), "{damage:?}");
    let (log, settles) = (store.log("t").unwrap(), store.settle_log("s").unwrap());
    assert_eq!(settles.floor(), log.end());
    let first = append(&store, &log, &[b"new"]).unwrap().first;
    assert!(!settles.is_settled(first));
    drop((store, log, settles));
    assert!(!open(path).0.settle_log("s").unwrap().is_settled(first));
}

#[test]
fn a_deleted_subscription_stays_deleted_and_holds_nothing_back() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    assert!(log.unsettled_bytes().is_some());
    settles.settle(5, 6, settles.version()).unwrap();
    assert_eq!(store.delete_settle_log("s"), Ok(true));
    assert_eq!(store.delete_settle_log("s"), Ok(false));
    assert_eq!(log.unsettled_bytes(), None);
    assert_eq!(flush(&settles), Ok(()), "late changes of a deleted one are nothing");
    drop((store, settles, Arc::clone(&log)));
    assert!(open(directory.path()).0.settle_log("s").is_none());
}

#[test]
fn a_settle_log_of_a_log_that_cannot_be_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    drop(store.ensure_settle_log("s", &log, b"meta", 1).unwrap());
    drop((store, log));
    // Header (32 bytes), frame header (length and checksum), then the log's name with its length in front: now empty.
    let path = directory.path().join("subscriptions/s.settle");
    let mut bytes = std::fs::read(&path).unwrap();
    let seed = crc32c::crc32c(&bytes[16..24]);
    bytes.truncate(32);
    let body = [[0; 4], 0u32.to_le_bytes()].concat();
    let length = (body.len() as u32).to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c_append(seed, &length), &body);
    bytes.extend([&length[..], &checksum.to_le_bytes(), &body].concat());
    std::fs::write(&path, bytes).unwrap();

    let (store, damage) = open(directory.path());
    assert!(matches!(damage.as_slice(), [Damage::Subscription { .. }]), "{damage:?}");
    assert!(store.log("t").is_some() && store.settle_log("s").is_none(), "the rest opens");
}
