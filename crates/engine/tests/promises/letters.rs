use engine::{
    Action, AfterDeadLetter, Input, Outcome, PausedBy, Policy, Reason, SourceId, Token, Transition,
};

use crate::harness::{EVENT, Harness, arrived, policy, secs};

const REDRIVE: SourceId = SourceId(1);

fn letters(max_per_minute: u32, after: AfterDeadLetter) -> Policy {
    Policy { dead_letter: engine::DeadLetter { max_per_minute, after }, ..policy() }
}

#[test]
fn a_condemned_delivery_is_held_until_its_letter_is_durable_and_its_lane_waits() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1]);
    h.answer(tokens[0], Outcome::DeadLetter);
    assert_eq!(h.letters(), [(tokens[0], Reason::Answered, 1)]);
    assert!(h.open.is_empty() && !h.said(&Action::Done { token: tokens[0] }));
    h.step(&[Input::DeadLettered { token: tokens[0], written: true }]);
    assert!(h.said(&Action::Done { token: tokens[0] }));
    assert_eq!(h.in_flight(), [tokens[1]], "then the lane goes on");
}

#[test]
fn a_letter_that_cannot_be_written_is_tried_again_for_ever_and_nothing_is_sent_meanwhile() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1]);
    h.answer(tokens[0], Outcome::DeadLetter);
    for writes in 1..50 {
        assert_eq!(h.letters().len(), writes);
        h.step(&[Input::DeadLettered { token: tokens[0], written: false }]);
        h.pass(secs(301));
    }
    assert!(
        h.open.is_empty()
            && h.count(|action| matches!(action, Action::Done { .. } | Action::Release { .. })) == 0
    );
    h.step(&[Input::DeadLettered { token: tokens[0], written: true }]);
    assert_eq!(h.in_flight(), [tokens[1]]);
}

#[test]
fn after_a_dead_letter_a_lane_may_be_told_to_stand_still_until_an_operator_resumes() {
    let mut h = Harness::new(letters(100, AfterDeadLetter::Pause));
    let tokens = h.arrive(0, &[1, 2]);
    h.answer(tokens[0], Outcome::DeadLetter);
    h.step(&[Input::DeadLettered { token: tokens[0], written: true }]);
    h.answer(tokens[1], Outcome::Done);
    let later = h.arrive(0, &[1, 2]);
    assert_eq!(
        h.in_flight(),
        [later[1]],
        "key 1 stands still, though it was empty for a while; key 2 goes on"
    );
    h.step(&[Input::Resume]);
    assert_eq!(h.in_flight(), [later[1], later[0]]);
}

#[test]
fn more_letters_by_answer_than_the_rate_allows_pause_the_subscription_and_lose_nothing() {
    let mut h = Harness::new(letters(2, AfterDeadLetter::Continue));
    let tokens = h.arrive(0, &[1, 2, 3, 4, 5]);
    for token in &tokens[..3] {
        h.answer(*token, Outcome::DeadLetter);
    }
    assert_eq!(h.letters().len(), 2);
    assert!(h.told(Transition::PausedByDeadLetters));
    assert_eq!(h.engine.status().paused, Some(PausedBy::DeadLetters));
    h.pass(secs(3600));
    assert_eq!(h.in_flight(), tokens[3..], "nothing new is sent");
    h.step(&[Input::Resume]);
    assert!(h.told(Transition::Resumed));
    assert!(h.in_flight().contains(&tokens[2]), "it kept its place");
}

#[test]
fn letters_for_used_up_attempts_are_not_limited_by_the_answers_rate() {
    let mut policy = letters(0, AfterDeadLetter::Continue);
    policy.retry.max_attempts = 1;
    let mut h = Harness::new(policy);
    let tokens = h.arrive(0, &[1, 2, 3]);
    for token in tokens {
        h.answer(token, EVENT);
    }
    assert_eq!(h.letters().len(), 3);
    assert_eq!(h.engine.status().paused, None);
}

#[test]
fn a_revoked_delivery_whose_letter_is_under_way_is_not_settled() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1]);
    h.answer(tokens[0], Outcome::DeadLetter);
    h.step(&[Input::Revoked { token: tokens[0] }]);
    h.step(&[Input::DeadLettered { token: tokens[0], written: true }]);
    assert!(!h.said(&Action::Done { token: tokens[0] }));
    assert_eq!(h.engine.status().held, 0);
}

/// Two events of a key, of which the first finds no room for its letter, and a redrive of the same key's letters.
fn without_room(h: &mut Harness) -> ([Token; 2], [Token; 2]) {
    let events = h.arrive(0, &[1, 1]);
    h.answer(events[0], Outcome::DeadLetter);
    let letters = [0, 1].map(|slot| Token { source: REDRIVE, slot, generation: 1 });
    h.step(&[Input::SourceOpened(REDRIVE), arrived(letters[0], 1)]);
    assert!(h.open.is_empty(), "nothing passes a letter that is being written");
    h.step(&[Input::DeadLettered { token: events[0], written: false }]);
    assert_eq!(h.in_flight(), letters[..1]);
    h.step(&[arrived(letters[1], 1)]);
    ([events[0], events[1]], letters)
}

#[test]
fn letters_that_are_redriven_pass_what_waits_for_the_room_that_they_make() {
    let mut h = Harness::new(policy());
    let (events, letters) = without_room(&mut h);
    h.pass(secs(3600));
    assert_eq!(
        (h.letters().len(), h.in_flight()),
        (1, vec![letters[0]]),
        "one at a time, and no letter meanwhile"
    );
    h.answer(letters[0], EVENT);
    assert_eq!(h.next_attempt(secs(301)).tokens, [letters[0]], "in their order");
    h.answer(letters[0], Outcome::Done);
    assert_eq!(h.in_flight(), [letters[1]]);
    h.answer(letters[1], Outcome::Done);
    assert!(h.open.is_empty(), "what is later goes on waiting");
    assert_eq!(h.letters().len(), 2, "now there may be room");
    h.step(&[Input::DeadLettered { token: events[0], written: true }]);
    assert_eq!(h.in_flight(), events[1..]);
}

#[test]
fn what_letters_have_passed_goes_back_without_them() {
    let released = |h: &Harness| -> Vec<Token> {
        let token = |action: &Action| match action {
            Action::Release { token } => Some(*token),
            _ => None,
        };
        h.said.iter().filter_map(token).collect()
    };
    let mut h = Harness::new(policy());
    let (events, letters) = without_room(&mut h);
    h.step(&[Input::Recalled { token: events[0] }, Input::Recalled { token: events[1] }]);
    assert_eq!((released(&h), h.in_flight()), (vec![events[1], events[0]], vec![letters[0]]));
    h.answer(letters[0], Outcome::Done);
    assert_eq!(h.in_flight(), letters[1..]);

    let mut h = Harness::new(policy());
    let (events, _) = without_room(&mut h);
    h.step(&[Input::SourceClosed(REDRIVE)]);
    assert!(released(&h).is_empty() && h.said(&Action::Abandon { attempt: h.open[0].attempt }));
    assert_eq!(h.letters().len(), 2, "nothing stands before it any more");
    h.abandoned(h.open[0].attempt);
    h.step(&[Input::DeadLettered { token: events[0], written: true }]);
    assert_eq!(h.in_flight(), events[1..]);
}
