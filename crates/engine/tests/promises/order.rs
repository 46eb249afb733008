use engine::{Action, Input, Ordering, Outcome, Policy};

use crate::harness::{EVENT, Harness, policy, secs};

fn wide() -> Policy {
    Policy { window: engine::Window { initial: 64 }, ..policy() }
}

#[test]
fn a_keys_events_go_one_after_another_in_arrival_order() {
    let mut h = Harness::new(wide());
    let tokens = h.arrive(0, &[7, 7, 7]);
    for token in tokens {
        assert_eq!(h.in_flight(), [token], "one of the key at a time");
        h.answer(token, Outcome::Done);
        assert!(h.said(&Action::Done { token }));
    }
    assert!(h.open.is_empty());
}

#[test]
fn a_lane_whose_head_waits_for_a_retry_waits_and_others_go_on() {
    let mut h = Harness::new(wide());
    let tokens = h.arrive(0, &[1, 1, 2, 2, 0]);
    h.answer(tokens[0], EVENT);
    h.answer(tokens[2], Outcome::Done);
    assert_eq!(h.in_flight(), [tokens[4], tokens[3]], "key 1 waits, key 2 and the keyless one go on");
    h.answer(tokens[3], Outcome::Done);
    h.answer(tokens[4], Outcome::Done);
    assert_eq!(h.next_attempt(secs(1)).tokens, [tokens[0]], "the head is retried before its successor");
    h.answer(tokens[0], Outcome::Done);
    assert_eq!(h.in_flight(), [tokens[1]]);
}

#[test]
fn events_without_a_key_are_free() {
    let mut h = Harness::new(wide());
    let tokens = h.arrive(0, &[0; 10]);
    assert_eq!(h.in_flight(), tokens);
}

#[test]
fn ordering_none_makes_every_event_free() {
    let mut h = Harness::new(Policy { ordering: Ordering::None, ..wide() });
    let tokens = h.arrive(0, &[5; 10]);
    assert_eq!(h.in_flight(), tokens);
}

#[test]
fn ready_lanes_take_turns() {
    let mut h = Harness::new(Policy { concurrency: 1, ..policy() });
    // A busy key and three that have one event each.
    let tokens = h.arrive(0, &[1, 1, 1, 1, 2, 3, 4]);
    let mut order = Vec::new();
    while let Some(open) = h.open.first().cloned() {
        order.push(tokens.iter().position(|t| *t == open.tokens[0]).unwrap());
        h.answer(open.tokens[0], Outcome::Done);
    }
    assert_eq!(order, [0, 4, 5, 6, 1, 2, 3], "the busy key goes to the back after each of its events");
}

#[test]
fn keyless_events_and_lanes_take_turns() {
    let mut h = Harness::new(Policy { concurrency: 1, ..policy() });
    let tokens = h.arrive(0, &[0, 0, 0, 1, 2, 3]);
    let mut order = Vec::new();
    while let Some(open) = h.open.first().cloned() {
        order.push(tokens.iter().position(|t| *t == open.tokens[0]).unwrap());
        h.answer(open.tokens[0], Outcome::Done);
    }
    assert_eq!(order, [0, 3, 1, 4, 2, 5]);
}

#[test]
fn a_retry_in_time_neither_starves_first_attempts_nor_is_starved() {
    let mut h = Harness::new(Policy { concurrency: 1, ..policy() });
    let tokens = h.arrive(0, &[1, 2, 3, 4]);
    h.answer(tokens[0], EVENT);
    h.answer(tokens[1], EVENT);
    h.now += secs(1);
    h.answer(tokens[2], Outcome::Done);
    let mut order = Vec::new();
    while let Some(open) = h.open.first().cloned() {
        order.push(tokens.iter().position(|t| *t == open.tokens[0]).unwrap());
        h.answer(open.tokens[0], Outcome::Done);
    }
    assert_eq!(order.len(), 3);
    assert_ne!(order[0] < 2, order[1] < 2, "one retry, one first attempt, in turn: {order:?}");
}

#[test]
fn a_change_of_ordering_takes_effect_with_the_next_arrival() {
    let mut h = Harness::new(wide());
    let old = h.arrive(0, &[1, 1]);
    let free = Policy { ordering: Ordering::None, ..wide() };
    h.step(&[Input::Reconfigure(Box::new(free))]);
    let new = h.arrive(2, &[1, 1]);
    assert_eq!(h.in_flight(), [old[0], new[0], new[1]], "what stands in a lane stays in it");
}
