use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Batch, Body, Hop, Key, Letter, Origin, Outcome, Record, TraceParent};
use event::Event;
use parking_lot::RwLock;
use telemetry::{Happened, Telemetry, Trace};
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, Permit};
use crate::full::Full;
use crate::order::Order;
use crate::routes::Routes;
use crate::under_way::{Story, UnderWay};
use crate::{Error, FullTopic, Limits, Topic, key};

/// What a publisher is told to wait while a broker is pending.
const PENDING_RETRY_AFTER: Duration = Duration::from_secs(1);

/// One event to publish.
#[derive(Clone, Debug)]
pub struct Item {
    pub event: Event,
    /// The publisher's `postrider-key`.
    pub key: Option<Key>,
    pub traceparent: Option<TraceParent>,
    pub tracestate: Option<Box<str>>,
}

/// The routes and the gate. One a process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    telemetry: Telemetry,
    admission: Arc<Admission>,
    order: Order,
    origin: Origin,
    routes: RwLock<Arc<Routes>>,
    /// Brokers whose gate is closed, and why. Empty in the steady state.
    pending: RwLock<HashMap<String, String>>,
    full: Arc<Full>,
    /// Waits that outlive whoever began them.
    tasks: TaskTracker,
}

/// Events that were checked and admitted, and are not written yet. Dropped, they never are.
#[derive(Debug)]
pub struct Prepared {
    inner: Arc<Inner>,
    topic: Arc<Topic>,
    records: Vec<Record>,
    sizes: Vec<usize>,
    permit: Permit,
    begun: Instant,
}

impl Publisher {
    pub fn new(limits: Limits, telemetry: Telemetry) -> Self {
        Self {
            inner: Arc::new(Inner {
                telemetry,
                admission: Admission::new(limits),
                order: Order::new(),
                origin: Origin(uuid::Uuid::now_v7().as_u128()),
                routes: RwLock::default(),
                pending: RwLock::default(),
                full: Arc::default(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// Publishes events to a logical topic, in order. The records are on their way when this returns; the future only
    /// waits, and dropping it cancels nothing. One outcome an event, in order.
    pub fn publish(
        &self,
        topic: &str,
        items: Vec<Item>,
        deadline: Instant,
    ) -> Result<impl Future<Output = Vec<Outcome>> + Send + use<>, Error> {
        Ok(self.prepare(topic, items)?.send(deadline))
    }

    /// Does all of a publish that can be refused, and writes nothing: a call that goes to several topics prepares all
    /// of them before it sends the first.
    pub fn prepare(&self, topic: &str, items: Vec<Item>) -> Result<Prepared, Error> {
        match self.topic(topic).filter(|topic| topic.open) {
            Some(topic) => self.prepare_for(topic, items),
            None => {
                let code = "unknown_topic";
                // The name is the caller's and not configured: it must not become a label.
                self.tell_refused("", code, &items);
                Err(Error::UnknownTopic(topic.to_owned()))
            }
        }
    }

    /// Like [`prepare`](Self::prepare), for a topic that was looked up already.
    pub fn prepare_for(&self, topic: Arc<Topic>, items: Vec<Item>) -> Result<Prepared, Error> {
        let begun = Instant::now();
        let name = topic.name.clone();
        let (events, trace) = (items.len() as u64, items.first().and_then(trace_of));
        self.check(topic, items, begun).inspect_err(|error| {
            let code = error.code();
            self.inner.telemetry.tell(Happened::Refused { topic: &name, code, events, trace });
        })
    }

    /// Checks one event by itself and gives it its key: later, [`prepare`](Self::prepare) will not refuse it for its own
    /// sake. For streams, which are checked as they come and published in groups. Errors name index 0.
    pub fn vet(&self, topic: &Topic, item: &mut Item) -> Result<(), Error> {
        check_one(topic, item, 0).map(drop).inspect_err(|error| {
            self.tell_refused(&topic.name, error.code(), std::slice::from_ref(item));
        })
    }

    fn check(&self, topic: Arc<Topic>, items: Vec<Item>, begun: Instant) -> Result<Prepared, Error> {
        self.check_gate(&topic)?;
        let mut sizes = Vec::with_capacity(items.len());
        let mut records = Vec::with_capacity(items.len());
        for (index, mut item) in items.into_iter().enumerate() {
            let bytes = check_one(&topic, &mut item, index)?;
            let key = item.key;
            let hop = Hop {
                traceparent: item.traceparent,
                tracestate: item.tracestate,
                origin: Some(self.inner.origin),
                sequence: 0,
            };
            sizes.push(bytes);
            records.push(Record { key, body: Body::Event(item.event), hop, letter: None });
        }
        let bytes = sizes.iter().sum::<usize>() as u64;
        let permit = self.inner.admission.admit(records.len() as u64, bytes)?;
        Ok(Prepared { inner: self.inner.clone(), topic, records, sizes, permit, begun })
    }

    fn check_gate(&self, topic: &Topic) -> Result<(), Error> {
        match self.inner.pending.read().get(&*topic.broker) {
            None => Ok(()),
            Some(reason) => Err(Error::Pending {
                broker: topic.broker.to_string(),
                reason: reason.clone(),
                retry_after: PENDING_RETRY_AFTER,
            }),
        }
    }

    fn tell_refused(&self, topic: &str, code: &'static str, items: &[Item]) {
        let (events, trace) = (items.len() as u64, items.first().and_then(trace_of));
        self.inner.telemetry.tell(Happened::Refused { topic, code, events, trace });
    }

    /// Publishes one record as it is (a dead letter, with its key and hop headers) to a topic of a broker.
    ///
    /// Neither the gate before a pending broker nor the limits apply: what is dead-lettered was admitted once and is
    /// held as a delivery until this is answered. Only a closed publisher refuses it.
    pub fn forward(
        &self,
        topic: &Topic,
        mut record: Record,
        letter: Option<Letter>,
        deadline: Instant,
    ) -> Result<impl Future<Output = Outcome> + Send + use<>, Error> {
        let permit = self.inner.admission.admit_always(1, record.body.size() as u64)?;
        record.letter = letter.map(Box::new).or(record.letter);
        let batch = Batch { topic: topic.on_broker.clone(), records: vec![record], deadline };
        let receipt = topic.driver.publish(batch);
        let under_way = UnderWay::new(receipt, 1, permit, None, self.inner.tasks.clone());
        let (full, name, broker) = (self.inner.full.clone(), topic.name.clone(), topic.broker.clone());
        Ok(async move {
            let mut outcomes = under_way.answer(deadline).await;
            full.note(&name, &broker, &outcomes);
            let outcome = outcomes.pop();
            outcome.unwrap_or_else(|| Outcome::Unknown("the driver gave no answer".into()))
        })
    }

    /// The topic that takes events of this type.
    pub fn topic_of_type(&self, kind: &str) -> Option<Arc<Topic>> {
        self.inner.routes.read().topic_of_type(kind).cloned()
    }

    /// A topic by its logical name, internal ones included.
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.inner.routes.read().topic(name).cloned()
    }

    /// The topics that the API publishes to, sorted by name.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.inner.routes.read().open().to_vec()
    }

    /// Replaces all routes at once; what is under way ends as it began.
    pub fn set_topics(&self, topics: Vec<Topic>) {
        let routes = Arc::new(Routes::new(topics));
        *self.inner.routes.write() = routes;
        self.inner.full.clear();
    }

    /// The topics, internal ones included, that last refused an event because they are full, sorted by name. One is
    /// listed until an event is durable there.
    pub fn full_topics(&self) -> Vec<FullTopic> {
        self.inner.full.list()
    }

    /// Closes or opens the gate before a broker: while it is closed, publishes to it answer [`Error::Pending`].
    pub fn set_pending(&self, broker: &str, reason: Option<String>) {
        let mut pending = self.inner.pending.write();
        match reason {
            Some(reason) => pending.insert(broker.to_owned(), reason),
            None => pending.remove(broker),
        };
    }

    /// The brokers whose gate is closed, with the reasons, sorted by name.
    pub fn pending(&self) -> Vec<(String, String)> {
        let mut pending: Vec<_> =
            self.inner.pending.read().iter().map(|(broker, why)| (broker.clone(), why.clone())).collect();
        pending.sort();
        pending
    }

    /// Refuses new publishes and waits until what is under way is answered, or until the deadline.
    pub async fn close(&self, deadline: Instant) {
        // What is still under way at the deadline ends when its driver is closed: `Unknown`, as the contract has it.
        drop(tokio::time::timeout_at(deadline.into(), self.inner.admission.close()).await);
        self.inner.tasks.close();
    }
}

impl Prepared {
    /// Hands all records to the driver, in order. They are on their way when this returns; the future only waits for
    /// one outcome an event, and dropping it cancels nothing. Past the deadline an outcome is `Unknown`.
    pub fn send(self, deadline: Instant) -> impl Future<Output = Vec<Outcome>> + Send + use<> {
        let Self { inner, topic, records, sizes, permit, begun } = self;
        let count = records.len();
        let trace = records.first().and_then(|record| record.hop.traceparent).map(trace);
        let receipt = inner.order.stamped(records, |records| {
            topic.driver.publish(Batch { topic: topic.on_broker.clone(), records, deadline })
        });
        let story = Story {
            telemetry: inner.telemetry.clone(),
            full: inner.full.clone(),
            topic: topic.name.clone(),
            broker: topic.broker.clone(),
            trace,
            sizes,
            begun,
        };
        UnderWay::new(receipt, count, permit, Some(story), inner.tasks.clone()).answer(deadline)
    }

    pub fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }
}

/// Checks an event's size and sets its key. Returns the size in bytes.
fn check_one(topic: &Topic, item: &mut Item, index: usize) -> Result<usize, Error> {
    let bytes = item.event.size();
    let max = topic.event_bytes_max;
    if bytes > max {
        return Err(Error::EventTooLarge { index, bytes, topic: topic.name.to_string(), max });
    }
    item.key =
        key::of(topic, &item.event, item.key.take()).map_err(|bytes| Error::KeyTooLong { index, bytes })?;
    Ok(bytes)
}

fn trace_of(item: &Item) -> Option<Trace> {
    item.traceparent.map(trace)
}

/// The trace that telemetry tells of a hop header. (`broker` and `telemetry` know nothing of each other.)
pub fn trace(parent: TraceParent) -> Trace {
    Trace { trace: parent.trace, parent: parent.parent, flags: parent.flags }
}
