//! One of librdkafka's producers, and the thread that polls it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use broker::{Error, ErrorKind};
use parking_lot::{Mutex, RwLock};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::watch;

use super::calls::Calls;
use super::gate::Gate;
use super::hand_over::Ready;
use super::outcome;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::errors;
use broker::Admission;

/// How often a producer's thread looks at deadlines and whether it is to end; reports are served as they come. rdkafka
/// polls until all of this time has passed, in whole milliseconds, so it asks without a pause in the last one: what
/// stands behind the dot is for that, and long ticks are.
const TICK: Duration = Duration::from_micros(250_100);
/// The same while it ends.
const LAST_TICK: Duration = Duration::from_micros(10_100);

/// How long what is under way may take when the driver is closed, or when a producer is replaced.
pub(super) const CLOSE: Duration = Duration::from_secs(5);
/// What ended a client may take it some time to pass.
const REPLACE_AFTER: Duration = Duration::from_secs(1);

/// A producer of topics that take batches of the same size.
#[derive(Debug)]
pub(super) struct Producer {
    cluster: Arc<Cluster>,
    pub(super) calls: Arc<Calls>,
    pub(super) batch_bytes: usize,
    pub(super) client: RwLock<Client>,
    pub(super) gate: Mutex<Gate<Ready>>,
    is_closing: AtomicBool,
}

/// Whoever sends holds a read lock meanwhile, so that only the polling thread ever lets go of a client: that blocks.
pub(super) enum Client {
    Ready(Arc<BaseProducer<Reports>>),
    /// Why nothing can be sent, for now or for ever.
    Gone(String),
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(_) => f.write_str("Ready"),
            Self::Gone(why) => f.debug_tuple("Gone").field(why).finish(),
        }
    }
}

/// A thread that runs, counted until it ends, however it does.
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// What librdkafka calls when a record is acknowledged, or is not.
#[derive(Debug)]
pub(super) struct Reports {
    context: Context,
    cluster: Arc<Cluster>,
    calls: Arc<Calls>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let outcome = match result {
            Ok(message) => {
                self.context.pulse.beat();
                outcome::durable(message)
            }
            Err((error, message)) => {
                let (topic, bytes) = (message.topic(), message.payload_len() + message.key_len());
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                outcome::failed(code, topic, &self.cluster.topics.facts(topic), bytes)
            }
        };
        self.calls.reported(tag, outcome);
    }
}

impl Producer {
    /// Makes the client and starts its thread, which `running` counts.
    pub(super) fn start(
        cluster: &Arc<Cluster>,
        admission: &Arc<Admission>,
        running: &watch::Sender<usize>,
        batch_bytes: usize,
        number: usize,
    ) -> Result<Arc<Self>, Error> {
        let calls = Arc::new(Calls::new(Arc::clone(admission)));
        let config = cluster.settings.producer(batch_bytes);
        let client = client(&config, cluster, &calls)
            .map_err(|error| errors::client("a producer cannot be made", &error))?;
        let producer = Arc::new(Self {
            cluster: Arc::clone(cluster),
            calls,
            batch_bytes,
            client: RwLock::new(Client::Ready(client)),
            gate: Mutex::new(Gate::new()),
            is_closing: AtomicBool::new(false),
        });
        producer.spawn(running, number).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("a producer's thread cannot be started: {error}"))
        })?;
        Ok(producer)
    }

    fn spawn(self: &Arc<Self>, running: &watch::Sender<usize>, number: usize) -> io::Result<()> {
        let (producer, running) = (Arc::clone(self), Running::begin(running));
        let thread = std::thread::Builder::new().name(format!("kafka-publish-{number}"));
        thread
            .spawn(move || {
                producer.run();
                drop((producer, running));
            })
            .map(drop)
    }

    pub(super) fn record_bytes_max(&self) -> usize {
        self.cluster.settings.record_bytes_max()
    }

    /// Answers what has waited too long, and lets through what was held up for long enough.
    fn tick(&self) {
        self.pass(|_| {});
        self.calls.expire(Instant::now());
    }

    /// Ends it: what is under way has [`CLOSE`] to be acknowledged.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// Its thread's life: a client, and another whenever one cannot go on.
    fn run(&self) {
        loop {
            let current = match &*self.client.read() {
                Client::Ready(client) => Some(Arc::clone(client)),
                Client::Gone(_) => None,
            };
            if let Some(client) = current {
                self.serve(&client);
                self.retire(client);
            }
            if self.is_closing.load(Ordering::Acquire) {
                return;
            }
            self.replace();
        }
    }

    /// Serves reports and deadlines until the producer is closed or its client cannot go on.
    fn serve(&self, client: &BaseProducer<Reports>) {
        while !self.is_closing.load(Ordering::Acquire) && client.client().fatal_error().is_none() {
            client.poll(TICK);
            self.tick();
        }
    }

    /// Takes the client away from publishers, gives what is under way its time, and lets go of it.
    fn retire(&self, client: Arc<BaseProducer<Reports>>) {
        let fatal = client.client().fatal_error().map(|(_, reason)| reason);
        let why = match &fatal {
            None => Error::closed().message,
            Some(reason) => {
                tracing::error!("a producer cannot go on and is replaced: {reason}");
                format!("a producer is being replaced: {reason}")
            }
        };
        if fatal.is_none() {
            // What waits has been taken.
            self.pass(Gate::open);
        }
        *self.client.write() = Client::Gone(why);
        if fatal.is_some() {
            // Its records are never sent again; which of them were written, the broker alone knows.
            client.purge(PurgeConfig::default().queue().inflight());
        }
        let end = Instant::now() + CLOSE;
        while !self.calls.is_empty() && Instant::now() < end {
            client.poll(LAST_TICK);
            self.tick();
        }
        drop(client);
        self.calls
            .give_up("the broker had not acknowledged it when the driver let go; it may have been written");
    }

    /// Makes another client, a while after the last.
    fn replace(&self) {
        let next = Instant::now() + REPLACE_AFTER;
        while Instant::now() < next && !self.is_closing.load(Ordering::Acquire) {
            std::thread::sleep(LAST_TICK);
        }
        let config = self.cluster.settings.producer(self.batch_bytes);
        match client(&config, &self.cluster, &self.calls) {
            Ok(client) => *self.client.write() = Client::Ready(client),
            Err(error) => tracing::error!(%error, "a producer cannot be made: trying again"),
        }
    }
}

fn client(
    config: &ClientConfig,
    cluster: &Arc<Cluster>,
    calls: &Arc<Calls>,
) -> Result<Arc<BaseProducer<Reports>>, KafkaError> {
    let reports =
        Reports { context: cluster.context(), cluster: Arc::clone(cluster), calls: Arc::clone(calls) };
    config.create_with_context(reports).map(Arc::new)
}
