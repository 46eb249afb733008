//! What passes between the engine and the broker: hand-outs in, actions out.

use std::time::Duration;

use broker::{Credit, Note, Settle};
use engine::{Action, Input, SourceId, Token, Transition};

use super::Mutant;
use super::events::Event;
use super::rules::Step;
use super::run::Simulation;
use super::shell::{Life, REDRIVE_SOURCE, TOPIC_SOURCE, lease, token};

impl Simulation {
    /// Takes what the broker has to say to the engine. A shell that has much to do looks only now and then.
    pub(super) fn poll(&mut self) {
        if self.now < self.poll_at {
            return;
        }
        let next = self.model.next_event_at();
        if next.is_none_or(|at| at > self.now) {
            self.model_next_at = next;
            return;
        }
        self.poll_at = self.now + self.plan.polls_every;
        for source in [TOPIC_SOURCE, REDRIVE_SOURCE] {
            let Some(mut life) = self.life.take() else { return };
            let inputs = self.listen(&mut life, source);
            self.life = Some(life);
            if !inputs.is_empty() {
                self.step(&inputs);
            }
        }
    }

    /// Tells the engine of an answer together with what the broker has to say meanwhile, before it or after it.
    pub(super) fn step_with_answer(&mut self, answer: Input<'_>, request: usize, first: bool) {
        let Some(mut life) = self.life.take() else { return };
        let mut seen = Step::default();
        let answer = [answer];
        if first {
            life.hear(self.engine_now(), &answer, &mut seen);
        }
        let said = self.listen(&mut life, TOPIC_SOURCE);
        life.hear(self.engine_now(), &said, &mut seen);
        if !first {
            // A success under a lease that has died counts for nothing.
            let carried = self.requests[request].carried.iter_mut();
            carried.for_each(|carried| carried.dead |= life.held(carried.token).is_none());
            life.hear(self.engine_now(), &answer, &mut seen);
        }
        let inputs: Vec<Input<'_>> = if first {
            answer.into_iter().chain(said).collect()
        } else {
            said.into_iter().chain(answer).collect()
        };
        self.drive(life, seen, &inputs);
    }

    fn listen(&mut self, life: &mut Life, source: SourceId) -> Vec<Input<'static>> {
        let Some(id) = life.sources[usize::from(source.0)] else { return Vec::new() };
        let mut said = Vec::new();
        // An outage is told once, and is over some time.
        drop(self.model.poll(self.now, id, &mut said));
        self.busy |= !said.is_empty();
        let mut inputs = Vec::with_capacity(said.len());
        for said in &said {
            match said {
                broker::Input::Delivery(delivery) => {
                    life.take(source, delivery, &mut inputs);
                    let token = token(source, delivery.lease);
                    if let Some(event) = life.held(token).and_then(|held| held.event) {
                        let (name, at) = (self.name(event), &delivery.position);
                        self.trace.tell(self.now, format_args!("arrived {token:?} at {at}: {name}"));
                    }
                }
                broker::Input::Revoked(lease) => life.take_revoked(token(source, *lease), &mut inputs),
                broker::Input::Gap(gap) => self.breaks(&format!("I1: a gap: {}", gap.message)),
                broker::Input::Recalled(lease) => life.take_recalled(token(source, *lease), &mut inputs),
                broker::Input::CaughtUp => {}
            }
        }
        for input in &inputs {
            match input {
                Input::Revoked { token } => {
                    self.report.revocations += 1;
                    self.report.faults += 1;
                    self.trace.tell(self.now, format_args!("revoked {token:?}"));
                    self.kill(life, *token);
                }
                Input::Recalled { token } => {
                    self.report.recalls += 1;
                    self.trace.tell(self.now, format_args!("recalled {token:?}"));
                }
                _ => {}
            }
        }
        match self.options.mutant {
            Some(Mutant::IgnoreRecalls) => inputs.retain(|input| !matches!(input, Input::Recalled { .. })),
            Some(Mutant::SwapTwo) => self.swap_two(&mut inputs),
            _ => {}
        }
        inputs
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
            Action::Done { token } => self.done(life, *token),
            Action::Release { token } => {
                self.trace.tell(self.now, format_args!("release {token:?}"));
                // The leases behind it end with it: an engine that keeps them keeps dead ones.
                let tail = life.tail(*token);
                self.settle(life, *token, Settle::Release);
                for token in tail {
                    life.end_lease(token);
                }
            }
            Action::Note { token, attempts, first_ms } => {
                let note = Note { attempts: *attempts, first_ms: *first_ms };
                if let Some(source) = life.sources[usize::from(token.source.0)] {
                    self.model.note(self.now, source, lease(*token), note);
                }
            }
            Action::DeadLetter { token, reason, attempts, first_ms } => {
                let note = Note { attempts: *attempts, first_ms: *first_ms };
                self.write_letter(life, *token, *reason, note);
            }
            Action::Credit { source, events } => {
                let credit = Credit { events: *events, bytes: u64::MAX };
                if let Some(source) = life.sources[usize::from(source.0)] {
                    self.model.set_credit(self.now, source, credit);
                }
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

    fn done(&mut self, life: &mut Life, token: Token) {
        self.trace.tell(self.now, format_args!("done {token:?}"));
        let settled = self.settle(life, token, Settle::Done);
        self.stale_done += u32::from(!settled);
        self.letters_kept += u32::from(settled && self.written == Some(token));
        self.redrive_moved |= token.source == REDRIVE_SOURCE;
    }

    fn settle(&mut self, life: &mut Life, token: Token, settle: Settle) -> bool {
        life.end_lease(token);
        let Some(source) = life.sources[usize::from(token.source.0)] else { return false };
        self.model.settle(self.now, source, lease(token), settle)
    }
}
