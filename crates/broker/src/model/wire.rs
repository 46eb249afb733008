use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::history::Happened;
use super::settings::Mutant;
use super::topic::size;
use super::{Event, Model, Ticket};
use crate::{Key, Outcome, Position, Record, RefusalKind};

/// Records under way to the broker, and the calls that wait for their answers.
#[derive(Debug, Default)]
pub(super) struct Wire {
    next_ticket: u64,
    next_record: u64,
    calls: BTreeMap<Ticket, Call>,
    /// Sent and not landed. A record that is not here any more never lands.
    under_way: BTreeMap<u64, UnderWay>,
    /// When the last record of a key lands: its next lands no earlier.
    last: BTreeMap<(usize, Key), Duration>,
    unanswered: usize,
    answers: Vec<(Ticket, Vec<Outcome>)>,
}

#[derive(Debug)]
struct Call {
    keys: Vec<Option<Key>>,
    outcomes: Vec<Option<Outcome>>,
    /// Where a record has landed, and until then under which number it is under way.
    places: Vec<Place>,
    undecided: usize,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Nowhere,
    UnderWay(u64),
    Landed(u64),
}

#[derive(Debug)]
struct UnderWay {
    ticket: Ticket,
    index: usize,
    topic: usize,
    record: Record,
}

impl Model {
    /// Takes records in, in this order, and answers them by [`Model::answers`] under the returned ticket, at `deadline`
    /// at the latest. What is refused at once is answered by the next call of `answers`.
    pub fn publish(
        &mut self,
        now: Duration,
        topic: &str,
        records: Vec<Record>,
        deadline: Duration,
    ) -> Ticket {
        self.advance(now);
        self.wire.next_ticket += 1;
        let ticket = Ticket(self.wire.next_ticket);
        let name: Arc<str> = topic.into();
        self.tell(Happened::Published { ticket, topic: name, records: records.len() });
        let count = records.len();
        let mut call = Call {
            keys: records.iter().map(|r| r.key.clone()).collect(),
            outcomes: vec![None; count],
            places: vec![Place::Nowhere; count],
            undecided: count,
        };
        let mut failed: BTreeSet<Key> = BTreeSet::new();
        for (index, record) in records.into_iter().enumerate() {
            let key = record.key.clone();
            let refusal = match &key {
                Some(k) if failed.contains(k) && !self.is(Mutant::DurableAfterFailure) => {
                    Some(after_failure())
                }
                _ => self.refusal(topic, &record),
            };
            if let Some(refusal) = refusal {
                failed.extend(key);
                call.outcomes[index] = Some(refusal);
                call.undecided -= 1;
            } else {
                self.wire.unanswered += 1;
                call.places[index] = self.send(topic, record, ticket, index);
            }
        }
        let undecided = call.undecided;
        self.wire.calls.insert(ticket, call);
        if undecided == 0 {
            self.answer(ticket);
        } else {
            self.at(deadline.max(now), Event::Deadline(ticket));
        }
        ticket
    }

    /// Moves the answers that are ready into `into`, each call's once and whole.
    pub fn answers(&mut self, into: &mut Vec<(Ticket, Vec<Outcome>)>) {
        into.append(&mut self.wire.answers);
    }

    /// Calls that have not been answered.
    pub fn unanswered(&self) -> usize {
        self.wire.calls.len()
    }

    fn refusal(&mut self, topic: &str, record: &Record) -> Option<Outcome> {
        let bytes = size(record);
        let refused = |kind, message: String| Some(Outcome::refused(kind, message));
        if self.closed {
            return refused(RefusalKind::Unavailable, "the driver has been closed".into());
        }
        let Some(index) = self.topic_named(topic) else {
            return refused(RefusalKind::UnknownTopic, format!("the broker has no topic {topic}"));
        };
        if bytes > self.settings.capabilities.record_bytes_max {
            return refused(RefusalKind::TooLarge, format!("a record of {bytes} bytes is too large"));
        }
        if self.wire.unanswered >= self.settings.in_flight_max || self.chance(self.settings.faults.overloaded)
        {
            return refused(RefusalKind::Overloaded, "too much is being published at once".into());
        }
        let end = self.topics[index].end();
        let max = self.settings.backlog_max;
        if self.cursors.values().any(|c| c.topic == index && c.has_backlog(end, max)) {
            return refused(RefusalKind::Full, format!("{topic} holds {max} unsettled records"));
        }
        None
    }

    /// Decides a record's fate and puts it under way.
    fn send(&mut self, topic: &str, record: Record, ticket: Ticket, index: usize) -> Place {
        let topic =
            self.topic_named(topic).expect("a record of an unknown topic is refused before it is sent");
        let faults = self.settings.faults.clone();
        let mut lands = self.now + self.up_to(faults.latency_max);
        if self.is(Mutant::AckBeforeDurable) {
            let position = self.topics[topic].end() + self.wire.under_way.len() as u64;
            self.at(self.now, Event::LyingAck(ticket, index, position));
            lands += Duration::from_millis(200);
        }
        if self.chance(faults.late_landing) {
            lands += self.up_to(faults.late_landing_max);
        }
        if let Some(key) = &record.key {
            let last = self.wire.last.entry((topic, key.clone())).or_default();
            lands = lands.max(*last);
            *last = lands;
        }
        if self.chance(faults.lost_record) {
            self.maybe_give_up(lands, ticket, index);
            return Place::Nowhere;
        }
        self.wire.next_record += 1;
        let number = self.wire.next_record;
        self.wire.under_way.insert(number, UnderWay { ticket, index, topic, record });
        self.at(lands, Event::Land(number));
        if self.chance(faults.lost_ack) {
            self.maybe_give_up(lands, ticket, index);
        } else {
            let late =
                if self.chance(faults.late_ack) { self.up_to(faults.late_ack_max) } else { Duration::ZERO };
            let acked = lands + self.up_to(faults.latency_max) + late;
            self.at(acked, Event::Ack(ticket, index));
        }
        Place::UnderWay(number)
    }

    /// Some clients notice a broken connection before the deadline, others never.
    fn maybe_give_up(&mut self, after: Duration, ticket: Ticket, index: usize) {
        if self.rng.bool() {
            self.at(after, Event::GiveUp(ticket, index));
        }
    }

    pub(super) fn land(&mut self, number: u64) {
        let Some(UnderWay { ticket, index, topic, mut record }) = self.wire.under_way.remove(&number) else {
            return;
        };
        if self.is(Mutant::HopDropped) {
            record.hop = crate::Hop::default();
        }
        let at_ms = self.wall_ms();
        let position = self.topics[topic].append(record, at_ms);
        if let Some(call) = self.wire.calls.get_mut(&ticket) {
            call.places[index] = Place::Landed(position);
        }
        let name = self.topics[topic].name.clone();
        self.tell(Happened::Appended { topic: name, position, ticket, index });
        if self.is(Mutant::DropSome) && position % 7 == 6 {
            return;
        }
        for session in self.sessions.values_mut().filter(|s| s.topic == topic) {
            session.offer(&self.topics[topic], position, self.now);
        }
    }

    pub(super) fn ack(&mut self, ticket: Ticket, index: usize) {
        let place = self.wire.calls.get(&ticket).map(|c| c.places[index]);
        if let Some(Place::Landed(position)) = place {
            self.decide(ticket, index, Outcome::Durable(Position::Number(position)));
        }
    }

    /// The mutant's acknowledgement of what has not landed, with the position it will likely get.
    pub(super) fn lie(&mut self, ticket: Ticket, index: usize, position: u64) {
        self.decide(ticket, index, Outcome::Durable(Position::Number(position)));
    }

    pub(super) fn give_up(&mut self, ticket: Ticket, index: usize) {
        self.decide(
            ticket,
            index,
            Outcome::Unknown("the connection broke before the acknowledgement".into()),
        );
    }

    pub(super) fn deadline(&mut self, ticket: Ticket) {
        let Some(call) = self.wire.calls.get(&ticket) else { return };
        let undecided: Vec<(usize, Place)> = (0..call.outcomes.len())
            .filter(|i| call.outcomes[*i].is_none())
            .map(|i| (i, call.places[i]))
            .collect();
        // In an outage a client knows of some records that it never sent them: those it takes back.
        let take_back = self.is_down() && self.rng.bool();
        for (index, place) in undecided {
            let outcome = match place {
                Place::UnderWay(number) if take_back && self.wire.under_way.remove(&number).is_some() => {
                    Outcome::refused(RefusalKind::Unavailable, "the broker could not be reached")
                }
                _ => Outcome::Unknown("the broker had not answered by the deadline".into()),
            };
            self.decide(ticket, index, outcome);
        }
    }

    fn decide(&mut self, ticket: Ticket, index: usize, outcome: Outcome) {
        let Some(call) = self.wire.calls.get_mut(&ticket) else { return };
        if call.outcomes[index].is_some() {
            return;
        }
        call.outcomes[index] = Some(outcome);
        call.undecided -= 1;
        self.wire.unanswered -= 1;
        if call.undecided == 0 {
            self.answer(ticket);
        }
    }

    fn answer(&mut self, ticket: Ticket) {
        let Some(call) = self.wire.calls.remove(&ticket) else { return };
        let mut failed: BTreeSet<&Key> = BTreeSet::new();
        let mut outcomes = Vec::with_capacity(call.outcomes.len());
        for (key, outcome) in call.keys.iter().zip(call.outcomes) {
            let mut outcome = outcome.expect("a call is answered once all its records are decided");
            if let Some(key) = key {
                if failed.contains(key) && outcome.is_durable() && !self.is(Mutant::DurableAfterFailure) {
                    outcome =
                        Outcome::Unknown("an earlier record of this key is not known to be durable".into());
                }
                if !outcome.is_durable() {
                    failed.insert(key);
                }
            }
            outcomes.push(outcome);
        }
        self.tell(Happened::Answered { ticket, outcomes: outcomes.clone() });
        self.wire.answers.push((ticket, outcomes));
    }

    /// The client died: nobody waits for answers any more, and of what was under way some is still sent.
    pub(super) fn cut_wire(&mut self) {
        self.wire.calls.clear();
        self.wire.answers.clear();
        self.wire.last.clear();
        self.wire.unanswered = 0;
        let zombie = self.settings.faults.zombie_write;
        let dead: Vec<u64> = self.wire.under_way.keys().copied().collect();
        for number in dead {
            if !self.chance(zombie) {
                self.wire.under_way.remove(&number);
            }
        }
    }

    /// Records that were sent and have not landed, those of dead processes included.
    pub fn under_way(&self) -> usize {
        self.wire.under_way.len()
    }
}

fn after_failure() -> Outcome {
    Outcome::refused(RefusalKind::AfterFailure, "an earlier record of this key in this call was not written")
}
