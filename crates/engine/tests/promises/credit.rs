use engine::{Action, App, Input, Outcome, SourceId, Transition};

use crate::harness::{ENDPOINT, EVENT, Harness, SOURCE, arrived, policy, secs};

fn credit(h: &Harness, source: SourceId) -> u32 {
    let granted = |action: &Action| match action {
        Action::Credit { source: of, events } if *of == source => Some(*events),
        _ => None,
    };
    h.log.iter().rev().find_map(granted).unwrap_or(0)
}

#[test]
fn no_more_is_read_than_the_window_can_use() {
    let mut h = Harness::new(policy());
    assert!((4..=40).contains(&credit(&h, SOURCE)), "{}", credit(&h, SOURCE));
    let keys: Vec<u128> = (1..=16).collect();
    h.arrive(0, &keys);
    assert!(credit(&h, SOURCE) < 60, "sixteen keys are ready, that is enough: {}", credit(&h, SOURCE));
}

#[test]
fn read_ahead_grows_behind_stuck_lanes_up_to_the_buffer() {
    let mut h = Harness::new(policy());
    let stuck = h.arrive(0, &[1])[0];
    h.answer(stuck, EVENT);
    let (mut held, mut words) = (1, 0);
    while held < credit(&h, SOURCE) {
        let before = credit(&h, SOURCE);
        let keys = vec![1; (before - held) as usize];
        h.arrive(held, &keys);
        held = before;
        words += 1;
    }
    assert_eq!(held, 1000, "the buffer");
    assert!(words < 60, "in a few large steps: {words}");
}

#[test]
fn a_full_buffer_behind_a_stuck_lane_is_told_and_so_is_its_end() {
    let mut h = Harness::new(engine::Policy { buffer: 20, ..policy() });
    let stuck = h.arrive(0, &[1; 20]);
    h.answer(stuck[0], EVENT);
    assert!(h.told(Transition::Stuck { longest: Some(stuck[0]), events: 20 }));
    let status = h.engine.status();
    assert_eq!((status.stuck[0].token, status.stuck[0].attempts, status.stuck[0].waiting), (stuck[0], 1, 19));
    h.next_attempt(secs(1));
    for token in &stuck {
        assert_eq!(
            h.count(|a| matches!(a, Action::Transition(Transition::Stuck { longest: Some(_), .. }))),
            1
        );
        h.answer(*token, Outcome::Done);
    }
    assert!(h.told(Transition::Stuck { longest: None, events: 0 }));
}

#[test]
fn nothing_is_read_while_paused_or_while_the_breaker_is_open() {
    let mut h = Harness::new(policy());
    h.arrive(0, &[1, 2, 3, 4, 5, 6, 7, 8]);
    for _ in 0..5 {
        let open = h.next_attempt(secs(1));
        h.answer(open.tokens[0], ENDPOINT);
    }
    assert_eq!(credit(&h, SOURCE), 0, "the breaker is open");
    let mut h = Harness::new(policy());
    h.step(&[Input::Pause]);
    assert_eq!(credit(&h, SOURCE), 0);
    h.step(&[Input::Resume]);
    assert!(credit(&h, SOURCE) > 0);
    h.step(&[Input::App(App::Down)]);
    assert_eq!(credit(&h, SOURCE), 0);
}

#[test]
fn an_open_breaker_with_nothing_held_reads_one_to_probe() {
    let mut h = Harness::new(policy());
    let tokens = h.arrive(0, &[1, 2, 3, 4, 5]);
    for _ in 0..5 {
        let open = h.next_attempt(secs(1));
        h.answer(open.tokens[0], ENDPOINT);
    }
    let revoked: Vec<Input<'_>> = tokens.iter().map(|token| Input::Revoked { token: *token }).collect();
    h.step(&revoked);
    assert_eq!(credit(&h, SOURCE), 1);
}

#[test]
fn a_second_source_is_never_starved_by_the_first() {
    let mut h = Harness::new(engine::Policy { buffer: 100, ..policy() });
    let stuck = h.arrive(0, &[1; 100]);
    h.answer(stuck[0], EVENT);
    h.step(&[Input::SourceOpened(SourceId(1))]);
    assert!(credit(&h, SourceId(1)) >= 16);
    h.step(&[arrived(engine::Token { source: SourceId(1), slot: 0, generation: 1 }, 9)]);
    assert_eq!(h.in_flight().len(), 1);
}
