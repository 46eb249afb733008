use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::cursor::Cursor;
use super::history::Happened;
use super::session::{Opening, Session};
use super::settings::Mutant;
use super::topic::Topic;
use super::{Model, SourceId};
use crate::{Credit, Error, ErrorKind, Position, Start, Subscription};

/// The client's life: what it makes sure of, opens and closes, and how it dies.
impl Model {
    /// [`Driver::ensure_topic`](crate::Driver::ensure_topic).
    pub fn ensure_topic(&mut self, now: Duration, topic: &str) -> Result<(), Error> {
        self.advance(now);
        self.reachable()?;
        self.topic_or_new(topic).map(drop)
    }

    fn topic_or_new(&mut self, name: &str) -> Result<usize, Error> {
        if let Some(index) = self.topic_named(name) {
            return Ok(index);
        }
        if !self.settings.create {
            return Err(Error::new(ErrorKind::NotFound, format!("the broker has no topic {name}")));
        }
        self.topics.push(Topic::new(name.into()));
        Ok(self.topics.len() - 1)
    }

    /// [`Driver::ensure`](crate::Driver::ensure).
    pub fn ensure(&mut self, now: Duration, subscription: &Subscription) -> Result<(), Error> {
        self.advance(now);
        self.reachable()?;
        let topic = self.topic_or_new(&subscription.topic)?;
        if let Some(cursor) = self.cursors.get(subscription.name.as_str()) {
            if cursor.topic != topic || cursor.ordered != subscription.ordered {
                let name = &subscription.name;
                let message =
                    format!("{name} exists with another topic or ordering: delete it or name it otherwise");
                return Err(Error::new(ErrorKind::Conflict, message));
            }
            if self.is(Mutant::EnsureRewinds) {
                self.cursors
                    .insert(subscription.name.as_str().into(), Cursor::new(topic, subscription.ordered, 0));
            }
            return Ok(());
        }
        if !self.settings.create {
            let message = format!("the broker has no subscription {}", subscription.name);
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let floor = self.place(topic, subscription.start);
        let cursor = Cursor::new(topic, subscription.ordered, floor);
        self.cursors.insert(subscription.name.as_str().into(), cursor);
        Ok(())
    }

    /// The position that a start means in this topic, now.
    pub(super) fn place(&self, topic: usize, start: Start) -> u64 {
        let topic = &self.topics[topic];
        let place = match start {
            Start::Earliest => 0,
            Start::Latest => topic.end(),
            Start::At(time) => topic.since(millis(time)),
        };
        place.max(topic.first)
    }

    /// [`Driver::open`](crate::Driver::open).
    pub fn open(
        &mut self,
        now: Duration,
        subscription: &Subscription,
        credit: Credit,
    ) -> Result<SourceId, Error> {
        self.advance(now);
        self.reachable()?;
        let Some((name, cursor)) = self.cursors.get_key_value(subscription.name.as_str()) else {
            let message = format!("the broker has no subscription {}", subscription.name);
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        if self.sessions.values().any(|s| s.subscription == *name) {
            return Err(Error::new(ErrorKind::Conflict, format!("{name} is open already")));
        }
        let until = match &subscription.until {
            None => u64::MAX,
            Some(_) if self.is(Mutant::UntilIgnored) => u64::MAX,
            Some(position) => number(position)? + 1,
        };
        let end = self.topics[cursor.topic].end();
        let mutant = self.is(Mutant::DropSome);
        let opening = Opening {
            subscription: Arc::clone(name),
            topic: cursor.topic,
            ordered: cursor.ordered,
            until,
            credit,
            caught_up: self.settings.capabilities.caught_up,
        };
        let unsettled = cursor.unsettled(end).filter(|p| !mutant || p % 7 != 6);
        let mut session = Session::new(opening, &self.topics[cursor.topic], unsettled, self.now);
        let name = Arc::clone(name);
        if let Some(cursor) = self.cursors.get_mut(&name)
            && cursor.lost > 0
        {
            session.gap(std::mem::take(&mut cursor.lost));
        }
        self.next_source += 1;
        let source = SourceId(self.next_source);
        self.sessions.insert(source, session);
        self.tell(Happened::Opened { source, subscription: name });
        Ok(source)
    }

    /// [`Source::close`](crate::Source::close): releases what is held, flushes, hands over. In an outage the flush fails,
    /// and what was not flushed is lost.
    pub fn close(&mut self, now: Duration, source: SourceId) -> Result<(), Error> {
        self.advance(now);
        let down = self.is_down();
        let subscription = Arc::clone(&self.session(source)?.subscription);
        if down {
            self.end_session(source, false);
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the broker cannot be reached; unflushed work comes again",
            ));
        }
        self.flush_now(&subscription);
        self.end_session(source, true);
        Ok(())
    }

    /// A source that is dropped without being closed: its leases die, and what was not flushed is lost.
    pub fn abandon(&mut self, now: Duration, source: SourceId) {
        self.advance(now);
        self.end_session(source, false);
    }

    fn end_session(&mut self, source: SourceId, clean: bool) {
        let Some(session) = self.sessions.remove(&source) else { return };
        if !clean {
            self.forget_unflushed(&session.subscription, false);
        }
        self.tell(Happened::Closed { source, clean });
    }

    /// The client process dies, and a new one stands in its place: every source and every lease is gone, unflushed
    /// settles and notes are lost, no publish is answered any more, and what was under way may or may not land.
    pub fn crash(&mut self, now: Duration) {
        self.advance(now);
        self.tell(Happened::Crashed);
        self.cut_wire();
        self.sessions.clear();
        let names: Vec<Arc<str>> = self.cursors.keys().cloned().collect();
        for name in names {
            self.forget_unflushed(&name, true);
        }
        self.closed = false;
    }

    /// Loses a subscription's unflushed work, or all but what happened to be written already. Nobody has it open.
    fn forget_unflushed(&mut self, subscription: &Arc<str>, restart: bool) {
        let notes = self.settings.capabilities.durable_notes;
        let Some(cursor) = self.cursors.get_mut(subscription) else { return };
        if self.settings.faults.crash_keeps_some {
            let kept = self.rng.usize(0..=cursor.volatile_len());
            cursor.flush(kept, false);
        }
        let forgotten = cursor.rewind(notes);
        if restart && !notes {
            cursor.forget_notes();
        }
        for position in forgotten {
            self.tell(Happened::Forgotten { subscription: Arc::clone(subscription), position });
        }
    }

    /// The first half of [`Driver::close`](crate::Driver::close): later calls are refused or answer `Closed`. Let the
    /// answers come, then [`Model::shut_down`].
    pub(super) fn stop_taking_in(&mut self) {
        self.closed = true;
    }

    /// The second half: flushes, and closes every source. [`Model::crash`] then starts a new client.
    pub(super) fn shut_down(&mut self, now: Duration) {
        self.advance(now);
        let sources: Vec<SourceId> = self.sessions.keys().copied().collect();
        for source in sources {
            // In an outage the flush fails; what was not flushed comes again, as the contract has it.
            drop(self.close(now, source));
        }
        self.closed = true;
    }

    pub(super) fn session(&mut self, source: SourceId) -> Result<&mut Session, Error> {
        let gone = || Error::new(ErrorKind::Closed, "the source is not open any more");
        self.sessions.get_mut(&source).ok_or_else(gone)
    }
}

/// The number in one of the model's positions.
pub(super) fn number(position: &Position) -> Result<u64, Error> {
    match position {
        Position::Number(number) => Ok(*number),
        other => Err(Error::new(ErrorKind::NotFound, format!("{other} is no position of this broker"))),
    }
}

pub(super) fn millis(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
