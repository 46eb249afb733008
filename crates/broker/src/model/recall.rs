use std::time::Duration;

use super::history::Happened;
use super::session::Recall;
use super::{Event, Model, SourceId};
use crate::Input;

/// Leases that are asked for before they are taken.
impl Model {
    /// Asks for leases of a source: all of them, or some at random, each with the held tail of its key. What has not been
    /// settled after a while is revoked, as [`Model::revoke`] does; what was released comes again no sooner. While all
    /// are asked for, nothing is handed out.
    pub fn recall(&mut self, now: Duration, source: SourceId, all: bool, rewind: bool) {
        self.advance(now);
        let chosen = self.choose_held(source, all);
        let until = self.now + self.up_to(self.settings.faults.recall_max);
        let Some(session) = self.sessions.get_mut(&source) else { return };
        let mut leases = Vec::new();
        for position in chosen {
            let tail = session.tail(&self.topics[session.topic], position);
            for position in std::iter::once(position).chain(tail) {
                leases.extend(session.recall(position, until).map(|lease| (position, lease)));
            }
        }
        // A real broker's client goes by sequence, and may begin at either end of it.
        if self.rng.bool() {
            leases.reverse();
        }
        for (position, lease) in leases.iter().copied() {
            session.queue.push_back(Input::Recalled(lease));
            self.history.push(self.now, Happened::Recalled { source, lease, position, until });
        }
        session.recalls.push(Recall { until, leases, all, rewind });
        self.at(until, Event::RecallEnds(source));
    }

    /// Takes what is left of the recalls whose time is over.
    pub(super) fn end_recalls(&mut self, source: SourceId) {
        let now = self.now;
        let over = self.sessions.get_mut(&source).map(|session| session.recalls_over(now));
        for recall in over.into_iter().flatten() {
            for (position, lease) in recall.leases {
                let held = self.sessions.get(&source).and_then(|session| session.held(lease, false));
                if held == Some(position) {
                    self.revoke_with_tail(source, position);
                }
            }
            if recall.rewind {
                self.rewind(source);
            }
        }
    }
}
