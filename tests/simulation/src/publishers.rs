//! The publishers: sequential per key, and they send again what may or may not have landed (log A).

use std::time::Duration;

use broker::{Body, Key, Outcome, Record, TraceParent};
use event::{Data, Value};
use publish::Item;

/// One event of log A.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) publisher: usize,
    pub(super) seq: u64,
    pub(super) accepted: bool,
    /// How often it was sent without being refused.
    pub(super) sends: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Publisher {
    pub(super) key: Option<Key>,
    seq: u64,
    /// The event that it is at, as an index of the log.
    pub(super) current: Option<usize>,
    /// That event as it is posted, once it has been.
    item: Option<Item>,
    /// When it publishes next; `None` while it waits for an answer, and when all is published.
    pub(super) due: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Publishers {
    pub(super) all: Vec<Publisher>,
    pub(super) log: Vec<Event>,
    left: u32,
}

impl Publishers {
    pub(super) fn new(keys: usize, keyless: usize, events: u32) -> Self {
        let key = |n: usize| (n < keys).then(|| Key::new(format!("key-{n}")).expect("a short key is valid"));
        let all = (0..keys + keyless).map(|n| Publisher {
            key: key(n),
            seq: 0,
            current: None,
            item: None,
            due: None,
        });
        Self { all: all.collect(), log: Vec::new(), left: events }
    }

    /// The event that this publisher sends now: its present one again, or a new one. `None`: all have been published.
    pub(super) fn next(&mut self, publisher: usize) -> Option<usize> {
        if let Some(current) = self.all[publisher].current {
            return Some(current);
        }
        self.left = self.left.checked_sub(1)?;
        let it = &mut self.all[publisher];
        self.log.push(Event { publisher, seq: it.seq, accepted: false, sends: 0 });
        it.seq += 1;
        it.current = Some(self.log.len() - 1);
        it.current
    }

    /// Takes in what became of a publisher's event, and tells whether it goes on to another.
    pub(super) fn answered(&mut self, publisher: usize, outcome: &Outcome) -> bool {
        let Some(current) = self.all[publisher].current else { return false };
        match outcome {
            Outcome::Durable(_) => {
                self.log[current].accepted = true;
                (self.all[publisher].current, self.all[publisher].item) = (None, None);
            }
            Outcome::Refused(_) => self.log[current].sends -= 1,
            Outcome::Unknown(_) => {}
        }
        outcome.is_durable()
    }

    pub(super) fn are_done(&self) -> bool {
        self.left == 0 && self.all.iter().all(|publisher| publisher.current.is_none())
    }

    /// A publisher's present event as it is posted, each time the same.
    pub(super) fn item(&mut self, publisher: usize, event: usize) -> Item {
        let it = &mut self.all[publisher];
        it.item.get_or_insert_with(|| item(publisher, it.key.clone(), event)).clone()
    }
}

/// An event as it is posted. What names its key differs from publisher to publisher: the header, the `partitionkey`
/// attribute, or what the topic says, which is the subject.
fn item(publisher: usize, key: Option<Key>, event: usize) -> Item {
    let parent = TraceParent { trace: trace(event), parent: 1, flags: 1 };
    let mut builder = event::Event::builder().id(event.to_string()).source("/simulation").kind("simulated");
    builder = builder.data(Data::Binary(data(event).into()));
    let text = key.as_ref().map(ToString::to_string);
    let given = match (text, publisher % 3) {
        (None, _) => None,
        (Some(_), 0) => {
            builder = builder.subject("no-key").extension("partitionkey", Value::String("neither"));
            key
        }
        (Some(text), 1) => {
            builder = builder.subject("no-key").extension("partitionkey", Value::String(&text));
            None
        }
        (Some(text), _) => {
            builder = builder.subject(text);
            None
        }
    };
    let event = builder.build().expect("the simulation's events are valid");
    Item { event, key: given, traceparent: Some(parent), tracestate: None }
}

/// The event that a record of ours is.
pub(super) fn number(record: &Record) -> Option<usize> {
    match &record.body {
        Body::Event(event) => event.id().parse().ok(),
        Body::Foreign { .. } => None,
    }
}

/// What an event carries.
pub(super) fn data(event: usize) -> String {
    format!("{event} in full")
}

/// What a record carries.
pub(super) fn data_of(record: &Record) -> String {
    match &record.body {
        Body::Event(event) => {
            event.data().map(|data| String::from_utf8_lossy(data.bytes()).into_owned()).unwrap_or_default()
        }
        Body::Foreign { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The trace that an event belongs to.
pub(super) fn trace(event: usize) -> u128 {
    0x0123_4567_89ab_cdef_0000_0000_0000_0000 + event as u128 + 1
}

/// How long a publisher waits before it sends again.
pub(super) const AGAIN: Duration = Duration::from_millis(150);
/// When a publish is answered at the latest.
pub(super) const DEADLINE: Duration = Duration::from_secs(1);
