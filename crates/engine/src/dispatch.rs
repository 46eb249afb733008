//! Which deliveries go next: ready lanes in turn, retries by due time within their budget, probes while the breaker is
//! open.

use crate::attempts::{Began, Member};
use crate::deliveries::{Handle, State};
use crate::lanes::LaneId;
use crate::list::NONE;
use crate::{Action, Actions, Engine, Mode};

/// How many deliveries more may be held once every lane that is held was probed in vain: were all of them poisoned, the
/// healthy ones behind them would otherwise never be read, and the breaker never close.
const PROBE_REACH: u32 = 16;

impl Engine {
    pub(crate) fn dispatch(&mut self, actions: &mut Actions) {
        self.budget_blocked = false;
        if self.may_send() {
            while self.attempts.open() < self.window.size() && self.send(actions) {}
        } else if self.may_probe() {
            self.probe(actions);
        }
    }

    /// Begins the next attempt, if there is one.
    fn send(&mut self, actions: &mut Actions) -> bool {
        let now = self.now.monotonic;
        let retry = self.due_retry();
        let allowed = retry.filter(|_| self.budget.allows(now, &self.policy.retry));
        self.budget_blocked = retry.is_some() && allowed.is_none();
        let head = match (allowed, self.has_first()) {
            (None, false) => return false,
            (Some(retry), false) => Some(retry),
            (None, true) => None,
            // In turn: neither can starve the other, however small the window.
            (Some(retry), true) => {
                self.turns.retry = !self.turns.retry;
                self.turns.retry.then_some(retry)
            }
        };
        let mut room = match self.policy.mode {
            Mode::Single => 1,
            Mode::Batch { events } => events.max(1),
        };
        let (attempt, first) = (self.begin(false), actions.tokens.len());
        match head {
            Some(retry) => {
                self.budget.retry(now);
                room = self.join_run(attempt, retry, room, actions);
                while room > 0
                    && let Some(retry) =
                        self.due_retry().filter(|retry| !self.deliveries[*retry].marks.alone())
                {
                    room = self.join_run(attempt, retry, room, actions);
                }
            }
            None => self.budget.first_attempt(now),
        }
        while room > 0
            && let Some(next) = self.next_first()
            && (actions.tokens.len() == first || !self.deliveries[next].marks.alone())
        {
            // What has to go alone, and so not with these, keeps its turn.
            self.turns.free ^= self.lanes.ready() > 0 && self.free.len() > 0;
            room = self.join_run(attempt, next, room, actions);
        }
        self.push_attempt(attempt, first, false, actions);
        true
    }

    fn begin(&mut self, probe: bool) -> u32 {
        self.attempts.begin(Began { probe, epoch: self.breaker.epoch(), wall_ms: self.now.wall_ms })
    }

    fn push_attempt(&self, attempt: u32, first: usize, probe: bool, actions: &mut Actions) {
        let (attempt, count) = (self.attempts.id(attempt), (actions.tokens.len() - first) as u32);
        actions.list.push(Action::Attempt { attempt, first: first as u32, count, probe });
    }

    /// Adds a delivery and what may go with it of its lane's run to an attempt; returns the room that is left.
    fn join_run(&mut self, attempt: u32, head: Handle, mut room: u32, actions: &mut Actions) -> u32 {
        let lane = self.deliveries[head].lane;
        if lane == LaneId::NONE && self.deliveries[head].state == State::Ready {
            self.free.remove(&mut self.deliveries, head.0);
        }
        let mut at = head;
        loop {
            let delivery = &mut self.deliveries[at];
            if delivery.state == State::Waiting {
                self.retries.left();
            }
            delivery.state = State::Open;
            room = if delivery.marks.alone() { 0 } else { room - 1 };
            let next = Handle(delivery.link.next);
            if lane == LaneId::NONE {
                delivery.link.next = attempt;
            }
            self.attempts.join(attempt, Member { delivery: at, lane, alive: true });
            actions.tokens.push(self.deliveries.token(at));
            if lane == LaneId::NONE || room == 0 || next == Handle::NONE {
                break;
            }
            let follower = &self.deliveries[next];
            if follower.state != State::Ready || follower.marks.alone() || follower.marks.recalled() {
                break;
            }
            at = next;
        }
        if lane != LaneId::NONE {
            self.lanes[lane].attempt = attempt;
            self.refresh(lane);
        }
        room
    }

    /// The retry that is due and whose lane it may go ahead of.
    fn due_retry(&mut self) -> Option<Handle> {
        loop {
            let (due, at) = self.retries.peek(&self.deliveries)?;
            if due > self.now.monotonic {
                return None;
            }
            if self.leads(at) {
                return Some(at);
            }
            // Its wait is over, but an earlier one of its lane has to go first.
            self.retries.left();
            self.make_ready(at);
        }
    }

    /// Whether nothing of its lane has to go before it.
    fn leads(&self, at: Handle) -> bool {
        match self.deliveries[at].lane {
            LaneId::NONE => true,
            _ if self.deliveries[at].marks.recalled() => false,
            lane => {
                let lane = &self.lanes[lane];
                lane.queue.head() == Some(at.0)
                    && lane.attempt == NONE
                    && !lane.stopped
                    && lane.broken == NONE
            }
        }
    }

    fn has_first(&self) -> bool {
        self.lanes.ready() > 0 || self.free.len() > 0
    }

    /// The next of the deliveries that wait for nothing: lanes in turn, and those without one in turn with the lanes.
    fn next_first(&self) -> Option<Handle> {
        let of_lane = self.lanes.first_ready().and_then(|lane| self.lanes[lane].queue.head());
        let free = self.free.head();
        let next = match (of_lane, free) {
            (Some(of_lane), Some(_)) if self.turns.free => of_lane,
            (of_lane, free) => free.or(of_lane)?,
        };
        Some(Handle(next))
    }

    /// Begins a probe where one is due and none is open: one delivery, of another lane than the last one's if there is
    /// any, so that one poisoned key cannot keep the breaker open.
    fn probe(&mut self, actions: &mut Actions) {
        let due = self.gate.answer.or(self.breaker.probe_at());
        if self.probes.open || due.is_none_or(|due| due > self.now.monotonic) {
            return;
        }
        let Some(at) = self.other_lane().or_else(|| self.any_lane()) else {
            return;
        };
        self.probes.asked += 1;
        if self.probes.asked >= self.lanes.ready() + self.free.len() + self.retries.live() {
            self.probes.asked = 0;
            self.probes.reach = self.deliveries.held().saturating_add(PROBE_REACH);
        }
        self.probes.open = true;
        self.probes.last = Some((self.deliveries[at].lane, at));
        self.probes.waiting_next = !self.probes.waiting_next;
        self.breaker.probe_began();
        let (attempt, first) = (self.begin(true), actions.tokens.len());
        self.join_run(attempt, at, 1, actions);
        self.push_attempt(attempt, first, true, actions);
    }

    fn other_lane(&self) -> Option<Handle> {
        let last = self.probes.last;
        let is_other = |at: Handle| match (self.deliveries[at].lane, last) {
            (_, None) => true,
            (LaneId::NONE, Some((_, delivery))) => at != delivery,
            (lane, Some((of_last, _))) => lane != of_last,
        };
        let ready = || {
            let first = self.lanes.first_ready();
            let second = first.and_then(|first| self.lanes.next_ready(first));
            let heads =
                [first, second].into_iter().flatten().filter_map(|lane| self.lanes[lane].queue.head());
            let free = self.free.head();
            let behind = free.map(|free| self.deliveries[Handle(free)].link.next).filter(|at| *at != NONE);
            heads.chain(free).chain(behind).map(Handle).find(|at| is_other(*at))
        };
        let waiting = || self.retries.earliest(&self.deliveries, |at| self.leads(at) && is_other(at));
        if self.probes.waiting_next { waiting().or_else(ready) } else { ready().or_else(waiting) }
    }

    fn any_lane(&self) -> Option<Handle> {
        let head = self.lanes.first_ready().and_then(|lane| self.lanes[lane].queue.head());
        let ready = head.or(self.free.head()).map(Handle);
        ready.or_else(|| self.retries.earliest(&self.deliveries, |at| self.leads(at)))
    }
}
