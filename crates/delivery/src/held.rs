//! What a source has handed out, by slot.

use std::collections::HashMap;
use std::sync::Arc;

use broker::{Delivery, Lease, Payload, Position, Record};
use engine::{SourceId, Token};

use crate::attempt::Last;

/// The deliveries of one source that are neither settled nor revoked.
#[derive(Debug)]
pub(crate) struct Held {
    source: SourceId,
    /// By the token's slot. The contract gives the lowest slots out first, so this stays as short as the most that was
    /// ever held.
    slots: Vec<Option<Slot>>,
    held: u32,
    /// Slots that remember their last attempt.
    remembered: u32,
    /// `None`: a token is its lease, number for number.
    apart: Option<Apart>,
}

/// Most deliveries of a source whose last attempt is remembered, at up to a KiB each. It is needed at once by the dead
/// letter that an attempt leads to, and later on by status alone, which shows a few.
const REMEMBERED_MAX: u32 = 4096;

/// Tokens with numbers of their own, for a source of which the engine hears only in part: what is left out takes up
/// slots of the source, and the engine counts on slots below what it granted.
#[derive(Debug, Default)]
struct Apart {
    /// The token's slot by the lease's; `None`: left out, held unsettled and unknown to the engine.
    places: HashMap<Lease, Option<u32>>,
    free: Vec<u32>,
    generation: u32,
    left_out: u32,
}

/// One delivery: a few words, and its record only where the broker did not keep it.
#[derive(Debug)]
pub(crate) struct Slot {
    generation: u32,
    pub(crate) lease: Lease,
    /// POSTs made, those of earlier hand-outs included as far as they were spent.
    pub(crate) posts: u32,
    pub(crate) position: Position,
    pub(crate) published_ms: u64,
    /// Size of its record on the broker.
    pub(crate) bytes: u32,
    pub(crate) record: Option<Arc<Record>>,
    pub(crate) last: Option<Box<Last>>,
    pub(crate) letter: LetterState,
}

/// How far a delivery is on its way to the dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetterState {
    None,
    /// Being written, or waiting to be.
    Wanted,
    Durable,
}

/// What became of a delivery that was put into the table.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) token: Token,
    /// A lease whose slot was given out again without its revocation having been told.
    pub(crate) superseded: Option<Token>,
}

/// Who has to do with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Engine(Token),
    /// A redrive's filter left it out.
    Nobody,
}

impl Held {
    pub(crate) fn new(source: SourceId) -> Self {
        Self { source, slots: Vec::new(), held: 0, remembered: 0, apart: None }
    }

    /// A table from which deliveries can be left out.
    pub(crate) fn apart(source: SourceId) -> Self {
        Self { apart: Some(Apart::default()), ..Self::new(source) }
    }

    /// Takes a delivery in.
    pub(crate) fn put(&mut self, delivery: Delivery) -> Put {
        let lease = delivery.lease;
        let Lease { slot, generation } = match &mut self.apart {
            None => lease,
            Some(apart) => apart.place(lease, self.slots.len()),
        };
        let index = slot as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let record = match delivery.payload {
            Payload::Here(record) => Some(record),
            Payload::Stored => None,
        };
        let before = self.slots[index].replace(Slot {
            generation,
            lease,
            posts: delivery.note.attempts,
            position: delivery.position,
            published_ms: delivery.published_ms,
            bytes: delivery.bytes,
            record,
            last: None,
            letter: LetterState::None,
        });
        let token = |generation| Token { source: self.source, slot, generation };
        self.remembered -= u32::from(before.as_ref().is_some_and(|before| before.last.is_some()));
        let superseded = before.map(|before| token(before.generation));
        self.held += u32::from(superseded.is_none());
        Put { token: token(generation), superseded }
    }

    /// Holds a lease that the engine is not to hear of.
    pub(crate) fn leave_out(&mut self, lease: Lease) {
        if let Some(apart) = &mut self.apart
            && apart.places.insert(lease, None).is_none()
        {
            apart.left_out += 1;
        }
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Slot> {
        self.slots.get_mut(token.slot as usize)?.as_mut().filter(|slot| slot.generation == token.generation)
    }

    pub(crate) fn get(&self, token: Token) -> Option<&Slot> {
        self.slots.get(token.slot as usize)?.as_ref().filter(|slot| slot.generation == token.generation)
    }

    /// Remembers the last attempt of a delivery. True: that is one more than there is room for, so
    /// [`forget_last`](Self::forget_last) is to follow.
    pub(crate) fn remember(&mut self, token: Token, last: Box<Last>) -> bool {
        let Some(slot) = self.get_mut(token) else { return false };
        let fresh = slot.last.replace(last).is_none();
        self.remembered += u32::from(fresh);
        self.remembered > REMEMBERED_MAX
    }

    /// Forgets the last attempt, unless a dead letter needs it.
    pub(crate) fn forget_last(&mut self, token: Token) {
        if let Some(slot) = self.get_mut(token)
            && slot.letter == LetterState::None
            && slot.last.take().is_some()
        {
            self.remembered -= 1;
        }
    }

    /// Forgets a delivery that was settled.
    pub(crate) fn remove(&mut self, token: Token) -> Option<Slot> {
        let place = self.slots.get_mut(token.slot as usize)?;
        let slot = place.take_if(|slot| slot.generation == token.generation)?;
        self.held -= 1;
        self.remembered -= u32::from(slot.last.is_some());
        if let Some(apart) = &mut self.apart {
            apart.places.remove(&slot.lease);
            apart.free.push(token.slot);
        }
        Some(slot)
    }

    /// Forgets a lease that died. `Some`: the engine knows of it.
    pub(crate) fn revoke(&mut self, lease: Lease) -> Option<Token> {
        match self.holder(lease)? {
            Holder::Engine(token) => self.remove(token).map(|_| token),
            Holder::Nobody => {
                self.take_up(lease);
                None
            }
        }
    }

    /// `None`: the lease is not held (any more).
    pub(crate) fn holder(&self, lease: Lease) -> Option<Holder> {
        let Lease { slot, generation } = match &self.apart {
            None => lease,
            Some(apart) => match *apart.places.get(&lease)? {
                None => return Some(Holder::Nobody),
                Some(slot) => {
                    let generation = self.slots.get(slot as usize)?.as_ref()?.generation;
                    Lease { slot, generation }
                }
            },
        };
        let token = Token { source: self.source, slot, generation };
        self.get(token).map(|_| Holder::Engine(token))
    }

    /// Ends the hold on a lease that was left out.
    pub(crate) fn take_up(&mut self, lease: Lease) {
        if let Some(apart) = &mut self.apart
            && apart.places.remove(&lease).is_some()
        {
            apart.left_out -= 1;
        }
    }

    /// Deliveries that the engine has to do with.
    pub(crate) fn len(&self) -> u32 {
        self.held
    }

    /// Deliveries that a redrive's filter leaves out.
    pub(crate) fn left_out(&self) -> u32 {
        self.apart.as_ref().map_or(0, |apart| apart.left_out)
    }
}

impl Apart {
    /// The lowest numbers that are free, of a table with so many slots.
    fn place(&mut self, lease: Lease, slots: usize) -> Lease {
        let slot = self.free.pop().unwrap_or_else(|| u32::try_from(slots).unwrap_or(u32::MAX));
        self.places.insert(lease, Some(slot));
        self.generation = self.generation.wrapping_add(1);
        Lease { slot, generation: self.generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::Note;

    fn delivery(slot: u32, generation: u32) -> Delivery {
        Delivery {
            lease: Lease { slot, generation },
            position: Position::Number(u64::from(generation)),
            key: None,
            note: Note { attempts: 3, first_ms: 1 },
            published_ms: 7,
            bytes: 1,
            payload: Payload::Stored,
        }
    }

    #[test]
    fn a_slot_stands_for_one_generation_at_a_time() {
        let mut held = Held::new(SourceId(0));
        let first = held.put(delivery(2, 1));
        assert!(first.superseded.is_none());
        assert_eq!(held.get(first.token).map(|slot| slot.posts), Some(3), "earlier attempts count on");
        let second = held.put(delivery(2, 2));
        assert_eq!(second.superseded, Some(first.token), "a lease that died untold is told by its successor");
        assert!(held.get(first.token).is_none());
        assert!(held.remove(first.token).is_none(), "a dead token removes nothing");
        assert_eq!(held.len(), 1);
        assert_eq!(held.revoke(Lease { slot: 2, generation: 2 }), Some(second.token));
        assert_eq!(held.len(), 0);
    }

    #[test]
    fn what_a_filter_leaves_out_takes_up_none_of_the_engines_slots() {
        let mut held = Held::apart(SourceId(1));
        for slot in 0..100 {
            held.leave_out(Lease { slot, generation: 1 });
        }
        let first = held.put(delivery(100, 1)).token;
        let second = held.put(delivery(101, 1)).token;
        assert_eq!((first.slot, second.slot), (0, 1), "numbers of their own");
        assert_eq!((held.len(), held.left_out()), (2, 100));
        assert_eq!(held.revoke(Lease { slot: 7, generation: 1 }), None, "the engine never heard of it");
        assert_eq!(held.left_out(), 99);
        assert_eq!(held.get(second).map(|slot| slot.lease), Some(Lease { slot: 101, generation: 1 }));
        held.remove(first);
        let third = held.put(delivery(100, 2)).token;
        assert_eq!(third.slot, first.slot, "the lowest number is used again");
        assert_ne!(third.generation, first.generation, "under another generation");
        assert_eq!(held.revoke(Lease { slot: 100, generation: 2 }), Some(third));
        assert_eq!(held.revoke(Lease { slot: 100, generation: 2 }), None, "a lease dies once");
        assert_eq!(held.len(), 1);
    }

    #[test]
    fn last_attempts_are_remembered_within_bounds() {
        let last =
            || Box::new(Last { key: None, at_ms: 1, status: None, answer: "no".into(), foreign: false });
        let mut held = Held::new(SourceId(0));
        let tokens: Vec<Token> = (0..=REMEMBERED_MAX).map(|slot| held.put(delivery(slot, 1)).token).collect();
        let over: Vec<bool> = tokens.iter().map(|token| held.remember(*token, last())).collect();
        assert_eq!(over.iter().filter(|over| **over).count(), 1, "the last one is too many");
        held.forget_last(tokens[0]);
        assert!(!held.remember(tokens[1], last()), "a repeated failure takes no more room");
        held.get_mut(tokens[2]).unwrap().letter = LetterState::Wanted;
        held.forget_last(tokens[2]);
        assert!(held.get(tokens[2]).unwrap().last.is_some(), "its letter is still to be written");
        for token in tokens {
            held.remove(token);
        }
        assert_eq!(held.remembered, 0);
    }

    #[test]
    fn a_stored_delivery_takes_tens_of_bytes() {
        assert!(size_of::<Option<Slot>>() <= 72, "{}", size_of::<Option<Slot>>());
    }
}
