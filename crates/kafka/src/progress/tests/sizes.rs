//! What metadata costs, in characters: the broker takes 4,096 by default.

use super::*;

#[test]
fn one_stuck_among_fifty_thousand() {
    let mut progress = Progress::new(7_777_777);
    read(&mut progress, 7_777_777, 7_827_778);
    (7_777_778..7_827_778).for_each(|offset| assert!(progress.settle(offset)));
    let encoded = progress.encode(4096);
    assert!(encoded.text.len() <= 14, "{} characters", encoded.text.len());
}

#[test]
fn two_thousand_settled_at_random_among_ten_thousand_and_four_hundred_notes() {
    let mut progress = Progress::new(123_456);
    read(&mut progress, 123_456, 133_456);
    let order = shuffled(123_457, 133_456, 7);
    order[..2_000].iter().for_each(|offset| assert!(progress.settle(*offset)));
    let without = progress.encode(4096).text.len();
    assert!(without <= 1_720, "{without} characters");
    for (n, offset) in (0..).zip(&order[2_000..2_400]) {
        // First attempts of the last half an hour.
        assert!(
            progress.note(*offset, noted(1 + n % 9, 1_764_000_000_000 + u64::from(n) * 7_919 % 1_800_000))
        );
    }
    let encoded = progress.encode(4096);
    assert_eq!((encoded.dropped_notes, encoded.told_below), (0, None));
    assert!(encoded.text.len() <= 3_900, "{} characters", encoded.text.len());
}

#[test]
fn what_is_in_flight_on_a_busy_partition() {
    let mut progress = Progress::new(5_000_000);
    read(&mut progress, 5_000_000, 5_002_000);
    let order = shuffled(5_000_000, 5_002_000, 11);
    order[..2_000 - 64].iter().for_each(|offset| assert!(progress.settle(*offset)));
    let encoded = progress.encode(4096);
    assert!(encoded.text.len() <= 125, "{} characters", encoded.text.len());
}

#[test]
fn a_purge_a_billion_offsets_ahead() {
    let mut progress = Progress::new(0);
    read(&mut progress, 0, 1);
    progress.settle_range(1_000_000_000, 1_000_000_010);
    let encoded = progress.encode(4096);
    assert!(encoded.text.len() <= 24, "{} characters", encoded.text.len());
    let (again, reason) = Progress::restore(0, &encoded.text);
    assert_eq!((reason, again.lag(1_000_000_020)), (None, 1_000_000_010));
}

#[test]
fn ten_thousand_held_leave_room_to_read_on() {
    let mut progress = Progress::new(99);
    read(&mut progress, 99, 10_099);
    let fullness = progress.fullness(4096);
    assert!(fullness < 0.5, "a whole buffer of one partition is at {fullness}");
    let stuck = Progress::new(0);
    assert!(stuck.fullness(4096) < 0.01, "a partition of which nothing is held is always read");
}

#[test]
fn memory_follows_what_is_held() {
    let mut progress = Progress::new(0);
    read(&mut progress, 0, 256 * 100);
    for offset in (0..256 * 100).filter(|offset| offset % 256 != 77) {
        progress.settle(offset);
    }
    assert_eq!((progress.unsettled(), progress.chunks.len()), (100, 100));
}
