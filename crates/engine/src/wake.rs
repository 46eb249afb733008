//! The one timer: when something happens next without anybody saying anything.

use std::time::Duration;

use crate::{Action, Actions, Engine};

/// A moment that has passed and was acted on is never waited for: this keeps a timer from spinning all the same.
pub(crate) const LEAST: Duration = Duration::from_millis(1);

impl Engine {
    /// Arms the timer. One that is armed for an earlier moment stays: it rings, and is armed anew.
    pub(crate) fn arm(&mut self, actions: &mut Actions) {
        let Some(at) = self.next() else {
            return;
        };
        let at = at.max(self.now.monotonic + LEAST);
        if self.armed.is_none_or(|armed| at < armed) {
            self.armed = Some(at);
            actions.list.push(Action::Wake { at });
        }
    }

    fn next(&mut self) -> Option<Duration> {
        if self.gate.draining {
            return None;
        }
        let letter = self.letters.peek(&self.deliveries).map(|(due, _)| due);
        let sending = self.next_sending();
        [letter, sending].into_iter().flatten().min()
    }

    fn next_sending(&mut self) -> Option<Duration> {
        let now = self.now.monotonic;
        let candidates = self.lanes.ready() + self.free.len() + self.retries.live();
        if self.gate.is_shut() || candidates == 0 {
            return None;
        }
        if self.gate.hold_until > now {
            return Some(self.gate.hold_until);
        }
        if self.gate.answer.is_some() || !self.breaker.is_closed() {
            return self.gate.answer.or(self.breaker.probe_at()).filter(|_| !self.probes.open);
        }
        if self.attempts.open() >= self.window.size() {
            return None;
        }
        if self.budget_blocked {
            return Some(self.budget.next(now));
        }
        self.retries.peek(&self.deliveries).map(|(due, _)| due)
    }
}
