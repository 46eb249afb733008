//! One process: the engine, and what its shell knows of the leases it holds.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::Lease;
use broker::model::SourceId;
use engine::{Actions, Attempt, Engine, Input, Policy, Token};

use super::publishers::number;
use super::rules::Rules;

/// The subscription's own topic.
pub(super) const TOPIC_SOURCE: engine::SourceId = engine::SourceId::TOPIC;
/// Its dead letters, while they are redriven.
pub(super) const REDRIVE_SOURCE: engine::SourceId = engine::SourceId(1);

#[derive(Debug)]
pub(super) struct Life {
    pub(super) id: u32,
    pub(super) engine: Engine,
    pub(super) actions: Actions,
    /// The open sources, by the engine's number.
    pub(super) sources: [Option<SourceId>; 2],
    /// By source and slot.
    held: [Vec<Option<Held>>; 2],
    by_position: BTreeMap<(engine::SourceId, u64), Token>,
    /// A key's leases in order of arrival.
    pub(super) lanes: BTreeMap<u128, Lane>,
    /// Leases that were recalled and have not ended.
    pub(super) recalled: usize,
    /// All leases that wait for a retry or for a letter to be written again, and some that no longer do.
    pub(super) waiters: Vec<Token>,
    arrivals: u64,
    /// Open attempts, by their place among the webhook's requests.
    pub(super) open: BTreeMap<Attempt, usize>,
    /// When the timer rings.
    pub(super) wake: Option<Duration>,
    pub(super) draining: bool,
    pub(super) rules: Rules,
}

/// Leases by their number in order of arrival.
pub(super) type Lane = Vec<(u64, Token)>;

/// A lease that this process holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    generation: u32,
    pub(super) position: u64,
    pub(super) key: Option<u128>,
    arrival: u64,
    /// The event that it holds.
    pub(super) event: Option<usize>,
    pub(super) state: State,
    /// Spent attempts and the time of the first, counted here as the rules say.
    pub(super) note: broker::Note,
    /// The broker wants it back: no attempt of it is to begin.
    pub(super) recalled: bool,
    /// Its event failed before: it is to go alone.
    pub(super) alone: bool,
    /// It was attempted under this lease.
    pub(super) tried: bool,
    /// It waits for its retry to fall due.
    pub(super) waiting: bool,
    /// What its answer asked to wait for.
    pub(super) not_before: Duration,
    /// Attempts that this process had begun when it arrived.
    pub(super) since: u64,
}

/// What is under way with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Open,
    /// Its dead letter is being written.
    Lettering,
    /// Its dead letter could not be written, and is to be tried again.
    Unwritten,
}

impl State {
    /// Neither an attempt nor a letter is under way.
    pub(super) fn is_idle(self) -> bool {
        matches!(self, Self::Idle | Self::Unwritten)
    }
}

impl Life {
    pub(super) fn new(id: u32, policy: &Policy, seed: u64) -> Self {
        Self {
            id,
            engine: Engine::new(policy.clone(), seed ^ u64::from(id)),
            actions: Actions::default(),
            sources: [None; 2],
            held: [Vec::new(), Vec::new()],
            by_position: BTreeMap::new(),
            lanes: BTreeMap::new(),
            recalled: 0,
            waiters: Vec::new(),
            arrivals: 0,
            open: BTreeMap::new(),
            wake: None,
            draining: false,
            rules: Rules::new(policy),
        }
    }

    pub(super) fn held_len(&self) -> usize {
        self.by_position.len()
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        self.by_position.values().copied()
    }

    /// Takes a hand-out in. The contract lets a driver hand a position out again without a word about its older lease:
    /// the engine, which knows no positions, is told that this one was revoked.
    pub(super) fn take(
        &mut self,
        source: engine::SourceId,
        delivery: &broker::Delivery,
        inputs: &mut Vec<Input<'static>>,
    ) {
        let broker::Position::Number(position) = delivery.position else {
            unreachable!("the model numbers its records");
        };
        let event = match &delivery.payload {
            broker::Payload::Here(record) => number(record),
            broker::Payload::Stored => None,
        };
        let token = token(source, delivery.lease);
        if let Some(older) = self.by_position.get(&(source, position)).copied() {
            self.end_lease(older);
            inputs.push(Input::Revoked { token: older });
        }
        let (slots, at) = (&mut self.held[usize::from(source.0)], token.slot as usize);
        if slots.len() <= at {
            slots.resize(at + 1, None);
        }
        let key = delivery.key.as_ref().map(broker::Key::digest);
        self.arrivals += 1;
        slots[at] = Some(Held {
            generation: token.generation,
            position,
            key,
            arrival: self.arrivals,
            event,
            state: State::Idle,
            note: delivery.note,
            recalled: false,
            alone: false,
            tried: false,
            waiting: false,
            not_before: Duration::ZERO,
            since: self.rules.begun(),
        });
        self.by_position.insert((source, position), token);
        if let Some(key) = key {
            self.lanes.entry(key).or_default().push((self.arrivals, token));
        }
        let broker::Note { attempts, first_ms } = delivery.note;
        inputs.push(Input::Arrived { token, key, attempts, first_ms });
    }

    /// Takes a revocation in. Of a lease that this process has settled meanwhile there is nothing to say.
    pub(super) fn take_revoked(&mut self, token: Token, inputs: &mut Vec<Input<'static>>) {
        if self.end_lease(token).is_some() {
            inputs.push(Input::Revoked { token });
        }
    }

    /// Takes a recall in. The lease may have ended meanwhile.
    pub(super) fn take_recalled(&mut self, token: Token, inputs: &mut Vec<Input<'static>>) {
        if let Some(held) = self.held_mut(token) {
            let again = std::mem::replace(&mut held.recalled, true);
            self.recalled += usize::from(!again);
            inputs.push(Input::Recalled { token });
        }
    }

    pub(super) fn held(&self, token: Token) -> Option<&Held> {
        let held = self.held[usize::from(token.source.0)].get(token.slot as usize)?.as_ref()?;
        (held.generation == token.generation).then_some(held)
    }

    pub(super) fn held_mut(&mut self, token: Token) -> Option<&mut Held> {
        let held = self.held[usize::from(token.source.0)].get_mut(token.slot as usize)?.as_mut()?;
        (held.generation == token.generation).then_some(held)
    }

    /// Forgets a lease that has ended.
    pub(super) fn end_lease(&mut self, token: Token) -> Option<Held> {
        let held = *self.held(token)?;
        self.held[usize::from(token.source.0)][token.slot as usize] = None;
        self.by_position.remove(&(token.source, held.position));
        self.recalled -= usize::from(held.recalled);
        if let Some(key) = held.key
            && let Some(lane) = self.lanes.get_mut(&key)
        {
            lane.retain(|(arrival, _)| *arrival != held.arrival);
            if lane.is_empty() {
                self.lanes.remove(&key);
                self.rules.lane_ended(key);
            }
        }
        self.rules.lane_moved(held.key);
        Some(held)
    }

    /// The leases that the release of this one ends with it: those of its key that the same source handed out later.
    pub(super) fn tail(&self, token: Token) -> Vec<Token> {
        let Some((key, arrival)) = self.held(token).and_then(|held| Some((held.key?, held.arrival))) else {
            return Vec::new();
        };
        self.lane_behind(key, arrival).filter(|other| other.source == token.source).collect()
    }

    /// All leases of its key that arrived later, of whatever source.
    pub(super) fn behind(&self, token: Token) -> impl Iterator<Item = Token> {
        let place = self.held(token).and_then(|held| Some((held.key?, held.arrival)));
        place.into_iter().flat_map(|(key, arrival)| self.lane_behind(key, arrival))
    }

    fn lane_behind(&self, key: u128, arrival: u64) -> impl Iterator<Item = Token> {
        let lane = self.lanes.get(&key).into_iter().flatten();
        lane.filter(move |(other, _)| *other > arrival).map(|(_, token)| *token)
    }

    /// Forgets a source that has ended, and all leases of it.
    pub(super) fn close(&mut self, source: engine::SourceId) -> Option<SourceId> {
        let held: Vec<Token> = self.tokens().filter(|token| token.source == source).collect();
        for token in held {
            self.end_lease(token);
        }
        self.sources[usize::from(source.0)].take()
    }
}

pub(super) fn token(source: engine::SourceId, lease: Lease) -> Token {
    Token { source, slot: lease.slot, generation: lease.generation }
}

pub(super) fn lease(token: Token) -> Lease {
    Lease { slot: token.slot, generation: token.generation }
}
