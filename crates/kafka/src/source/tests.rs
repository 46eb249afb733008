//! The decisions on the state, without a broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Body, Credit, ErrorKind, Hop, Input, Key, Lease, PartState, Record, Settle};
use bytes::Bytes;
use futures::FutureExt as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::commit::Captured;
use super::partition::{Partition, Told};
use super::shared::Shared;
use super::slots::Received;
use super::state::State;
use super::watch::Ends;
use crate::progress::Progress;

mod truncation;

const NUMBERS: [u32; 3] = [0, 1, 2];

fn received(offset: u64, key: &str) -> Received {
    let body = Body::Foreign { bytes: Bytes::new(), reason: String::new() };
    let record = Record { key: Key::new(key.to_owned()), body, hop: Hop::default(), letter: None };
    Received { offset, published_ms: 0, bytes: 10, record: Arc::new(record) }
}

/// Reads three partitions from offset 0 on.
fn state() -> State {
    let mut state = State::new("topic", true, Credit { events: 1000, bytes: 1 << 20 });
    for number in NUMBERS {
        state.add(Partition::new(number, Progress::new(0), 0, u64::MAX));
    }
    state.assigned = true;
    state
}

fn deliveries(state: &mut State) -> Vec<(u32, u64, Lease)> {
    let mut inputs = Vec::new();
    state.fill(&mut inputs);
    let delivery = |input| match input {
        Input::Delivery(delivery) => match delivery.position {
            broker::Position::Pair(partition, offset) => Some((partition, offset, delivery.lease)),
            _ => None,
        },
        _ => None,
    };
    inputs.into_iter().filter_map(delivery).collect()
}

/// Hands out a record of each of these partitions and settles it.
fn settle_one_each(state: &mut State, numbers: &[u32]) {
    for number in numbers {
        let offset = state.partitions[number].read;
        state.receive(*number, received(offset, "key"));
    }
    for (_, _, lease) in deliveries(state) {
        state.settle(lease, Settle::Done);
    }
}

/// Where all three partitions begin and end.
fn ends(low: u64, high: u64) -> Ends {
    Ends {
        highs: NUMBERS.map(|n| (n, high)).into(),
        lows: NUMBERS.map(|n| (n, low)).into(),
        ..Ends::default()
    }
}

fn error(code: RDKafkaErrorCode) -> KafkaResult<()> {
    Err(KafkaError::ConsumerCommit(code))
}

/// Commits what is dirty, each partition for itself; those of which `fails` says so are refused.
fn commit(state: &mut State, fails: impl Fn(u32) -> bool) {
    let captured = state.begin(Instant::now());
    for one in captured {
        let result =
            if fails(one.partition) { error(RDKafkaErrorCode::UnknownTopicOrPartition) } else { Ok(()) };
        state.committed(vec![one], &result);
    }
}

/// The state behind a lock, as the source has it.
fn shared(state: State) -> std::sync::Arc<Shared> {
    Shared::new("subscription", "topic", state)
}

#[test]
fn a_released_tail_comes_again_from_every_partition_it_was_in() {
    let mut state = state();
    for number in NUMBERS {
        state.receive(number, received(0, "key"));
    }
    let held = deliveries(&mut state);
    assert_eq!(held.len(), 3);
    state.settle(held[0].2, Settle::Release);
    let mut again: Vec<u32> = deliveries(&mut state).iter().map(|one| one.0).collect();
    again.sort_unstable();
    assert_eq!(again, NUMBERS, "all of the key's records come again");
}

#[test]
fn nothing_is_caught_up_while_it_is_not_known_what_is_read() {
    let mut state = state();
    state.catch_up = Some([(0, 5)].into());
    for number in NUMBERS {
        state.partitions.get_mut(&number).unwrap().high = 5;
    }
    state.lose(&NUMBERS);
    let mut inputs = Vec::new();
    state.fill(&mut inputs);
    assert!(inputs.is_empty(), "what was lost was not caught up with");
    assert_eq!(state.lag(0).records, 15, "and its lag is told until others are assigned");
    // Others have them all, lastingly.
    state.mark_behind(Instant::now() + Duration::from_secs(60));
    state.fill(&mut inputs);
    assert!(matches!(&*inputs, [Input::CaughtUp]));
    assert_eq!(state.lag(0).records, 0);
}

#[test]
fn a_commit_on_its_way_says_nothing_of_a_partition_that_was_moved_since() {
    let mut state = state();
    state.reset(0, 10);
    let captured: Vec<Captured> = state.begin(Instant::now());
    state.reset(0, 20);
    state.committed(captured, &Ok(()));
    assert!(state.partitions[&0].is_dirty(), "the second move is still to be committed");
    let captured = state.begin(Instant::now());
    state.lose(&[0]);
    state.add(Partition::new(0, Progress::new(5), 5, u64::MAX));
    state.partitions.get_mut(&0).unwrap().told = Told::Nothing;
    state.committed(captured, &Ok(()));
    assert!(state.partitions[&0].is_dirty(), "it came back, and is another one");
}

#[test]
fn a_partition_whose_commits_are_refused_holds_up_no_other() {
    let mut state = state();
    // That a broker takes so much metadata is known.
    state.commits.metadata_max = 40;
    settle_one_each(&mut state, &NUMBERS);
    let shared = shared(state);
    let flush = shared.flush();
    commit(&mut shared.state.lock(), |number| number == 1);
    let error =
        flush.now_or_never().expect("nobody waits for what is refused").expect_err("it is not durable");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("partition 1"), "it says which: {}", error.message);
    let mut state = shared.state.lock();
    let dirty: Vec<u32> = state.partitions.values().filter(|p| p.is_dirty()).map(|p| p.number).collect();
    assert_eq!(dirty, [1], "the others are durable");
    let told = state.parts(Instant::now()).into_iter().map(|part| part.state);
    assert_eq!(told.collect::<Vec<_>>(), [PartState::Reading, PartState::Unreachable, PartState::Reading]);
    // The others go on at once, and this one when its time has come.
    settle_one_each(&mut state, &NUMBERS);
    let now: Vec<u32> = state.begin(Instant::now()).iter().map(|one| one.partition).collect();
    assert_eq!(now, [0, 2]);
    let later = state.begin(Instant::now() + Duration::from_secs(5));
    assert_eq!(later.iter().map(|one| one.partition).collect::<Vec<_>>(), NUMBERS);
    state.committed(later, &Ok(()));
    drop(state);
    assert!(matches!(shared.flush().now_or_never(), Some(Ok(()))), "all is well again");
}

#[test]
fn whoever_waits_for_settles_that_are_lost_is_told() {
    let mut state = state();
    settle_one_each(&mut state, &[0]);
    let shared = shared(state);
    let waits = shared.flush();
    shared.state.lock().lose(&[0]);
    let error = waits.now_or_never().expect("it is answered").expect_err("the settle comes again");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    // What is settled and lost before it is asked for is told as well, once.
    settle_one_each(&mut shared.state.lock(), &[1]);
    shared.state.lock().lose(&[1]);
    assert!(matches!(shared.flush().now_or_never(), Some(Err(_))));
    assert!(matches!(shared.flush().now_or_never(), Some(Ok(()))), "nothing was settled since");
    // What had been committed is not lost.
    settle_one_each(&mut shared.state.lock(), &[2]);
    commit(&mut shared.state.lock(), |_| false);
    shared.state.lock().lose(&[2]);
    assert!(matches!(shared.flush().now_or_never(), Some(Ok(()))));
}

#[test]
fn a_last_commit_that_fails_is_told_to_whoever_waits() {
    let mut state = state();
    settle_one_each(&mut state, &[0]);
    let shared = shared(state);
    let waits = shared.flush();
    assert!(shared.state.lock().take_leave(&[0]).is_some());
    shared.state.lock().left(&error(RDKafkaErrorCode::IllegalGeneration));
    assert!(matches!(waits.now_or_never(), Some(Err(_))), "it comes again");
}

#[test]
fn purges_of_what_has_left_or_cannot_be_told_change_nothing() {
    let mut state = state();
    for number in NUMBERS {
        state.partitions.get_mut(&number).unwrap().high = 100_000;
    }
    state.remove(&[1]);
    let shared = shared(state);
    let gone =
        shared.purge(&[(0, 3), (1, 3)]).now_or_never().expect("it is refused").expect_err("it has left");
    assert_eq!(gone.kind, ErrorKind::Unavailable);
    let gone = shared.purge_below(&[(0, 3), (1, 3)].into()).now_or_never();
    assert!(matches!(gone, Some(Err(_))));
    let mut random = fastrand::Rng::with_seed(1);
    let scattered: Vec<(u32, u64)> =
        (1..100_000).filter(|_| random.bool()).map(|offset| (0, offset)).collect();
    let untold = shared.purge(&scattered).now_or_never().expect("it is refused").expect_err("it is too much");
    assert_eq!(untold.kind, ErrorKind::Conflict);
    let state = shared.state.lock();
    assert!(state.partitions.values().all(|partition| !partition.is_dirty()), "nothing was changed");
    drop(state);
    // A few can be told.
    let few = shared.purge(&scattered[..10]);
    futures::pin_mut!(few);
    assert!(few.as_mut().now_or_never().is_none(), "it waits until it is durable");
    commit(&mut shared.state.lock(), |_| false);
    assert!(matches!(few.now_or_never(), Some(Ok(10))));
}

#[test]
fn an_answer_says_nothing_of_what_was_jumped_over_after_the_question() {
    let mut state = state();
    let partition = state.partitions.get_mut(&0).unwrap();
    let early = partition.question();
    partition.receive(10);
    assert_eq!(partition.judge_holes(0, early), None, "not yet");
    let asked = partition.question();
    partition.receive(20);
    assert_eq!(partition.judge_holes(10, asked), Some((10, 0)), "what was jumped over before is lost");
    let asked = partition.question();
    assert_eq!(partition.judge_holes(20, asked), Some((9, 11)), "and so is the other, when it is known");
    partition.receive(30);
    let asked = partition.question();
    assert_eq!(partition.judge_holes(20, asked), None, "compaction");
    assert_eq!(partition.judge_holes(30, partition.question()), None, "which is forgotten");
}

#[test]
fn parts_tell_when_ends_are_old_and_errors_do_not_outlive_their_cause() {
    let mut state = state();
    let now = Instant::now();
    let all = state.parts(now + Duration::from_secs(60)).into_iter();
    assert!(all.into_iter().all(|part| part.state == PartState::Unreachable), "lag stands still");
    state.trouble = Some("an error".into());
    let questions = state.questions();
    state.learn_ends(&ends(0, 5), &questions, now);
    assert_eq!(state.trouble.as_deref(), Some("an error"), "it may be why nothing comes");
    state.learn_ends(&ends(0, 0), &questions, now);
    assert_eq!(state.trouble, None, "nothing is to come");
}

#[test]
fn a_partition_is_full_with_the_very_record_that_fills_it() {
    let mut state = state();
    let mut offset = 0;
    while state.partitions[&0].wants_reading() {
        state.receive(0, received(offset, "key"));
        offset += 1;
        assert!(offset < 100_000, "it is never full");
    }
    // Every other one settled is what takes most to tell, and it fits.
    let partition = state.partitions.get_mut(&0).unwrap();
    for settled in (1..offset).step_by(2) {
        partition.progress.settle(settled);
    }
    let encoded = partition.progress.encode(crate::progress::METADATA_CHARS);
    assert_eq!(encoded.told_below, None, "{offset} records, {} characters", encoded.text.len());
    assert!(
        encoded.text.len() > crate::progress::METADATA_CHARS / 2,
        "it is not full long before it must be"
    );
    assert!(state.partitions[&1].wants_reading(), "another partition is read on");
}
