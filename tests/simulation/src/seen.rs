//! Actions, held against the rules.

use std::time::Duration;

use engine::{Action, AfterDeadLetter, Attempt, Mode, Outcome, Scope, Token};

use super::rules::{Began, Rules, SOURCE_MIN, Step};
use super::shell::{Held, Life, REDRIVE_SOURCE, State, TOPIC_SOURCE};

impl Life {
    /// Holds one action against the rules. To be called before it is done.
    pub(super) fn see(&mut self, action: &Action, tokens: &[Token], step: &mut Step) {
        match action {
            Action::Attempt { attempt, first, count, probe } => {
                let carried = &tokens[*first as usize..(*first + *count) as usize];
                self.see_attempt(*attempt, carried, *probe);
                step.began |= !*probe;
            }
            Action::Abandon { attempt } => {
                let needed = |began: &Began| began.tokens.iter().any(|token| self.held(*token).is_some());
                if self.rules.attempts.get(attempt).is_some_and(needed) {
                    self.rules.breaks("E2", "an attempt is abandoned that somebody needs");
                }
                if let Some(began) = self.rules.attempts.get_mut(attempt) {
                    began.abandoned = true;
                }
            }
            Action::Done { token } => {
                let answered = step.answered.as_ref().is_some_and(|answered| {
                    answered.outcome == Outcome::Done && answered.living.iter().any(|(it, _)| it == token)
                });
                if !answered && !step.written.contains(&(*token, true)) {
                    self.rules.breaks("E1", format_args!("{token:?} is done without success or letter"));
                }
                if step.written.contains(&(*token, true))
                    && self.rules.policy.dead_letter.after == AfterDeadLetter::Pause
                {
                    let key = self.held(*token).and_then(|held| held.key);
                    self.rules.stopped.extend(key);
                }
                step.done.push(*token);
            }
            Action::Release { token } => {
                if self.held(*token).is_some_and(|held| !held.state.is_idle()) {
                    self.rules.breaks("E2", format_args!("{token:?} is released while it is under way"));
                }
            }
            Action::Note { token, attempts, first_ms } => step.notes.push((*token, *attempts, *first_ms)),
            Action::DeadLetter { token, reason, attempts, .. } => {
                step.letters.push((*token, *reason, *attempts));
                if let Some(held) = self.held_mut(*token) {
                    held.state = State::Lettering;
                }
            }
            Action::Transition(transition) => self.rules.told(transition, step),
            Action::Drained => {
                if self.held_len() > 0 || !self.rules.attempts.is_empty() {
                    let (held, open) = (self.held_len(), self.rules.attempts.len());
                    self.rules.breaks("E3", format_args!("drained, with {held} held and {open} open"));
                }
            }
            Action::Credit { .. } | Action::Wake { .. } => {}
        }
    }

    fn see_attempt(&mut self, attempt: Attempt, tokens: &[Token], probe: bool) {
        let now = self.rules.now.monotonic;
        let gate = &self.rules.gate;
        if gate.app_down || gate.operator || gate.letters || gate.draining || gate.hold_until > now {
            let broken = format!("an attempt begins at {now:?} although {gate:?}");
            self.rules.breaks("E3", broken);
        }
        self.see_probe(tokens, probe);
        let most = match self.rules.policy.mode {
            Mode::Single => 1,
            Mode::Batch { events } => events.max(1) as usize,
        };
        if tokens.is_empty() || tokens.len() > most {
            self.rules.breaks("E2", format_args!("an attempt carries {} of {most} events", tokens.len()));
        }
        let mut keys: Vec<u128> =
            tokens.iter().filter_map(|token| self.held(*token).and_then(|h| h.key)).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            let of_key = |token: &&Token| self.held(**token).is_some_and(|held| held.key == Some(*key));
            let carried: Vec<Token> = tokens.iter().filter(of_key).copied().collect();
            if !self.lead(*key, &carried) {
                self.rules.breaks("E2", "an attempt passes over an earlier delivery of its key");
            }
        }
        if keys.iter().any(|key| self.rules.stopped.contains(key)) {
            self.rules.breaks("E6", "a lane goes on that stands still after a letter");
        }
        if !probe {
            let waiting = tokens.first().and_then(|token| self.held(*token)).is_some_and(|held| held.waiting);
            let Rules { budget, policy, .. } = &mut self.rules;
            if !budget.began(now, waiting, &policy.retry) {
                self.rules.breaks("E8", "a retry goes beyond the budget");
            }
        }
        for token in tokens {
            self.see_member(*token, tokens.len(), probe);
        }
        let began = Began {
            probe,
            epoch: self.rules.breaker.epoch,
            wall_ms: self.rules.now.wall_ms,
            serial: self.rules.serial,
            tokens: tokens.to_vec(),
            keys,
            abandoned: false,
        };
        self.rules.serial += 1;
        self.rules.attempts.insert(attempt, began);
    }

    fn see_member(&mut self, token: Token, of: usize, probe: bool) {
        let (now, begun) = (self.rules.now.monotonic, self.rules.serial);
        let rules = &self.rules;
        let Some(held) = self.held(token).copied() else {
            self.rules.breaks("E2", format_args!("an attempt carries {token:?}, whose lease has ended"));
            return;
        };
        let ready_since =
            held.key.and_then(|key| rules.lanes.get(&key)).map_or(held.since, |at| held.since.max(*at));
        let turns = if held.key.is_some() { 4 * rules.lanes_most } else { 3 * rules.held_most };
        // Those behind it in its attempt had to wait for it.
        let leads = held.key.is_none_or(|key| self.is_first(key, token));
        let starved = leads && !held.tried && !rules.lanes_stop && begun - ready_since > turns as u64 + 60;
        let broken = match held {
            _ if held.state != State::Idle => Some(("E2", "is attempted while it is under way")),
            _ if held.recalled => Some(("E2", "is attempted after its recall")),
            _ if held.alone && of > 1 => Some(("E2", "goes with others though its event failed")),
            _ if held.not_before > now && !probe => Some(("E3", "is attempted before its Retry-After")),
            _ if starved => Some(("E8", "was ready, yet many others went first")),
            _ => None,
        };
        if let Some((rule, what)) = broken {
            self.rules.breaks(rule, format_args!("{token:?} {what}"));
        }
        if let Some(held) = self.held_mut(token) {
            (held.state, held.tried, held.waiting) = (State::Open, true, false);
        }
    }

    fn see_probe(&mut self, tokens: &[Token], probe: bool) {
        let Rules { breaker, gate, attempts, now, .. } = &self.rules;
        let asking = breaker.open || gate.answer;
        let broken = match probe {
            false if asking => Some("an attempt that is no probe begins while only probes may"),
            true if !asking => Some("a probe begins while nothing asks for one"),
            true if attempts.values().any(|began| began.probe) => Some("two probes are open at once"),
            true if breaker.probe_at > now.monotonic && !breaker.probe_free => {
                Some("a probe begins too soon")
            }
            true if self.probes_the_same_again(tokens) => Some("a key is probed twice while others wait"),
            _ => None,
        };
        if probe {
            let key = tokens.first().and_then(|token| self.held(*token)).and_then(|held| held.key);
            self.rules.breaker.last_probe = key;
            self.rules.breaker.probe_free = false;
        }
        if let Some(broken) = broken {
            self.rules.breaks("E4", broken);
        }
    }

    fn probes_the_same_again(&self, tokens: &[Token]) -> bool {
        let key = tokens.first().and_then(|token| self.held(*token)).and_then(|held| held.key);
        if key.is_none() || key != self.rules.breaker.last_probe || self.rules.lanes_stop {
            return false;
        }
        let busy = |key: &u128| self.rules.attempts.values().any(|began| began.keys.contains(key));
        self.lanes.iter().filter(|(other, _)| Some(**other) != key).any(|(other, lane)| {
            let head = lane.first().and_then(|(_, token)| self.held(*token));
            head.is_some_and(|head| head.state == State::Idle && !head.recalled) && !busy(other)
        })
    }

    /// What has to be so after a step, whatever was in it.
    pub(super) fn after(&mut self, step: Step) {
        self.judge_answer(&step);
        for (token, written) in &step.written {
            if *written != step.done.contains(token) {
                self.rules.breaks("E1", format_args!("written: {written}, yet {token:?} is not settled so"));
            }
        }
        let needless =
            |began: &Began| !began.abandoned && began.tokens.iter().all(|token| self.held(*token).is_none());
        if self.rules.attempts.values().any(needless) {
            self.rules.breaks("E2", "an attempt goes on that nobody needs any longer");
        }
        let idle = |held: &Held| held.recalled && held.state.is_idle();
        let kept = match self.recalled {
            0 => None,
            _ => self.tokens().find(|token| self.held(*token).is_some_and(idle)),
        };
        if let Some(token) = kept.filter(|token| self.behind(*token).all(|it| self.is_idle(it))) {
            self.rules.breaks("E2", format_args!("{token:?} was recalled and is kept"));
        }
        let (open, told) = (self.rules.attempts.len(), self.rules.window.told);
        if step.began && open > told as usize {
            self.rules.breaks("E7", format_args!("{open} attempts are open in a window of {told}"));
        }
        if self.wake.is_none() && self.waits_for_the_timer() {
            self.rules.breaks("E8", "something waits and no timer is armed for it");
        }
        if self.held_len() > self.rules.buffer_most as usize + 2 * SOURCE_MIN {
            let (held, buffer) = (self.held_len(), self.rules.buffer_most);
            self.rules.breaks("E9", format_args!("{held} deliveries are held by a buffer of {buffer}"));
        }
    }

    /// Whether something waits that only the timer can bring up.
    fn waits_for_the_timer(&mut self) -> bool {
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.retain(|token| {
            self.held(*token).is_some_and(|held| held.waiting || held.state == State::Unwritten)
        });
        self.waiters = waiters;
        let Rules { gate, breaker, attempts, window, now, .. } = &self.rules;
        if gate.draining || self.waiters.is_empty() {
            return false;
        }
        let unwritten = |held: &Held| held.state == State::Unwritten;
        let shut = gate.app_down || gate.operator || gate.letters || self.rules.lanes_stop;
        let asking = breaker.open || gate.answer;
        let probing = attempts.values().any(|began| began.probe);
        let room = attempts.len() < window.told as usize;
        let sends = !shut
            && (gate.hold_until > now.monotonic
                || asking && !probing && attempts.is_empty()
                || !asking && room);
        let waits = |held: &Held| held.waiting && held.state == State::Idle && !held.recalled;
        let leads = |held: &Held, token: Token| match held.key {
            None => true,
            Some(key) => {
                let busy = attempts.values().any(|began| began.keys.contains(&key));
                !busy && self.is_first(key, token)
            }
        };
        self.waiters.iter().any(|&token| {
            self.held(token).is_some_and(|held| unwritten(held) || sends && waits(held) && leads(held, token))
        })
    }

    /// Whether these are the first of their key; where the first of its topic waits for room for its letter, the first
    /// letters of a redrive may go instead.
    fn lead(&self, key: u128, tokens: &[Token]) -> bool {
        let lane = || self.lanes.get(&key).into_iter().flatten().map(|(_, token)| *token);
        let waits = |token| self.held(token).is_some_and(|held| held.state == State::Unwritten);
        let letters = || lane().filter(|token| token.source == REDRIVE_SOURCE);
        let may_pass = || lane().find(|token| token.source == TOPIC_SOURCE).is_some_and(waits);
        lane().take(tokens.len()).eq(tokens.iter().copied())
            || may_pass() && letters().take(tokens.len()).eq(tokens.iter().copied())
    }

    fn is_first(&self, key: u128, token: Token) -> bool {
        self.lanes[&key].first().is_some_and(|(_, first)| *first == token)
    }

    fn is_idle(&self, token: Token) -> bool {
        self.held(token).is_some_and(|held| held.state.is_idle())
    }

    /// What a delivery asks for by its own answer.
    pub(super) fn asked_to_wait(&mut self, token: Token, scope: Scope, after: Option<Duration>, waits: bool) {
        let until =
            self.rules.now.monotonic + after.unwrap_or_default().min(self.rules.policy.retry.retry_after_max);
        if let Some(held) = self.held_mut(token).filter(|held| held.state == State::Idle) {
            let waited = std::mem::replace(&mut held.waiting, waits);
            held.alone |= scope == Scope::Event;
            // A probe may come before that, and what it comes to stands in its place.
            held.not_before = if waits && scope == Scope::Event { until } else { Duration::ZERO };
            if waits && !waited {
                self.waiters.push(token);
            }
        }
    }
}
