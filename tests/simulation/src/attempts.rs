//! Attempts: how they begin, what the webhook answers, how their connections break.

use broker::Settle;
use engine::{Input, Outcome, Token};

use super::events::Event;
use super::run::Simulation;
use super::shell::{Life, lease};
use super::webhook::{Answer, Carried, Poison, Request, poison};
use super::{Mutant, plan};

/// Every so many attempts a mutant that works now and then does its work.
const NOW_AND_THEN: u64 = 40;

impl Simulation {
    pub(super) fn begin(&mut self, life: &mut Life, attempt: engine::Attempt, tokens: &[Token], probe: bool) {
        self.report.attempts += 1;
        let mut carried = Vec::with_capacity(tokens.len());
        let mut worst = Poison::None;
        for token in tokens {
            let Some(held) = life.held(*token).copied() else { continue };
            let attempt = held.note.attempts + 1;
            carried.push(Carried { token: *token, position: held.position, attempt, dead: false });
            match held.event.map_or(Poison::None, |event| poison(event as u64, self.healed)) {
                Poison::None => {}
                bad => worst = bad,
            }
            let name = held.event.map(|event| self.name(event)).unwrap_or_default();
            let (what, request) = (if probe { "probe" } else { "attempt" }, self.requests.len());
            self.trace.tell(self.now, format_args!("{what} {request} of {token:?}: {name}"));
        }
        let health = if self.healed { plan::Health::Well } else { self.plan.health(self.now) };
        let mut answer = Answer::decide(health, worst, tokens.len() == 1, self.app_up, &mut self.rng);
        match self.options.mutant {
            Some(Mutant::SettleEarly) => {
                for token in tokens {
                    if let Some(source) = life.sources[usize::from(token.source.0)] {
                        self.model.settle(self.now, source, lease(*token), Settle::Done);
                    }
                }
            }
            Some(Mutant::DropOne) if self.report.attempts.is_multiple_of(NOW_AND_THEN) => {
                answer = Answer { status: None, outcome: Outcome::Done, ..answer };
            }
            _ => {}
        }
        let request = self.requests.len();
        let (start, end, status) = (self.now, None, None);
        self.requests.push(Request { attempt, carried, start, end, status, answer });
        life.open.insert(attempt, request);
        self.queue.push(self.now + answer.after, Event::Answer { life: life.id, request });
    }

    /// The webhook answers.
    pub(super) fn answer(&mut self, life: u32, request: usize) {
        let Some(it) = self.life.as_mut().filter(|it| it.id == life) else { return };
        let log = &mut self.requests[request];
        if it.open.remove(&log.attempt).is_none() {
            return;
        }
        (log.end, log.status) = (Some(self.now), log.answer.status);
        let (attempt, outcome, latency) = (log.attempt, log.answer.outcome, self.now - log.start);
        if outcome != Outcome::Done {
            log.carried.iter_mut().for_each(|carried| carried.dead = true);
        }
        let outcomes = vec![outcome; log.carried.len()];
        let status = log.status;
        self.trace.tell(self.now, format_args!("answer of {request}: {status:?}, {outcome:?}"));
        let answered = Input::Answered { attempt, outcomes: &outcomes, latency };
        if self.plan.polls_every.is_zero() {
            self.step(&[answered]);
        } else {
            let first = self.rng.bool();
            self.step_with_answer(answered, request, first);
        }
    }

    /// An abandoned request's connection is closed, if it was not answered before.
    pub(super) fn closed(&mut self, life: u32, request: usize) {
        let Some(it) = self.life.as_mut().filter(|it| it.id == life) else { return };
        let attempt = self.requests[request].attempt;
        if it.open.remove(&attempt).is_some() {
            self.cut(request);
            self.step(&[Input::Abandoned { attempt }]);
        }
    }

    /// All open connections of the process break.
    pub(super) fn cut_requests(&mut self) {
        let open = self.life.as_mut().map(|life| std::mem::take(&mut life.open));
        for (_, request) in open.into_iter().flatten() {
            self.cut(request);
        }
    }

    /// A connection breaks: its sender learns nothing, but the webhook may have done its work.
    fn cut(&mut self, request: usize) {
        let worked = self.rng.bool();
        let log = &mut self.requests[request];
        log.end = Some(self.now);
        log.status = log.answer.status.filter(|_| log.answer.succeeds() && worked);
        log.carried.iter_mut().for_each(|carried| carried.dead = true);
        let status = log.status;
        self.trace.tell(self.now, format_args!("request {request} is cut: {status:?}"));
    }

    /// An event as the trace names it.
    pub(super) fn name(&self, event: usize) -> String {
        if !self.options.trace {
            return String::new();
        }
        let Some(it) = self.publishers.log.get(event) else { return format!("event {event}") };
        let key = self.publishers.all[it.publisher].key.as_ref();
        format!("event {event} [{}#{}]", key.map_or_else(|| "-".into(), ToString::to_string), it.seq)
    }

    pub(super) fn breaks(&mut self, what: &str) {
        self.trace.tell(self.now, format_args!("! BROKEN {what}"));
        self.report.violations.push(what.to_owned());
    }

    /// The wall clock, in milliseconds since the Unix epoch.
    pub(super) fn wall_ms(&self) -> u64 {
        let true_ms = self.model.settings().epoch_ms + self.now.as_millis() as u64;
        true_ms.saturating_add_signed(self.clock_ms)
    }
}
