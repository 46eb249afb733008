//! Leases that begin and end at the source's will, and the drain that gives them back.

use crate::deliveries::{Delivery, Handle, State};
use crate::lanes::{Lane, LaneId};
use crate::list::NONE;
use crate::{Action, Actions, Engine, Ordering, SourceId, Token};

impl Engine {
    pub(crate) fn arrived(
        &mut self,
        token: Token,
        key: Option<u128>,
        attempts: u32,
        first_ms: u64,
        actions: &mut Actions,
    ) {
        if !self.deliveries.admits(token, self.policy.buffer) || self.deliveries.find(token).is_some() {
            self.ignored += 1;
            return;
        }
        // A slot that is handed out again means that its older lease is dead, told or not.
        if let Some(older) = self.deliveries.occupant(token) {
            self.forget(older, actions);
        }
        let at = self.deliveries.insert(token, Delivery::new(token.generation, attempts, first_ms));
        if let Some(key) = key.filter(|_| self.policy.ordering == Ordering::Key) {
            let lane = self.lanes.of_key(key);
            self.line_up(at, lane);
        }
        self.make_ready(at);
    }

    pub(crate) fn revoked(&mut self, token: Token, actions: &mut Actions) {
        let Some(at) = self.deliveries.find(token) else {
            self.ignored += 1;
            return;
        };
        let Delivery { lane, link, .. } = self.deliveries[at];
        if lane != LaneId::NONE && link.next != NONE {
            self.break_behind(at, lane);
        }
        self.forget(at, actions);
    }

    /// What stands behind this delivery, whose lease is dead, has to go back.
    fn break_behind(&mut self, at: Handle, lane: LaneId) {
        let Lane { broken, mending, .. } = self.lanes[lane];
        // A driver that revokes a key's tail goes from its front or from its end: then there is nothing to search.
        if broken != at.0 && (broken == NONE || self.comes_before(at, broken)) {
            self.lanes[lane].broken = self.deliveries[at].link.next;
        }
        if !mending {
            self.lanes[lane].mending = true;
            self.broken.push(lane);
        }
    }

    fn comes_before(&self, at: Handle, other: u32) -> bool {
        let mut next = self.deliveries[at].link.next;
        while next != NONE && next != other {
            next = self.deliveries[Handle(next)].link.next;
        }
        next == other
    }

    /// A source ended: its leases are dead, and attempts that nobody needs any longer are abandoned.
    pub(crate) fn source_closed(&mut self, source: SourceId, actions: &mut Actions) {
        let held: Vec<Handle> = self.deliveries.of(source).collect();
        for at in held {
            self.forget(at, actions);
        }
        self.deliveries.close(source);
        self.retries.purge(&self.deliveries);
        self.letters.purge(&self.deliveries);
    }

    /// Drops a delivery whose lease is dead. An attempt that carried it and no living one is abandoned; its lane stays
    /// blocked until that has ended, so that no two requests of a key are ever open.
    fn forget(&mut self, at: Handle, actions: &mut Actions) {
        let delivery = self.deliveries[at];
        if delivery.state == State::Open {
            let attempt = match delivery.lane {
                LaneId::NONE => delivery.link.next,
                lane => self.lanes[lane].attempt,
            };
            if let Some(attempt) = self.attempts.forget(attempt, at) {
                actions.list.push(Action::Abandon { attempt });
            }
        }
        self.remove(at);
        if delivery.lane != LaneId::NONE {
            // What was recalled before it in its lane may have waited for it alone.
            self.send_back(at, delivery.lane);
        }
    }

    /// Where an earlier delivery of a lane was revoked and later ones are still held, these go back too, the last
    /// first: otherwise they would be sent before the earlier one has come again. A driver that revokes a key's whole
    /// tail leaves nothing to do here.
    pub(crate) fn mend(&mut self, actions: &mut Actions) {
        let mut kept = 0;
        for i in 0..self.broken.len() {
            let lane = self.broken[i];
            if !self.lanes.is_live(lane) {
                continue;
            }
            if self.lanes[lane].broken != NONE && self.lanes[lane].attempt != NONE {
                self.broken[kept] = lane;
                kept += 1;
            } else {
                self.lanes[lane].mending = false;
                self.release_broken(lane, actions);
            }
        }
        self.broken.truncate(kept);
    }

    /// Releases what is broken of a lane and has nothing under way behind it. Before that stands at most a dead letter
    /// that is being written: its delivery ends by itself, and nothing is left that could pass the one that comes again.
    fn release_broken(&mut self, lane: LaneId, actions: &mut Actions) {
        while self.lanes.is_live(lane)
            && self.lanes[lane].broken != NONE
            && let Some(last) = self.lanes[lane].queue.tail().map(Handle)
            && self.deliveries[last].is_idle()
        {
            self.release(last, actions);
        }
        if self.lanes.is_live(lane) {
            self.lanes[lane].broken = NONE;
            self.refresh(lane);
        }
    }

    fn release_lane(&mut self, lane: LaneId, actions: &mut Actions) {
        while self.lanes.is_live(lane)
            && let Some(last) = self.lanes[lane].queue.tail()
        {
            self.release(Handle(last), actions);
        }
    }

    pub(crate) fn release(&mut self, at: Handle, actions: &mut Actions) {
        actions.list.push(Action::Release { token: self.deliveries.token(at) });
        self.remove(at);
    }

    /// Gives everything back once nothing is under way. Deliveries that still come in afterwards go back at once.
    pub(crate) fn finish_drain(&mut self, actions: &mut Actions) {
        if !self.gate.draining || self.attempts.open() > 0 || self.lettering > 0 {
            return;
        }
        if self.deliveries.held() > 0 {
            for lane in (0..self.lanes.end()).map(LaneId) {
                self.release_lane(lane, actions);
            }
            while let Some(first) = self.free.head() {
                self.release(Handle(first), actions);
            }
            // What is left waits for a retry, or for its letter to be written, and has no lane.
            let mut left: Vec<Handle> = self.retries.iter(&self.deliveries).collect();
            left.extend(self.letters.iter(&self.deliveries));
            left.sort_unstable();
            for at in left {
                self.release(at, actions);
            }
        }
        if !std::mem::replace(&mut self.gate.drained, true) {
            actions.list.push(Action::Drained);
        }
    }
}
