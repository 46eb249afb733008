//! The reference broker: a synchronous, deterministic state machine that keeps the [contract](crate) and is otherwise
//! as unpleasant as its [`Faults`] say.
//!
//! # Manual
//!
//! A [`Model`] is a broker *and* the one client process that uses it. It has no clock, no threads and no I/O: time goes
//! in as a [`Duration`] since the model's beginning, and must not go back; randomness comes from a [`fastrand::Rng`] that
//! the caller seeds. The same calls with the same seed give the same [`History`], byte for byte.
//!
//! - **Publish.** [`Model::publish`] returns a [`Ticket`]; [`Model::answers`] yields each ticket's outcomes once. A record
//!   *lands* (enters the log, [`Happened::Appended`]) and is *acknowledged* in separate steps, which faults drive apart.
//! - **Subscribe.** [`Model::ensure`] makes a durable subscription, [`Model::open`] a source on it. [`Model::poll`] hands
//!   out; [`Model::settle`], [`Model::note`], [`Model::set_credit`] and [`Model::close`] are the
//!   [`Source`](crate::Source)'s methods. Positions are [`Position::Number`], dense from 0 in each topic.
//! - **Durability.** Settles and notes are volatile until a flush, which comes by itself within
//!   [`Faults::flush_max`].
//! - **Time.** Every call that takes `now` first lets everything happen that is due. [`Model::next_event_at`] tells when
//!   there is something to do next: an event of the model's own, or a hand-out that waits for a poll. A driver of the
//!   model loops: `advance(next_event_at())`, take `answers`, `poll` each source, act.
//! - **Misfortune.** Besides what [`Faults`] brings by chance: [`Model::crash`] kills the client (all leases die, unflushed
//!   work is lost, unanswered publishes may or may not land), [`Model::revoke`] takes leases back, [`Model::recall`] asks for them first, [`Model::outage`] makes
//!   the broker unreachable, [`Model::expire`] is retention (the only source of [`Gap`](crate::Gap)s).
//! - **Verdict.** [`Model::history`] has every append, answer, hand-out, settle, flush and loss with its time, and
//!   [`Model::log`] each topic's records: enough to judge I1 (nothing lost), I2 (nothing invented), I3 (order per key)
//!   and I4 (duplicates: [`Happened::Forgotten`] tells each settle that a crash or rewind undid).
//!
//! After [`Faults`] are set to [`Faults::calm`] ([`Model::set_faults`]) a run settles: everything that is under way lands
//! or is gone, and all unsettled records are handed out. End a simulation so, to check that nothing hangs.
//!
//! ```
//! # use std::time::Duration;
//! # use postrider_broker as broker;
//! use broker::model::{Faults, Model, Settings};
//! use broker::{Body, Credit, Hop, Input, Record, Settle, Start, Subscription};
//!
//! let settings = Settings { faults: Faults::nasty(), ..Settings::default() };
//! let mut model = Model::new(settings, fastrand::Rng::with_seed(1));
//! let subscription = Subscription {
//!     name: "billing".into(),
//!     topic: "orders".into(),
//!     start: Start::Earliest,
//!     ordered: true,
//!     until: None,
//!     keeps_unsettled: false,
//! };
//! let mut now = Duration::ZERO;
//! model.ensure(now, &subscription)?;
//! let source = model.open(now, &subscription, Credit { events: 10, bytes: 1 << 20 })?;
//! let body = Body::Foreign { bytes: "hello".into(), reason: "an example".into() };
//! let record = Record { key: None, body, hop: Hop::default(), letter: None };
//! let ticket = model.publish(now, "orders", vec![record], now + Duration::from_secs(30));
//!
//! let (mut answers, mut inputs) = (Vec::new(), Vec::new());
//! while answers.is_empty() {
//!     now = model.next_event_at().expect("an answer is still to come");
//!     model.advance(now);
//!     model.answers(&mut answers);
//!     model.poll(now, source, &mut inputs)?;
//!     for input in inputs.drain(..) {
//!         if let Input::Delivery(delivery) = input {
//!             model.settle(now, source, delivery.lease, Settle::Done);
//!         }
//!     }
//! }
//! assert_eq!(answers[0].0, ticket);
//! # Ok::<(), broker::Error>(())
//! ```
//!
//! [`Broker`] puts a `Model` behind the async [`Driver`](crate::Driver), on tokio's clock.

mod agenda;
mod broker;
mod client;
mod cursor;
mod history;
mod lease;
mod operate;
mod recall;
mod session;
mod settings;
mod source;
mod topic;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cursor::Cursor;
use session::Session;
use topic::Topic;

use crate::{Error, ErrorKind, Position, Record};

pub use agenda::{Agenda, Due};
pub use broker::Broker;
pub use history::{Happened, History, Moment};
pub use settings::{Faults, Mutant, Settings};

/// One publish call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One opening of a subscription. Never used again, not after a crash either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u64);

/// The reference broker with its one client. See the [module's manual](self).
#[derive(Debug)]
pub struct Model {
    settings: Settings,
    rng: fastrand::Rng,
    now: Duration,
    topics: Vec<Topic>,
    cursors: BTreeMap<Arc<str>, Cursor>,
    sessions: BTreeMap<SourceId, Session>,
    next_source: u64,
    wire: wire::Wire,
    events: Agenda<Event>,
    /// Unreachable since and until.
    down: Option<(Duration, Duration)>,
    /// The client has closed the driver.
    closed: bool,
    history: History,
}

/// What happens by itself.
#[derive(Clone, Debug)]
enum Event {
    /// A record enters the log.
    Land(u64),
    Ack(Ticket, usize),
    /// A mutant's acknowledgement of a record that has not landed.
    LyingAck(Ticket, usize, u64),
    GiveUp(Ticket, usize),
    Deadline(Ticket),
    Flush(Arc<str>),
    Revoke,
    /// A recall's time is over.
    RecallEnds(SourceId),
    Outage,
    OutageEnds,
}

impl Model {
    pub fn new(settings: Settings, rng: fastrand::Rng) -> Self {
        let mut model = Self {
            settings,
            rng,
            now: Duration::ZERO,
            topics: Vec::new(),
            cursors: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_source: 0,
            wire: wire::Wire::default(),
            events: Agenda::default(),
            down: None,
            closed: false,
            history: History::default(),
        };
        model.schedule_misfortune();
        model
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Replaces the faults from now on. What was decided already still happens; random revocations and outages stop at
    /// once where the new faults have none, and an outage that is under way ends when it would have.
    pub fn set_faults(&mut self, faults: Faults) {
        self.settings.faults = faults;
        self.events.retain(|e| !matches!(e, Event::Revoke | Event::Outage));
        self.schedule_misfortune();
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// A topic's records as they landed, retention notwithstanding; the index is the position.
    pub fn log<'a>(&'a self, topic: &str) -> impl Iterator<Item = (Position, &'a Record)> {
        let entries = self.topic_named(topic).map_or(&[][..], |t| &self.topics[t].entries);
        entries.iter().enumerate().map(|(i, e)| (Position::Number(i as u64), &e.record))
    }

    /// One record of a topic's log, by the number of its position.
    pub fn record(&self, topic: &str, position: u64) -> Option<&Record> {
        Some(&self.topics[self.topic_named(topic)?].entry(position)?.record)
    }

    /// Lets everything happen that is due by `now`.
    pub fn advance(&mut self, now: Duration) {
        while let Some(item) = self.events.pop_due(now) {
            self.now = self.now.max(item.at);
            self.happen(item);
        }
        self.now = self.now.max(now);
    }

    /// When there is something to do next: at that time an [`advance`](Self::advance) changes something or a
    /// [`poll`](Self::poll) brings something. `None`: nothing will happen until the caller does something.
    pub fn next_event_at(&self) -> Option<Duration> {
        let event = self.happens_at();
        let poll = if self.is_down() {
            None
        } else {
            self.sessions.values().filter_map(|s| self.poll_due(s)).min().map(|at| at.max(self.now))
        };
        event.into_iter().chain(poll).min()
    }

    /// When something happens by itself next, whether or not a poll would bring something before.
    pub fn happens_at(&self) -> Option<Duration> {
        self.events.next_at()
    }

    /// When time alone changes something after now; what only a poll would bring is left out.
    fn wakes_at(&self) -> Option<Duration> {
        let event = self.happens_at();
        let polls = self.sessions.values().filter_map(|s| self.poll_due(s)).filter(|at| *at > self.now);
        event.into_iter().chain(polls).min()
    }

    fn happen(&mut self, item: Due<Event>) {
        if let Some((_, until)) = self.down
            && self.now < until
            && matches!(
                item.what,
                Event::Land(_)
                    | Event::Ack(..)
                    | Event::GiveUp(..)
                    | Event::Flush(_)
                    | Event::Revoke
                    | Event::RecallEnds(_)
            )
        {
            // In its old order, so that what was decided earlier still happens earlier.
            if let Event::Flush(name) = &item.what
                && let Some(cursor) = self.cursors.get_mut(name)
                && cursor.flush_at == Some(self.now)
            {
                cursor.flush_at = Some(until);
            }
            self.events.put_off(Due { at: until, ..item });
            return;
        }
        match item.what {
            Event::Land(number) => self.land(number),
            Event::Ack(ticket, index) => self.ack(ticket, index),
            Event::LyingAck(ticket, index, position) => self.lie(ticket, index, position),
            Event::GiveUp(ticket, index) => self.give_up(ticket, index),
            Event::Deadline(ticket) => self.deadline(ticket),
            Event::Flush(name) => self.flush_due(&name),
            Event::Revoke => self.revoke_by_chance(),
            Event::RecallEnds(source) => self.end_recalls(source),
            Event::Outage => {
                let length = self.up_to(self.settings.faults.outage_max);
                self.outage(self.now, length);
                self.schedule(Event::Outage, self.settings.faults.outage_every);
            }
            Event::OutageEnds => {
                if self.down.is_some_and(|(_, until)| until <= self.now) {
                    self.down = None;
                }
            }
        }
    }

    /// Makes the broker unreachable for this long.
    pub fn outage(&mut self, now: Duration, length: Duration) {
        self.advance(now);
        let until = self.now + length.max(Duration::from_nanos(1));
        let (since, until) = self.down.map_or((self.now, until), |(since, old)| (since, old.max(until)));
        self.down = Some((since, until));
        self.tell(Happened::Outage { until });
        self.at(until, Event::OutageEnds);
    }

    /// Since when the broker has been unreachable, on the wall clock in milliseconds; `None` while it is up.
    fn down_since_ms(&self) -> Option<u64> {
        self.down.map(|(since, _)| self.settings.epoch_ms + since.as_millis() as u64)
    }

    fn is_down(&self) -> bool {
        self.down.is_some_and(|(_, until)| self.now < until)
    }

    fn reachable(&self) -> Result<(), Error> {
        if self.closed {
            return Err(Error::new(ErrorKind::Closed, "the driver has been closed"));
        }
        if self.is_down() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the broker cannot be reached; it is tried again",
            ));
        }
        Ok(())
    }

    fn schedule_misfortune(&mut self) {
        self.schedule(Event::Revoke, self.settings.faults.revoke_every);
        self.schedule(Event::Outage, self.settings.faults.outage_every);
    }

    /// Schedules an event at a random time whose mean is `every` from now.
    fn schedule(&mut self, event: Event, every: Option<Duration>) {
        if let Some(every) = every {
            let at = self.now + self.up_to(every * 2).max(Duration::from_millis(1));
            self.at(at, event);
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.events.push(at.max(self.now), event);
    }

    fn tell(&mut self, what: Happened) {
        self.history.push(self.now, what);
    }

    fn wall_ms(&self) -> u64 {
        self.settings.epoch_ms + self.now.as_millis() as u64
    }

    fn topic_named(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|t| &*t.name == name)
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.settings.mutant == Some(mutant)
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.f64() < probability
    }

    /// A random duration up to and including this one, in whole microseconds.
    fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.rng.u64(0..=longest.as_micros() as u64))
    }
}
