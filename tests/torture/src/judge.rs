//! What must hold of a store after whatever happened to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use log::{Cursor, Item, Log, Options, Ranges, SettleLog, Store};

use crate::layout;
use crate::records::{self, Id};
use crate::told::Told;

/// All that was promised so far. It grows by what workers tell and by what a judgement sees: what has been read was
/// handed out, and is not to change afterwards either.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promised {
    topics: BTreeMap<u8, Topic>,
    subscriptions: BTreeMap<(u8, u8), Subscription>,
    /// Records that were acknowledged.
    pub(crate) acknowledged: u64,
}

#[derive(Clone, Debug, Default)]
struct Topic {
    /// By position.
    records: BTreeMap<u64, Id>,
    /// One past the highest position that was ever told or seen.
    end: u64,
}

#[derive(Clone, Debug, Default)]
struct Subscription {
    /// All that may be settled.
    intended: Ranges,
    /// All that has to be.
    durable: Ranges,
    /// Attempts by position: the least that has to be noted, and the most that may be.
    notes: BTreeMap<u64, (u32, u32)>,
    /// What this worker has done since its last flush. What an earlier one did may be lost, and no flush brings it back.
    recent: Vec<Told>,
}

/// What does not hold, in words, each beginning with its topic.
pub(crate) type Problems = Vec<String>;

impl Promised {
    /// Takes in what a worker has told.
    pub(crate) fn hear(&mut self, told: &Told) {
        match *told {
            Told::Appended { topic, writer, run, count, records, first } => {
                self.acknowledged += u64::from(records);
                let of = self.topics.entry(topic).or_default();
                for n in 0..records {
                    of.records.insert(first + u64::from(n), Id { topic, writer, run, count: count + n });
                }
                of.end = of.end.max(first + u64::from(records));
            }
            Told::Settling { topic, subscription, from, to } => {
                let of = self.subscription(topic, subscription);
                of.intended.insert(from, to);
                of.recent.push(*told);
            }
            Told::Noting { topic, subscription, from, to, attempts } => {
                let of = self.subscription(topic, subscription);
                for sequence in from..to {
                    of.notes.entry(sequence).or_default().1 = attempts;
                }
                of.recent.push(*told);
            }
            Told::Flushed { topic, subscription } => self.subscription(topic, subscription).flushed(),
            Told::Opening => self.subscriptions.values_mut().for_each(|of| of.recent.clear()),
            Told::Waiting | Told::Ready | Told::Done => {}
        }
    }

    fn subscription(&mut self, topic: u8, subscription: u8) -> &mut Subscription {
        self.subscriptions.entry((topic, subscription)).or_default()
    }

    /// Recovers the directory and compares. What is found is promised from then on.
    pub(crate) fn judge(&mut self, directory: &Path) -> Problems {
        // Nothing is removed while it is looked at.
        let options = Options { retention_bytes: u64::MAX, ..layout::options() };
        let (store, damage) = match Store::open(directory, options) {
            Ok(opened) => opened,
            Err(error) => return vec![format!("the store does not open: {error}")],
        };
        let mut problems: Problems =
            damage.iter().map(|damage| format!("damage, though nothing was damaged: {damage}")).collect();
        for (&topic, promised) in &mut self.topics {
            match store.log(&layout::log_name(topic)) {
                Some(log) => promised.judge(topic, &log, &mut problems),
                None => problems.push(format!("topic {topic}: its log is gone")),
            }
        }
        for (&(topic, subscription), promised) in &mut self.subscriptions {
            match store.settle_log(&layout::settle_name(topic, subscription)) {
                Some(settles) => promised.judge(topic, subscription, &settles, &mut problems),
                None => problems.push(format!("topic {topic}: subscription {subscription} is gone")),
            }
        }
        problems
    }
}

impl Topic {
    fn judge(&mut self, topic: u8, log: &Arc<Log>, problems: &mut Problems) {
        let first = log.first();
        // What retention has removed is judged by the subscriptions.
        self.records = self.records.split_off(&first);
        let mut seen = BTreeMap::new();
        let mut last: BTreeMap<u8, Id> = BTreeMap::new();
        let mut cursor = Cursor::new(Arc::clone(log), first);
        loop {
            match cursor.next() {
                Ok(Some(Item::Record(record))) => match records::decode(&record.bytes) {
                    Some(id) if id.topic == topic => {
                        in_order(topic, last.insert(id.writer, id), id, first, problems);
                        seen.insert(record.sequence, id);
                    }
                    _ => problems
                        .push(format!("topic {topic}: nobody wrote what stands at {}", record.sequence)),
                },
                Ok(Some(Item::Hole { from, to })) => {
                    problems.push(format!("topic {topic}: a hole from {from} to {to}"));
                }
                Ok(None) => break,
                Err(error) => {
                    problems.push(format!("topic {topic}: cannot be read at {}: {error}", cursor.position()));
                    break;
                }
            }
        }
        for (sequence, id) in &self.records {
            match seen.get(sequence) {
                Some(found) if found == id => {}
                Some(found) => {
                    problems.push(format!("topic {topic}: at {sequence} stands {found:?} instead of {id:?}"));
                }
                None => problems.push(format!("topic {topic}: lost {id:?} at {sequence}")),
            }
        }
        if log.end() < self.end {
            problems.push(format!("topic {topic}: ends at {}, and {} was told", log.end(), self.end));
        }
        self.end = self.end.max(log.end());
        self.records = seen;
    }
}

/// A writer's records stand in the order of its calls and without gaps: a log loses its tail or nothing.
fn in_order(topic: u8, before: Option<Id>, id: Id, first: u64, problems: &mut Problems) {
    let follows = match before {
        Some(before) if before.run == id.run => id.count == before.count + 1,
        Some(before) => id.run > before.run && id.count == 0,
        // Retention may have removed what came before.
        None => id.count == 0 || first > 1,
    };
    if !follows {
        problems.push(format!("topic {topic}: {id:?} comes after {before:?}"));
    }
}

impl Subscription {
    fn flushed(&mut self) {
        for told in self.recent.drain(..) {
            match told {
                Told::Settling { from, to, .. } => {
                    self.durable.insert(from, to);
                }
                Told::Noting { from, to, attempts, .. } => {
                    for sequence in from..to {
                        self.notes.entry(sequence).or_default().0 = attempts;
                    }
                }
                _ => {}
            }
        }
    }

    fn judge(&mut self, topic: u8, subscription: u8, settles: &Arc<SettleLog>, problems: &mut Problems) {
        let mut problem =
            |what: String| problems.push(format!("topic {topic}, subscription {subscription}: {what}"));
        let (first, end, floor) = (settles.log().first(), settles.log().end(), settles.floor());
        if floor < first {
            problem(format!("settled up to {floor} only, and records up to {first} were removed"));
        }
        let mut now = Ranges::default();
        now.insert(0, floor);
        // What lies below was seen settled before, and only a floor can be told of it.
        let from = self.durable.end_of(0).unwrap_or(1);
        if floor < from {
            problem(format!("settled up to {floor} only, and up to {from} it was durable"));
        }
        for sequence in from..end {
            if settles.is_settled(sequence) {
                now.insert(sequence, sequence + 1);
                if self.intended.end_of(sequence).is_none() {
                    problem(format!("{sequence} is settled, and nobody settled it"));
                }
                continue;
            }
            if self.durable.end_of(sequence).is_some() {
                problem(format!("{sequence} is not settled any more"));
            }
            match settles.next_unsettled(sequence, settles.version()) {
                Ok((found, note)) if found == sequence => {
                    let (least, most) = self.notes.get(&sequence).copied().unwrap_or_default();
                    if !(least..=most).contains(&note.attempts) {
                        problem(format!("{sequence} has {} attempts, of {least} to {most}", note.attempts));
                    }
                    self.notes.insert(sequence, (note.attempts, note.attempts));
                }
                other => problem(format!("the next unsettled from {sequence} is told as {other:?}")),
            }
        }
        if settles.is_settled(end) {
            problem(format!("{end} is settled, and does not exist yet"));
        }
        self.notes.retain(|sequence, _| now.end_of(*sequence).is_none());
        self.intended = now.clone();
        self.durable = now;
    }
}
