//! Leases that the source wants back in good order, before it takes them.

use crate::deliveries::{Delivery, Handle};
use crate::lanes::LaneId;
use crate::list::NONE;
use crate::{Actions, Engine, Token};

impl Engine {
    /// Marks a delivery and the held tail of its key; what has not begun goes back in this step.
    pub(crate) fn recalled(&mut self, token: Token) {
        // The lease may have ended while the word was on its way, not least with its key's head: nothing is wrong then.
        let Some(at) = self.deliveries.find(token) else { return };
        let Delivery { lane, .. } = self.deliveries[at];
        if lane == LaneId::NONE {
            self.deliveries[at].marks.set_recalled();
        } else {
            self.mark_tail(at, lane);
            self.refresh(lane);
        }
        self.send_back(at, lane);
    }

    fn mark_tail(&mut self, from: Handle, lane: LaneId) {
        let mut next = from;
        while next != Handle::NONE {
            let delivery = &mut self.deliveries[next];
            if !delivery.marks.recalled() {
                delivery.marks.set_recalled();
                self.lanes[lane].recalled += 1;
            }
            next = Handle(delivery.link.next);
        }
    }

    /// Has what was recalled and is no longer under way go back at the end of the inputs: this delivery where it has no
    /// lane, else what can go of its lane. To be called whenever something of a lane has ended.
    ///
    /// Not before their end: what the source handed out of the key meanwhile may be among them, and its lease ends with
    /// that of the one before it, so that both have to go.
    pub(crate) fn send_back(&mut self, at: Handle, lane: LaneId) {
        let wanted = match lane {
            LaneId::NONE => self.deliveries.get(at).is_some_and(|delivery| delivery.marks.recalled()),
            lane => self.lanes.is_live(lane) && self.lanes[lane].recalled > 0,
        };
        if wanted {
            self.returning.push((at, lane));
        }
    }

    /// Gives back what is to go.
    pub(crate) fn return_recalled(&mut self, actions: &mut Actions) {
        for i in 0..self.returning.len() {
            let (at, lane) = self.returning[i];
            if lane == LaneId::NONE {
                let goes = |delivery: &Delivery| delivery.is_idle() && delivery.marks.recalled();
                if self.deliveries.get(at).is_some_and(goes) {
                    self.release(at, actions);
                }
            } else if self.lanes.is_live(lane)
                && self.lanes[lane].recalled > 0
                && let Some(first) = self.first_to_go(lane)
            {
                self.release_from(first, lane, actions);
            }
        }
        self.returning.clear();
    }

    /// The earliest recalled delivery of a lane behind which nothing is under way: releasing it ends the leases behind
    /// it too, and those of open attempts and of letters that are being written must live until these have ended.
    fn first_to_go(&self, lane: LaneId) -> Option<Handle> {
        let mut first = None;
        let mut next = self.lanes[lane].queue.tail().unwrap_or(NONE);
        while next != NONE {
            let delivery = &self.deliveries[Handle(next)];
            if !delivery.is_idle() {
                break;
            }
            if delivery.marks.recalled() {
                first = Some(Handle(next));
            }
            next = delivery.link.prev;
        }
        first
    }

    /// Releases the tail of a lane from this delivery on, the last first. What was handed out after the recall goes with
    /// it, since its lease ends all the same.
    fn release_from(&mut self, first: Handle, lane: LaneId, actions: &mut Actions) {
        while self.lanes.is_live(lane)
            && let Some(last) = self.lanes[lane].queue.tail()
        {
            self.release(Handle(last), actions);
            if last == first.0 {
                return;
            }
        }
    }
}
