//! Logs that were truncated, or made anew under their name: nothing of them is hidden by what was settled before.

use super::super::rewind::Verdict;
use super::*;
use crate::group::Committed;
use crate::standing::Short;

/// Ten records of partition 0 were read, all but offset 3 are settled, and that is committed.
fn settled_around_3() -> State {
    let mut state = state();
    for offset in 0..10 {
        state.receive(0, received(offset, &offset.to_string()));
    }
    for (_, offset, lease) in deliveries(&mut state) {
        if offset != 3 {
            state.settle(lease, Settle::Done);
        }
    }
    commit(&mut state, |_| false);
    let committed = committed(&state);
    assert!(committed.offset == 3 && !committed.metadata.is_empty(), "{committed:?}");
    state
}

fn committed(state: &State) -> Committed {
    state.partitions[&0].committed.clone().expect("it was committed")
}

/// What is committed next of partition 0, which becomes durable.
fn commit_next(state: &mut State) -> (u64, bool) {
    let captured = state.begin(Instant::now());
    assert_eq!(captured.len(), 1, "there is something to commit");
    state.committed(captured, &Ok(()));
    let Committed { offset, metadata } = committed(state);
    (offset, !metadata.is_empty())
}

/// Anything at an offset that was read before, by another producer.
fn another(offset: u64) -> Received {
    Received { published_ms: 1, ..received(offset, "another") }
}

#[test]
fn while_a_log_is_in_doubt_what_is_committed_hides_nothing_of_it() {
    let mut state = settled_around_3();
    state.receive(0, another(1));
    assert!(state.partitions[&0].is_suspect(), "what stands committed may be of another log");
    assert_eq!(commit_next(&mut state), (1, false), "a place before all that may be new, and nothing more");
    let partition = &state.partitions[&0];
    assert!(!partition.is_suspect(), "whoever reads it next misses nothing");
    // What is settled meanwhile changes nothing of that, and nobody commits in circles.
    let held: Vec<Lease> = state.slots.iter_mut().map(|(lease, _)| lease).collect();
    state.settle(held[0], Settle::Done);
    assert!(!state.partitions[&0].is_dirty() && state.begin(Instant::now()).is_empty());
    // Who waits for it waits until more is known.
    let shared = shared(state);
    let waits = shared.flush();
    futures::pin_mut!(waits);
    assert!(waits.as_mut().now_or_never().is_none(), "it is not durable");
    let mut state = shared.state.lock();
    for offset in 2..10 {
        state.receive(0, received(offset, "the same"));
    }
    assert!(state.rewinds(Instant::now()).is_empty() && !state.has_rewound(), "it was the same log");
    assert_eq!(commit_next(&mut state), (10, false), "all that is settled is committed again");
    drop(state);
    assert!(matches!(waits.now_or_never(), Some(Ok(()))));
}

#[test]
fn a_doubt_that_comes_to_nothing_before_it_was_committed_leaves_no_trace() {
    let mut state = settled_around_3();
    state.receive(0, another(1));
    state.receive(0, received(9, "the same"));
    assert!(state.rewinds(Instant::now()).is_empty());
    let before = committed(&state);
    state.lose(&[0]);
    assert!(!state.take_distrust(0, Some(&before)), "it is believed as before");
}

#[test]
fn a_commit_that_could_not_be_replaced_is_not_believed_again() {
    // In doubt, found to be another log, and found so at the beginning.
    let judged: [fn(&mut State); 3] = [
        |_| {},
        |state| state.reset(0, 0),
        |state| {
            state.reset(0, 0);
            state.receive(0, another(0));
        },
    ];
    for judge in judged {
        let mut state = settled_around_3();
        let before = committed(&state);
        state.receive(0, another(1));
        judge(&mut state);
        state.lose(&[0]);
        let other = Committed { offset: 4, metadata: String::new() };
        assert!(state.distrusted.contains_key(&0), "nobody could commit");
        assert!(state.take_distrust(0, Some(&before)), "the next reader is to begin anew");
        assert!(!state.take_distrust(0, Some(&before)), "which it does once");
        state.distrusted.insert(0, before);
        assert!(!state.take_distrust(0, Some(&other)), "somebody has committed since");
    }
    let mut state = settled_around_3();
    state.receive(0, another(1));
    state.reset(0, 0);
    let before = committed(&state);
    commit(&mut state, |_| false);
    state.lose(&[0]);
    assert!(!state.take_distrust(0, Some(&before)), "it was replaced");
}

#[test]
fn a_seek_that_could_not_be_committed_changes_nothing() {
    let mut state = settled_around_3();
    let before = committed(&state);
    state.reset(0, 7);
    state.lose(&[0]);
    assert!(!state.take_distrust(0, Some(&before)), "whoever asked for it is told");
}

#[test]
fn a_partition_that_leaves_in_doubt_leaves_a_place() {
    let mut state = settled_around_3();
    let held: Vec<Lease> = state.slots.iter_mut().map(|(lease, _)| lease).collect();
    state.receive(0, another(1));
    state.settle(held[0], Settle::Done);
    let shared = shared(state);
    let waits = shared.flush();
    let last = shared.state.lock().take_leave(&[0]).expect("there is something to commit");
    assert_eq!(last.elements()[0].offset(), rdkafka::Offset::Offset(1));
    assert_eq!(last.elements()[0].metadata(), "");
    shared.state.lock().left(&Ok(()));
    assert!(matches!(waits.now_or_never(), Some(Err(_))), "what was settled last comes again");
}

/// Ends of which this is known of partition 0, too.
fn short(ends: Ends, short: Short) -> Ends {
    Ends { shorts: [(0, short)].into(), ..ends }
}

#[test]
fn a_log_that_ends_before_what_was_read_is_in_doubt_at_once() {
    let mut state = settled_around_3();
    let older = state.questions();
    state.learn_ends(&ends(2, 7), &older, Instant::now());
    assert!(!state.has_rewound(), "it may have been another broker's answer");
    state.learn_ends(&short(ends(2, 7), Short::Ends(7)), &older, Instant::now());
    assert_eq!(commit_next(&mut state), (2, false), "the log's beginning");
    assert_eq!(state.rewinds(Instant::now()), [0]);
    assert!(state.restart.is_none(), "it is not waited until the log has grown again");
    // It has grown since, and librdkafka has seen nothing.
    let verdict = state.partitions[&0].judge_rewind(Some(500), Instant::now());
    assert_eq!(verdict, Verdict::Truncated);
    state.reset(0, 2);
    state.learn_ends(&short(ends(2, 7), Short::Ends(7)), &older, Instant::now());
    assert!(!state.has_rewound(), "an answer of before says nothing of what is read now");
}

#[test]
fn a_log_that_ended_before_what_was_read_and_no_longer_does_is_judged_by_its_last_record() {
    for why in [Short::Grown, Short::Open] {
        let mut state = settled_around_3();
        state.learn_ends(&short(ends(2, 7), why), &state.questions(), Instant::now());
        assert_eq!(commit_next(&mut state), (2, false), "until that is known");
        let partition = state.partitions.get_mut(&0).unwrap();
        assert!(partition.wants_reading(), "it has to come again");
        assert_eq!((partition.take_reread(), partition.take_reread()), (Some(9), None), "once");
        assert_eq!(partition.judge_rewind(Some(500), Instant::now()), Verdict::Unknown);
        for (record, verdict) in [(received(9, "the same"), Verdict::Twice), (another(9), Verdict::Truncated)]
        {
            assert!(partition.is_rewound(&record, Instant::now()));
            assert_eq!(partition.judge_rewind(Some(500), Instant::now()), verdict);
        }
        assert_eq!(partition.question().excused, Some(7), "the same answer is not looked into again");
        state.learn_ends(&ends(2, 10), &state.questions(), Instant::now());
        assert_eq!(state.partitions[&0].excused, None, "until there was another one");
    }
}

/// Partition 0 was taken over without a leader: offset 100 is stuck, and all up to 5000 behind it is settled.
fn unjudged() -> State {
    let mut state = state();
    let mut progress = Progress::new(100);
    progress.receive(100);
    progress.settle_range(101, 5000);
    let metadata = progress.encode(crate::progress::METADATA_CHARS).text;
    let mut partition = Partition::new(0, Progress::restore(100, &metadata).0, 100, u64::MAX);
    (partition.unjudged, partition.committed) = (true, Some(Committed { offset: 100, metadata }));
    state.add(partition);
    state
}

#[test]
fn what_nobody_led_is_judged_by_the_first_answer() {
    let now = Instant::now();
    for as_far in [ends(0, 5000), short(ends(0, 200), Short::Open)] {
        let mut state = unjudged();
        state.learn_ends(&as_far, &state.questions(), now);
        assert!(state.partitions[&0].wants_reading() && !state.has_rewound(), "it goes as far: {as_far:?}");
    }
    for why in [Short::Ends(200), Short::Grown] {
        let mut state = unjudged();
        state.learn_ends(&ends(0, 200), &state.questions(), now);
        assert!(!state.partitions[&0].wants_reading(), "that is not known yet");
        state.learn_ends(&short(ends(0, 200), why), &state.questions(), now);
        assert!(!state.partitions[&0].wants_reading(), "nothing is read before it is moved");
        assert!(state.partitions[&0].is_suspect() && state.rewinds(now) == [0]);
        assert_eq!(commit_next(&mut state), (0, false));
    }
}
