//! How much is read ahead: as much as the window can use, and no more than the buffer holds.

use crate::deliveries::Handle;
use crate::lanes::LaneId;
use crate::{Action, Actions, Engine, Mode, Transition};

/// What every source may have, so that a full buffer of one never starves another.
const SOURCE_MIN: u32 = 16;

impl Engine {
    /// Deliveries that nothing but the window keeps from being sent, a lane counted once.
    fn dispatchable(&self) -> u32 {
        self.lanes.ready() + self.free.len()
    }

    /// How many dispatchable deliveries there should be: two windows, so that there is always a next one.
    fn wanted(&self) -> u32 {
        let events = match self.policy.mode {
            Mode::Single => 1,
            Mode::Batch { events } => events.max(1),
        };
        self.window.size().max(4).saturating_mul(2).saturating_mul(events)
    }

    /// Grants the sources what they should have. Credit is a ceiling on what a source has outstanding, so in the steady
    /// state nothing needs to be said.
    pub(crate) fn grant(&mut self, actions: &mut Actions) {
        let (held, buffer) = (self.deliveries.held(), self.policy.buffer.max(1));
        let reading = !self.gate.is_shut() && self.gate.answer.is_none() && self.breaker.is_closed();
        let target = if reading {
            (held - self.dispatchable()).saturating_add(self.wanted()).min(buffer)
        } else {
            self.probe_target().min(buffer)
        };
        let sources = self.deliveries.sources();
        let open = sources.iter().filter(|source| source.open).count() as u32;
        let share = target.saturating_sub(held).div_ceil(open.max(1));
        let mut taken: u32 = sources.iter().map(|source| source.granted.max(source.held)).sum();
        for (id, source) in self.deliveries.sources_mut().iter_mut().enumerate() {
            if !source.open {
                continue;
            }
            let least = if reading { SOURCE_MIN.min(buffer) } else { 0 };
            let others = taken - source.granted.max(source.held);
            let room = buffer.saturating_sub(others).max(least);
            let desired = (source.held + share).max(least).min(room);
            let grant = if share == 0 && !reading {
                0
            } else if desired > source.granted {
                // A little more than asked for, so that growth takes few words.
                desired.saturating_add(desired / 8).min(room)
            } else if !reading || source.granted > desired.saturating_mul(2).saturating_add(SOURCE_MIN) {
                desired
            } else {
                source.granted
            };
            if grant != source.granted {
                taken = others + grant.max(source.held);
                source.granted = grant;
                source.granted_most = source.granted_most.max(grant);
                actions.list.push(Action::Credit { source: crate::SourceId(id as u8), events: grant });
            }
        }
    }

    /// While nothing but probes may be sent, only what a probe needs is read: one delivery, or a few more where every
    /// lane that is held was probed in vain.
    fn probe_target(&self) -> u32 {
        let candidates = self.dispatchable() + self.retries.live();
        match candidates {
            _ if self.gate.is_shut() || self.probes.open => 0,
            0 => self.deliveries.held().saturating_add(1),
            _ => self.probes.reach,
        }
    }

    /// Tells when the buffer is full behind lanes that stand still while the window has room, and when that is over.
    pub(crate) fn tell_stuck(&mut self, actions: &mut Actions) {
        let (held, buffer) = (self.deliveries.held(), self.policy.buffer);
        let idle = self.dispatchable() == 0 && self.attempts.open() < self.window.size();
        // It ends with a tenth of the buffer free, so that a trickle of other keys does not end it with every event.
        let stuck = match self.stuck {
            true => held > buffer - buffer.div_ceil(10),
            false => held >= buffer && idle && self.may_send(),
        };
        if stuck == self.stuck {
            return;
        }
        self.stuck = stuck;
        let transition = match stuck.then(|| self.longest_lane()).flatten() {
            Some((head, events)) => Transition::Stuck { longest: Some(self.deliveries.token(head)), events },
            None => Transition::Stuck { longest: None, events: 0 },
        };
        actions.list.push(Action::Transition(transition));
    }

    fn longest_lane(&self) -> Option<(Handle, u32)> {
        let longest =
            self.lanes.iter().max_by_key(|lane| (self.lanes[*lane].queue.len(), std::cmp::Reverse(*lane)));
        let of_lane = |lane: LaneId| {
            let queue = &self.lanes[lane].queue;
            queue.head().map(|head| (Handle(head), queue.len()))
        };
        longest
            .and_then(of_lane)
            .or_else(|| self.retries.iter(&self.deliveries).map(|at| (at, 1)).min())
            .or_else(|| self.letters.iter(&self.deliveries).map(|at| (at, 1)).min())
    }
}
