//! What holds when the disk or its bytes fail.

use std::path::Path;

use crate::common::*;
use postrider_log::{AppendError, Damage, Item, OpenError, Operation, Options, Store, StoreError};

const EIO: i32 = 5;

fn is_sync_of_segment(operation: Operation, path: &Path) -> bool {
    operation == Operation::Sync && path.extension().is_some_and(|e| e == "segment")
}

#[test]
fn a_kill_at_any_byte_of_the_tail_loses_only_what_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    {
        let (store, _) = open(path);
        let log = store.ensure_log("t").unwrap();
        fill(&store, &log, 0..3);
        // The last append, of two records, is the torn one.
        append(&store, &log, &[b"record 3", b"record 4"]).unwrap();
    }
    let segment = &segments(path)[0];
    let whole = std::fs::read(segment).unwrap();
    let tail = whole.windows(8).position(|w| w == b"record 3").unwrap() - 24;
    let ends = [tail + 32, tail + 64];
    for cut in (tail..tail + 64).rev() {
        std::fs::write(segment, &whole[..cut]).unwrap();
        let (store, damage) = open(path);
        assert_eq!(damage, [], "a torn tail is no damage (cut at {cut})");
        let log = store.log("t").unwrap();
        let kept = 3 + ends.iter().filter(|end| cut >= **end).count() as u64;
        let expected: Vec<_> = (0..kept).map(|n| (n + 1, format!("record {n}"))).collect();
        assert_eq!(texts(&log, 1), expected, "cut at {cut}");
        append(&store, &log, &[b"after"]).unwrap();
        assert_eq!(texts(&log, kept + 1), [(kept + 1, "after".into())]);
        drop((store, log));
        let (store, damage) = open(path);
        assert_eq!((damage, store.log("t").unwrap().end()), (vec![], kept + 2));
    }
}

#[test]
fn a_flipped_bit_anywhere_is_loud_and_loses_that_record_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    {
        let (store, _) = open(path);
        let log = store.ensure_log("t").unwrap();
        fill(&store, &log, 0..4);
        store.close();
    }
    let segment = &segments(path)[0];
    let whole = std::fs::read(segment).unwrap();
    for at in 40..whole.len() as u64 {
        std::fs::write(segment, &whole).unwrap();
        flip(segment, at);
        let (store, damage) = open(path);
        let log = store.log("t").unwrap();
        let texts = texts(&log, 1);
        match &damage[..] {
            // A flipped mark costs no record, and no other may look damaged for it.
            [] => assert_eq!(texts.len(), 4, "byte {at}: silently lost, {texts:?}"),
            [Damage::Records { from, to, .. }] => {
                assert_eq!(to - from, 1, "byte {at}: one record is damaged");
                assert_eq!(texts.len(), 3, "byte {at}");
                assert!(texts.iter().all(|(sequence, text)| text == &format!("record {}", sequence - 1)));
                assert!(
                    read(&log, 1).contains(&Item::Hole { from: *from, to: *to }),
                    "a cursor tells it, byte {at}"
                );
            }
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(log.end(), 5, "byte {at}: no sequence is given twice");
    }
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_is_told_when_it_is_read_and_the_segment_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let options =
        || Options { retention_bytes: 0, retention_age: std::time::Duration::from_secs(9999), ..options() };
    let (store, _) = Store::open(path, options()).unwrap();
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    fill(&store, &log, 0..200);
    flip(&segments(path)[0], 400);
    let holes: Vec<_> = read(&log, 1).into_iter().filter(|item| matches!(item, Item::Hole { .. })).collect();
    assert_eq!(holes.len(), 1);
    assert_eq!(texts(&log, 1).len(), 199);
    settles.settle(1, 201, settles.version()).unwrap();
    flush(&settles).unwrap();
    fill(&store, &log, 200..201);
    flush(&settles).unwrap();
    assert_eq!(files(path, "quarantined").len(), 1, "the damaged segment was set aside, not unlinked");
    assert!(log.first() > 100);
}

#[test]
fn missing_side_files_are_made_again_and_damage_found_then_is_loud() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    {
        let (store, _) = open(path);
        let log = store.ensure_log("t").unwrap();
        fill(&store, &log, 0..300);
    }
    let sides = files(path, "index");
    assert!(sides.len() >= 2);
    std::fs::remove_file(&sides[0]).unwrap();
    flip(&sides[1], 60);
    flip(&segments(path)[0], 300);
    for _ in 0..2 {
        let (store, damage) = open(path);
        assert!(matches!(damage[..], [Damage::Records { .. }]), "told at every start: {damage:?}");
        assert_eq!(texts(&store.log("t").unwrap(), 1).len(), 299);
    }
    assert_eq!(files(path, "index").len(), sides.len());
}

#[test]
fn a_segment_whose_header_is_damaged_is_set_aside_and_its_sequences_stay_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    {
        let (store, _) = open(path);
        let log = store.ensure_log("t").unwrap();
        fill(&store, &log, 0..300);
    }
    let all = segments(path);
    flip(&all[1], 3);
    flip(&all[all.len() - 1], 20);
    let (store, damage) = open(path);
    assert_eq!(damage.len(), 2, "{damage:?}");
    let log = store.log("t").unwrap();
    assert!(log.end() > 301, "sequences of lost records are not given again");
    assert_eq!(files(path, "quarantined").len(), 2);
    let before = log.end();
    assert_eq!(append(&store, &log, &[b"x"]).unwrap().first, before);
    assert_eq!(read(&log, 1).iter().filter(|item| matches!(item, Item::Hole { .. })).count(), 2);
}

#[test]
fn a_failed_sync_poisons_and_is_never_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let (store, _) = Store::open(directory.path(), Options { disk: flaky.disk(), ..options() }).unwrap();
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    append(&store, &log, &[b"good"]).unwrap();
    flaky.fail(is_sync_of_segment, EIO);
    assert!(matches!(append(&store, &log, &[b"bad"]), Err(AppendError::Unknown(_))));
    flaky.heal();
    let syncs = flaky.syncs();
    assert!(matches!(append(&store, &log, &[b"later"]), Err(AppendError::Poisoned(_))));
    settles.settle(1, 2, settles.version()).unwrap();
    assert!(matches!(flush(&settles), Err(StoreError::Poisoned(_))));
    assert!(store.poisoned().is_some());
    assert_eq!(
        texts(&log, 1),
        [(1, "good".into())],
        "what is not durable is not seen; what is can still be read"
    );
    store.close();
    assert_eq!(flaky.syncs(), syncs, "nothing was synced after the failure");
}

#[test]
fn names_that_a_kill_left_unsynced_are_durable_once_the_store_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    {
        let (store, _) = open(path);
        let log = store.ensure_log("t").unwrap();
        store.ensure_settle_log("s", &log, b"", 1).unwrap();
    }
    let flaky = Flaky::new();
    let (_store, _) = Store::open(path, Options { disk: flaky.disk(), ..options() }).unwrap();
    for directory in ["", "logs", "logs/t", "subscriptions"] {
        assert!(flaky.has_synced(&path.join(directory)), "{directory:?} was made, and never synced");
    }
}

#[test]
fn the_data_directory_itself_has_a_durable_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("above").join("data");
    for above in [directory.path(), &directory.path().join("above")] {
        let flaky = Flaky::new();
        let (_store, _) = Store::open(&path, Options { disk: flaky.disk(), ..options() }).unwrap();
        // At the first start it makes both; at the second it may be the heir of one that was killed in between.
        assert!(flaky.has_synced(above), "{} has a new name in it, and was never synced", above.display());
    }
}

#[test]
fn a_log_whose_name_is_not_durable_does_not_exist() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let (store, _) = Store::open(directory.path(), Options { disk: flaky.disk(), ..options() }).unwrap();
    flaky.fail(|operation, path| operation == Operation::SyncDirectory && path.ends_with("logs"), EIO);
    for _ in 0..2 {
        assert!(store.ensure_log("t").is_err(), "its directory could not be synced");
        assert!(store.log("t").is_none());
    }
    flaky.heal();
    let log = store.ensure_log("t").unwrap();
    append(&store, &log, &[b"x"]).unwrap();
}

#[test]
fn a_failed_write_poisons() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let (store, _) = Store::open(directory.path(), Options { disk: flaky.disk(), ..options() }).unwrap();
    let log = store.ensure_log("t").unwrap();
    flaky.fail(|operation, _| matches!(operation, Operation::Write { .. }), EIO);
    assert!(matches!(append(&store, &log, &[b"bad"]), Err(AppendError::Unknown(_))));
    flaky.heal();
    assert!(matches!(append(&store, &log, &[b"later"]), Err(AppendError::Poisoned(_))));
    assert_eq!(log.end(), 1);
}

#[test]
fn a_full_disk_refuses_whole_appends_and_takes_them_again_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let (store, _) = Store::open(directory.path(), Options { disk: flaky.disk(), ..options() }).unwrap();
    let log = store.ensure_log("t").unwrap();
    append(&store, &log, &[b"one"]).unwrap();
    flaky.room(100);
    assert_eq!(append(&store, &log, &[b"two", &[0; 500]]), Err(AppendError::DiskFull));
    assert_eq!(texts(&log, 1), [(1, "one".into())]);
    flaky.heal();
    assert_eq!(append(&store, &log, &[b"three"]).unwrap().first, 2);
    drop((store, log));
    let (store, damage) = open(directory.path());
    assert_eq!(damage, []);
    assert_eq!(texts(&store.log("t").unwrap(), 1), [(1, "one".into()), (2, "three".into())]);
}

#[test]
fn what_a_full_disk_refused_does_not_come_back_with_the_power() {
    // The loss takes a part of the tail at random: one of these leaves the whole of it.
    for seed in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let flaky = Flaky::new();
        let (store, _) = Store::open(directory.path(), Options { disk: flaky.disk(), ..options() }).unwrap();
        let log = store.ensure_log("t").unwrap();
        append(&store, &log, &[b"one"]).unwrap();
        // Enough for the first record.
        flaky.room(100);
        assert_eq!(append(&store, &log, &[b"two", &[0; 500]]), Err(AppendError::DiskFull));
        drop((store, log));
        flaky.lose_power(seed);
        let (store, damage) = open(directory.path());
        assert_eq!(damage, []);
        assert_eq!(texts(&store.log("t").unwrap(), 1), [(1, "one".into())], "seed {seed}");
    }
}

#[test]
fn an_append_that_cannot_be_taken_back_durably_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let (store, _) = Store::open(directory.path(), Options { disk: flaky.disk(), ..options() }).unwrap();
    let log = store.ensure_log("t").unwrap();
    flaky.room(100);
    flaky.fail(is_sync_of_segment, EIO);
    assert!(matches!(append(&store, &log, &[b"two", &[0; 500]]), Err(AppendError::Unknown(_))));
    flaky.heal();
    assert!(matches!(append(&store, &log, &[b"later"]), Err(AppendError::Poisoned(_))));
}

#[test]
fn a_store_opens_on_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (store, _) = open(directory.path());
        let log = store.ensure_log("t").unwrap();
        append(&store, &log, &[b"one"]).unwrap();
    }
    let flaky = Flaky::new();
    flaky.room(0);
    let (store, damage) = Store::open(directory.path(), Options { disk: flaky.disk(), ..options() }).unwrap();
    assert_eq!(damage, []);
    let log = store.log("t").unwrap();
    assert_eq!(append(&store, &log, &[b"two"]), Err(AppendError::DiskFull));
    assert_eq!(texts(&log, 1), [(1, "one".into())]);
    let again = Store::open(directory.path(), options()).unwrap_err();
    assert!(matches!(again, OpenError::Locked { .. }), "it is locked all the same: {again}");
}

#[test]
fn a_full_disk_drains_out_of_the_reserve() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let flaky = Flaky::new();
    let options = Options { disk: flaky.disk(), reserve_bytes: 1 << 20, ..options() };
    let (store, _) = Store::open(path, options).unwrap();
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    fill(&store, &log, 0..200);
    flaky.room(0);
    assert!(path.join("reserve").exists());
    assert_eq!(append(&store, &log, &[b"x"]), Err(AppendError::DiskFull));
    assert_eq!(flush(&settles), Ok(()), "the round is over, and there was nothing to write");
    assert!(!path.join("reserve").exists(), "the reserve was given up");
    // What the reserve gave back is room again, for settling, but not for appends.
    flaky.room(1 << 20);
    assert_eq!(append(&store, &log, &[b"x"]), Err(AppendError::DiskFull));
    settles.settle(1, 201, settles.version()).unwrap();
    flush(&settles).unwrap();
    // Retention runs after the answer of the round; the next one comes after it.
    flush(&settles).unwrap();
    assert_eq!(log.first(), log.end(), "a full disk keeps nothing that is settled");
    flaky.heal();
    settles.seek(log.end());
    flush(&settles).unwrap();
    flush(&settles).unwrap();
    assert!(path.join("reserve").exists(), "the reserve was taken again");
    append(&store, &log, &[b"x"]).unwrap();
}
