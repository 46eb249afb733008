//! What an attempt's end means for the endpoint, and for each of its deliveries.

use std::time::Duration;

use crate::attempts::{Ended, Member};
use crate::budget::backoff;
use crate::deliveries::Handle;
use crate::lanes::LaneId;
use crate::list::NONE;
use crate::{Action, Actions, Attempt, Engine, Outcome, Reason, Scope, Transition};

/// An attempt's outcomes in sum, of the deliveries whose lease still lives.
#[derive(Debug, Default)]
struct Verdict {
    living: bool,
    done: bool,
    /// The endpoint judged an event to be bad: it is there and works.
    answered: bool,
    endpoint_failed: bool,
    event_failed: bool,
    paused: bool,
    hold: Option<Duration>,
}

impl Verdict {
    fn of(members: &[Member], outcomes: &[Outcome]) -> Self {
        let mut verdict = Self::default();
        for (i, _) in members.iter().enumerate().filter(|(_, member)| member.alive) {
            verdict.living = true;
            match outcome(outcomes, i) {
                Outcome::Done => verdict.done = true,
                Outcome::DeadLetter => verdict.answered = true,
                Outcome::Unreached => {}
                Outcome::Pause => verdict.paused = true,
                Outcome::Retry { scope: Scope::Event, .. } => verdict.event_failed = true,
                Outcome::Retry { scope: Scope::Endpoint, after: None } => verdict.endpoint_failed = true,
                Outcome::Retry { scope: Scope::Endpoint, after } => verdict.hold = verdict.hold.max(after),
            }
        }
        verdict
    }
}

/// The outcome of a delivery; one that the shell left out never reached the app as far as anybody knows.
fn outcome(outcomes: &[Outcome], i: usize) -> Outcome {
    outcomes.get(i).copied().unwrap_or(Outcome::Unreached)
}

impl Engine {
    pub(crate) fn answered(
        &mut self,
        attempt: Attempt,
        outcomes: &[Outcome],
        latency: Duration,
        actions: &mut Actions,
    ) {
        let open = self.attempts.open();
        let Some(ended) = self.attempts.end(attempt) else {
            self.ignored += 1;
            return;
        };
        if outcomes.len() != ended.members.len() {
            self.ignored += 1;
        }
        for member in ended.members.iter().filter(|member| member.lane != LaneId::NONE) {
            self.lanes[member.lane].attempt = NONE;
        }
        let spends = self.judge(&ended, outcomes, latency, open, actions);
        for (i, member) in ended.members.iter().enumerate().filter(|(_, member)| member.alive) {
            self.conclude(
                member.delivery,
                outcome(outcomes, i),
                spends.then_some(ended.began.wall_ms),
                actions,
            );
        }
        for member in &ended.members {
            self.refresh(member.lane);
            self.send_back(member.delivery, member.lane);
        }
        self.attempts.recycle(ended);
    }

    /// The connection of an attempt is closed. If nobody had asked for that, its deliveries are tried again.
    pub(crate) fn abandoned(&mut self, attempt: Attempt, actions: &mut Actions) {
        self.answered(attempt, &[], Duration::ZERO, actions);
    }

    /// Lets breaker, window and pauses learn from an attempt. Whether it is spent: only if the breaker was closed when
    /// it began and still is after counting it. (An epoch tells a breaker that opened and closed in between.)
    fn judge(
        &mut self,
        ended: &Ended,
        outcomes: &[Outcome],
        latency: Duration,
        open: u32,
        actions: &mut Actions,
    ) -> bool {
        let verdict = Verdict::of(&ended.members, outcomes);
        if verdict.living
            && let Some(after) = verdict.hold
        {
            self.hold(after, actions);
        }
        if ended.began.probe {
            self.probe_ended(&verdict, actions);
            return false;
        }
        if verdict.paused {
            self.pause_by_answer(actions);
            return false;
        }
        if !verdict.living || !self.breaker.is_closed() || ended.began.epoch != self.breaker.epoch() {
            return false;
        }
        self.count(ended, outcomes);
        if verdict.done {
            self.window.succeeded(ended.serial, latency, open);
        } else if verdict.answered {
            self.breaker.answered();
        } else if verdict.endpoint_failed {
            self.breaker.endpoint_failed();
            self.window.endpoint_failed(ended.serial, self.attempts.next_serial());
        } else if verdict.event_failed {
            self.window.event_failed(latency);
        }
        let now = self.now.monotonic;
        if let Some(open) = self.breaker.judge(now, &self.policy.breaker, &mut self.random) {
            actions.list.push(Action::Transition(Transition::BreakerOpened { open }));
        }
        self.breaker.is_closed()
    }

    /// Counts each delivery's outcome for the share of successes.
    fn count(&mut self, ended: &Ended, outcomes: &[Outcome]) {
        let (now, over) = (self.now.monotonic, self.policy.breaker.over);
        for (i, member) in ended.members.iter().enumerate().filter(|(_, member)| member.alive) {
            let delivery = &mut self.deliveries[member.delivery];
            match outcome(outcomes, i) {
                Outcome::Done => self.breaker.succeeded(now, over, delivery.failed_in),
                Outcome::Retry { .. } => {
                    delivery.failed_in = self.breaker.failed(now, over, delivery.failed_in);
                }
                Outcome::Unreached | Outcome::DeadLetter | Outcome::Pause => {}
            }
        }
    }

    fn probe_ended(&mut self, verdict: &Verdict, actions: &mut Actions) {
        let now = self.now.monotonic;
        self.probes.open = false;
        if !verdict.living {
            self.breaker.probe_gone(now);
        } else if verdict.paused {
            self.pause_by_answer(actions);
        } else if verdict.done || verdict.answered {
            self.recovered(actions);
        } else if self.gate.answer.is_some() {
            self.gate.answer = Some(now + self.policy.breaker.pause_probe);
        } else if self.breaker.is_probing() {
            let open = self.breaker.probe_failed(now, &self.policy.breaker, &mut self.random);
            actions.list.push(Action::Transition(Transition::BreakerOpened { open }));
        }
    }

    /// A probe found the endpoint well.
    fn recovered(&mut self, actions: &mut Actions) {
        if self.gate.answer.take().is_some() {
            actions.list.push(Action::Transition(Transition::Resumed));
        }
        if !self.breaker.is_closed() {
            self.breaker.close();
            actions.list.push(Action::Transition(Transition::BreakerClosed));
        }
        (self.probes.asked, self.probes.reach) = (0, 0);
        self.window.restart(self.policy.window.initial);
    }

    /// What becomes of one delivery. `spent_ms`: when its attempt began, if that is spent.
    fn conclude(&mut self, at: Handle, outcome: Outcome, spent_ms: Option<u64>, actions: &mut Actions) {
        match outcome {
            Outcome::Done => {
                actions.list.push(Action::Done { token: self.deliveries.token(at) });
                self.remove(at);
            }
            Outcome::Retry { scope, after } => {
                if scope == Scope::Event {
                    self.deliveries[at].marks.set_alone();
                }
                let used_up = spent_ms.and_then(|began_ms| self.spend(at, began_ms, actions));
                match used_up {
                    Some(reason) => self.letter(at, reason, actions),
                    None => self.again(at, scope, after, spent_ms.is_some()),
                }
            }
            Outcome::Unreached => self.again(at, Scope::Endpoint, None, false),
            Outcome::DeadLetter => self.letter_by_answer(at, actions),
            Outcome::Pause => self.make_ready(at),
        }
    }

    /// Counts a spent attempt, has the broker remember it, and tells whether attempts or age are used up. Age is judged
    /// here alone, so that an outage ages nothing; a wall clock that was set back makes nothing older.
    fn spend(&mut self, at: Handle, began_ms: u64, actions: &mut Actions) -> Option<Reason> {
        let delivery = &mut self.deliveries[at];
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.unspent = 0;
        if delivery.first_ms == 0 {
            delivery.first_ms = began_ms.max(1);
        }
        let (attempts, first_ms) = (u32::from(delivery.attempts), delivery.first_ms);
        actions.list.push(Action::Note { token: self.deliveries.token(at), attempts, first_ms });
        let retry = &self.policy.retry;
        let age = Duration::from_millis(self.now.wall_ms.saturating_sub(first_ms));
        if attempts >= retry.max_attempts.min(u32::from(u16::MAX)) {
            Some(Reason::AttemptsUsedUp)
        } else {
            (age > retry.max_age).then_some(Reason::TooOld)
        }
    }

    /// Lets a delivery be tried again: at once where the breaker or a pause decides when that is, otherwise after its
    /// backoff, and not before a `Retry-After` is over.
    fn again(&mut self, at: Handle, scope: Scope, after: Option<Duration>, spent: bool) {
        if !spent && (!self.breaker.is_closed() || self.gate.answer.is_some()) {
            self.make_ready(at);
            return;
        }
        let delivery = &mut self.deliveries[at];
        if !spent {
            delivery.unspent = delivery.unspent.saturating_add(1);
        }
        let tries = u32::from(delivery.attempts) + u32::from(delivery.unspent);
        let wait = backoff(&self.policy.retry, tries, &mut self.random);
        let due = self.now.monotonic
            + match (scope, after) {
                (Scope::Event, Some(after)) => wait.max(after.min(self.policy.retry.retry_after_max)),
                (Scope::Endpoint, _) | (Scope::Event, None) => wait,
            };
        self.retries.wait(&mut self.deliveries, at, due.max(self.gate.hold_until));
    }
}
