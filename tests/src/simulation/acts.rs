//! What passes between the engine and its world: hand-outs and answers in, actions out.

use std::time::Duration;

use broker::{Credit, Note, Settle};
use engine::{Action, Input, Outcome, Token, Transition};

use super::events::Event;
use super::publishers::{self, DEADLINE, number};
use super::run::{LETTERS, Simulation, TOPIC, Waits};
use super::shell::{Life, lease};
use super::webhook::{Answer, Carried, Request, poison};
use super::{Mutant, plan};

/// Every so many attempts a mutant that works now and then does its work.
const NOW_AND_THEN: u64 = 40;

impl Simulation {
    pub(super) fn publish(&mut self, publisher: usize) {
        if self.life.is_none() {
            // Nobody listens: it was not sent.
            self.queue.push(self.now + publishers::AGAIN, Event::Publish(publisher));
            return;
        }
        let Some(event) = self.publishers.next(publisher) else { return };
        self.publishers.log[event].sends += 1;
        let record = self.publishers.record(event);
        let name = self.name(event);
        self.trace.tell(self.now, format_args!("publish {name}"));
        let ticket = self.model.publish(self.now, TOPIC, vec![record], self.now + DEADLINE);
        self.tickets.insert(ticket, Waits::Publisher(publisher));
    }

    pub(super) fn take_answers(&mut self) {
        let mut answers = Vec::new();
        self.model.answers(&mut answers);
        self.busy |= !answers.is_empty();
        for (ticket, outcomes) in answers {
            let (Some(waits), Some(outcome)) = (self.tickets.remove(&ticket), outcomes.first()) else {
                continue;
            };
            match waits {
                Waits::Publisher(publisher) => {
                    let wait = if self.publishers.answered(publisher, outcome) {
                        self.plan.pace.mul_f64(2.0 * self.rng.f64())
                    } else {
                        publishers::AGAIN
                    };
                    self.queue.push(self.now + wait, Event::Publish(publisher));
                }
                Waits::Letter { life, token } => {
                    if self.life.as_ref().is_some_and(|it| it.id == life) {
                        let written = outcome.is_durable();
                        self.trace.tell(self.now, format_args!("letter of {token:?} written: {written}"));
                        self.step(&[Input::DeadLettered { token, written }]);
                    }
                }
            }
        }
    }

    /// Takes what the broker has to say to the engine.
    pub(super) fn poll(&mut self) {
        if self.model.next_event_at().is_none_or(|at| at > self.now) {
            return;
        }
        let Some(mut life) = self.life.take() else { return };
        let mut said = Vec::new();
        // An outage is told once, and is over some time.
        drop(self.model.poll(self.now, life.source, &mut said));
        self.busy |= !said.is_empty();
        let mut inputs = Vec::with_capacity(said.len());
        for said in &said {
            match said {
                broker::Input::Delivery(delivery) => {
                    if let broker::Payload::Here(record) = &delivery.payload
                        && let Some(event) = number(record)
                    {
                        let name = self.name(event);
                        let at = &delivery.position;
                        self.trace
                            .tell(self.now, format_args!("arrived {:?} at {at}: {name}", delivery.lease));
                    }
                    life.take(delivery, &mut inputs);
                }
                broker::Input::Revoked(lease) => life.take_revoked(*lease, &mut inputs),
                broker::Input::Gap(gap) => self.report.violations.push(format!("a gap: {}", gap.message)),
                broker::Input::Recalled(lease) => life.take_recalled(*lease, &mut inputs),
                broker::Input::CaughtUp => {}
            }
        }
        for input in &inputs {
            match input {
                Input::Revoked { token } => {
                    self.report.revocations += 1;
                    self.report.faults += 1;
                    self.trace.tell(self.now, format_args!("revoked {token:?}"));
                    self.kill(&life, *token);
                }
                Input::Recalled { token } => {
                    self.report.recalls += 1;
                    self.trace.tell(self.now, format_args!("recalled {token:?}"));
                }
                _ => {}
            }
        }
        if self.options.mutant == Some(Mutant::IgnoreRecalls) {
            inputs.retain(|input| !matches!(input, Input::Recalled { .. }));
        }
        if self.options.mutant == Some(Mutant::SwapTwo) {
            self.swap_two(&mut inputs);
        }
        self.life = Some(life);
        if !inputs.is_empty() {
            self.step(&inputs);
        }
    }

    /// What a request carries under this lease no longer counts.
    fn kill(&mut self, life: &Life, token: Token) {
        for request in life.open.values() {
            let carried = self.requests[*request].carried.iter_mut();
            carried.filter(|carried| carried.token == token).for_each(|carried| carried.dead = true);
        }
    }

    fn swap_two(&mut self, inputs: &mut [Input<'static>]) {
        let key_of = |input: &Input<'_>| match input {
            Input::Arrived { key, .. } => *key,
            _ => None,
        };
        for first in 0..inputs.len() {
            let Some(key) = key_of(&inputs[first]).filter(|_| self.mutations < 5) else { continue };
            let second = (first + 1..inputs.len()).find(|i| key_of(&inputs[*i]) == Some(key));
            if let Some(second) = second {
                inputs.swap(first, second);
                self.mutations += 1;
            }
        }
    }

    /// Does what the engine says. True: it has drained.
    pub(super) fn act(&mut self, life: &mut Life, action: &Action, tokens: &[Token]) -> bool {
        match action {
            Action::Attempt { attempt, first, count, probe } => {
                let carried = &tokens[*first as usize..(*first + *count) as usize];
                self.begin(life, *attempt, carried, *probe);
            }
            Action::Abandon { attempt } => {
                if let Some(request) = life.open.get(attempt) {
                    let wait = Duration::from_micros(self.rng.u64(..20_000));
                    let (life, request) = (life.id, *request);
                    self.queue.push(self.now + wait, Event::Closed { life, request });
                }
            }
            Action::Done { token } => {
                self.trace.tell(self.now, format_args!("done {token:?}"));
                if !self.settle(life, *token, Settle::Done) {
                    self.stale_done += 1;
                }
            }
            Action::Release { token } => {
                self.trace.tell(self.now, format_args!("release {token:?}"));
                self.settle(life, *token, Settle::Release);
            }
            Action::Note { token, attempts, first_ms } => {
                if let Some(held) = life.held(*token) {
                    held.attempts = *attempts;
                }
                let note = Note { attempts: *attempts, first_ms: *first_ms };
                self.model.note(self.now, life.source, lease(*token), note);
            }
            Action::DeadLetter { token, reason, .. } => self.write_letter(life, *token, *reason),
            Action::Credit { events, .. } => {
                let credit = Credit { events: *events, bytes: u64::MAX };
                self.model.set_credit(self.now, life.source, credit);
            }
            Action::Wake { at } => {
                life.wake = Some(*at);
                self.queue.push(*at, Event::Wake { life: life.id, at: *at });
            }
            Action::Transition(transition) => {
                self.trace.tell(self.now, format_args!("! {transition:?}"));
                self.report.faults += u32::from(matches!(transition, Transition::BreakerOpened { .. }));
            }
            Action::Drained => return true,
        }
        false
    }

    fn begin(&mut self, life: &mut Life, attempt: engine::Attempt, tokens: &[Token], probe: bool) {
        self.report.attempts += 1;
        if life.open.len() as u32 >= life.concurrency || !self.app_up || self.paused || life.draining {
            let why =
                format!("app up: {}, paused: {}, draining: {}", self.app_up, self.paused, life.draining);
            self.report.violations.push(format!("an attempt began with {} open; {why}", life.open.len()));
        }
        let mut carried = Vec::with_capacity(tokens.len());
        let mut worst = poison(u64::MAX, true);
        for token in tokens {
            let Some(held) = life.held(*token).copied() else {
                self.report.violations.push(format!("an attempt carries {token:?}, whose lease has ended"));
                continue;
            };
            if held.recalled {
                self.report.violations.push(format!("an attempt of {token:?} began after its recall"));
            }
            let (dead, attempt) = (false, held.attempts + 1);
            carried.push(Carried { token: *token, position: held.position, attempt, dead });
            match poison(held.position, self.healed) {
                super::webhook::Poison::None => {}
                bad => worst = bad,
            }
        }
        let health = if self.healed { plan::Health::Well } else { self.plan.health(self.now) };
        let mut answer = Answer::decide(health, worst, tokens.len() == 1, self.app_up, &mut self.rng);
        match self.options.mutant {
            Some(Mutant::SettleEarly) => {
                for token in tokens {
                    self.model.settle(self.now, life.source, lease(*token), Settle::Done);
                }
            }
            Some(Mutant::DropOne) if self.report.attempts.is_multiple_of(NOW_AND_THEN) => {
                answer = Answer { status: None, outcome: Outcome::Done, ..answer };
            }
            _ => {}
        }
        let request = self.requests.len();
        for carried in &carried {
            let name = self.name_at(carried.position);
            let probe = if probe { "probe" } else { "attempt" };
            self.trace.tell(self.now, format_args!("{probe} {request} of {:?}: {name}", carried.token));
        }
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
        self.trace.tell(
            self.now,
            format_args!("answer of {request}: {:?}, {outcome:?}", self.requests[request].status),
        );
        self.step(&[Input::Answered { attempt, outcomes: &outcomes, latency }]);
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
        self.trace
            .tell(self.now, format_args!("request {request} is cut: {:?}", self.requests[request].status));
    }

    fn write_letter(&mut self, life: &mut Life, token: Token, reason: engine::Reason) {
        let Some(held) = life.held(token).copied() else { return };
        let name = self.name_at(held.position);
        self.trace.tell(self.now, format_args!("letter of {token:?}, {reason:?}: {name}"));
        let event = self.event_at(held.position);
        let Some(event) = event else { return };
        let record = self.publishers.record(event);
        let ticket = self.model.publish(self.now, LETTERS, vec![record], self.now + DEADLINE);
        self.tickets.insert(ticket, Waits::Letter { life: life.id, token });
    }

    /// The event at a position of the topic.
    pub(super) fn event_at(&self, position: u64) -> Option<usize> {
        self.model.log(TOPIC).nth(position as usize).and_then(|(_, record)| number(record))
    }

    fn name_at(&self, position: u64) -> String {
        if !self.options.trace {
            return String::new();
        }
        self.event_at(position).map_or_else(|| "a foreign record".into(), |event| self.name(event))
    }

    /// An event as the trace names it.
    fn name(&self, event: usize) -> String {
        if !self.options.trace {
            return String::new();
        }
        let it = &self.publishers.log[event];
        let key = self.publishers.all[it.publisher].key.as_ref();
        format!("event {event} [{}#{}]", key.map_or_else(|| "-".into(), ToString::to_string), it.seq)
    }
}
