use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::history::Happened;
use super::session::Session;
use super::settings::Mutant;
use super::{Model, SourceId};
use crate::{Credit, Delivery, Error, ErrorKind, Input, Lag, Lease, Payload, Record};

/// What a source hands out.
impl Model {
    /// [`Source::poll_next`](crate::Source::poll_next), without the waiting: appends what there is to say now, which may be
    /// nothing. An error that is not temporary means that the source is gone.
    pub fn poll(&mut self, now: Duration, source: SourceId, into: &mut Vec<Input>) -> Result<(), Error> {
        self.advance(now);
        let down = self.down.filter(|_| self.is_down());
        let session = self.session(source)?;
        if let Some((_, until)) = down {
            // Told once an outage: a caller that polls in a loop would else spin.
            if std::mem::replace(&mut session.told, until) != until {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "the broker cannot be reached; it is tried again",
                ));
            }
            return Ok(());
        }
        into.extend(std::mem::take(&mut session.queue));
        let mut room = BATCH;
        if self.chance(self.settings.faults.short_poll) {
            room = self.rng.usize(1..=4);
        }
        while room > 0
            && let Some(position) = self.choose(source)
        {
            room -= 1;
            self.hand_out(source, position, into);
            let again = self.session(source)?.handed_out(position);
            if self.chance(self.settings.faults.duplicate / if again { 8.0 } else { 1.0 }) {
                self.duplicate(source, into);
            }
        }
        let session = self.session(source)?;
        if session.take_caught_up() {
            into.push(Input::CaughtUp);
        }
        Ok(())
    }

    /// When a poll brings something: the past where it does so now.
    pub(super) fn poll_due(&self, session: &Session) -> Option<Duration> {
        if !session.queue.is_empty() || session.is_caught_up() {
            return Some(Duration::ZERO);
        }
        let slack = u32::from(self.is(Mutant::CreditExceeded));
        if !session.admits(0, slack, self.is(Mutant::BytesIgnored)) {
            return None;
        }
        let due = session.due(self.now)?;
        let next = if due <= self.now { session.candidates(self.now).next() } else { None };
        match next {
            Some(position) => self.admitted(session, position).then_some(Duration::ZERO),
            None => Some(due.max(self.now + Duration::from_nanos(1))),
        }
    }

    /// What a position costs of the byte credit.
    fn cost(&self, session: &Session, position: u64) -> u64 {
        if self.settings.capabilities.stored_payloads {
            return 0;
        }
        self.topics[session.topic].entry(position).map_or(0, |e| u64::from(e.bytes))
    }

    fn admitted(&self, session: &Session, position: u64) -> bool {
        let slack = u32::from(self.is(Mutant::CreditExceeded) && session.credit != Credit::NONE);
        session.admits(self.cost(session, position), slack, self.is(Mutant::BytesIgnored))
    }

    /// The position to hand out next, where the credit admits it.
    fn choose(&mut self, source: SourceId) -> Option<u64> {
        let shuffle = self.settings.faults.shuffle.max(1);
        let session = self.sessions.get(&source)?;
        let mut candidates = session.candidates(self.now);
        // The first of them is what `poll_due` looks at, so what it promises is kept.
        let first = candidates.next()?;
        let pick = if shuffle == 1 {
            first
        } else {
            let others: Vec<u64> = candidates.take(shuffle - 1).collect();
            self.rng.usize(..=others.len()).checked_sub(1).map_or(first, |at| others[at])
        };
        let pick = if self.admitted(session, pick) { pick } else { first };
        let swaps = self.is(Mutant::OrderSwapped);
        let pick = swaps.then(|| session.successor(pick)).flatten().unwrap_or(pick);
        self.admitted(session, pick).then_some(pick)
    }

    fn hand_out(&mut self, source: SourceId, position: u64, into: &mut Vec<Input>) {
        let same = self.is(Mutant::SameGeneration);
        let Some(session) = self.sessions.get(&source) else { return };
        let cost = self.cost(session, position);
        let Some(session) = self.sessions.get_mut(&source) else { return };
        let topic = &self.topics[session.topic];
        let (Some(entry), Some(cursor)) = (topic.entry(position), self.cursors.get(&session.subscription))
        else {
            return;
        };
        let lease = session.hold(topic, position, cost, same);
        into.push(Input::Delivery(Delivery {
            lease,
            position: crate::Position::Number(position),
            key: if session.ordered { entry.record.key.clone() } else { None },
            note: cursor.note(position),
            published_ms: entry.at_ms,
            bytes: entry.bytes,
            payload: if self.settings.capabilities.stored_payloads {
                Payload::Stored
            } else {
                Payload::Here(Arc::new(entry.record.clone()))
            },
        }));
        self.tell(Happened::HandedOut { source, lease, position });
    }

    /// Hands something held out again, if the credit allows it.
    fn duplicate(&mut self, source: SourceId, into: &mut Vec<Input>) {
        let Some(session) = self.sessions.get(&source) else { return };
        let (held, events) = (session.held_len(), session.credit.events as usize);
        if held == 0 || held > events {
            return;
        }
        let nth = self.rng.usize(..held);
        let Some(position) = session.held_positions().nth(nth) else { return };
        if session.held_bytes() > session.credit.bytes {
            return;
        }
        self.hand_out_again(source, position);
        if let Some(session) = self.sessions.get_mut(&source) {
            into.extend(std::mem::take::<VecDeque<Input>>(&mut session.queue));
        }
        self.hand_out(source, position, into);
    }

    /// [`Source::load`](crate::Source::load): `NotFound` where the lease is dead.
    pub(super) fn load(&mut self, now: Duration, source: SourceId, lease: Lease) -> Result<Record, Error> {
        self.advance(now);
        self.reachable()?;
        let session = self.session(source)?;
        let (topic, position) = (session.topic, session.held(lease, false));
        let dead = || Error::new(ErrorKind::NotFound, "the lease is dead");
        let entry = self.topics[topic].entry(position.ok_or_else(dead)?).ok_or_else(dead)?;
        Ok(entry.record.clone())
    }

    /// [`Source::set_credit`](crate::Source::set_credit).
    pub fn set_credit(&mut self, now: Duration, source: SourceId, credit: Credit) {
        self.advance(now);
        if let Ok(session) = self.session(source) {
            session.credit = credit;
        }
    }

    /// [`Source::lag`](crate::Source::lag).
    pub(super) fn lag(&self, source: SourceId) -> Lag {
        self.sessions.get(&source).map_or_else(Lag::default, |s| self.lag_of(&s.subscription))
    }

    /// [`Source::stale_settles`](crate::Source::stale_settles).
    pub(super) fn stale_settles(&self, source: SourceId) -> u64 {
        self.sessions.get(&source).map_or(0, |s| s.stale)
    }
}

/// Most hand-outs of one poll.
const BATCH: usize = 256;
