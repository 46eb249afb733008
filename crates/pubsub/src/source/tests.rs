//! The decisions on the state, without a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Body, Credit, Error, ErrorKind, Hop, Input, Key, Lease, Note, Position, Record, Settle};
use bytes::Bytes;

use super::state::{Received, State};

const SECOND: Duration = Duration::from_secs(1);
const AMPLE: Credit = Credit { events: 1000, bytes: 1 << 20 };

fn state(credit: Credit) -> State<u64> {
    State::new(true, u64::MAX, credit, 20 * SECOND)
}

fn received(position: u64, key: Option<&str>) -> Received {
    let body = Body::Foreign { bytes: Bytes::new(), reason: "a test's".into() };
    let key = key.and_then(|key| Key::new(key.to_owned()));
    let record = Arc::new(Record { key, body, hop: Hop::default(), letter: None });
    Received { position: Position::Number(position), published_ms: position, bytes: 10, record }
}

/// Takes these in, each with a handle of its own number.
fn take_in(state: &mut State<u64>, key: Option<&str>, positions: impl IntoIterator<Item = u64>) {
    for position in positions {
        assert_eq!(
            state.receive(received(position, key), position, Instant::now()),
            None,
            "{position} is taken"
        );
    }
}

fn filled(state: &mut State<u64>) -> Vec<Input> {
    let mut inputs = Vec::new();
    state.fill(&mut inputs);
    inputs
}

fn deliveries(state: &mut State<u64>) -> Vec<(u64, Lease)> {
    let delivery = |input| match input {
        Input::Delivery(delivery) => match delivery.position {
            Position::Number(position) => (position, delivery.lease),
            other => panic!("a number was sent: {other}"),
        },
        other => panic!("only deliveries are due: {other:?}"),
    };
    filled(state).into_iter().map(delivery).collect()
}

fn settle(state: &mut State<u64>, lease: Lease, settle: Settle) -> Vec<u64> {
    state.settle(lease, settle, Instant::now())
}

fn positions(held: &[(u64, Lease)]) -> Vec<u64> {
    held.iter().map(|(position, _)| *position).collect()
}

#[test]
fn a_release_waits_here_in_its_old_place_with_its_keys_tail() {
    let mut state = state(Credit { events: 4, ..AMPLE });
    take_in(&mut state, Some("a"), 1..=3);
    take_in(&mut state, Some("b"), [4]);
    take_in(&mut state, Some("a"), [5]);
    let held = deliveries(&mut state);
    assert_eq!(positions(&held), [1, 2, 3, 4], "as far as the credit goes");
    assert!(settle(&mut state, held[1].1, Settle::Release).is_empty(), "the server hears nothing of it");
    assert!(settle(&mut state, held[2].1, Settle::Done).is_empty(), "the tail died with its head");
    assert_eq!(state.stale(), 1);
    assert_eq!(positions(&deliveries(&mut state)), [2, 3], "before what came later");
    assert_eq!(settle(&mut state, held[0].1, Settle::Done), [1]);
    assert_eq!(positions(&deliveries(&mut state)), [5]);
}

#[test]
fn a_message_that_comes_again_only_changes_its_handle() {
    let mut state = state(AMPLE);
    take_in(&mut state, Some("a"), [1, 2]);
    let held = deliveries(&mut state);
    let now = Instant::now();
    for handle in 10..13 {
        assert_eq!(state.receive(received(1, Some("a")), handle, now), None);
    }
    assert_eq!(
        state.receive(received(1, Some("a")), 13, now),
        Some(1),
        "the oldest of too many is given back"
    );
    assert!(filled(&mut state).is_empty(), "nobody is disturbed");
    assert_eq!(
        settle(&mut state, held[0].1, Settle::Done),
        [10, 11, 12, 13],
        "whichever the server knows it by"
    );
    assert_eq!(state.receive(received(1, Some("a")), 14, now), None, "what was settled is another delivery");
}

#[test]
fn what_is_held_for_too_long_is_given_back_with_all_of_its_key_behind_it() {
    let mut state = state(Credit { events: 3, ..AMPLE });
    let began = Instant::now();
    let mut at = |seconds: u32, position, key: &str| {
        state.receive(received(position, Some(key)), position, began + seconds * SECOND)
    };
    assert_eq!([at(0, 1, "a"), at(5, 2, "b"), at(6, 3, "a"), at(7, 4, "a")], [None; 4]);
    let held = deliveries(&mut state);
    state.note(held[0].1, Note { attempts: 3, first_ms: 7 });
    assert!(state.expire(began - SECOND, began).is_empty(), "nothing is old yet");
    let now = began + 60 * SECOND;
    let mut gone = state.expire(began, now);
    gone.sort_unstable();
    assert_eq!(gone, [1, 3, 4], "the old one, and its key's later ones, held or waiting");
    let revoked = filled(&mut state).into_iter().filter(|input| matches!(input, Input::Revoked(_))).count();
    assert_eq!(revoked, 2, "whoever held them is told; 2 stays, and 4 was never handed out");
    // What was sent before the server learnt of it does not overtake it.
    assert_eq!(state.receive(received(3, Some("a")), 30, now), Some(30));
    assert_eq!(state.receive(received(1, Some("a")), 10, now + SECOND), None);
    assert_eq!(state.receive(received(3, Some("a")), 31, now + SECOND), None);
    let notes: Vec<u32> = filled(&mut state)
        .into_iter()
        .filter_map(
            |input| if let Input::Delivery(delivery) = input { Some(delivery.note.attempts) } else { None },
        )
        .collect();
    assert_eq!(notes, [3, 0], "attempts are remembered");
}

#[test]
fn there_is_no_room_while_nobody_takes_anything() {
    let mut state = state(Credit { events: 0, ..AMPLE });
    let mut position = 0;
    while state.has_room() {
        take_in(&mut state, None, [position]);
        position += 1;
        assert!(position < 10_000, "the queue is bounded");
    }
    assert_eq!(state.waiting() as u64, position);
    state.set_credit(AMPLE);
    assert!(!deliveries(&mut state).is_empty());
    assert!(state.has_room());
}

#[test]
fn credit_in_bytes_lets_one_through_however_large() {
    let mut state = state(Credit { events: 10, bytes: 15 });
    take_in(&mut state, None, [1, 2, 3]);
    assert_eq!(positions(&deliveries(&mut state)), [1]);
    state.set_credit(Credit { events: 10, bytes: 20 });
    assert_eq!(positions(&deliveries(&mut state)), [2]);
}

#[test]
fn an_end_gives_everything_back_and_takes_nothing_more() {
    let mut state = state(Credit { events: 1, ..AMPLE });
    take_in(&mut state, Some("a"), [1, 2]);
    let held = deliveries(&mut state);
    let mut gone = state.end(Error::new(ErrorKind::Closed, "closed"));
    gone.sort_unstable();
    assert_eq!(gone, [1, 2]);
    assert_eq!(state.receive(received(3, None), 3, Instant::now()), Some(3));
    assert!(settle(&mut state, held[0].1, Settle::Done).is_empty() && filled(&mut state).is_empty());
    assert_eq!(state.ended().map_err(|error| error.kind), Err(ErrorKind::Closed));
}

#[test]
fn what_is_purged_is_acknowledged_and_told() {
    let mut state = state(Credit { events: 2, ..AMPLE });
    take_in(&mut state, Some("a"), [1, 2, 3]);
    assert_eq!(positions(&deliveries(&mut state)), [1, 2]);
    let chosen = [2, 3, 9].map(Position::Number);
    assert_eq!(state.purge(&chosen, Instant::now()), (2, vec![2, 3]), "held or waiting; 9 is not here");
    assert!(matches!(filled(&mut state)[..], [Input::Revoked(_)]));
    assert_eq!(state.purge(&chosen, Instant::now()), (0, Vec::new()));
}

#[test]
fn what_was_published_after_the_end_waits_aside() {
    let mut state: State<u64> = State::new(true, 2, AMPLE, 20 * SECOND);
    take_in(&mut state, None, 1..=4);
    assert_eq!(positions(&deliveries(&mut state)), [1, 2]);
    let gone = state.end(Error::new(ErrorKind::Closed, "closed"));
    assert_eq!(gone.len(), 4, "with the source it is given back, too");
}

#[test]
fn what_was_settled_is_known_again_until_it_is_taken_again() {
    let mut state = state(AMPLE);
    let began = Instant::now();
    take_in(&mut state, Some("a"), [1, 2, 3, 4]);
    let held = deliveries(&mut state);
    assert_eq!(settle(&mut state, held[0].1, Settle::Done), [1]);
    assert!(settle(&mut state, held[1].1, Settle::Release).is_empty());
    assert_eq!(state.purge(&[Position::Number(4)], Instant::now()), (1, vec![4]));
    let mut was_settled = |number, since, now| state.was_settled(&received(number, Some("a")), since, now);
    assert!(was_settled(1, began, Instant::now()) && was_settled(4, began, Instant::now()));
    assert!(![2, 3].iter().any(|number| was_settled(*number, began, Instant::now())), "they were given back");
    let later = Instant::now() + SECOND;
    assert!(!was_settled(1, later, later), "not since then");
    assert!(was_settled(1, began, later) && was_settled(1, later, later), "it was acknowledged anew");
    // Nobody knew of an outage when it came again, or somebody had moved the subscription's cursor.
    take_in(&mut state, Some("a"), [1]);
    assert!(!state.was_settled(&received(1, Some("a")), began, later), "it is to be settled again");
    state.expire(later, later);
    assert!(!state.was_settled(&received(1, Some("a")), began, later), "and has not been");
}

#[test]
fn what_was_settled_is_known_also_while_its_key_waits_for_what_was_given_back() {
    let mut state = state(AMPLE);
    let began = Instant::now();
    take_in(&mut state, Some("a"), [1, 2]);
    let held = deliveries(&mut state);
    settle(&mut state, held[0].1, Settle::Done);
    let now = Instant::now();
    assert_eq!(state.expire(now, now), [2], "the outage lasts");
    assert!(state.was_settled(&received(1, Some("a")), began, now), "it comes first, and is acknowledged");
    assert_eq!(state.receive(received(2, Some("a")), 20, now), None, "which the key waits for");
}
