use engine::{Action, Input, Outcome, SourceId, Token};

use crate::harness::{EVENT, Harness, SOURCE, arrived, policy, secs};

#[test]
fn a_revoked_delivery_that_waits_vanishes_from_its_lane() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1]);
    h.step(&[Input::Revoked { token: tokens[1] }]);
    h.answer(tokens[0], Outcome::Done);
    assert!(h.open.is_empty());
    assert_eq!(h.engine.status().held, 0);
}

#[test]
fn a_revoked_delivery_in_flight_is_abandoned_and_its_lane_waits_for_the_connection_to_close() {
    let mut h = Harness::new(policy());
    let old = h.arrive(0, &[1])[0];
    let attempt = h.open[0].attempt;
    h.step(&[Input::Revoked { token: old }]);
    assert!(h.said(&Action::Abandon { attempt }));
    let new = h.arrive(1, &[1])[0];
    assert_eq!(h.in_flight(), [old], "the same record must not be in flight twice");
    h.abandoned(attempt);
    assert_eq!(h.in_flight(), [new]);
    assert!(!h.said(&Action::Done { token: old }));
}

#[test]
fn the_outcome_of_a_revoked_delivery_is_ignored() {
    let mut h = Harness::new(policy());
    let old = h.arrive(0, &[1])[0];
    h.step(&[Input::Revoked { token: old }]);
    let new = h.arrive(0, &[1])[0];
    h.answer(old, Outcome::Done);
    assert!(!h.said(&Action::Done { token: old }) && !h.said(&Action::Done { token: new }));
    assert_eq!(h.in_flight(), [new], "it is delivered under its new lease");
}

#[test]
fn where_an_earlier_delivery_is_revoked_later_ones_of_its_key_go_back_last_first() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1, 1]);
    let attempt = h.open[0].attempt;
    h.step(&[Input::Revoked { token: tokens[0] }]);
    h.abandoned(attempt);
    assert_eq!(h.said[..2], [Action::Release { token: tokens[2] }, Action::Release { token: tokens[1] }]);
    let again = h.arrive(0, &[1, 1, 1]);
    assert_eq!(h.in_flight(), [again[0]]);
}

#[test]
fn a_delivery_whose_letter_is_being_written_stays_when_a_later_one_of_its_key_is_revoked() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1, 1]);
    h.answer(tokens[0], Outcome::DeadLetter);
    h.step(&[Input::Revoked { token: tokens[1] }]);
    assert!(h.said(&Action::Release { token: tokens[2] }), "it must not pass the one that comes again");
    assert!(!h.said(&Action::Release { token: tokens[0] }), "its letter would stand beside it");
    let again = h.arrive(1, &[1, 1]);
    h.step(&[Input::DeadLettered { token: tokens[0], written: true }]);
    assert!(h.said(&Action::Done { token: tokens[0] }));
    assert_eq!(h.in_flight(), [again[0]], "the lane goes on");
}

#[test]
fn a_driver_that_revokes_a_keys_whole_tail_is_told_nothing() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1, 1]);
    let attempt = h.open[0].attempt;
    let revoked: Vec<Input<'_>> = tokens.iter().map(|token| Input::Revoked { token: *token }).collect();
    h.step(&revoked);
    let again = h.arrive(0, &[1, 1, 1]);
    h.abandoned(attempt);
    assert_eq!(h.count(|action| matches!(action, Action::Release { .. })), 0);
    assert_eq!(h.in_flight(), [again[0]]);
}

#[test]
fn what_stands_before_a_revoked_tail_stays_and_so_does_what_comes_after_it() {
    for backwards in [false, true] {
        let mut h = Harness::new(policy());
        h.step(&[Input::Pause]);
        let tokens = h.arrive(0, &[1, 1, 1, 1, 1]);
        let mut inputs: Vec<Input<'_>> =
            tokens[2..].iter().map(|token| Input::Revoked { token: *token }).collect();
        if backwards {
            inputs.reverse();
        }
        let again = Token { source: SOURCE, slot: 9, generation: 1 };
        inputs.push(arrived(again, 1));
        h.step(&inputs);
        h.step(&[Input::Resume]);
        assert_eq!(h.count(|action| matches!(action, Action::Release { .. })), 0);
        for token in [tokens[0], tokens[1], again] {
            assert_eq!(h.in_flight(), [token]);
            h.answer(token, Outcome::Done);
        }
    }
}

#[test]
fn behind_two_revoked_deliveries_all_goes_back_from_the_earlier_one_on() {
    for order in [[1, 3], [3, 1]] {
        let mut h = Harness::new(policy());
        h.step(&[Input::Pause]);
        let tokens = h.arrive(0, &[1, 1, 1, 1, 1]);
        h.step(&order.map(|at| Input::Revoked { token: tokens[at] }));
        let released: Vec<Action> = [4, 2].map(|at| Action::Release { token: tokens[at] }).into();
        assert_eq!(h.said[..2], released);
        h.step(&[Input::Resume]);
        assert_eq!(h.in_flight(), [tokens[0]], "nothing was revoked before it");
    }
}

#[test]
fn a_slot_that_is_handed_out_again_ends_its_older_lease() {
    let mut h = Harness::new(policy());
    let old = h.arrive(0, &[1])[0];
    let new = h.arrive(0, &[2])[0];
    h.answer(old, Outcome::Done);
    assert!(!h.said(&Action::Done { token: old }));
    h.answer(new, Outcome::Done);
    assert!(h.said(&Action::Done { token: new }));
}

#[test]
fn a_source_that_closes_takes_its_deliveries_along_and_no_others() {
    let mut h = Harness::new(policy());
    let redrive = SourceId(1);
    h.step(&[Input::SourceOpened(redrive)]);
    let tokens = h.arrive(0, &[1, 2]);
    let letters: Vec<Token> = (0..2).map(|slot| Token { source: redrive, slot, generation: 1 }).collect();
    h.step(&[arrived(letters[0], 3), arrived(letters[1], 1)]);
    let attempt = h.open[2].attempt;
    h.step(&[Input::SourceClosed(redrive)]);
    assert!(h.said(&Action::Abandon { attempt }));
    h.answer(letters[0], Outcome::Done);
    h.answer(tokens[0], Outcome::Done);
    h.answer(tokens[1], Outcome::Done);
    assert_eq!(h.count(|action| matches!(action, Action::Done { .. })), 2);
    assert_eq!((h.engine.status().held, h.engine.status().lanes, h.open.len()), (0, 0, 0));
    h.step(&[Input::SourceOpened(redrive), arrived(letters[0], 3)]);
    assert_eq!(h.in_flight(), [letters[0]], "its number may be used again");
}

#[test]
fn a_lost_connection_that_nobody_asked_for_spends_nothing() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    let attempt = h.open[0].attempt;
    h.abandoned(attempt);
    assert_eq!(h.next_attempt(secs(1)).tokens, [token]);
    assert_eq!(h.noted(token), None);
}

#[test]
fn a_retry_of_a_revoked_delivery_never_comes_up() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    h.answer(token, EVENT);
    h.step(&[Input::Revoked { token }]);
    assert_eq!(h.engine.status().retrying, 0);
    h.pass(secs(600));
    assert!(h.open.is_empty());
    let again = Token { source: SOURCE, slot: 0, generation: token.generation + 9 };
    h.step(&[Input::Arrived { token: again, key: Some(1), attempts: 1, first_ms: 5 }]);
    assert_eq!(h.in_flight(), [again]);
}
