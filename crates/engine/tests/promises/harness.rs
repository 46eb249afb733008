//! A shell of a few lines around the engine: a virtual clock, the open attempts, and all that was said.

use std::time::Duration;

use engine::{
    Action, Actions, AfterDeadLetter, Attempt, Breaker, DeadLetter, Engine, Input, Mode, Now, Ordering,
    Outcome, Policy, Retry, Scope, SourceId, Token, Transition, Window,
};

pub(crate) const SOURCE: SourceId = SourceId(0);
pub(crate) const ENDPOINT: Outcome = Outcome::Retry { scope: Scope::Endpoint, after: None };
pub(crate) const EVENT: Outcome = Outcome::Retry { scope: Scope::Event, after: None };
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The defaults of the configuration.
pub(crate) fn policy() -> Policy {
    Policy {
        ordering: Ordering::Key,
        concurrency: 64,
        mode: Mode::Single,
        retry: Retry {
            initial: Duration::from_millis(200),
            max: secs(300),
            max_attempts: 30,
            max_age: secs(86_400),
            retry_after_max: secs(300),
            budget_floor_per_second: 10,
            budget_ratio: 0.2,
        },
        breaker: Breaker {
            consecutive: 5,
            success_ratio: 0.2,
            over: secs(10),
            open: secs(1),
            open_max: secs(60),
            pause_probe: secs(300),
        },
        window: Window { initial: 4 },
        dead_letter: DeadLetter { max_per_minute: 100, after: AfterDeadLetter::Continue },
        buffer: 1000,
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) attempt: Attempt,
    pub(crate) tokens: Vec<Token>,
    pub(crate) probe: bool,
}

#[derive(Debug)]
pub(crate) struct Harness {
    pub(crate) engine: Engine,
    pub(crate) now: Duration,
    pub(crate) wall_ms: u64,
    /// Attempts that are open, in the order in which they began.
    pub(crate) open: Vec<Open>,
    /// What the last step said.
    pub(crate) said: Vec<Action>,
    /// All that was ever said.
    pub(crate) log: Vec<Action>,
    /// Tokens of all attempts, in order.
    pub(crate) sent: Vec<Token>,
    wake: Option<Duration>,
    actions: Actions,
    generation: u32,
}

impl Harness {
    pub(crate) fn new(policy: Policy) -> Self {
        let mut harness = Self {
            engine: Engine::new(policy, 42),
            now: secs(1000),
            wall_ms: 1_700_000_000_000,
            open: Vec::new(),
            said: Vec::new(),
            log: Vec::new(),
            sent: Vec::new(),
            wake: None,
            actions: Actions::default(),
            generation: 0,
        };
        harness.step(&[Input::SourceOpened(SOURCE)]);
        harness
    }

    pub(crate) fn step(&mut self, inputs: &[Input<'_>]) {
        self.actions.list.clear();
        self.actions.tokens.clear();
        let now = Now { monotonic: self.now, wall_ms: self.wall_ms };
        self.engine.step(now, inputs, &mut self.actions);
        self.said.clone_from(&self.actions.list);
        self.log.extend(self.actions.list.iter().cloned());
        for action in &self.actions.list {
            match action {
                Action::Attempt { attempt, first, count, probe } => {
                    let tokens = self.actions.tokens[*first as usize..(first + count) as usize].to_vec();
                    self.sent.extend(&tokens);
                    self.open.push(Open { attempt: *attempt, tokens, probe: *probe });
                }
                Action::Wake { at } => self.wake = Some(*at),
                _ => {}
            }
        }
    }

    pub(crate) fn token(&mut self, slot: u32) -> Token {
        self.generation += 1;
        Token { source: SOURCE, slot, generation: self.generation }
    }

    /// Deliveries in slots counted from `slot`, of these keys (0: none), in one step.
    pub(crate) fn arrive(&mut self, slot: u32, keys: &[u128]) -> Vec<Token> {
        let tokens: Vec<Token> = (slot..).take(keys.len()).map(|slot| self.token(slot)).collect();
        let inputs: Vec<Input<'_>> =
            tokens.iter().zip(keys).map(|(token, key)| arrived(*token, *key)).collect();
        self.step(&inputs);
        tokens
    }

    /// Answers the open attempt that carries this delivery, all its deliveries alike.
    pub(crate) fn answer(&mut self, token: Token, outcome: Outcome) {
        let at = self.open.iter().position(|open| open.tokens.contains(&token));
        let open = self.open.remove(at.expect("the delivery is in flight"));
        let outcomes = vec![outcome; open.tokens.len()];
        self.step(&[Input::Answered { attempt: open.attempt, outcomes: &outcomes, latency: LATENCY }]);
    }

    pub(crate) fn abandoned(&mut self, attempt: Attempt) {
        self.open.retain(|open| open.attempt != attempt);
        self.step(&[Input::Abandoned { attempt }]);
    }

    /// Lets time pass, ringing the timer when it is due, until `done` or the end.
    pub(crate) fn pass_until(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + time;
        while !done(self) {
            let Some(wake) = self.wake.filter(|wake| *wake <= end) else {
                self.tick(end);
                return done(self);
            };
            self.wake = None;
            self.tick(wake);
            self.step(&[Input::Woke]);
        }
        true
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.pass_until(time, |_| false);
    }

    /// Lets time pass until an attempt is open; its deliveries.
    pub(crate) fn next_attempt(&mut self, within: Duration) -> Open {
        assert!(self.pass_until(within, |h| !h.open.is_empty()), "no attempt within {within:?}");
        self.open[0].clone()
    }

    fn tick(&mut self, to: Duration) {
        let passed = to.saturating_sub(self.now);
        self.now += passed;
        self.wall_ms += passed.as_millis() as u64;
    }

    pub(crate) fn in_flight(&self) -> Vec<Token> {
        self.open.iter().flat_map(|open| open.tokens.clone()).collect()
    }

    pub(crate) fn said(&self, action: &Action) -> bool {
        self.log.contains(action)
    }

    pub(crate) fn told(&self, transition: Transition) -> bool {
        self.said(&Action::Transition(transition))
    }

    /// Attempts spent, as the broker was last told.
    pub(crate) fn noted(&self, token: Token) -> Option<(u32, u64)> {
        self.log.iter().rev().find_map(|action| match action {
            Action::Note { token: noted, attempts, first_ms } if *noted == token => {
                Some((*attempts, *first_ms))
            }
            _ => None,
        })
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Action) -> bool) -> usize {
        self.log.iter().filter(|action| wanted(action)).count()
    }

    pub(crate) fn letters(&self) -> Vec<(Token, engine::Reason, u32)> {
        let letter = |action: &Action| match action {
            Action::DeadLetter { token, reason, attempts, .. } => Some((*token, *reason, *attempts)),
            _ => None,
        };
        self.log.iter().filter_map(letter).collect()
    }
}

pub(crate) fn arrived(token: Token, key: u128) -> Input<'static> {
    Input::Arrived { token, key: (key != 0).then_some(key), attempts: 0, first_ms: 0 }
}
