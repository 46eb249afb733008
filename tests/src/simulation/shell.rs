//! One process: the engine, and what its shell knows of the leases it holds.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::Lease;
use broker::model::SourceId;
use engine::{Actions, Attempt, Engine, Input, Policy, Token};

/// The one source that the engine is given.
pub(super) const SOURCE: engine::SourceId = engine::SourceId(0);

#[derive(Debug)]
pub(super) struct Life {
    pub(super) id: u32,
    pub(super) engine: Engine,
    pub(super) actions: Actions,
    pub(super) source: SourceId,
    /// By slot.
    held: Vec<Option<Held>>,
    by_position: BTreeMap<u64, Token>,
    /// Open attempts, by their place among the webhook's requests.
    pub(super) open: BTreeMap<Attempt, usize>,
    /// When the timer rings.
    pub(super) wake: Option<Duration>,
    pub(super) draining: bool,
    pub(super) concurrency: u32,
}

/// A lease that this process holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) generation: u32,
    pub(super) position: u64,
    /// Spent attempts, as last noted.
    pub(super) attempts: u32,
    /// The broker wants it back: no attempt of it is to begin.
    pub(super) recalled: bool,
}

impl Life {
    pub(super) fn new(id: u32, policy: &Policy, seed: u64, source: SourceId) -> Self {
        Self {
            id,
            engine: Engine::new(policy.clone(), seed ^ u64::from(id)),
            actions: Actions::default(),
            source,
            held: Vec::new(),
            by_position: BTreeMap::new(),
            open: BTreeMap::new(),
            wake: None,
            draining: false,
            concurrency: policy.concurrency,
        }
    }

    pub(super) fn holds_any(&self) -> bool {
        !self.by_position.is_empty()
    }

    /// Takes a hand-out in. The contract lets a driver hand a position out again without a word about its older lease:
    /// the engine, which knows no positions, is told that this one was revoked.
    pub(super) fn take(&mut self, delivery: &broker::Delivery, inputs: &mut Vec<Input<'static>>) {
        let broker::Position::Number(position) = delivery.position else {
            unreachable!("the model numbers its records");
        };
        let Lease { slot, generation } = delivery.lease;
        let token = Token { source: SOURCE, slot, generation };
        if let Some(older) = self.by_position.insert(position, token) {
            self.drop_lease(older);
            inputs.push(Input::Revoked { token: older });
        }
        let at = slot as usize;
        if self.held.len() <= at {
            self.held.resize(at + 1, None);
        }
        self.held[at] =
            Some(Held { generation, position, attempts: delivery.note.attempts, recalled: false });
        let key = delivery.key.as_ref().map(broker::Key::digest);
        let broker::Note { attempts, first_ms } = delivery.note;
        inputs.push(Input::Arrived { token, key, attempts, first_ms });
    }

    /// Takes a revocation in. Of a lease that this process has settled meanwhile there is nothing to say.
    pub(super) fn take_revoked(&mut self, lease: Lease, inputs: &mut Vec<Input<'static>>) {
        let token = Token { source: SOURCE, slot: lease.slot, generation: lease.generation };
        if self.end_lease(token).is_some() {
            inputs.push(Input::Revoked { token });
        }
    }

    /// Takes a recall in. The lease may have ended meanwhile.
    pub(super) fn take_recalled(&mut self, lease: Lease, inputs: &mut Vec<Input<'static>>) {
        let token = Token { source: SOURCE, slot: lease.slot, generation: lease.generation };
        if let Some(held) = self.held(token) {
            held.recalled = true;
            inputs.push(Input::Recalled { token });
        }
    }

    pub(super) fn held(&mut self, token: Token) -> Option<&mut Held> {
        let held = self.held.get_mut(token.slot as usize)?.as_mut()?;
        (held.generation == token.generation).then_some(held)
    }

    /// Forgets a lease that has ended.
    pub(super) fn end_lease(&mut self, token: Token) -> Option<Held> {
        let held = *self.held(token)?;
        self.drop_lease(token);
        self.by_position.remove(&held.position);
        Some(held)
    }

    fn drop_lease(&mut self, token: Token) {
        if self.held(token).is_some() {
            self.held[token.slot as usize] = None;
        }
    }
}

pub(super) fn lease(token: Token) -> Lease {
    Lease { slot: token.slot, generation: token.generation }
}
