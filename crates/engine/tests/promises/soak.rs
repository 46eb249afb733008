//! The engine under a random world: the same seed says the same, buffers stop growing, nothing is stranded.

use std::time::Duration;

use engine::{Action, Actions, App, Engine, Input, Now, Outcome, Scope, SourceId, Token};

use crate::harness::{SOURCE, policy};

struct World {
    engine: Engine,
    random: fastrand::Rng,
    now: Duration,
    actions: Actions,
    open: Vec<(engine::Attempt, Vec<Token>)>,
    free: Vec<u32>,
    used: u32,
    held: Vec<Token>,
    lettering: Vec<Token>,
    recalled: Vec<Token>,
    credit: u32,
    generation: u32,
    trace: String,
    done: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            engine: Engine::new(policy(), seed),
            random: fastrand::Rng::with_seed(seed),
            now: Duration::from_secs(1),
            actions: Actions::default(),
            open: Vec::new(),
            free: Vec::new(),
            used: 0,
            held: Vec::new(),
            lettering: Vec::new(),
            recalled: Vec::new(),
            credit: 0,
            generation: 0,
            trace: String::new(),
            done: 0,
        };
        world.step(&[Input::SourceOpened(SOURCE)]);
        world
    }

    fn step(&mut self, inputs: &[Input<'_>]) {
        self.actions.list.clear();
        self.actions.tokens.clear();
        let now = Now { monotonic: self.now, wall_ms: self.now.as_millis() as u64 };
        self.engine.step(now, inputs, &mut self.actions);
        self.trace.push_str(&format!("{:?}", self.actions));
        for action in std::mem::take(&mut self.actions.list) {
            match action {
                Action::Attempt { attempt, first, count, .. } => {
                    let tokens = self.actions.tokens[first as usize..(first + count) as usize].to_vec();
                    let late = tokens.iter().find(|token| self.recalled.contains(token));
                    assert_eq!(late, None, "it was recalled before its attempt began");
                    self.open.push((attempt, tokens));
                }
                Action::Done { token } | Action::Release { token } => {
                    self.done += 1;
                    self.settle(token);
                }
                Action::DeadLetter { token, .. } => self.lettering.push(token),
                Action::Credit { events, .. } => self.credit = events,
                _ => {}
            }
        }
    }

    fn settle(&mut self, token: Token) {
        let at = self.held.iter().position(|held| *held == token).expect("only held leases are settled");
        self.held.swap_remove(at);
        self.free.push(token.slot);
    }

    fn event(&mut self, sick: bool) {
        self.now += Duration::from_millis(self.random.u64(0..50));
        match self.random.u32(..100) {
            0..50 if (self.held.len() as u32) < self.credit => self.arrive(),
            50..90 if !self.open.is_empty() => self.answer(sick),
            90..92 if !self.held.is_empty() => {
                let token = self.held[self.random.usize(..self.held.len())];
                self.recalled.push(token);
                self.step(&[Input::Recalled { token }]);
            }
            92..94 if !self.held.is_empty() => {
                let token = self.held[self.random.usize(..self.held.len())];
                self.step(&[Input::Revoked { token }]);
                self.settle(token);
            }
            94..97 if !self.lettering.is_empty() => {
                let token = self.lettering.swap_remove(self.random.usize(..self.lettering.len()));
                let written = self.random.bool();
                self.step(&[Input::DeadLettered { token, written }]);
            }
            97 if sick => self.step(&[Input::App(App::Down)]),
            98 => self.step(&[Input::App(App::Up), Input::Resume]),
            _ => self.step(&[Input::Woke]),
        }
    }

    fn arrive(&mut self) {
        let slot = self.free.pop().unwrap_or(self.used);
        self.used = self.used.max(slot + 1);
        self.generation += 1;
        let token = Token { source: SourceId(0), slot, generation: self.generation };
        self.held.push(token);
        let key = Some(u128::from(self.random.u32(..30))).filter(|key| *key > 0);
        self.step(&[Input::Arrived { token, key, attempts: 0, first_ms: 0 }]);
    }

    fn answer(&mut self, sick: bool) {
        let (attempt, _) = self.open.swap_remove(self.random.usize(..self.open.len()));
        let scope = if self.random.bool() { Scope::Endpoint } else { Scope::Event };
        let outcome = match self.random.u32(..20) {
            0..6 if sick => Outcome::Retry { scope, after: None },
            6 if sick => Outcome::Retry { scope, after: Some(Duration::from_millis(30)) },
            7 if sick => Outcome::Unreached,
            8 if sick => Outcome::DeadLetter,
            9 if sick => Outcome::Pause,
            _ => Outcome::Done,
        };
        let latency = Duration::from_millis(self.random.u64(1..20));
        self.step(&[Input::Answered { attempt, outcomes: &[outcome], latency }]);
    }
}

#[test]
fn the_same_seed_and_inputs_give_the_same_actions_byte_for_byte() {
    let run = |seed| {
        let mut world = World::new(seed);
        (0..5_000).for_each(|_| world.event(true));
        world.trace
    };
    for seed in 0..4 {
        assert!(run(seed) == run(seed), "seed {seed}");
    }
    assert!(run(1) != run(2));
}

#[test]
fn nothing_is_stranded_once_the_world_is_well() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        (0..2_000).for_each(|_| world.event(true));
        for _ in 0..200_000 {
            world.now += Duration::from_millis(20);
            match world.open.pop() {
                Some((attempt, _)) => {
                    world.step(&[Input::Answered {
                        attempt,
                        outcomes: &[Outcome::Done],
                        latency: Duration::from_millis(5),
                    }]);
                }
                None => world.step(&[Input::Woke, Input::App(App::Up), Input::Resume]),
            }
            if let Some(token) = world.lettering.pop() {
                world.step(&[Input::DeadLettered { token, written: true }]);
            }
            if world.held.is_empty() {
                break;
            }
        }
        let status = world.engine.status();
        assert!(world.held.is_empty(), "seed {seed}: {:?} left, {status:?}", world.held);
        assert_eq!(
            (status.held, status.in_flight, status.lanes, status.retrying),
            (0, 0, 0, 0),
            "seed {seed}"
        );
    }
}
