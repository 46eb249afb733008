//! The deliveries that are held, indexed by source and slot and checked by generation. 32 bytes each.

use std::ops::{Index, IndexMut};

use crate::lanes::LaneId;
use crate::list::{Link, Linked, NONE};
use crate::{Reason, SourceId, Token};

/// Slots of a source fit into 24 bits, the source's number into 8, so that a link to a delivery takes four bytes.
const SLOT_BITS: u32 = 24;
pub(crate) const SLOTS_MAX: u32 = (1 << SLOT_BITS) - 1;
/// Slots beyond this many are given back to the allocator once none is in use (2 MiB).
const SLOTS_KEPT: usize = 65_536;

/// A held delivery: its source and slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle(pub(crate) u32);

impl Handle {
    pub(crate) const NONE: Self = Self(NONE);

    fn new(source: SourceId, slot: u32) -> Self {
        Self(u32::from(source.0) << SLOT_BITS | slot)
    }

    pub(crate) fn source(self) -> SourceId {
        SourceId((self.0 >> SLOT_BITS) as u8)
    }

    fn slot(self) -> u32 {
        self.0 & SLOTS_MAX
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Vacant,
    /// May be attempted as soon as it is its lane's head.
    Ready,
    /// Part of an open attempt.
    Open,
    /// Waits for its retry to fall due.
    Waiting,
    /// Its dead letter is being written.
    Lettering,
    /// Its dead letter could not be written; waits to try again.
    LetterWaiting,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// When the first spent attempt was made, in ms since the Unix epoch; 0 for none.
    pub(crate) first_ms: u64,
    pub(crate) generation: u32,
    /// Neighbours in the lane, or among the ready deliveries without one. Of an open one without a lane, `next` is its attempt.
    pub(crate) link: Link,
    pub(crate) lane: LaneId,
    /// Spent attempts. 65,535 of them, at the longest backoff, are more than half a year.
    pub(crate) attempts: u16,
    pub(crate) state: State,
    /// Attempts since the last spent one that spent nothing (of a dead letter: writes that failed or had to wait); only
    /// backoff grows with it.
    pub(crate) unspent: u8,
    /// Tells the present wait from an older one whose timer still stands.
    pub(crate) stamp: u8,
    /// The breaker's bucket that counted its last failure; 0 for none.
    pub(crate) failed_in: u8,
    /// Why it is dead-lettered, while it is.
    pub(crate) reason: Reason,
    pub(crate) marks: Marks,
}

/// What else is known of a delivery, in a byte.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks(u8);

impl Marks {
    const ALONE: u8 = 1;
    const RECALLED: u8 = 2;

    /// The event itself failed before: in batch mode it goes alone, so that it spoils no other's attempt.
    pub(crate) fn alone(self) -> bool {
        self.0 & Self::ALONE != 0
    }

    pub(crate) fn set_alone(&mut self) {
        self.0 |= Self::ALONE;
    }

    /// The source wants it back: nothing is begun with it any more.
    pub(crate) fn recalled(self) -> bool {
        self.0 & Self::RECALLED != 0
    }

    pub(crate) fn set_recalled(&mut self) {
        self.0 |= Self::RECALLED;
    }
}

impl Delivery {
    const VACANT: Self = Self {
        first_ms: 0,
        generation: 0,
        link: Link::LOOSE,
        lane: LaneId::NONE,
        attempts: 0,
        state: State::Vacant,
        unspent: 0,
        stamp: 0,
        failed_in: 0,
        reason: Reason::Answered,
        marks: Marks(0),
    };

    /// Whether neither an attempt nor a dead letter of it is under way.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Ready | State::Waiting | State::LetterWaiting)
    }

    pub(crate) fn new(generation: u32, attempts: u32, first_ms: u64) -> Self {
        let attempts = u16::try_from(attempts).unwrap_or(u16::MAX);
        Self { generation, attempts, first_ms, state: State::Ready, ..Self::VACANT }
    }
}

/// One source's slots and the credit it was granted.
#[derive(Debug, Default)]
pub(crate) struct Source {
    slots: Vec<Delivery>,
    pub(crate) open: bool,
    pub(crate) held: u32,
    pub(crate) granted: u32,
    pub(crate) granted_most: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    sources: Vec<Source>,
    held: u32,
}

impl Deliveries {
    pub(crate) fn held(&self) -> u32 {
        self.held
    }

    /// All sources that were ever opened, by number; those that are closed hold nothing.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(crate) fn sources_mut(&mut self) -> &mut [Source] {
        &mut self.sources
    }

    /// False where it is open already.
    pub(crate) fn open(&mut self, id: SourceId) -> bool {
        let at = usize::from(id.0);
        if self.sources.len() <= at {
            self.sources.resize_with(at + 1, Source::default);
        }
        !std::mem::replace(&mut self.sources[at].open, true)
    }

    /// Forgets a source whose deliveries have been removed.
    pub(crate) fn close(&mut self, id: SourceId) {
        if let Some(source) = self.sources.get_mut(usize::from(id.0)) {
            debug_assert_eq!(source.held, 0, "a source closes after its deliveries have been removed");
            *source = Source::default();
        }
    }

    /// The delivery that this token stands for, unless its lease has ended.
    pub(crate) fn find(&self, token: Token) -> Option<Handle> {
        self.occupant(token).filter(|held| self[*held].generation == token.generation)
    }

    /// Whatever delivery is in the token's slot.
    pub(crate) fn occupant(&self, token: Token) -> Option<Handle> {
        let source = self.sources.get(usize::from(token.source.0))?;
        let delivery = source.slots.get(token.slot as usize)?;
        (delivery.state != State::Vacant).then(|| Handle::new(token.source, token.slot))
    }

    /// Whether the token may come in: its source is open, and its slot is one that a granted credit covers. Anything
    /// else would let a wrong number decide how much memory is taken.
    pub(crate) fn admits(&self, token: Token, buffer: u32) -> bool {
        self.sources
            .get(usize::from(token.source.0))
            .is_some_and(|source| source.open && token.slot < source.granted_most.max(buffer).min(SLOTS_MAX))
    }

    /// Puts a delivery into a vacant slot that is admitted.
    pub(crate) fn insert(&mut self, token: Token, delivery: Delivery) -> Handle {
        let source = &mut self.sources[usize::from(token.source.0)];
        let at = token.slot as usize;
        if source.slots.len() <= at {
            source.slots.resize(at + 1, Delivery::VACANT);
        }
        debug_assert_eq!(source.slots[at].state, State::Vacant, "an occupied slot is vacated first");
        source.slots[at] = delivery;
        source.held += 1;
        self.held += 1;
        Handle::new(token.source, token.slot)
    }

    #[cfg(test)]
    pub(crate) fn capacities(&self) -> impl Iterator<Item = usize> + '_ {
        self.sources.iter().map(|source| source.slots.capacity())
    }

    pub(crate) fn vacate(&mut self, at: Handle) {
        let source = &mut self.sources[usize::from(at.source().0)];
        source.slots[at.slot() as usize].state = State::Vacant;
        source.held -= 1;
        self.held -= 1;
        if source.held == 0 && source.slots.capacity() > SLOTS_KEPT {
            source.slots.clear();
            source.slots.shrink_to(SLOTS_KEPT / 2);
        }
    }

    pub(crate) fn get(&self, at: Handle) -> Option<&Delivery> {
        self.sources.get(usize::from(at.source().0))?.slots.get(at.slot() as usize)
    }

    pub(crate) fn token(&self, at: Handle) -> Token {
        Token { source: at.source(), slot: at.slot(), generation: self[at].generation }
    }

    /// The held deliveries of a source, by slot.
    pub(crate) fn of(&self, id: SourceId) -> impl Iterator<Item = Handle> + '_ {
        let slots = self.sources.get(usize::from(id.0)).map_or(&[][..], |source| &source.slots);
        let held = slots.iter().enumerate().filter(|(_, delivery)| delivery.state != State::Vacant);
        held.map(move |(slot, _)| Handle::new(id, slot as u32))
    }
}

impl Index<Handle> for Deliveries {
    type Output = Delivery;

    fn index(&self, at: Handle) -> &Delivery {
        &self.sources[usize::from(at.source().0)].slots[at.slot() as usize]
    }
}

impl IndexMut<Handle> for Deliveries {
    fn index_mut(&mut self, at: Handle) -> &mut Delivery {
        &mut self.sources[usize::from(at.source().0)].slots[at.slot() as usize]
    }
}

impl Linked for Deliveries {
    fn link(&mut self, at: u32) -> &mut Link {
        &mut self[Handle(at)].link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_delivery_takes_32_bytes() {
        assert_eq!(size_of::<Delivery>(), 32);
    }

    #[test]
    fn a_token_of_an_ended_lease_finds_nothing() {
        let mut deliveries = Deliveries::default();
        let token = Token { source: SourceId(3), slot: 7, generation: 1 };
        assert!(!deliveries.admits(token, 100), "its source is not open");
        assert!(deliveries.open(token.source));
        assert!(!deliveries.admits(token, 7), "no credit covers its slot");
        let at = deliveries.insert(token, Delivery::new(1, 0, 0));
        assert_eq!((deliveries.find(token), deliveries.token(at)), (Some(at), token));
        assert_eq!(deliveries.find(Token { generation: 2, ..token }), None);
        deliveries.vacate(at);
        assert_eq!((deliveries.find(token), deliveries.held()), (None, 0));
    }
}
