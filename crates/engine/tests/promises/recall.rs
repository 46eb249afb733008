//! A lease that is recalled goes back in good order: what is under way ends, and nothing else begins.

use engine::{Action, Input, Mode, Outcome, Policy, SourceId, Token};

use crate::harness::{ENDPOINT, EVENT, Harness, LATENCY, SOURCE, arrived, policy, secs};

fn recall(h: &mut Harness, token: Token) {
    h.step(&[Input::Recalled { token }]);
}

/// What was released, in that order.
fn released(h: &Harness) -> Vec<Token> {
    let token = |action: &Action| match action {
        Action::Release { token } => Some(*token),
        _ => None,
    };
    h.log.iter().filter_map(token).collect()
}

/// An hour passes, and nothing is sent any more.
fn expect_silence(h: &mut Harness) {
    let sent = h.sent.len();
    h.pass(secs(3600));
    assert_eq!(h.sent.len(), sent, "a recalled delivery was attempted: {:?}", h.sent.last());
}

#[test]
fn a_recalled_delivery_that_waits_for_its_lane_goes_back_at_once_with_its_tail_last_first() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1, 1, 1]);
    recall(&mut h, tokens[1]);
    assert_eq!(released(&h), [tokens[3], tokens[2], tokens[1]]);
    assert_eq!(h.in_flight(), [tokens[0]], "the head was not recalled");
    h.answer(tokens[0], EVENT);
    assert_eq!(h.next_attempt(secs(1)).tokens, [tokens[0]], "and is tried again");
}

#[test]
fn what_the_source_handed_out_before_it_knows_of_a_release_goes_back_too() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1]);
    // Handed out behind the recalled one, and heard of in the same step: its lease ends with that one's.
    let later = Token { source: SOURCE, slot: 2, generation: 1 };
    h.step(&[Input::Recalled { token: tokens[1] }, arrived(later, 1)]);
    assert_eq!(released(&h), [later, tokens[1]]);
    h.answer(tokens[0], Outcome::Done);
    expect_silence(&mut h);
}

#[test]
fn a_recalled_head_in_flight_ends_in_done_and_its_tail_has_gone_back() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 1, 1]);
    recall(&mut h, tokens[0]);
    assert_eq!(released(&h), [tokens[2], tokens[1]]);
    assert_eq!(h.count(|action| matches!(action, Action::Abandon { .. })), 0, "its attempt goes on");
    h.answer(tokens[0], Outcome::Done);
    assert!(h.said(&Action::Done { token: tokens[0] }));
    assert_eq!((h.engine.status().held, h.engine.status().lanes), (0, 0));
    expect_silence(&mut h);
}

#[test]
fn a_recalled_head_whose_attempt_fails_goes_back_with_its_attempt_counted() {
    for failure in [EVENT, ENDPOINT] {
        let mut h = Harness::new(policy());
        let token = h.arrive(0, &[1])[0];
        recall(&mut h, token);
        h.answer(token, failure);
        assert_eq!(h.noted(token).map(|(attempts, _)| attempts), Some(1));
        let said: Vec<_> =
            h.said.iter().filter(|a| matches!(a, Action::Note { .. } | Action::Release { .. })).collect();
        assert!(matches!(said[..], [Action::Note { .. }, Action::Release { .. }]), "in this order: {said:?}");
        assert_eq!(h.engine.status().held, 0);
        expect_silence(&mut h);
    }
}

#[test]
fn an_attempt_that_spends_nothing_sends_a_recalled_delivery_back_all_the_same() {
    for outcome in [Outcome::Unreached, Outcome::Pause] {
        for key in [0, 1] {
            let mut h = Harness::new(policy());
            let token = h.arrive(0, &[key])[0];
            recall(&mut h, token);
            h.answer(token, outcome);
            assert_eq!((released(&h), h.noted(token)), (vec![token], None), "{outcome:?}");
            expect_silence(&mut h);
        }
    }
}

#[test]
fn a_recalled_delivery_that_backs_off_goes_back_at_once() {
    for key in [0, 1] {
        let mut h = Harness::new(policy());
        let token = h.arrive(0, &[key])[0];
        h.answer(token, EVENT);
        assert_eq!(h.engine.status().retrying, 1);
        recall(&mut h, token);
        assert_eq!((released(&h), h.engine.status().retrying), (vec![token], 0));
        expect_silence(&mut h);
    }
}

#[test]
fn a_recalled_delivery_that_waits_for_the_breaker_or_an_operator_goes_back_at_once() {
    let mut h = Harness::new(policy());
    let keys: Vec<u128> = (1..=5).collect();
    let tokens = h.arrive(0, &keys);
    let parked = h.arrive(5, &[0, 6]);
    for token in tokens {
        h.answer(token, ENDPOINT);
    }
    let waiting: Vec<Token> = parked
        .into_iter()
        .filter(|token| !h.in_flight().contains(token) && !h.sent.contains(token))
        .collect();
    for token in &waiting {
        recall(&mut h, *token);
    }
    assert_eq!(released(&h), waiting);

    let mut h = Harness::new(policy());
    h.step(&[Input::Pause]);
    let tokens = h.arrive(0, &[0, 1, 1]);
    for token in &tokens {
        recall(&mut h, *token);
    }
    assert_eq!(
        released(&h),
        [tokens[0], tokens[2], tokens[1]],
        "a later word about the tail changes nothing"
    );
    assert_eq!(h.engine.status().ignored, 0, "nor is it an error");
}

#[test]
fn a_letter_under_way_is_written_and_the_delivery_is_done() {
    for key in [0, 1] {
        let mut h = Harness::new(policy());
        let token = h.arrive(0, &[key])[0];
        h.answer(token, Outcome::DeadLetter);
        recall(&mut h, token);
        assert_eq!(released(&h), []);
        h.step(&[Input::DeadLettered { token, written: true }]);
        assert!(h.said(&Action::Done { token }));
    }
}

#[test]
fn an_attempt_that_condemns_a_recalled_delivery_still_has_its_letter_written() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    recall(&mut h, token);
    h.answer(token, Outcome::DeadLetter);
    assert_eq!(h.letters().len(), 1);
    h.step(&[Input::DeadLettered { token, written: true }]);
    assert!(h.said(&Action::Done { token }));
    assert_eq!(h.engine.status().held, 0);
}

#[test]
fn a_letter_that_cannot_be_written_sends_a_recalled_delivery_back() {
    for key in [0, 1] {
        for recalled_first in [true, false] {
            let mut h = Harness::new(policy());
            let token = h.arrive(0, &[key])[0];
            h.answer(token, Outcome::DeadLetter);
            let recalled = Input::Recalled { token };
            let failed = Input::DeadLettered { token, written: false };
            for input in if recalled_first { [recalled, failed] } else { [failed, recalled] } {
                h.step(&[input]);
            }
            assert_eq!(released(&h), [token]);
            h.pass(secs(600));
            assert_eq!(h.letters().len(), 1, "no other letter is begun");
            assert_eq!(h.engine.status().dead_lettering, 0);
        }
    }
}

#[test]
fn nothing_of_the_key_begins_until_a_recalled_head_is_gone_and_other_keys_go_on() {
    let mut h = Harness::new(policy());
    let head = h.arrive(0, &[1])[0];
    recall(&mut h, head);
    // The driver may have given up the hand-over, and hands out again.
    let later = h.arrive(1, &[1, 2]);
    assert_eq!(h.in_flight(), [head, later[1]]);
    h.answer(head, Outcome::Done);
    assert_eq!(h.in_flight(), [later[1], later[0]], "its own lease was never recalled");
}

#[test]
fn what_was_handed_out_behind_a_recalled_head_goes_back_with_it() {
    let mut h = Harness::new(policy());
    let head = h.arrive(0, &[1])[0];
    recall(&mut h, head);
    let later = h.arrive(1, &[1, 1]);
    h.answer(head, EVENT);
    assert_eq!(released(&h), [later[1], later[0], head], "a release ends the leases behind it");
    expect_silence(&mut h);
}

fn batch_of(h: &mut Harness, keys: &[u128]) -> Vec<Token> {
    let blocker = h.arrive(0, &[9])[0];
    let tokens = h.arrive(1, keys);
    h.answer(blocker, Outcome::Done);
    tokens
}

fn answer_each(h: &mut Harness, outcomes: &[Outcome]) {
    let open = h.open.remove(0);
    h.step(&[Input::Answered { attempt: open.attempt, outcomes, latency: LATENCY }]);
}

#[test]
fn a_batch_ends_each_of_its_recalled_deliveries_by_its_own_outcome() {
    let batch = Policy { mode: Mode::Batch { events: 4 }, concurrency: 1, ..policy() };
    let mut h = Harness::new(batch);
    let tokens = batch_of(&mut h, &[1, 1, 1, 0, 1]);
    assert_eq!(h.in_flight().len(), 4);
    recall(&mut h, tokens[1]);
    assert_eq!(released(&h), [tokens[4]], "the rest is in flight");
    let of = |token: &Token| match tokens.iter().position(|it| it == token) {
        Some(1 | 2) => EVENT,
        _ => Outcome::Done,
    };
    let outcomes: Vec<Outcome> = h.in_flight().iter().map(of).collect();
    answer_each(&mut h, &outcomes);
    assert_eq!(released(&h)[1..], [tokens[2], tokens[1]]);
    assert!(h.said(&Action::Done { token: tokens[0] }) && h.said(&Action::Done { token: tokens[3] }));
    expect_silence(&mut h);
}

#[test]
fn a_release_waits_for_a_letter_behind_it_in_its_key() {
    let mut h = Harness::new(Policy { mode: Mode::Batch { events: 2 }, concurrency: 1, ..policy() });
    let tokens = batch_of(&mut h, &[1, 1]);
    recall(&mut h, tokens[0]);
    answer_each(&mut h, &[EVENT, Outcome::DeadLetter]);
    assert_eq!(released(&h), [], "it would end the lease of what is being dead-lettered");
    expect_silence(&mut h);
    h.step(&[Input::DeadLettered { token: tokens[1], written: true }]);
    assert!(h.said(&Action::Done { token: tokens[1] }));
    assert_eq!(released(&h), [tokens[0]]);
}

#[test]
fn what_is_left_of_a_recall_is_revoked_as_ever() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    let attempt = h.open[0].attempt;
    recall(&mut h, token);
    h.step(&[Input::Revoked { token }]);
    assert!(h.said(&Action::Abandon { attempt }));
    let again = h.arrive(0, &[1])[0];
    h.abandoned(attempt);
    assert_eq!(h.in_flight(), [again], "the lane is free of the recall");
    assert_eq!(released(&h), []);
}

#[test]
fn a_recalled_probe_in_flight_still_closes_the_breaker() {
    let mut h = Harness::new(policy());
    let keys: Vec<u128> = (1..=5).collect();
    for token in h.arrive(0, &keys) {
        h.answer(token, ENDPOINT);
    }
    let probe = h.next_attempt(secs(60));
    assert!(probe.probe);
    recall(&mut h, probe.tokens[0]);
    h.answer(probe.tokens[0], Outcome::Done);
    assert_eq!(h.engine.status().breaker, engine::BreakerState::Closed);
    assert!(h.pass_until(secs(60), |h| !h.open.is_empty()), "the others go on");
}

#[test]
fn what_was_recalled_makes_room_for_other_events() {
    let mut h = Harness::new(Policy { buffer: 20, ..policy() });
    let stuck = h.arrive(0, &[1; 20]);
    h.answer(stuck[0], EVENT);
    recall(&mut h, stuck[0]);
    assert_eq!(released(&h).len(), 20);
    let granted = h.log.iter().rev().find_map(|action| match action {
        Action::Credit { source: SOURCE, events } => Some(*events),
        _ => None,
    });
    assert!(granted.is_some_and(|events| (1..=20).contains(&events)), "{granted:?}");
    assert_eq!(h.arrive(0, &[1, 2]), h.in_flight());
}

#[test]
fn a_recall_of_an_unknown_lease_does_nothing() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    recall(&mut h, Token { generation: token.generation + 1, ..token });
    recall(&mut h, Token { source: SourceId(7), ..token });
    assert_eq!((h.in_flight(), h.engine.status().ignored), (vec![token], 0));
}

/// A lane is one over the sources of its subscription.
#[test]
fn what_waited_for_a_letter_behind_it_goes_back_when_that_is_revoked() {
    let redrive = SourceId(1);
    let mut h = Harness::new(Policy { mode: Mode::Batch { events: 2 }, concurrency: 1, ..policy() });
    let blocker = h.arrive(0, &[9])[0];
    let event = h.token(1);
    let letter = Token { source: redrive, slot: 0, generation: 1 };
    h.step(&[Input::SourceOpened(redrive), arrived(event, 1), arrived(letter, 1)]);
    h.answer(blocker, Outcome::Done);
    let open = h.open.remove(0);
    assert_eq!(open.tokens, [event, letter], "both in one attempt");
    let outcomes = [EVENT, Outcome::DeadLetter];
    h.step(&[Input::Answered { attempt: open.attempt, outcomes: &outcomes, latency: LATENCY }]);
    recall(&mut h, event);
    assert!(released(&h).is_empty(), "the letter behind it is being written");
    h.step(&[Input::Revoked { token: letter }]);
    assert_eq!(released(&h), [event]);
}
