use std::sync::Arc;
use std::time::Duration;

use super::client::{millis, number};
use super::history::Happened;
use super::settings::Mutant;
use super::{Model, SourceId};
use crate::{Browsed, Error, ErrorKind, Lag, Position, Selection, Start, SubscriptionInfo};

/// What operators ask of a broker.
impl Model {
    /// [`Driver::end`](crate::Driver::end).
    pub fn end(&mut self, now: Duration, topic: &str) -> Result<Option<Position>, Error> {
        self.advance(now);
        self.reachable()?;
        let topic = self.topic(topic)?;
        Ok(self.topics[topic].end().checked_sub(1).map(Position::Number))
    }

    /// At most `max` records of a selection, beginning with the position `from`, and where to go on.
    pub fn browse(
        &mut self,
        now: Duration,
        topic: &str,
        what: &Selection,
        from: u64,
        max: usize,
    ) -> Result<(Vec<Browsed>, u64), Error> {
        self.advance(now);
        self.reachable()?;
        self.can(self.settings.capabilities.browse, "browse")?;
        let topic = self.topic(topic)?;
        let cursor = match &what.unsettled_of {
            Some(name) => Some(self.cursors.get(name.as_str()).ok_or_else(|| unknown(name))?),
            None => None,
        };
        let entries = &self.topics[topic];
        let start = what.from.as_ref().map_or(Ok(0), number)?;
        let since = what.since.map_or(0, |time| entries.since(millis(time)));
        let mut next = from.max(start).max(since).max(entries.first);
        let mut found = Vec::new();
        while found.len() < max
            && let Some(entry) = entries.entry(next)
        {
            if cursor.is_none_or(|c| !c.is_done(next)) {
                found.push((Position::Number(next), entry.at_ms, entry.record.clone()));
            }
            next += 1;
        }
        Ok((found, next))
    }

    /// [`Driver::purge`](crate::Driver::purge).
    pub(super) fn purge(
        &mut self,
        now: Duration,
        subscription: &str,
        positions: Option<&[Position]>,
    ) -> Result<u64, Error> {
        self.advance(now);
        self.reachable()?;
        self.can(self.settings.capabilities.purge, "purge")?;
        let cursor = self.cursors.get(subscription).ok_or_else(|| unknown(subscription))?;
        let end = self.topics[cursor.topic].end();
        let chosen: Vec<u64> = match positions {
            None => cursor.unsettled(end).collect(),
            Some(positions) => {
                let numbers: Vec<u64> = positions.iter().filter_map(|p| number(p).ok()).collect();
                numbers.into_iter().filter(|p| *p < end && !cursor.is_done(*p)).collect()
            }
        };
        let source = self.open_source(subscription);
        let forget = self.is(Mutant::PurgeForgotten);
        let mut count = 0;
        for position in chosen {
            let Some(cursor) = self.cursors.get_mut(subscription) else { break };
            if cursor.is_done(position) {
                continue;
            }
            count += 1;
            if !forget {
                cursor.settle_durably(position);
            }
            if let Some(source) = source {
                self.revoke_one(source, position);
                self.session(source)?.withdraw(position);
            }
        }
        Ok(count)
    }

    /// [`Driver::seek`](crate::Driver::seek).
    pub(super) fn seek(&mut self, now: Duration, subscription: &str, to: Start) -> Result<(), Error> {
        self.advance(now);
        self.reachable()?;
        self.can(self.settings.capabilities.seek, "seek")?;
        let topic = self.cursors.get(subscription).ok_or_else(|| unknown(subscription))?.topic;
        let (place, end) = (self.place(topic, to), self.topics[topic].end());
        if let Some(source) = self.open_source(subscription) {
            let held: Vec<u64> = self.session(source)?.held_positions().collect();
            for position in held {
                self.revoke_one(source, position);
            }
            let (at, log) = (self.now, &self.topics[topic]);
            if let Some(session) = self.sessions.get_mut(&source) {
                (0..place).for_each(|position| session.withdraw(position));
                (place..end).for_each(|position| session.offer(log, position, at));
            }
        }
        if let Some(cursor) = self.cursors.get_mut(subscription) {
            cursor.seek(place, end);
        }
        Ok(())
    }

    /// [`Driver::subscriptions`](crate::Driver::subscriptions).
    pub(super) fn subscriptions(&mut self, now: Duration) -> Result<Vec<SubscriptionInfo>, Error> {
        self.advance(now);
        self.reachable()?;
        self.can(self.settings.capabilities.list, "list subscriptions")?;
        let infos = self.cursors.iter().map(|(name, cursor)| SubscriptionInfo {
            name: name.to_string(),
            topic: self.topics[cursor.topic].name.to_string(),
            lag: self.lag_of(name),
            open: self.open_source(name).is_some(),
        });
        Ok(infos.collect())
    }

    /// [`Driver::delete`](crate::Driver::delete).
    pub(super) fn delete(&mut self, now: Duration, subscription: &str) -> Result<(), Error> {
        self.advance(now);
        self.reachable()?;
        self.can(self.settings.capabilities.list, "delete subscriptions")?;
        if self.open_source(subscription).is_some() {
            return Err(Error::new(ErrorKind::Conflict, format!("{subscription} is open: close it first")));
        }
        self.cursors.remove(subscription).map(drop).ok_or_else(|| unknown(subscription))
    }

    /// Retention: takes away what stands before this position of a topic. What a subscription has not settled of it is
    /// reported as a [`Gap`](crate::Gap), what is held once it is given back.
    pub fn expire(&mut self, now: Duration, topic: &str, before: u64) {
        self.advance(now);
        let Some(topic) = self.topic_named(topic) else { return };
        let before = before.min(self.topics[topic].end());
        self.topics[topic].first = self.topics[topic].first.max(before);
        let names: Vec<Arc<str>> =
            self.cursors.iter().filter(|(_, c)| c.topic == topic).map(|(n, _)| Arc::clone(n)).collect();
        for name in names {
            let source = self.open_source(&name);
            let held = |p: u64| source.and_then(|s| self.sessions.get(&s)).is_some_and(|s| s.holds(p));
            let Some(cursor) = self.cursors.get(&name) else { continue };
            let gone: Vec<u64> = cursor.unsettled(before).filter(|p| !held(*p)).collect();
            if gone.is_empty() {
                continue;
            }
            if let Some(source) = source {
                self.lose(source, &gone);
            } else if let Some(cursor) = self.cursors.get_mut(&name) {
                cursor.lost += gone.len() as u64;
                for position in &gone {
                    cursor.settle_durably(*position);
                }
                self.tell(Happened::Lost { subscription: Arc::clone(&name), records: gone.len() as u64 });
            }
        }
    }

    /// How far a subscription is behind, whether it is open or not. Exact.
    pub fn lag_of(&self, subscription: &str) -> Lag {
        let Some(cursor) = self.cursors.get(subscription) else { return Lag::default() };
        let topic = &self.topics[cursor.topic];
        let mut unsettled = cursor.unsettled(topic.end()).peekable();
        let oldest = unsettled.peek().and_then(|p| topic.entry(*p)).map(|e| e.at_ms);
        Lag {
            oldest: oldest.map(|at| Duration::from_millis(self.wall_ms().saturating_sub(at))),
            records: unsettled.count() as u64,
        }
    }

    fn open_source(&self, subscription: &str) -> Option<SourceId> {
        self.sessions.iter().find(|(_, s)| &*s.subscription == subscription).map(|(id, _)| *id)
    }

    fn topic(&self, name: &str) -> Result<usize, Error> {
        self.topic_named(name)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the broker has no topic {name}")))
    }

    fn can(&self, capability: bool, what: &str) -> Result<(), Error> {
        if capability { Ok(()) } else { Err(Error::unsupported(what)) }
    }
}

fn unknown(subscription: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("the broker has no subscription {subscription}"))
}
