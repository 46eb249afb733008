//! What a log promises: order, durability across restarts, retention, bounds, one owner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::*;
use postrider_log::{AppendError, Batch, Cursor, Damage, Item, Log, OpenError, Options, Store};

#[test]
fn what_was_answered_is_there_in_order_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let (store, damage) = open(directory.path());
        assert_eq!(damage, []);
        let log = store.ensure_log("orders").unwrap();
        assert_eq!(log.end(), 1 + round * 100);
        fill(&store, &log, round * 100..round * 100 + 100);
        let expected: Vec<_> = (0..round * 100 + 100).map(|n| (n + 1, format!("record {n}"))).collect();
        assert_eq!(texts(&log, 1), expected);
        assert_eq!(texts(&log, 57), expected[56..]);
    }
    assert!(segments(directory.path()).len() > 3, "the test spans segments");
}

#[test]
fn a_record_is_read_again_by_its_offset() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    fill(&store, &log, 0..300);
    let large = vec![7; 100_000];
    append(&store, &log, &[&large]).unwrap();
    for item in read(&log, 1) {
        let Item::Record(record) = item else { panic!("a hole in a whole log") };
        assert_eq!(log.read(record.sequence, record.offset).unwrap(), Some(record));
    }
    assert_eq!(log.read(5, 41).unwrap(), None, "a wrong offset finds nothing");
}

#[test]
fn a_batch_is_one_append_and_large_ones_go_through() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    let large = vec![1; 300_000];
    let first = append(&store, &log, &[b"a", &large, b"", b"c"]).unwrap().first;
    assert_eq!(first, 1);
    assert_eq!(append(&store, &log, &[b"d"]).unwrap().first, 5);
    let lengths: Vec<_> = read(&log, 1)
        .iter()
        .map(|item| if let Item::Record(record) = item { record.bytes.len() } else { panic!() })
        .collect();
    assert_eq!(lengths, [1, 300_000, 0, 1, 1]);
}

#[test]
fn times_never_go_back_and_find_their_record() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    fill(&store, &log, 0..200);
    let records: Vec<_> = read(&log, 1)
        .into_iter()
        .map(
            |item| if let Item::Record(record) = item { (record.sequence, record.time_ms) } else { panic!() },
        )
        .collect();
    assert!(records.windows(2).all(|w| w[0].1 <= w[1].1));
    for (_, time) in records.iter().step_by(17) {
        let expected = records.iter().find(|r| r.1 >= *time).unwrap().0;
        assert_eq!(log.first_at(*time).unwrap(), expected);
    }
    assert_eq!(log.first_at(0).unwrap(), 1);
    assert_eq!(log.first_at(u64::MAX).unwrap(), log.end());
}

#[test]
fn a_cursor_goes_on_where_it_stood_and_skips() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    let mut cursor = Cursor::new(Arc::clone(&log), 1);
    assert_eq!(cursor.next().unwrap(), None);
    for n in 0..400 {
        fill(&store, &log, n..n + 1);
        let Some(Item::Record(record)) = cursor.next().unwrap() else { panic!("record {n} is durable") };
        assert_eq!(record.bytes, format!("record {n}"));
        assert_eq!(cursor.next().unwrap(), None);
    }
    for to in [3, 390, 4, 5, 200, 401] {
        cursor.seek(to);
        let found = cursor.next().unwrap();
        let found =
            found.map(|item| if let Item::Record(record) = item { record.sequence } else { panic!() });
        assert_eq!(found, (to < 401).then_some(to));
    }
}

#[test]
fn an_expired_append_is_never_written() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    store.append(&log, batch(&[b"late"]), Some(Instant::now()), move |answer| send.send(answer).unwrap());
    assert_eq!(receive.recv().unwrap(), Err(AppendError::Expired));
    assert_eq!(log.end(), 1);
}

#[test]
fn more_than_the_queue_takes_is_refused_and_room_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let flaky = Flaky::new();
    let options = Options { queue_bytes: 10_000, disk: flaky.disk(), ..options() };
    let (store, _) = Store::open(directory.path(), options).unwrap();
    let log = store.ensure_log("t").unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    for _ in 0..2000 {
        let send = send.clone();
        store.append(&log, batch(&[&[0; 1000]]), None, move |answer| send.send(answer).unwrap());
    }
    drop(send);
    let answers: Vec<_> = receive.iter().collect();
    let refused = answers.iter().filter(|a| **a == Err(AppendError::Overloaded)).count();
    let taken = answers.iter().filter(|a| a.is_ok()).count();
    assert_eq!(refused + taken, 2000);
    assert!(refused > 0, "2 MB were offered at once to a queue of 10 kB");
    assert_eq!(log.end(), 1 + taken as u64);
    append(&store, &log, &[&[0; 50_000]]).expect("one append always fits");
}

#[test]
fn settled_segments_go_by_size_and_unsettled_ones_never() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { retention_bytes: 8192, retention_age: Duration::from_secs(9999), ..options() };
    let (store, _) = Store::open(directory.path(), options()).unwrap();
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    fill(&store, &log, 0..1000);
    assert_eq!(log.first(), 1, "nothing is settled");
    assert!(log.bytes() > 30_000);
    settles.settle(2, 1001, settles.version()).unwrap();
    flush(&settles).unwrap();
    fill(&store, &log, 1000..1001);
    assert_eq!(log.first(), 1, "the head is not settled");
    settles.settle(1, 900, settles.version()).unwrap();
    flush(&settles).unwrap();
    fill(&store, &log, 1001..1002);
    assert!(log.bytes() <= 8192 + 4096, "{} bytes are kept", log.bytes());
    assert!(log.first() > 700);
    assert_eq!(read(&log, 1)[0], Item::Hole { from: 1, to: log.first() });
    let first = log.first();
    drop((store, log, settles));
    let (store, damage) = Store::open(directory.path(), options()).unwrap();
    assert_eq!(damage, [], "what retention removed is no damage");
    let log = store.log("t").unwrap();
    assert_eq!((log.first(), log.end()), (first, 1003));
}

#[test]
fn an_unsubscribed_log_goes_by_age_alone() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { retention_age: Duration::ZERO, ..options() };
    let (store, _) = Store::open(directory.path(), options).unwrap();
    let log = store.ensure_log("t").unwrap();
    fill(&store, &log, 0..1000);
    assert!(log.first() > 800, "{}", log.first());
}

#[test]
fn a_backlog_at_its_bound_refuses_this_log_alone() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { log_bytes_max: 20_000, ..options() };
    let (store, _) = Store::open(directory.path(), options).unwrap();
    let (log, other) = (store.ensure_log("t").unwrap(), store.ensure_log("other").unwrap());
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    let full = Err(AppendError::LogFull { bound_bytes: 20_000, held_by: "s".into() });
    while append(&store, &log, &[&[0; 500]]) != full {}
    assert!(log.end() > 30);
    let end = log.end();
    append(&store, &other, &[b"x"]).unwrap();
    assert_eq!(append(&store, &log, &[&[0; 500]]), full);
    settles.settle(1, end, settles.version()).unwrap();
    flush(&settles).unwrap();
    assert_eq!(append(&store, &log, &[&[0; 500]]).unwrap().first, end);
}

#[test]
fn a_second_owner_is_told_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let Err(OpenError::Locked { holder, .. }) = Store::open(directory.path(), options()) else {
        panic!("two owners")
    };
    assert_eq!(holder, Some(std::process::id()));
    store.close();
    assert_eq!(store.ensure_log("t").unwrap_err(), postrider_log::StoreError::Closed);
    open(directory.path());
}

#[test]
fn close_answers_what_was_taken_in() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    let settles = store.ensure_settle_log("s", &log, b"", 1).unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    for _ in 0..50 {
        let send = send.clone();
        store.append(&log, batch(&[b"x"]), None, move |answer| send.send(answer).unwrap());
    }
    settles.settle(1, 2, settles.version()).unwrap();
    store.close();
    drop(send);
    assert_eq!(receive.iter().filter(Result::is_ok).count(), 50);
    assert_eq!(append(&store, &log, &[b"x"]), Err(AppendError::Closed));
    assert_eq!(flush(&settles), Err(postrider_log::StoreError::Closed));
    let (store, _) = open(directory.path());
    assert_eq!(store.settle_log("s").unwrap().floor(), 2);
}

#[test]
fn foreign_and_newer_directories_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let format = directory.path().join("FORMAT");
    std::fs::write(&format, "postrider-log 2\n").unwrap();
    let error = Store::open(directory.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    std::fs::write(&format, "?").unwrap();
    assert!(matches!(Store::open(directory.path(), options()), Err(OpenError::Corrupt { .. })));
    std::fs::remove_file(&format).unwrap();
    assert!(matches!(Store::open(directory.path(), options()), Err(OpenError::Corrupt { .. })));
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Store::open(&file, options()), Err(OpenError::Path { .. })));
}

#[test]
fn an_empty_batch_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    store.append(&log, Batch::default(), None, move |answer| send.send(answer).unwrap());
    assert_eq!(receive.recv().unwrap().unwrap().first, 1);
    assert_eq!(log.end(), 1);
}

#[test]
fn a_frame_that_was_written_over_another_takes_no_sequence_back() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    fill(&store, &log, 0..8);
    let (second, sixth) = (offset_of(&log, 2), offset_of(&log, 6));
    drop((store, log));
    // All records are of one size. The second's frame stands where the sixth's was: a write that went astray.
    let file = &segments(directory.path())[0];
    let mut bytes = std::fs::read(file).unwrap();
    bytes.copy_within(second..second + 24 + "record 1".len(), sixth);
    std::fs::write(file, bytes).unwrap();

    let (store, damage) = open(directory.path());
    let log = store.log("t").unwrap();
    assert_eq!(log.end(), 9, "what was given out is not given out again");
    let left: Vec<u64> = texts(&log, 1).into_iter().map(|(sequence, _)| sequence).collect();
    assert_eq!(left, [1, 2, 3, 4, 5, 7, 8]);
    assert!(matches!(damage.as_slice(), [Damage::Records { from: 6, to: 7, .. }]), "{damage:?}");
}

#[test]
fn what_one_start_has_found_the_next_one_finds_too() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let log = store.ensure_log("t").unwrap();
    fill(&store, &log, 0..4);
    fill(&store, &log, 4..8);
    let [second, third, fifth] = [2, 3, 5].map(|sequence| offset_of(&log, sequence));
    drop((store, log));
    // The second record is gone, the fifth one stands where the third was, and nothing behind it but what is in front of the
    // fifth's own place: that the second was durable is proven by the mark there, which is no part of what can be read.
    let file = &segments(directory.path())[0];
    let mut bytes = std::fs::read(file).unwrap();
    let (header, frame) = (24, 24 + "record 1".len());
    bytes.copy_within(fifth..fifth + frame, third);
    bytes[second..third].fill(0);
    bytes[third + frame..fifth - header].fill(0);
    bytes.truncate(fifth + 1);
    std::fs::write(file, bytes).unwrap();

    for start in ["first", "second", "third"] {
        let (store, _) = open(directory.path());
        let log = store.log("t").unwrap();
        let left: Vec<u64> = texts(&log, 1).into_iter().map(|(sequence, _)| sequence).collect();
        assert_eq!((left, log.end()), (vec![1, 5], 6), "the {start} start");
    }
}

fn offset_of(log: &Arc<Log>, sequence: u64) -> usize {
    let found = read(log, sequence).into_iter().next();
    let Some(Item::Record(record)) = found else { panic!("no record {sequence}") };
    record.offset as usize
}
