//! Letters that are delivered again go ahead of what waits for a letter of its own: where the dead letters have no room,
//! they are what makes some. They are their key's earlier events, and a redrive restores no order.
//!
//! Only what waits is passed, never a letter that is being written: what is under way stands at the front of its lane.

use crate::deliveries::{Delivery, Handle, State};
use crate::lanes::{Lane, LaneId};
use crate::list::NONE;
use crate::{Engine, SourceId};

impl Engine {
    /// Puts what came in into its lane: at its end, or as a letter in front of what waits, behind the letters there.
    pub(crate) fn line_up(&mut self, at: Handle, lane: LaneId) {
        self.deliveries[at].lane = lane;
        let waits = if is_letter(at) { self.waits_for_room(lane) } else { None };
        let queue = &mut self.lanes[lane].queue;
        match waits {
            Some(waits) => queue.insert_before(&mut self.deliveries, at.0, waits.0),
            None => queue.push_back(&mut self.deliveries, at.0),
        }
    }

    /// A letter could not be written: lets those that stand behind its delivery pass it, in their order.
    pub(crate) fn let_pass(&mut self, lane: LaneId) {
        let redrives = self.deliveries.sources().iter().skip(1).any(|source| source.held > 0);
        if lane == LaneId::NONE || !redrives {
            return;
        }
        let Some(waits) = self.waits_for_room(lane) else { return };
        let mut next = self.deliveries[waits].link.next;
        while next != NONE {
            let at = Handle(next);
            let Delivery { link, .. } = self.deliveries[at];
            next = link.next;
            if !is_letter(at) {
                continue;
            }
            if !self.deliveries[at].is_idle() {
                break;
            }
            let queue = &mut self.lanes[lane].queue;
            queue.remove(&mut self.deliveries, at.0);
            queue.insert_before(&mut self.deliveries, at.0, waits.0);
        }
        self.refresh(lane);
    }

    /// Whether letters stand before this delivery in its lane. Then its own is not written before they are through.
    pub(crate) fn is_passed(&self, at: Handle) -> bool {
        let lane = self.deliveries[at].lane;
        lane != LaneId::NONE
            && !is_letter(at)
            && self.lanes[lane].queue.head().map(Handle).is_some_and(is_letter)
    }

    /// Something has left a lane. If it was the last of the letters that had passed an event, that is tried again at once:
    /// there may be room.
    pub(crate) fn was_passed_by(&mut self, gone: Handle, lane: LaneId) {
        if !is_letter(gone) || !self.lanes.is_live(lane) {
            return;
        }
        let head = self.lanes[lane].queue.head().map(Handle).filter(|head| !is_letter(*head));
        if let Some(head) = head.filter(|head| self.deliveries[*head].state == State::LetterWaiting) {
            self.letters.left();
            self.letters.wait(&mut self.deliveries, head, self.now.monotonic);
        }
    }

    /// The first event of a lane, if nothing but letters stands before it and its own could not be written. Nothing is
    /// moved where something is to go back, for that goes from the lane's end.
    fn waits_for_room(&self, lane: LaneId) -> Option<Handle> {
        let Lane { queue, recalled, broken, .. } = &self.lanes[lane];
        if *recalled > 0 || *broken != NONE {
            return None;
        }
        let mut first = queue.head().map(Handle)?;
        while is_letter(first) {
            first = Some(self.deliveries[first].link.next).filter(|next| *next != NONE).map(Handle)?;
        }
        (self.deliveries[first].state == State::LetterWaiting).then_some(first)
    }
}

/// It came of a redrive.
fn is_letter(at: Handle) -> bool {
    at.source() != SourceId::TOPIC
}
