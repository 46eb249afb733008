//! What is made of a partition, by what is known of it.

use super::*;

fn found(offset: u64, settled_to: u64) -> Found {
    let mut progress = Progress::new(offset);
    progress.receive(offset);
    progress.settle_range(offset + 1, settled_to);
    let committed = Committed { offset, metadata: progress.encode(4096).text };
    Found {
        partition: 3,
        committed: Some(committed),
        low: Some(0),
        high: Some(200),
        truncated: None,
        distrusted: false,
    }
}

#[test]
fn nothing_of_a_truncated_log_is_taken_for_settled() {
    let (partition, gap) = restore("orders", &Found { truncated: Some(200), ..found(100, 5000) }, u64::MAX);
    let (records, message) = gap.expect("it is told");
    assert_eq!(records, None, "how many were lost is not known: {message}");
    assert!(message.contains("ends at offset 200") && message.contains("5000"), "{message}");
    assert!(!partition.progress.is_settled(150) && !partition.progress.is_settled(4000));
    assert_eq!(partition.read, 0);
    assert!(partition.is_dirty(), "the commit of another log is replaced at once");
}

#[test]
fn what_was_found_to_be_of_another_log_is_not_believed_once_that_is_as_long() {
    let (partition, gap) = restore("orders", &Found { distrusted: true, ..found(100, 150) }, u64::MAX);
    let (records, message) = gap.expect("it is told");
    assert_eq!(records, None, "how many were lost is not known: {message}");
    assert_eq!((partition.read, partition.is_dirty(), partition.is_suspect()), (0, true, true));
    let (partition, gap) = restore("orders", &found(100, 150), u64::MAX);
    assert!(gap.is_none() && !partition.is_suspect() && partition.progress.is_settled(120));
}

#[test]
fn a_partition_without_a_leader_is_taken_over_and_read_once_it_is_known_to_be_the_same_log() {
    let unknown = Found { low: None, high: None, ..found(100, 5000) };
    let (partition, gap) = restore("orders", &unknown, u64::MAX);
    assert!(gap.is_none(), "{gap:?}");
    assert_eq!((partition.read, partition.unjudged, partition.lag()), (100, true, 0));
    assert!(!partition.wants_reading(), "what is settled of it may be of another log");
    let plain = Committed { offset: 100, metadata: String::new() };
    let (partition, _) = restore("orders", &Found { committed: Some(plain), ..unknown }, u64::MAX);
    assert!(partition.wants_reading(), "librdkafka itself tells where the log does not go so far");
}
