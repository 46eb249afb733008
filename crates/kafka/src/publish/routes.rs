//! Which topic goes through which producer.
//!
//! librdkafka walks a producer's list of topics at each record, so that a producer of hundreds of topics costs several
//! times one of a few. And a batch of several records that is larger than its topic takes fails all of them, so that a
//! topic that takes less than Kafka's default needs a producer that makes smaller batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::Error;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::producer::Producer;
use crate::cluster::Cluster;
use crate::settings::BATCH_BYTES;
use crate::topics::Facts;
use broker::Admission;

/// Topics of one producer at the most.
const TOPICS_MAX: usize = 64;

/// What a batch's framing and a record's estimate may be off by.
const BATCH_MARGIN_BYTES: usize = 4 * 1024;
const BATCH_BYTES_MIN: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Routes {
    cluster: Arc<Cluster>,
    admission: Arc<Admission>,
    running: watch::Sender<usize>,
    topics: RwLock<HashMap<Arc<str>, Arc<Route>>>,
    producers: Mutex<Producers>,
}

#[derive(Debug, Default)]
struct Producers {
    members: Vec<Member>,
    /// No more are made.
    are_closed: bool,
}

/// A producer and how many topics go through it.
#[derive(Debug)]
struct Member {
    producer: Arc<Producer>,
    topics: usize,
}

/// A topic's way. It changes only while nothing of the topic waits or is under way: else records of a key could overtake
/// others.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) topic: Arc<str>,
    pub(super) facts: Arc<Facts>,
    pub(super) producer: RwLock<Arc<Producer>>,
    /// Calls that are not whole yet, and those of them that a burst waits for, or did for as long as it could.
    under_way: AtomicUsize,
    awaited: AtomicUsize,
}

impl Route {
    /// A call comes.
    pub(super) fn begun(&self) {
        self.under_way.fetch_add(1, Ordering::AcqRel);
    }

    /// The gate lets one of its calls through, as a part of this burst.
    pub(super) fn goes(&self, burst: u64) {
        self.awaited.fetch_add(usize::from(burst != 0), Ordering::AcqRel);
    }

    /// A burst has waited for one of its calls in vain.
    pub(super) fn is_behind(&self) -> bool {
        self.awaited.load(Ordering::Acquire) > 0
    }

    /// A call that went as a part of this burst is whole.
    pub(super) fn done(&self, burst: u64) {
        self.awaited.fetch_sub(usize::from(burst != 0), Ordering::AcqRel);
        self.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The largest batch for a topic of which this is known: one of few sizes, so that few producers do.
fn batch_bytes(facts: &Facts) -> usize {
    let Some(most) = facts.bytes_max() else { return BATCH_BYTES };
    let fits = (most as usize).saturating_sub(BATCH_MARGIN_BYTES);
    if fits >= BATCH_BYTES {
        return BATCH_BYTES;
    }
    let power = fits.checked_ilog2().map_or(0, |log| 1 << log);
    power.max(BATCH_BYTES_MIN)
}

impl Routes {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        admission: Arc<Admission>,
        running: watch::Sender<usize>,
    ) -> Result<Self, Error> {
        let first = Producer::start(&cluster, &admission, &running, BATCH_BYTES, 0)?;
        let members = vec![Member { producer: first, topics: 0 }];
        let producers = Mutex::new(Producers { members, are_closed: false });
        Ok(Self { cluster, admission, running, topics: RwLock::default(), producers })
    }

    pub(super) fn route(&self, topic: &Arc<str>) -> Result<Arc<Route>, Error> {
        let known = self.topics.read().get(topic).cloned();
        let route = match known {
            Some(route) => route,
            None => self.add(topic)?,
        };
        if batch_bytes(&route.facts) != route.producer.read().batch_bytes {
            self.move_over(&route)?;
        }
        Ok(route)
    }

    fn add(&self, topic: &Arc<str>) -> Result<Arc<Route>, Error> {
        let mut topics = self.topics.write();
        if let Some(route) = topics.get(topic) {
            return Ok(Arc::clone(route));
        }
        let facts = self.cluster.topics.facts(topic);
        let producer = RwLock::new(self.producer(batch_bytes(&facts))?);
        let (under_way, awaited) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let route = Arc::new(Route { topic: Arc::clone(topic), facts, producer, under_way, awaited });
        topics.insert(Arc::clone(topic), Arc::clone(&route));
        Ok(route)
    }

    /// Moves a topic, of which more is known now, to a producer that fits it, unless something is under way: then a later
    /// call does. Senders count themselves in while they hold the read lock, so none slips between.
    fn move_over(&self, route: &Route) -> Result<(), Error> {
        let mut producer = route.producer.write();
        let batch_bytes = batch_bytes(&route.facts);
        if route.under_way.load(Ordering::Acquire) > 0 || producer.batch_bytes == batch_bytes {
            return Ok(());
        }
        let new = self.producer(batch_bytes)?;
        let old = std::mem::replace(&mut *producer, new);
        let members = &mut self.producers.lock().members;
        if let Some(member) = members.iter_mut().find(|member| Arc::ptr_eq(&member.producer, &old)) {
            member.topics -= 1;
        }
        Ok(())
    }

    /// A producer with room for one more topic. Makes one where there is none.
    fn producer(&self, batch_bytes: usize) -> Result<Arc<Producer>, Error> {
        let mut producers = self.producers.lock();
        if producers.are_closed {
            return Err(Error::closed());
        }
        let members = &mut producers.members;
        let fits =
            |member: &&mut Member| member.producer.batch_bytes == batch_bytes && member.topics < TOPICS_MAX;
        if let Some(member) = members.iter_mut().find(fits) {
            member.topics += 1;
            return Ok(Arc::clone(&member.producer));
        }
        let number = members.len();
        let producer = Producer::start(&self.cluster, &self.admission, &self.running, batch_bytes, number)?;
        members.push(Member { producer: Arc::clone(&producer), topics: 1 });
        Ok(producer)
    }

    pub(super) fn close(&self) {
        let mut producers = self.producers.lock();
        producers.are_closed = true;
        for member in &producers.members {
            member.producer.close();
        }
    }
}
