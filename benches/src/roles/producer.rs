//! The yardstick of publishing to Kafka: librdkafka's producer with nothing around it. A record carries an integer, the
//! thread that polls counts acknowledgements, and one thread sends while fewer than so many records are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use serde::{Deserialize, Serialize};

use super::properties::{Properties, config};
use super::{asked, load::Done, say};
use crate::amount::{Amount, Share};
use crate::measure::monotonic_nanoseconds;
use crate::samples::Record;

/// Longest wait for acknowledgements after the last record.
const FLUSH: Duration = Duration::from_secs(60);
/// Records that are sent to each topic to warm up.
pub(crate) const WARM_UP: u64 = 4;
/// Different records that are built; they are sent in turns.
const RECORDS: u64 = 1000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) bootstrap: String,
    /// Beyond idempotence, which is always on and implies `acks=all`.
    pub(crate) properties: Properties,
    /// Records are spread over them.
    pub(crate) topics: Vec<String>,
    /// Whether events name their keys in an attribute, as those of a batch do.
    pub(crate) names_keys: bool,
    /// Most records under way at once.
    pub(crate) in_flight: u64,
    pub(crate) amount: Amount,
    /// Records a second, stamped with when they were due; `None`: as many as are acknowledged.
    pub(crate) rate: Option<f64>,
}

/// When it is ready it tells how many records it has sent to warm up.
pub(super) fn play(spec: &Spec) -> Result<()> {
    let shared = Arc::new(Shared {
        sender: std::thread::current(),
        waits: AtomicBool::new(false),
        acknowledged: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    });
    let producer: Bare = config(&spec.bootstrap, &spec.properties)
        .set("enable.idempotence", "true")
        .create_with_context(Counting(Arc::clone(&shared)))?;
    let records = (0..RECORDS).map(|number| Record::new(number, spec.names_keys)).collect();
    let mut sender = Sender { spec, producer, shared, records, sent: 0 };
    sender.warm()?;
    say(&sender.sent)?;
    if asked()?.is_none() {
        return Ok(());
    }
    let done = sender.send_all()?;
    say(&done)?;
    while asked()?.is_some() {}
    Ok(())
}

type Bare = ThreadedProducer<Counting, NoCustomPartitioner>;

struct Shared {
    sender: Thread,
    /// Whether the sender has parked itself.
    waits: AtomicBool,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

/// Counts acknowledgements, on the thread that polls.
struct Counting(Arc<Shared>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _number: usize) {
        if result.is_err() {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.0.acknowledged.fetch_add(1, Ordering::SeqCst);
        if self.0.waits.swap(false, Ordering::SeqCst) {
            self.0.sender.unpark();
        }
    }
}

struct Sender<'a> {
    spec: &'a Spec,
    producer: Bare,
    shared: Arc<Shared>,
    records: Vec<Record>,
    sent: u64,
}

impl Sender<'_> {
    /// A few records to every topic: connections are made, topics looked up, the producer's id is fetched.
    fn warm(&mut self) -> Result<()> {
        for number in 0..(self.spec.topics.len() as u64 * WARM_UP) {
            self.send(number, None)?;
        }
        self.flush()
    }

    fn send_all(&mut self) -> Result<Done> {
        let began = Instant::now();
        let share = Share::begin(self.spec.amount);
        let before = self.sent;
        while let Some(number) = share.take() {
            let stamp = self.spec.rate.map(|rate| {
                let due = began + Duration::from_secs_f64(number as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                monotonic_nanoseconds() - due.elapsed().as_nanos() as u64
            });
            self.send(number, stamp)?;
        }
        self.flush()?;
        Ok(Done { events: self.sent - before, seconds: began.elapsed().as_secs_f64(), latency: None })
    }

    fn send(&mut self, number: u64, stamp: Option<u64>) -> Result<()> {
        self.wait_until_under_way(self.spec.in_flight - 1);
        let built = &self.records[(number % RECORDS) as usize];
        let topic = &self.spec.topics[(number % self.spec.topics.len() as u64) as usize];
        let record = BaseRecord::with_opaque_to(topic, number as usize).key(&built.key);
        let record = record.payload(&built.payload).headers(built.headers(number, stamp));
        self.producer.send(record).map_err(|(error, _)| error)?;
        self.sent += 1;
        Ok(())
    }

    /// Parks until at most so many records are under way.
    fn wait_until_under_way(&self, most: u64) {
        let is_so = || self.sent - self.shared.acknowledged.load(Ordering::SeqCst) <= most;
        while !is_so() {
            self.shared.waits.store(true, Ordering::SeqCst);
            // Looked at again: an acknowledgement between the two would wake nobody.
            if !is_so() {
                std::thread::park();
            }
        }
    }

    fn flush(&self) -> Result<()> {
        self.producer.flush(FLUSH).context("Kafka does not acknowledge")?;
        self.wait_until_under_way(0);
        match self.shared.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => bail!("{failed} records were not acknowledged"),
        }
    }
}
