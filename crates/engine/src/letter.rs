//! Dead letters: a delivery is held until its letter is durable, and its lane waits with it.

use crate::budget::backoff;
use crate::deliveries::{Handle, State};
use crate::lanes::LaneId;
use crate::wake::LEAST;
use crate::{Action, Actions, AfterDeadLetter, Engine, Reason, Token};

impl Engine {
    /// Gives a delivery up.
    pub(crate) fn letter(&mut self, at: Handle, reason: Reason, actions: &mut Actions) {
        let delivery = &mut self.deliveries[at];
        delivery.reason = reason;
        delivery.unspent = 0;
        self.write_letter(at, actions);
    }

    /// An answer condemned a delivery. More of that than the policy foresees looks like a broken webhook, not like
    /// broken events: then the subscription pauses instead, and the delivery keeps its place.
    pub(crate) fn letter_by_answer(&mut self, at: Handle, actions: &mut Actions) {
        if !self.letter_rate.take(self.now.monotonic, self.policy.dead_letter.max_per_minute) {
            self.pause_by_letters(actions);
            self.make_ready(at);
            return;
        }
        let delivery = &mut self.deliveries[at];
        delivery.attempts = delivery.attempts.saturating_add(1);
        if delivery.first_ms == 0 {
            delivery.first_ms = self.now.wall_ms.max(1);
        }
        self.letter(at, Reason::Answered, actions);
    }

    pub(crate) fn dead_lettered(&mut self, token: Token, written: bool, actions: &mut Actions) {
        let lettering =
            self.deliveries.find(token).filter(|at| self.deliveries[*at].state == State::Lettering);
        let Some(at) = lettering else {
            self.ignored += 1;
            return;
        };
        if !written {
            self.lettering -= 1;
            let lane = self.deliveries[at].lane;
            self.write_later(at);
            self.let_pass(lane);
            self.send_back(at, lane);
            return;
        }
        actions.list.push(Action::Done { token });
        let lane = self.deliveries[at].lane;
        if lane != LaneId::NONE && self.policy.dead_letter.after == AfterDeadLetter::Pause {
            self.stop(lane, actions);
        }
        self.remove(at);
        self.send_back(at, lane);
    }

    /// Tries letters again whose wait is over.
    pub(crate) fn send_letters(&mut self, actions: &mut Actions) {
        while !self.gate.draining
            && let Some((due, at)) = self.letters.peek(&self.deliveries)
            && due <= self.now.monotonic
        {
            self.letters.left();
            if self.is_passed(at) {
                self.write_later(at);
            } else {
                self.write_letter(at, actions);
            }
        }
    }

    /// Lets a letter wait that cannot be written: for a while at least, since it may do so again and again.
    fn write_later(&mut self, at: Handle) {
        let delivery = &mut self.deliveries[at];
        delivery.unspent = delivery.unspent.saturating_add(1);
        let tries = u32::from(delivery.unspent);
        let wait = backoff(&self.policy.retry, tries, &mut self.random).max(LEAST);
        self.letters.wait(&mut self.deliveries, at, self.now.monotonic + wait);
    }

    fn write_letter(&mut self, at: Handle, actions: &mut Actions) {
        let delivery = &mut self.deliveries[at];
        delivery.state = State::Lettering;
        self.lettering += 1;
        let (reason, first_ms) = (delivery.reason, delivery.first_ms);
        let (attempts, token) = (u32::from(delivery.attempts), self.deliveries.token(at));
        actions.list.push(Action::DeadLetter { token, reason, attempts, first_ms });
    }

    /// Lets a lane stand still. An empty lane that stands still keeps its place in memory, so their number has a bound
    /// too: the subscription pauses when it is reached.
    fn stop(&mut self, lane: LaneId, actions: &mut Actions) {
        if !std::mem::replace(&mut self.lanes[lane].stopped, true) {
            self.stopped += 1;
        }
        if self.stopped >= self.policy.buffer.max(1) {
            self.pause_by_letters(actions);
        }
    }
}
