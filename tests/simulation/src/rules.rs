//! What the engine may do at each step, written down a second time and independently: the reference that its actions
//! are held against. Where the checker sees that an event got lost, these see the decision that loses it.
//!
//! - **E1** A delivery is done only after its success or its durable letter, and then at once.
//! - **E2** An attempt carries living leases, of a key the first ones it holds, in order; nothing that was recalled.
//!   What was recalled and has not begun goes back at once, or as soon as nothing behind it in its lane is under way,
//!   be that of another source (a redrive's letter): a lane goes back from its end. What is under way is never released.
//!   The letters of a redrive may pass what waits for room for its own.
//! - **E3** Nothing begins while the app is down, a pause, a drain or a `Retry-After` holds. That is capped, and drained
//!   is only what has nothing left.
//! - **E4** So many failures in a row open the breaker; open, it lets one probe through at a time, never too soon, each of
//!   another key; a good probe closes it.
//! - **E5** An attempt is spent, and noted, exactly where the breaker was closed from its beginning to after its count.
//! - **E6** A letter is written where attempts or age are used up or an answer says so; not sooner, not later, and not more
//!   often than the rate allows. Where the policy says so, its lane then stands still.
//! - **E7** The window bounds what is open, halves when the endpoint fails, falls to one at a `Retry-After`, grows again.
//! - **E8** Ready lanes go in turn; retries keep to their budget; a timer is armed for what waits.
//! - **E9** No more is held than the buffer allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{AfterDeadLetter, App, Attempt, Input, Mode, Now, Outcome, Policy, Reason, Token, Transition};

use super::budget::Budget;
use super::shell::{Held, Life, State};

/// What a source may hold though another one's leases fill the buffer.
pub(super) const SOURCE_MIN: usize = 16;

/// What is known of an engine without looking into it.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) policy: Policy,
    pub(super) now: Now,
    pub(super) broken: Vec<String>,
    pub(super) attempts: BTreeMap<Attempt, Began>,
    /// Attempts begun so far.
    pub(super) serial: u64,
    pub(super) gate: Gate,
    pub(super) breaker: Breaker,
    pub(super) window: Window,
    pub(super) budget: Budget,
    /// Letters that answers caused since the operator last resumed, and when that was.
    pub(super) letters: (u32, Duration),
    /// How many attempts had begun when something of a key last ended.
    pub(super) lanes: BTreeMap<u128, u64>,
    /// The most that any policy of this process allowed.
    pub(super) buffer_most: u32,
    pub(super) rate_most: u32,
    pub(super) held_most: usize,
    pub(super) lanes_most: usize,
    /// Keys that stand still after a letter until the operator resumes.
    pub(super) stopped: BTreeSet<u128>,
    /// Some policy lets lanes stand still after a letter.
    pub(super) lanes_stop: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Began {
    pub(super) probe: bool,
    pub(super) epoch: u32,
    pub(super) wall_ms: u64,
    pub(super) serial: u64,
    pub(super) tokens: Vec<Token>,
    pub(super) keys: Vec<u128>,
    pub(super) abandoned: bool,
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) app_down: bool,
    pub(super) operator: bool,
    pub(super) letters: bool,
    pub(super) answer: bool,
    pub(super) draining: bool,
    pub(super) hold_until: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Breaker {
    pub(super) open: bool,
    /// Rises whenever what began before no longer counts.
    pub(super) epoch: u32,
    pub(super) in_a_row: u32,
    pub(super) failures: u32,
    /// No probe before this time, unless something changed for the better.
    pub(super) probe_at: Duration,
    pub(super) probe_free: bool,
    pub(super) last_probe: Option<u128>,
}

#[derive(Debug)]
pub(super) struct Window {
    pub(super) told: u32,
    /// Attempts with a lower serial began before it last shrank.
    pub(super) recovery: u64,
    /// Successes that should have made it grow, since it last changed.
    pub(super) stalled: u32,
}

/// What one step heard and said.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) answered: Option<Answered>,
    pub(super) written: Vec<(Token, bool)>,
    pub(super) done: Vec<Token>,
    pub(super) notes: Vec<(Token, u32, u64)>,
    pub(super) letters: Vec<(Token, Reason, u32)>,
    pub(super) opened: bool,
    pub(super) closed: bool,
    pub(super) held_until: Option<Duration>,
    pub(super) window_before: u32,
    pub(super) began: bool,
}

#[derive(Debug)]
pub(super) struct Answered {
    pub(super) began: Began,
    pub(super) outcome: Outcome,
    /// Its deliveries whose leases live, as they were.
    pub(super) living: Vec<(Token, Held)>,
    /// How many attempts were open, itself included.
    pub(super) open: usize,
    /// The serial that the next attempt would have had.
    pub(super) serial: u64,
    /// The breaker was closed from the attempt's beginning on.
    pub(super) counts: bool,
}

impl Rules {
    pub(super) fn new(policy: &Policy) -> Self {
        let told = policy.window.initial.clamp(1, policy.concurrency.max(1));
        let mut rules = Self {
            policy: policy.clone(),
            now: Now { monotonic: Duration::ZERO, wall_ms: 0 },
            broken: Vec::new(),
            attempts: BTreeMap::new(),
            serial: 0,
            gate: Gate::default(),
            breaker: Breaker::default(),
            window: Window { told, recovery: 0, stalled: 0 },
            budget: Budget::default(),
            letters: (0, Duration::ZERO),
            lanes: BTreeMap::new(),
            buffer_most: 0,
            rate_most: 0,
            held_most: 0,
            lanes_most: 0,
            stopped: BTreeSet::new(),
            lanes_stop: false,
        };
        rules.reconfigured(policy);
        rules
    }

    fn reconfigured(&mut self, policy: &Policy) {
        self.buffer_most = self.buffer_most.max(policy.buffer);
        self.rate_most = self.rate_most.max(policy.dead_letter.max_per_minute);
        self.lanes_stop |= policy.dead_letter.after == AfterDeadLetter::Pause;
        self.budget.inexact |= policy.mode != Mode::Single;
        self.policy = policy.clone();
    }

    pub(super) fn begun(&self) -> u64 {
        self.serial
    }

    /// Something of a key has ended: what is next of it is ready from now on.
    pub(super) fn lane_moved(&mut self, key: Option<u128>) {
        if let Some(key) = key {
            self.lanes.insert(key, self.serial);
        }
    }

    /// Nothing of a key is held any more: the engine has forgotten that it probed it.
    pub(super) fn lane_ended(&mut self, key: u128) {
        if self.breaker.last_probe == Some(key) {
            self.breaker.last_probe = None;
        }
    }

    pub(super) fn breaks(&mut self, rule: &str, what: impl std::fmt::Display) {
        self.broken.push(format!("{rule}: {what}"));
    }

    /// Follows what the engine tells of itself.
    pub(super) fn told(&mut self, transition: &Transition, step: &mut Step) {
        let now = self.now.monotonic;
        let probe = step.answered.as_ref().is_some_and(|answered| answered.began.probe);
        match *transition {
            Transition::BreakerOpened { open } => {
                let enough = self.breaker.failures >= self.policy.breaker.consecutive.clamp(1, 5);
                if !probe && !enough {
                    let failures = self.breaker.failures;
                    self.breaks("E4", format_args!("the breaker opens after {failures} failures"));
                }
                step.opened = true;
                self.breaker.epoch += u32::from(!self.breaker.open);
                self.breaker = Breaker {
                    open: true,
                    in_a_row: 0,
                    failures: 0,
                    probe_at: now + open,
                    probe_free: false,
                    ..self.breaker
                };
            }
            Transition::BreakerClosed => {
                step.closed = true;
                self.breaker = Breaker { epoch: self.breaker.epoch + 1, ..Breaker::default() };
            }
            Transition::PausedByAnswer => {
                self.gate.answer = true;
                let probe_at = now + self.policy.breaker.pause_probe;
                self.breaker = Breaker { epoch: self.breaker.epoch + 1, probe_at, ..Breaker::default() };
            }
            Transition::PausedByDeadLetters => self.gate.letters = true,
            Transition::PausedByOperator | Transition::Stuck { .. } => {}
            Transition::Resumed => self.gate.answer = false,
            Transition::Held { until } => step.held_until = Some(until),
            Transition::Window { attempts } => {
                self.window.told = attempts;
                self.window.stalled = 0;
            }
        }
    }
}

impl Life {
    /// Takes in what the engine is about to hear.
    pub(super) fn hear(&mut self, now: Now, inputs: &[Input<'_>], step: &mut Step) {
        self.rules.now = now;
        step.window_before = self.rules.window.told;
        for input in inputs {
            match input {
                Input::Answered { attempt, outcomes, .. } => {
                    let outcome = outcomes.first().copied().unwrap_or(Outcome::Unreached);
                    step.answered = self.ended(*attempt, outcome);
                }
                Input::Abandoned { attempt } => step.answered = self.ended(*attempt, Outcome::Unreached),
                Input::DeadLettered { token, written } => {
                    if let Some(held) = self.held_mut(*token) {
                        held.state = State::Unwritten;
                        step.written.push((*token, *written));
                        self.waiters.push(*token);
                    }
                }
                Input::Reconfigure(policy) => self.rules.reconfigured(policy),
                Input::Pause => self.rules.gate.operator = true,
                Input::Resume => {
                    let gate = &mut self.rules.gate;
                    (gate.operator, gate.letters, gate.answer) = (false, false, false);
                    self.rules.breaker.probe_free = true;
                    self.rules.stopped.clear();
                    self.rules.letters = (0, now.monotonic);
                }
                Input::App(app) => {
                    self.rules.gate.app_down = *app == App::Down;
                    self.rules.breaker.probe_free |= *app == App::Up;
                }
                Input::Drain => self.rules.gate.draining = true,
                Input::Arrived { .. }
                | Input::Revoked { .. }
                | Input::Recalled { .. }
                | Input::Woke
                | Input::SourceOpened(_)
                | Input::SourceClosed(_) => {}
            }
        }
        self.rules.held_most = self.rules.held_most.max(self.held_len());
        self.rules.lanes_most = self.rules.lanes_most.max(self.lanes.len());
    }

    fn ended(&mut self, attempt: Attempt, outcome: Outcome) -> Option<Answered> {
        let open = self.rules.attempts.len();
        let began = self.rules.attempts.remove(&attempt)?;
        for key in &began.keys {
            self.rules.lane_moved(Some(*key));
        }
        let living = began.tokens.iter().filter_map(|token| {
            let held = self.held(*token).filter(|held| held.state == State::Open)?;
            Some((*token, *held))
        });
        let living: Vec<(Token, Held)> = living.collect();
        for (token, _) in &living {
            if let Some(held) = self.held_mut(*token) {
                held.state = State::Idle;
            }
        }
        // A probe that came to nothing is made up for at once.
        self.rules.breaker.probe_free |= began.probe && living.is_empty();
        let breaker = &self.rules.breaker;
        let counts = !began.probe && began.epoch == breaker.epoch && !breaker.open && !living.is_empty();
        let serial = self.rules.serial;
        if counts && matches!(outcome, Outcome::Retry { .. }) {
            self.rules.breaker.failures += living.len() as u32;
        }
        Some(Answered { began, outcome, living, open, serial, counts })
    }
}
