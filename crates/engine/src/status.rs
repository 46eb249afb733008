use std::time::Duration;

use crate::deliveries::Handle;
use crate::lanes::LaneId;
use crate::{App, Engine, Token};

/// How many stuck deliveries a status names.
const STUCK_MAX: usize = 10;
/// How many ready lanes are looked at for it, from that whose turn it is: while the breaker is open, all may be ready.
const READY_LANES_MAX: usize = 100;

/// A subscription's state, for its operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Deliveries held: waiting, in flight, retrying, or with a dead letter under way.
    pub held: u32,
    /// Attempts open.
    pub in_flight: u32,
    /// Deliveries that wait for a retry.
    pub retrying: u32,
    /// Deliveries whose dead letter is being written, or waits to be.
    pub dead_lettering: u32,
    /// Attempts that may be open at once.
    pub window: u32,
    /// Keys with a delivery held.
    pub lanes: u32,
    pub breaker: BreakerState,
    pub paused: Option<PausedBy>,
    /// Until when (monotonic) a `Retry-After` holds the subscription.
    pub held_until: Option<Duration>,
    pub app: App,
    pub draining: bool,
    /// Inputs about leases and attempts that were no longer known.
    pub ignored: u64,
    /// Deliveries that have been attempted before and are not done, most attempts first; at most ten.
    pub stuck: Vec<Stuck>,
}

/// The breaker, as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    Probing,
}

/// Who paused the subscription. An operator's word comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PausedBy {
    Operator,
    DeadLetters,
    Answer,
}

/// A delivery that does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    pub token: Token,
    /// Spent attempts.
    pub attempts: u32,
    /// Deliveries of its key that wait behind it.
    pub waiting: u32,
}

impl Engine {
    /// The present state. Costs a pass over what is retrying and in flight, and a hundred ready lanes, not over what is
    /// held.
    pub fn status(&self) -> Status {
        Status {
            held: self.deliveries.held(),
            in_flight: self.attempts.open(),
            retrying: self.retries.live(),
            dead_lettering: self.lettering + self.letters.live(),
            window: self.window.size(),
            lanes: self.lanes.live(),
            breaker: match () {
                () if self.breaker.is_closed() => BreakerState::Closed,
                () if self.breaker.is_probing() => BreakerState::Probing,
                () => BreakerState::Open,
            },
            paused: self.paused(),
            held_until: Some(self.gate.hold_until).filter(|until| *until > self.now.monotonic),
            app: self.gate.app,
            draining: self.gate.draining,
            ignored: self.ignored,
            stuck: self.stuck_deliveries(),
        }
    }

    fn paused(&self) -> Option<PausedBy> {
        if self.gate.operator {
            return Some(PausedBy::Operator);
        }
        if self.gate.letters {
            return Some(PausedBy::DeadLetters);
        }
        self.gate.answer.map(|_| PausedBy::Answer)
    }

    fn stuck_deliveries(&self) -> Vec<Stuck> {
        let waiting = self.retries.iter(&self.deliveries).chain(self.letters.iter(&self.deliveries));
        // A retry that is due waits in its lane for the breaker.
        let ready = std::iter::successors(self.lanes.first_ready(), |lane| self.lanes.next_ready(*lane));
        let due = ready.take(READY_LANES_MAX).filter_map(|lane| self.lanes[lane].queue.head().map(Handle));
        let mut stuck: Vec<Stuck> = Vec::with_capacity(STUCK_MAX + 1);
        for at in waiting.chain(due).chain(self.attempts.members()) {
            let delivery = &self.deliveries[at];
            if delivery.attempts == 0 && delivery.unspent == 0 {
                continue;
            }
            let entry = Stuck {
                token: self.deliveries.token(at),
                attempts: u32::from(delivery.attempts),
                waiting: self.waiting_behind(at),
            };
            let rank = |s: &Stuck| (s.attempts, s.waiting, s.token.source, s.token.slot);
            let place = stuck.partition_point(|other| rank(other) >= rank(&entry));
            if place < STUCK_MAX {
                stuck.insert(place, entry);
                stuck.truncate(STUCK_MAX);
            }
        }
        stuck
    }

    fn waiting_behind(&self, at: Handle) -> u32 {
        match self.deliveries[at].lane {
            LaneId::NONE => 0,
            lane => self.lanes[lane].queue.len() - 1,
        }
    }
}
