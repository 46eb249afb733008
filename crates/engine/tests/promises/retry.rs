use std::time::Duration;

use engine::{Action, Input, Outcome, Policy, Reason, Retry, Scope, Transition};

use crate::harness::{ENDPOINT, EVENT, Harness, LATENCY, arrived, policy, secs};

fn retry(change: impl Fn(&mut Retry)) -> Policy {
    let mut policy = policy();
    change(&mut policy.retry);
    policy
}

#[test]
fn every_spent_attempt_is_noted_with_the_time_of_the_first() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    let first = h.wall_ms;
    h.now += secs(1);
    h.wall_ms += 1000;
    h.answer(token, EVENT);
    assert_eq!(h.noted(token), Some((1, first)), "the first attempt began when it was sent");
    h.next_attempt(secs(1));
    h.answer(token, EVENT);
    assert_eq!(h.noted(token), Some((2, first)));
}

#[test]
fn max_attempts_counts_every_spent_post_the_first_included() {
    let mut h = Harness::new(retry(|retry| retry.max_attempts = 3));
    let token = h.arrive(0, &[1])[0];
    for spent in 1..=3 {
        h.next_attempt(secs(10));
        assert!(h.letters().is_empty(), "after {} attempts", spent - 1);
        h.answer(token, EVENT);
    }
    assert_eq!(h.letters(), [(token, Reason::AttemptsUsedUp, 3)]);
}

#[test]
fn attempts_that_the_broker_remembers_count() {
    let mut h = Harness::new(policy());
    let token = h.token(0);
    let first_ms = h.wall_ms - 5000;
    h.step(&[Input::Arrived { token, key: Some(1), attempts: 29, first_ms }]);
    h.answer(token, EVENT);
    assert_eq!(h.letters(), [(token, Reason::AttemptsUsedUp, 30)]);
    assert_eq!(h.noted(token), Some((30, first_ms)));
}

#[test]
fn max_age_runs_from_the_first_spent_attempt_and_is_judged_only_when_one_is_spent() {
    let mut h = Harness::new(policy());
    let token = h.token(0);
    let first_ms = h.wall_ms - 48 * 3_600_000;
    h.step(&[Input::Arrived { token, key: Some(1), attempts: 1, first_ms }]);
    assert!(h.letters().is_empty(), "age alone gives nothing up");
    h.answer(token, Outcome::Unreached);
    assert!(h.letters().is_empty(), "an attempt that spends nothing judges no age");
    h.next_attempt(secs(10));
    h.answer(token, EVENT);
    assert_eq!(h.letters(), [(token, Reason::TooOld, 2)]);
}

#[test]
fn a_wall_clock_that_is_set_back_ages_nothing_and_breaks_no_timer() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    h.answer(token, EVENT);
    h.wall_ms -= 3_600_000;
    h.next_attempt(secs(1));
    h.answer(token, EVENT);
    assert!(h.letters().is_empty());
    h.next_attempt(secs(1));
}

#[test]
fn an_attempt_that_did_not_reach_the_app_spends_nothing_and_is_repeated() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    for _ in 0..100 {
        h.next_attempt(secs(300));
        h.answer(token, Outcome::Unreached);
    }
    assert_eq!((h.noted(token), h.letters().len()), (None, 0));
}

#[test]
fn waiting_for_the_retry_budget_spends_nothing_while_first_attempts_go_on() {
    let mut policy = retry(|retry| {
        retry.budget_floor_per_second = 1;
        retry.budget_ratio = 0.0;
    });
    policy.breaker.success_ratio = 0.0;
    policy.window.initial = 64;
    let mut h = Harness::new(policy);
    let keys: Vec<u128> = (1..=40).collect();
    for token in h.arrive(0, &keys) {
        h.answer(token, EVENT);
    }
    h.pass(secs(1));
    assert_eq!(
        h.in_flight().len(),
        11,
        "a floor of one a second: ten seconds' worth at once, and one in the next"
    );
    let spent = h.count(|action| matches!(action, Action::Note { .. }));
    let fresh = h.arrive(100, &[1000, 1001]);
    assert!(fresh.iter().all(|token| h.in_flight().contains(token)), "first attempts proceed");
    assert_eq!(h.count(|action| matches!(action, Action::Note { .. })), spent);
    h.pass(secs(10));
    assert_eq!(h.in_flight().len(), 23, "and one in each of the next ten, beside the two first attempts");
}

#[test]
fn a_retry_after_with_endpoint_scope_holds_the_whole_subscription_and_closes_the_window() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 2, 3, 4, 5, 6]);
    let until = h.now + secs(30);
    h.answer(tokens[0], Outcome::Retry { scope: Scope::Endpoint, after: Some(secs(30)) });
    assert!(h.told(Transition::Held { until }));
    for token in &tokens[1..4] {
        h.answer(*token, Outcome::Done);
    }
    assert!(!h.pass_until(until - h.now - Duration::from_millis(1), |h| !h.open.is_empty()), "it holds");
    h.pass(Duration::from_millis(1));
    assert_eq!(h.in_flight().len(), 1, "one at a time after that");
}

#[test]
fn a_retry_after_is_capped() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    h.answer(token, Outcome::Retry { scope: Scope::Endpoint, after: Some(secs(86_400)) });
    h.next_attempt(secs(300));
}

#[test]
fn a_retry_after_with_event_scope_delays_that_event_alone() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 2]);
    h.answer(tokens[0], Outcome::Retry { scope: Scope::Event, after: Some(secs(60)) });
    assert_eq!(h.in_flight(), [tokens[1]]);
    h.answer(tokens[1], Outcome::Done);
    assert!(!h.pass_until(Duration::from_millis(59_999), |h| !h.open.is_empty()));
    assert_eq!(h.next_attempt(Duration::from_millis(1)).tokens, [tokens[0]]);
}

#[test]
fn retries_wait_by_full_jitter_that_doubles() {
    let mut longest = [Duration::ZERO; 6];
    for seed in 0..200 {
        let mut h = Harness::new(retry(|retry| retry.budget_floor_per_second = 1000));
        h.engine = engine::Engine::new(policy(), seed);
        h.step(&[Input::SourceOpened(crate::harness::SOURCE)]);
        let token = h.arrive(0, &[1])[0];
        for longest in &mut longest {
            h.answer(token, EVENT);
            let failed = h.now;
            h.next_attempt(secs(100));
            *longest = (*longest).max(h.now - failed);
        }
    }
    for (n, longest) in longest.iter().enumerate() {
        let cap = Duration::from_millis(200 << n);
        assert!(*longest <= cap && *longest > cap * 9 / 10, "retry {n}: {longest:?} of at most {cap:?}");
    }
}

#[test]
fn endpoint_failures_halve_the_window_and_successes_open_it() {
    let mut h = Harness::new(policy());
    let keys: Vec<u128> = (1..=200).collect();
    h.arrive(0, &keys);
    for _ in 0..60 {
        let token = h.open[0].tokens[0];
        h.answer(token, Outcome::Done);
    }
    assert_eq!(h.engine.status().window, 64, "slow start on success");
    let token = h.open[0].tokens[0];
    h.answer(token, ENDPOINT);
    assert_eq!(h.engine.status().window, 32);
}

#[test]
fn inputs_about_what_is_unknown_are_ignored_and_counted() {
    let mut h = Harness::new(policy());
    let token = h.arrive(0, &[1])[0];
    let other = engine::Token { generation: token.generation + 1, ..token };
    let attempt = h.open[0].attempt;
    let far = engine::Token { slot: u32::MAX, ..token };
    let closed = engine::Token { source: engine::SourceId(200), ..token };
    h.step(&[
        Input::Revoked { token: other },
        Input::DeadLettered { token, written: true },
        Input::Answered {
            attempt: engine::Attempt(attempt.0 + 1),
            outcomes: &[Outcome::Done],
            latency: LATENCY,
        },
        Input::Abandoned { attempt: engine::Attempt(u64::MAX) },
        arrived(token, 1),
        arrived(far, 1),
        arrived(closed, 1),
        Input::Woke,
    ]);
    assert_eq!((h.said.len(), h.engine.status().ignored), (0, 7), "{:?}", h.said);
    h.answer(token, Outcome::Done);
    assert!(h.said(&Action::Done { token }));
}
