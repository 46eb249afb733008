use std::sync::Arc;
use std::time::Duration;

use super::history::Happened;
use super::session::Session;
use super::settings::Mutant;
use super::{Event, Model, SourceId};
use crate::{Input, Lease, Note, Settle};

/// How leases end, and what is remembered of them.
impl Model {
    /// [`Source::settle`](crate::Source::settle). Whether the lease was alive; a dead one is counted.
    pub fn settle(&mut self, now: Duration, source: SourceId, lease: Lease, settle: Settle) -> bool {
        self.advance(now);
        let Some(position) = self.live(source, lease) else { return false };
        let Some(session) = self.sessions.get_mut(&source) else { return false };
        self.history.push(self.now, Happened::Settled { source, lease, position, settle });
        if settle == Settle::Release {
            self.release(source, position);
            return true;
        }
        session.end(position);
        let name = Arc::clone(&session.subscription);
        if let Some(cursor) = self.cursors.get_mut(&name) {
            cursor.set_done(position);
        }
        self.schedule_flush(&name, None);
        true
    }

    /// A released position comes again, and with it the held tail of its key, in order.
    fn release(&mut self, source: SourceId, position: u64) {
        let alone = self.is(Mutant::ReleaseWithoutTail);
        let forget = self.is(Mutant::NotesForgotten);
        let at = self.now + self.up_to(self.settings.faults.again_max);
        let Some(session) = self.sessions.get_mut(&source) else { return };
        // What goes to another owner comes again only from there.
        let at = session.recalled_until(position).map_or(at, |until| at.max(until));
        let tail = if alone { Vec::new() } else { session.tail(&self.topics[session.topic], position) };
        let name = Arc::clone(&session.subscription);
        self.give_back(source, position, at);
        for follower in tail {
            let Some(session) = self.sessions.get_mut(&source) else { return };
            if let Some(lease) = session.end(follower) {
                let settle = Settle::Release;
                self.history.push(self.now, Happened::Settled { source, lease, position: follower, settle });
            }
            self.give_back(source, follower, at);
        }
        if forget && let Some(cursor) = self.cursors.get_mut(&name) {
            cursor.forget_note(position);
        }
    }

    /// Ends a position's lease, if it has one, and hands it out again from `at` on, unless retention has taken it.
    fn give_back(&mut self, source: SourceId, position: u64, at: Duration) {
        let Some(session) = self.sessions.get_mut(&source) else { return };
        session.end(position);
        if position < self.topics[session.topic].first {
            self.lose(source, &[position]);
        } else {
            session.offer(&self.topics[session.topic], position, at);
        }
    }

    /// Reports unsettled positions that retention took as a gap.
    pub(super) fn lose(&mut self, source: SourceId, positions: &[u64]) {
        let Some(session) = self.sessions.get_mut(&source) else { return };
        let Some(cursor) = self.cursors.get_mut(&session.subscription) else { return };
        for position in positions {
            cursor.settle_durably(*position);
            session.withdraw(*position);
        }
        session.gap(positions.len() as u64);
        let what = Happened::Lost {
            subscription: Arc::clone(&session.subscription),
            records: positions.len() as u64,
        };
        self.history.push(self.now, what);
    }

    /// [`Source::note`](crate::Source::note). Whether the lease was alive; a dead one is counted.
    pub fn note(&mut self, now: Duration, source: SourceId, lease: Lease, note: Note) -> bool {
        self.advance(now);
        let Some(position) = self.live(source, lease) else { return false };
        let Some(session) = self.sessions.get(&source) else { return false };
        let name = Arc::clone(&session.subscription);
        if let Some(cursor) = self.cursors.get_mut(&name) {
            cursor.set_note(position, note);
        }
        self.tell(Happened::Noted { source, position, note });
        self.schedule_flush(&name, None);
        true
    }

    /// The position under a live lease; a dead lease is counted.
    fn live(&mut self, source: SourceId, lease: Lease) -> Option<u64> {
        let any = self.is(Mutant::WrongGeneration);
        let session = self.sessions.get_mut(&source)?;
        let position = session.held(lease, any);
        if position.is_none() {
            session.stale += 1;
            self.tell(Happened::Stale { source, lease });
        }
        position
    }

    /// Asks for a flush. Everything settled and noted so far is durable once [`Model::flushed`] has reached the returned
    /// mark; `None` where the source is gone, and its unflushed work with it.
    pub(super) fn flush(&mut self, now: Duration, source: SourceId) -> Option<u64> {
        self.advance(now);
        let name = Arc::clone(&self.sessions.get(&source)?.subscription);
        let soon = self.now + self.up_to(self.settings.faults.latency_max);
        self.schedule_flush(&name, Some(soon));
        self.cursors.get(&name).map(super::cursor::Cursor::changes)
    }

    /// How far the source's flushes have come; `None` where it is gone.
    pub(super) fn flushed(&self, source: SourceId) -> Option<u64> {
        Some(self.cursors.get(&self.sessions.get(&source)?.subscription)?.flushed())
    }

    fn schedule_flush(&mut self, subscription: &Arc<str>, asked: Option<Duration>) {
        let soonest = self.up_to(self.settings.faults.flush_max);
        let Some(cursor) = self.cursors.get_mut(subscription) else { return };
        if !cursor.is_volatile() {
            return;
        }
        let at = asked.unwrap_or(self.now + soonest);
        if cursor.flush_at.is_none_or(|due| at < due) {
            cursor.flush_at = Some(at);
            self.at(at, Event::Flush(Arc::clone(subscription)));
        }
    }

    pub(super) fn flush_due(&mut self, subscription: &Arc<str>) {
        if self.cursors.get(subscription).is_some_and(|c| c.flush_at.is_some_and(|due| due <= self.now)) {
            self.flush_now(subscription);
        }
    }

    pub(super) fn flush_now(&mut self, subscription: &Arc<str>) {
        let forget = self.is(Mutant::ForgetFlushed);
        let Some(cursor) = self.cursors.get_mut(subscription) else { return };
        cursor.flush_at = None;
        let changes = cursor.flush(usize::MAX, forget);
        if changes > 0 {
            self.tell(Happened::Flushed { subscription: Arc::clone(subscription), changes });
        }
    }

    /// Takes leases of a source back: all of them, or some at random (each with the held tail of its key). They come
    /// again later. With `rewind`, what was settled and noted but not flushed is forgotten as well, as when a partition
    /// goes to another owner and back. Announced by a [recall](Self::recall) first, as often as the faults say.
    pub fn revoke(&mut self, now: Duration, source: SourceId, all: bool, rewind: bool) {
        self.advance(now);
        if self.chance(self.settings.faults.recall) {
            self.recall(now, source, all, rewind);
            return;
        }
        for position in self.choose_held(source, all) {
            self.revoke_with_tail(source, position);
        }
        if rewind {
            self.rewind(source);
        }
    }

    /// Held positions: all of them, or some at random.
    pub(super) fn choose_held(&mut self, source: SourceId, all: bool) -> Vec<u64> {
        let Some(session) = self.sessions.get(&source) else { return Vec::new() };
        let held: Vec<u64> = session.held_positions().collect();
        if all { held } else { held.into_iter().filter(|_| self.rng.u8(..) < 64).collect() }
    }

    pub(super) fn revoke_by_chance(&mut self) {
        let sources: Vec<SourceId> = self.sessions.keys().copied().collect();
        if !sources.is_empty() {
            let source = sources[self.rng.usize(..sources.len())];
            let all = self.chance(self.settings.faults.revoke_all);
            let rewind = self.chance(self.settings.faults.rewind);
            self.revoke(self.now, source, all, rewind);
        }
        self.schedule(Event::Revoke, self.settings.faults.revoke_every);
    }

    /// Revokes what is held of a key from this position on, so that it can come again in order.
    pub(super) fn revoke_with_tail(&mut self, source: SourceId, position: u64) {
        let at = self.now + self.up_to(self.settings.faults.again_max);
        let Some(session) = self.sessions.get(&source) else { return };
        let mut chain = session.tail(&self.topics[session.topic], position);
        chain.insert(0, position);
        for position in chain {
            self.revoke_one(source, position);
            self.give_back(source, position, at);
        }
    }

    /// Ends a lease against the caller's will, and tells so.
    pub(super) fn revoke_one(&mut self, source: SourceId, position: u64) {
        let Some(session) = self.sessions.get_mut(&source) else { return };
        if let Some(lease) = session.end(position) {
            session.queue.push_back(Input::Revoked(lease));
            self.history.push(self.now, Happened::Revoked { source, lease, position });
        }
    }

    /// Forgets the source's unflushed work: what was done comes again, before whatever is held of its key.
    pub(super) fn rewind(&mut self, source: SourceId) {
        let notes = self.settings.capabilities.durable_notes;
        let Some(name) = self.sessions.get(&source).map(|s: &Session| Arc::clone(&s.subscription)) else {
            return;
        };
        let Some(cursor) = self.cursors.get_mut(&name) else { return };
        for position in cursor.rewind(notes) {
            self.tell(Happened::Forgotten { subscription: Arc::clone(&name), position });
            self.revoke_with_tail(source, position);
        }
    }

    /// Hands a held position out once more: its old lease is dead without a word, those behind it in its key are
    /// revoked, and all come again in order.
    pub(super) fn hand_out_again(&mut self, source: SourceId, position: u64) {
        let Some(session) = self.sessions.get_mut(&source) else { return };
        for follower in session.tail(&self.topics[session.topic], position) {
            self.revoke_one(source, follower);
            self.give_back(source, follower, self.now);
        }
        let Some(session) = self.sessions.get_mut(&source) else { return };
        if let Some(lease) = session.end(position) {
            self.history.push(self.now, Happened::Superseded { source, lease, position });
            session.offer(&self.topics[session.topic], position, self.now);
        }
    }
}
