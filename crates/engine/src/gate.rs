//! What keeps a subscription from sending, apart from its breaker: the app's state, pauses, a `Retry-After`, a drain.

use std::time::Duration;

use crate::lanes::LaneId;
use crate::{Action, Actions, App, Engine, Transition, budget};

#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) app: App,
    pub(crate) operator: bool,
    pub(crate) letters: bool,
    /// Paused by an answer: when the next probe is due.
    pub(crate) answer: Option<Duration>,
    /// What a `Retry-After` asked for.
    pub(crate) hold_until: Duration,
    pub(crate) draining: bool,
    pub(crate) drained: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            app: App::Up,
            operator: false,
            letters: false,
            answer: None,
            hold_until: Duration::ZERO,
            draining: false,
            drained: false,
        }
    }
}

impl Gate {
    /// Nothing may be sent, not even a probe, until somebody says otherwise.
    pub(crate) fn is_shut(&self) -> bool {
        self.app == App::Down || self.operator || self.letters || self.draining
    }
}

impl Engine {
    /// Whether attempts may begin.
    pub(crate) fn may_send(&self) -> bool {
        self.may_probe() && self.gate.answer.is_none() && self.breaker.is_closed()
    }

    /// Whether a probe may begin, if one is due.
    pub(crate) fn may_probe(&self) -> bool {
        !self.gate.is_shut() && self.gate.hold_until <= self.now.monotonic
    }

    pub(crate) fn pause_by_operator(&mut self, actions: &mut Actions) {
        if !std::mem::replace(&mut self.gate.operator, true) {
            actions.list.push(Action::Transition(Transition::PausedByOperator));
        }
    }

    /// More letters than the operator foresaw: rather than flood them, stop and be seen.
    pub(crate) fn pause_by_letters(&mut self, actions: &mut Actions) {
        if !std::mem::replace(&mut self.gate.letters, true) {
            actions.list.push(Action::Transition(Transition::PausedByDeadLetters));
        }
    }

    /// The endpoint says that it is gone. From now on only probes ask whether it is back.
    pub(crate) fn pause_by_answer(&mut self, actions: &mut Actions) {
        if self.gate.answer.is_none() {
            // The pause has probes of its own, and attempts that were open when it began spend nothing.
            self.breaker.close();
            actions.list.push(Action::Transition(Transition::PausedByAnswer));
        }
        self.gate.answer = Some(self.now.monotonic + self.policy.breaker.pause_probe);
    }

    /// An operator's word ends every pause, lets lanes that stopped after a dead letter go on, and has an open breaker
    /// probe at once.
    pub(crate) fn resume(&mut self, actions: &mut Actions) {
        let paused = self.gate.operator || self.gate.letters || self.gate.answer.is_some();
        if self.gate.answer.take().is_some() {
            self.window.restart(self.policy.window.initial);
        }
        self.gate.operator = false;
        self.gate.letters = false;
        self.letter_rate = budget::Letters::full(self.now.monotonic, self.policy.dead_letter.max_per_minute);
        self.breaker.probe_now(self.now.monotonic);
        if self.stopped > 0 {
            self.stopped = 0;
            for lane in (0..self.lanes.end()).map(LaneId) {
                if self.lanes.is_live(lane) && std::mem::take(&mut self.lanes[lane].stopped) {
                    self.refresh(lane);
                }
            }
        }
        if paused {
            actions.list.push(Action::Transition(Transition::Resumed));
        }
    }

    /// The endpoint asked for a pause: the whole subscription holds, at most as long as the policy allows.
    pub(crate) fn hold(&mut self, after: Duration, actions: &mut Actions) {
        let until = self.now.monotonic + after.min(self.policy.retry.retry_after_max);
        self.window.collapse(self.attempts.next_serial());
        if until > self.gate.hold_until && !after.is_zero() {
            self.gate.hold_until = until;
            actions.list.push(Action::Transition(Transition::Held { until }));
        }
    }
}
