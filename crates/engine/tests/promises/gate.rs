use engine::{Action, App, Input, Outcome, PausedBy, Transition};

use crate::harness::{EVENT, Harness, policy, secs};

#[test]
fn nothing_is_sent_while_the_app_is_down_and_what_is_in_flight_may_end() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1]);
    h.step(&[Input::App(App::Down)]);
    h.answer(tokens[0], Outcome::Done);
    h.pass(secs(3600));
    assert!(h.open.is_empty() && h.said(&Action::Done { token: tokens[0] }));
    h.step(&[Input::App(App::Up)]);
    assert_eq!(h.in_flight(), [tokens[1]]);
}

#[test]
fn an_operators_pause_holds_everything_until_resumed() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1]);
    h.answer(tokens[0], EVENT);
    h.step(&[Input::Pause]);
    h.step(&[Input::Pause]);
    h.arrive(1, &[2]);
    h.pass(secs(3600));
    assert!(h.open.is_empty());
    assert_eq!(h.engine.status().paused, Some(PausedBy::Operator));
    h.step(&[Input::Resume]);
    assert_eq!(h.in_flight().len(), 2);
    let told = |transition| h.count(|action| *action == Action::Transition(transition));
    assert_eq!((told(Transition::PausedByOperator), told(Transition::Resumed)), (1, 1));
}

#[test]
fn a_410_pauses_until_a_probe_succeeds_and_loses_nothing() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 2]);
    h.answer(tokens[0], Outcome::Pause);
    h.answer(tokens[1], Outcome::Pause);
    assert!(h.told(Transition::PausedByAnswer));
    assert_eq!(h.engine.status().paused, Some(PausedBy::Answer));
    for _ in 0..3 {
        assert!(!h.pass_until(secs(299), |h| !h.open.is_empty()), "it is asked every five minutes only");
        let probe = h.next_attempt(secs(1));
        assert!(probe.probe);
        h.answer(probe.tokens[0], Outcome::Pause);
    }
    let probe = h.next_attempt(secs(300));
    h.answer(probe.tokens[0], Outcome::Done);
    assert!(h.told(Transition::Resumed));
    assert_eq!(h.in_flight().len(), 1, "the other one follows");
    assert_eq!(h.count(|action| matches!(action, Action::Note { .. })), 0, "nothing was spent");
}

#[test]
fn an_operator_ends_a_pause_by_answer() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1]);
    h.answer(tokens[0], Outcome::Pause);
    h.step(&[Input::Resume]);
    assert_eq!(h.in_flight(), tokens);
}

#[test]
fn a_drain_starts_nothing_lets_open_attempts_end_and_releases_the_rest_tails_last_first() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1, 1, 2, 0, 0, 0]);
    assert_eq!(h.in_flight().len(), 4);
    h.step(&[Input::Drain]);
    assert!(!h.said(&Action::Drained));
    let open = h.in_flight();
    h.answer(tokens[0], Outcome::Done);
    h.answer(tokens[3], EVENT);
    for token in open.iter().filter(|token| token.slot > 3) {
        assert!(!h.said(&Action::Drained), "an attempt is open");
        h.answer(*token, EVENT);
    }
    let released: Vec<u32> = h
        .said
        .iter()
        .filter_map(|action| match action {
            Action::Release { token } => Some(token.slot),
            _ => None,
        })
        .collect();
    assert_eq!(released.len(), 6, "all but the one that is done");
    let place = |slot: u32| released.iter().position(|s| *s == slot);
    assert!(place(2) < place(1), "the tail's last goes first: {released:?}");
    assert_eq!(h.said.iter().filter(|action| **action == Action::Drained).count(), 1);
    assert_eq!(h.engine.status().held, 0);
}

#[test]
fn a_drain_waits_for_a_letter_that_is_being_written() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 2]);
    h.answer(tokens[0], Outcome::DeadLetter);
    h.answer(tokens[1], Outcome::DeadLetter);
    h.step(&[Input::Drain]);
    h.step(&[Input::DeadLettered { token: tokens[0], written: true }]);
    assert!(!h.said(&Action::Drained));
    h.step(&[Input::DeadLettered { token: tokens[1], written: false }]);
    assert!(h.said(&Action::Done { token: tokens[0] }) && h.said(&Action::Release { token: tokens[1] }));
    assert!(h.said(&Action::Drained));
}

#[test]
fn what_arrives_during_a_drain_goes_back() {
    let mut h = Harness::new(policy());
    h.step(&[Input::Drain]);
    assert!(h.said(&Action::Drained));
    let tokens = h.arrive(0, &[1, 1]);
    assert!(h.open.is_empty());
    assert_eq!(h.said[..2], [Action::Release { token: tokens[1] }, Action::Release { token: tokens[0] }]);
}
