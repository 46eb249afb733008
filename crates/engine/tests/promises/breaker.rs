use std::time::Duration;

use engine::{Action, App, BreakerState, Input, Outcome, Policy, Scope, Transition};

use crate::harness::{ENDPOINT, EVENT, Harness, policy, secs};

fn wide() -> Policy {
    Policy { window: engine::Window { initial: 16 }, ..policy() }
}

/// A harness whose breaker has just opened on `keys` lanes of two deliveries each.
fn opened(keys: u32) -> Harness {
    let mut h = Harness::new(wide());
    let keys: Vec<u128> = (1..=u128::from(keys)).chain(1..=u128::from(keys)).collect();
    h.arrive(0, &keys);
    while h.engine.status().breaker == BreakerState::Closed {
        let open = h.next_attempt(secs(60));
        h.answer(open.tokens[0], ENDPOINT);
    }
    while let Some(open) = h.open.first().cloned() {
        h.answer(open.tokens[0], ENDPOINT);
    }
    h
}

#[test]
fn five_endpoint_failures_in_a_row_open_it_and_the_one_that_opens_it_spends_nothing() {
    let mut h = Harness::new(wide());
    let tokens = h.arrive(0, &[1, 2, 3, 4, 5, 6]);
    for token in &tokens[..4] {
        h.answer(*token, ENDPOINT);
        assert_eq!(h.noted(*token).map(|n| n.0), Some(1));
    }
    assert_eq!(h.engine.status().breaker, BreakerState::Closed);
    h.answer(tokens[4], ENDPOINT);
    assert_eq!(h.engine.status().breaker, BreakerState::Open);
    assert_eq!(h.noted(tokens[4]), None, "it is not closed after counting it");
    h.answer(tokens[5], ENDPOINT);
    assert_eq!(h.noted(tokens[5]), None, "nor is one spent that ends while it is open");
}

#[test]
fn what_failed_and_waits_for_the_breaker_is_named_as_stuck_all_the_while() {
    let mut h = opened(6);
    for _ in 0..100 {
        h.pass(Duration::from_millis(20));
        assert_eq!(h.engine.status().stuck.len(), 4, "those that spent an attempt, retrying, due or probed");
        assert_ne!(h.engine.status().breaker, BreakerState::Closed);
        while let Some(open) = h.open.first().cloned() {
            h.answer(open.tokens[0], ENDPOINT);
        }
    }
}

#[test]
fn a_success_starts_the_count_anew() {
    let mut policy = wide();
    policy.breaker.success_ratio = 0.0;
    let mut h = Harness::new(policy);
    let keys: Vec<u128> = (1..=12).collect();
    let tokens = h.arrive(0, &keys);
    for (i, token) in tokens.iter().enumerate() {
        h.answer(*token, if i % 4 == 3 { Outcome::Done } else { ENDPOINT });
    }
    assert_eq!(h.engine.status().breaker, BreakerState::Closed);
}

#[test]
fn event_failures_open_it_only_by_ratio_over_five_distinct_deliveries() {
    let mut h = Harness::new(wide());
    let poisoned = h.arrive(0, &[1])[0];
    for _ in 0..20 {
        h.next_attempt(secs(300));
        h.answer(poisoned, EVENT);
        assert_eq!(h.engine.status().breaker, BreakerState::Closed, "one poisoned event opens nothing");
    }
    let others = h.arrive(1, &[2, 3, 4, 5, 6]);
    for token in others {
        h.answer(token, EVENT);
    }
    assert_eq!(h.engine.status().breaker, BreakerState::Open);
}

#[test]
fn while_it_is_open_nothing_is_sent_but_one_probe_at_a_time_each_of_another_lane() {
    let mut h = opened(6);
    let mut lanes = Vec::new();
    for _ in 0..6 {
        let open = h.next_attempt(secs(60));
        assert!(open.probe && h.open.len() == 1, "one probe at a time");
        h.pass(secs(120));
        assert_eq!(h.open.len(), 1, "and none beside it");
        lanes.push(open.tokens[0].slot % 6);
        h.answer(open.tokens[0], ENDPOINT);
    }
    assert!(lanes.windows(2).all(|pair| pair[0] != pair[1]), "another lane than the last probe: {lanes:?}");
}

#[test]
fn probes_spend_nothing() {
    let mut h = opened(2);
    let notes = h.count(|action| matches!(action, Action::Note { .. }));
    for _ in 0..50 {
        let open = h.next_attempt(secs(60));
        h.answer(open.tokens[0], EVENT);
    }
    assert_eq!(h.count(|action| matches!(action, Action::Note { .. })), notes);
    assert!(h.letters().is_empty(), "an outage floods no dead letters");
}

#[test]
fn a_probe_that_succeeds_closes_it_and_the_window_starts_over() {
    let mut h = opened(30);
    let probe = h.next_attempt(secs(60));
    h.answer(probe.tokens[0], Outcome::Done);
    assert!(h.told(Transition::BreakerClosed));
    assert_eq!(h.in_flight().len(), 16, "the window is back at its initial size");
    assert!(h.open.iter().all(|open| !open.probe));
}

#[test]
fn a_poisoned_lane_cannot_keep_it_open() {
    let mut h = opened(3);
    for _ in 0..10 {
        let probe = h.next_attempt(secs(60));
        let poisoned = probe.tokens[0].slot.is_multiple_of(3);
        h.answer(probe.tokens[0], if poisoned { ENDPOINT } else { Outcome::Done });
        if h.engine.status().breaker == BreakerState::Closed {
            return;
        }
    }
    panic!("another lane would have closed it");
}

#[test]
fn where_every_lane_that_is_held_was_probed_in_vain_more_is_read_to_find_another() {
    let mut h = Harness::new(wide());
    let tokens = h.arrive(0, &[1; 10]);
    while h.engine.status().breaker == BreakerState::Closed {
        let open = h.next_attempt(secs(60));
        h.answer(open.tokens[0], ENDPOINT);
    }
    let probe = h.next_attempt(secs(60));
    h.answer(probe.tokens[0], ENDPOINT);
    let probe = h.next_attempt(secs(60));
    assert_eq!(probe.tokens, [tokens[0]], "there is no other lane");
    h.answer(probe.tokens[0], ENDPOINT);
    let credit = h.log.iter().rev().find_map(|action| match action {
        Action::Credit { events, .. } => Some(*events),
        _ => None,
    });
    assert!(credit.is_some_and(|credit| credit > 10), "{credit:?}");
}

#[test]
fn an_attempt_that_began_before_it_opened_spends_nothing_even_after_it_has_closed_again() {
    let mut h = Harness::new(wide());
    let tokens = h.arrive(0, &[1, 2, 3, 4, 5, 6, 7]);
    for token in &tokens[1..6] {
        h.answer(*token, ENDPOINT);
    }
    h.answer(tokens[6], Outcome::Done);
    assert!(h.pass_until(secs(60), |h| h.open.iter().any(|open| open.probe)));
    let probe = h.open.iter().find(|open| open.probe).unwrap().tokens[0];
    h.answer(probe, Outcome::Done);
    assert_eq!(h.engine.status().breaker, BreakerState::Closed);
    h.answer(tokens[0], EVENT);
    assert_eq!(h.noted(tokens[0]), None);
}

#[test]
fn an_app_that_comes_back_is_probed_at_once() {
    let mut h = opened(2);
    for _ in 0..8 {
        let open = h.next_attempt(secs(60));
        h.answer(open.tokens[0], ENDPOINT);
    }
    h.step(&[Input::App(App::Down)]);
    h.pass(secs(1));
    h.step(&[Input::App(App::Up)]);
    assert!(h.open.first().is_some_and(|open| open.probe));
}

#[test]
fn a_429_in_a_row_does_not_open_it() {
    let mut h = Harness::new(wide());
    let token = h.arrive(0, &[1])[0];
    for _ in 0..10 {
        h.next_attempt(secs(300));
        h.answer(token, Outcome::Retry { scope: Scope::Endpoint, after: Some(Duration::from_millis(10)) });
    }
    assert_eq!(h.engine.status().breaker, BreakerState::Closed);
}

#[test]
fn poisoned_lanes_alone_cannot_keep_healthy_ones_from_being_read() {
    let mut h = Harness::new(wide());
    h.arrive(0, &[1, 2, 3, 4, 5, 6]);
    let (mut held, mut healthy) = (6, 0);
    for _ in 0..30 {
        let open = h.next_attempt(secs(60));
        let poisoned = open.tokens[0].slot < 6;
        h.answer(open.tokens[0], if poisoned { EVENT } else { Outcome::Done });
        healthy += u32::from(!poisoned);
        let credit = h.log.iter().rev().find_map(|action| match action {
            Action::Credit { events, .. } => Some(*events),
            _ => None,
        });
        // The broker has healthy events behind the poisoned ones, and hands out what it is granted.
        while held < credit.unwrap_or(0).min(40) {
            h.arrive(held, &[u128::from(held) + 100]);
            held += 1;
        }
    }
    assert!(healthy > 0);
    assert_eq!(h.engine.status().breaker, BreakerState::Closed);
}

#[test]
fn a_probe_whose_lease_ends_is_followed_by_another() {
    let mut h = opened(3);
    let probe = h.next_attempt(secs(60));
    h.step(&[Input::Revoked { token: probe.tokens[0] }]);
    assert!(h.said(&Action::Abandon { attempt: probe.attempt }));
    h.abandoned(probe.attempt);
    assert!(h.open.first().is_some_and(|open| open.probe), "it gave no verdict: the next may begin at once");
}
