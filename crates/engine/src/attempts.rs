//! The open attempts: a slab whose places keep their buffers, so that beginning one allocates nothing.

use crate::deliveries::Handle;
use crate::lanes::LaneId;
use crate::{Attempt, list::NONE};

/// A delivery of an attempt. It dies when its lease ends first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) delivery: Handle,
    pub(crate) lane: LaneId,
    pub(crate) alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Open,
    /// It was told to end; its connection may still be open.
    Abandoned,
}

/// What is remembered of an attempt's beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    pub(crate) probe: bool,
    /// The breaker's epoch.
    pub(crate) epoch: u32,
    /// Wall clock, in ms since the Unix epoch.
    pub(crate) wall_ms: u64,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    state: State,
    serial: u64,
    began: Began,
    members: Vec<Member>,
    next_free: u32,
}

/// An attempt that has ended; its place is taken again only after [`Attempts::recycle`].
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) serial: u64,
    pub(crate) began: Began,
    pub(crate) members: Vec<Member>,
    place: u32,
}

#[derive(Debug)]
pub(crate) struct Attempts {
    places: Vec<Place>,
    free: u32,
    open: u32,
    serial: u64,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: NONE, open: 0, serial: 0 }
    }

    /// How many are open, those told to end included.
    pub(crate) fn open(&self) -> u32 {
        self.open
    }

    /// The serial that the next attempt will have.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial
    }

    /// Begins an attempt of no deliveries yet; [`Attempts::join`] adds them.
    pub(crate) fn begin(&mut self, began: Began) -> u32 {
        let at = match self.free {
            NONE => {
                self.places.push(Place {
                    generation: 0,
                    state: State::Free,
                    serial: 0,
                    began,
                    members: Vec::new(),
                    next_free: NONE,
                });
                self.places.len() as u32 - 1
            }
            at => at,
        };
        let place = &mut self.places[at as usize];
        self.free = place.next_free;
        (place.state, place.serial, place.began, place.next_free) = (State::Open, self.serial, began, NONE);
        self.open += 1;
        self.serial += 1;
        at
    }

    pub(crate) fn join(&mut self, at: u32, member: Member) {
        self.places[at as usize].members.push(member);
    }

    pub(crate) fn id(&self, at: u32) -> Attempt {
        Attempt(u64::from(self.places[at as usize].generation) << 32 | u64::from(at))
    }

    /// A delivery's lease ended while the attempt was open. Returns the attempt where nobody needs it any longer: it is
    /// to be abandoned.
    pub(crate) fn forget(&mut self, at: u32, delivery: Handle) -> Option<Attempt> {
        let place = &mut self.places[at as usize];
        let dying = place.members.iter_mut().filter(|member| member.alive && member.delivery == delivery);
        dying.for_each(|member| member.alive = false);
        let needless = place.state == State::Open && place.members.iter().all(|member| !member.alive);
        if needless {
            place.state = State::Abandoned;
        }
        needless.then(|| self.id(at))
    }

    /// Ends an attempt, if it is one that is open.
    pub(crate) fn end(&mut self, attempt: Attempt) -> Option<Ended> {
        let at = attempt.0 as u32;
        let place = self.places.get_mut(at as usize)?;
        if place.state == State::Free || place.generation != (attempt.0 >> 32) as u32 {
            return None;
        }
        place.state = State::Free;
        place.generation = place.generation.wrapping_add(1);
        self.open -= 1;
        let members = std::mem::take(&mut place.members);
        Some(Ended { serial: place.serial, began: place.began, members, place: at })
    }

    /// Gives the place and the buffer of an ended attempt back.
    pub(crate) fn recycle(&mut self, ended: Ended) {
        let place = &mut self.places[ended.place as usize];
        place.members = ended.members;
        place.members.clear();
        place.next_free = self.free;
        self.free = ended.place;
    }

    #[cfg(test)]
    pub(crate) fn capacities(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().map(|place| place.members.capacity()).chain([self.places.capacity()])
    }

    /// The deliveries of all open attempts.
    pub(crate) fn members(&self) -> impl Iterator<Item = Handle> + '_ {
        let members = self.places.iter().flat_map(|place| &place.members);
        members.filter(|member| member.alive).map(|member| member.delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_ends_once_and_its_place_is_used_again_under_another_id() {
        let mut attempts = Attempts::new();
        let began = Began { probe: false, epoch: 0, wall_ms: 0 };
        let at = attempts.begin(began);
        let id = attempts.id(at);
        let ended = attempts.end(id).expect("it is open");
        assert!(attempts.end(id).is_none(), "it ends once");
        attempts.recycle(ended);
        let again = attempts.begin(began);
        assert_eq!((again, attempts.open()), (at, 1));
        assert_ne!(attempts.id(again), id);
    }
}
