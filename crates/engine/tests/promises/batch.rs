use engine::{Action, Input, Mode, Outcome, Policy, Window};

use crate::harness::{EVENT, Harness, LATENCY, policy, secs};

fn batch(events: u32) -> Policy {
    Policy { mode: Mode::Batch { events }, concurrency: 1, ..policy() }
}

fn outcomes(h: &mut Harness, outcomes: &[Outcome]) {
    let open = h.open.remove(0);
    h.step(&[Input::Answered { attempt: open.attempt, outcomes, latency: LATENCY }]);
}

#[test]
fn a_batch_gathers_across_lanes_and_takes_a_key_only_as_a_contiguous_run() {
    let mut h = Harness::new(batch(5));
    let blocker = h.arrive(0, &[9])[0];
    let tokens = h.arrive(1, &[1, 1, 2, 0, 0, 1, 3]);
    h.answer(blocker, Outcome::Done);
    let sent = h.in_flight();
    assert_eq!(sent.len(), 5);
    let of_key_1: Vec<_> = sent.iter().filter(|t| [tokens[0], tokens[1], tokens[5]].contains(t)).collect();
    assert!(of_key_1.windows(2).all(|pair| pair[0].slot < pair[1].slot), "in order: {sent:?}");
    h.answer(sent[0], Outcome::Done);
    assert_eq!(h.in_flight().len(), 2, "the rest follows");
}

#[test]
fn each_delivery_of_a_batch_has_its_own_outcome() {
    let mut h = Harness::new(batch(3));
    let blocker = h.arrive(0, &[9])[0];
    let tokens = h.arrive(1, &[1, 1, 1, 1]);
    h.answer(blocker, Outcome::Done);
    assert_eq!(h.in_flight(), tokens[..3]);
    outcomes(&mut h, &[Outcome::Done, EVENT, Outcome::DeadLetter]);
    assert!(h.said(&Action::Done { token: tokens[0] }));
    assert_eq!(h.letters().len(), 1);
    h.step(&[Input::DeadLettered { token: tokens[2], written: true }]);
    let open = h.next_attempt(secs(1));
    assert_eq!(open.tokens, [tokens[1]], "what failed by itself goes alone, and before its successors");
    h.answer(tokens[1], Outcome::Done);
    assert_eq!(h.in_flight(), [tokens[3]]);
}

#[test]
fn a_batch_that_still_carries_a_living_lease_goes_on_and_otherwise_is_abandoned() {
    let mut h = Harness::new(batch(2));
    let blocker = h.arrive(0, &[9])[0];
    let tokens = h.arrive(1, &[1, 2]);
    h.answer(blocker, Outcome::Done);
    let attempt = h.open[0].attempt;
    h.step(&[Input::Revoked { token: tokens[0] }]);
    assert!(!h.said(&Action::Abandon { attempt }));
    let again = h.arrive(5, &[1])[0];
    assert_eq!(h.open.len(), 1, "its lane waits for the attempt");
    outcomes(&mut h, &[Outcome::Done, Outcome::Done]);
    assert!(h.said(&Action::Done { token: tokens[1] }) && !h.said(&Action::Done { token: tokens[0] }));
    assert_eq!(h.in_flight(), [again]);
    let attempt = h.open[0].attempt;
    h.step(&[Input::Revoked { token: again }]);
    assert!(h.said(&Action::Abandon { attempt }));
}

#[test]
fn too_few_outcomes_lose_no_delivery() {
    let mut h = Harness::new(batch(2));
    let blocker = h.arrive(0, &[9])[0];
    let tokens = h.arrive(1, &[1, 2]);
    h.answer(blocker, Outcome::Done);
    outcomes(&mut h, &[Outcome::Done]);
    assert_eq!(h.next_attempt(secs(1)).tokens, [tokens[1]]);
}

#[test]
fn what_has_to_go_alone_has_its_turn_among_deliveries_without_a_key() {
    let mut h = Harness::new(Policy { concurrency: 2, window: Window { initial: 2 }, ..batch(3) });
    let tokens = h.arrive(0, &[1, 1]);
    h.answer(tokens[0], EVENT);
    assert_eq!(h.next_attempt(secs(1)).tokens, [tokens[0]]);
    // Its wait is over before the one ahead of it has ended.
    h.pass_until(secs(5), |_| false);
    h.arrive(2, &[0; 6]);
    h.answer(tokens[0], Outcome::Done);
    let goes = |h: &Harness| h.open.iter().any(|open| open.tokens == [tokens[1]]);
    for round in 0..10 {
        if goes(&h) {
            return;
        }
        h.arrive(100 + 3 * round, &[0; 3]);
        h.answer(h.open[0].tokens[0], Outcome::Done);
    }
    panic!("ten batches of deliveries without a key went ahead of it, and more would");
}
