//! The thread that knows whether the cluster can be reached: it asks, often while it cannot and now and then while it
//! can. It serves the client that asks, too: its log, its errors, its tokens.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;

use crate::clients::Clients;
use crate::context::Context;
use crate::pulse::Pulse;
use crate::topics::Topics;

/// How long the cluster may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
const WHILE_DOWN: Duration = Duration::from_secs(1);
const WHILE_UP: Duration = Duration::from_secs(10);
/// How often the client's own events are served.
const SERVE: Duration = Duration::from_secs(1);

/// How many topics are looked at each time.
const TOPICS: usize = 8;

/// A topic that every cluster has, or that may be asked for without being made: asked for while no other is known.
const ANY_TOPIC: &str = "__consumer_offsets";

/// The running monitor. Dropping it ends its thread, which lets go of the clients: that blocks, and must not happen where
/// this is dropped.
pub(crate) struct Monitor {
    pulse: Arc<Pulse>,
    last: Arc<Mutex<Option<Arc<Clients>>>>,
    clients: Option<Arc<Clients>>,
}

impl Monitor {
    pub(crate) fn start(clients: Clients, pulse: Arc<Pulse>, topics: Arc<Topics>) -> io::Result<Self> {
        let clients = Arc::new(clients);
        let last = Arc::<Mutex<Option<Arc<Clients>>>>::default();
        let (asks, beats, ended) = (Arc::clone(&clients), Arc::clone(&pulse), Arc::clone(&last));
        std::thread::Builder::new().name("kafka-monitor".into()).spawn(move || {
            watch(&asks, &beats, &topics);
            drop((asks, ended.lock().take()));
        })?;
        Ok(Self { pulse, last, clients: Some(clients) })
    }

    pub(crate) fn clients(&self) -> &Clients {
        self.clients.as_ref().expect("they are taken when the monitor is dropped")
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        *self.last.lock() = self.clients.take();
        self.pulse.end();
    }
}

fn watch(clients: &Clients, pulse: &Pulse, topics: &Topics) {
    let reader = &clients.reader;
    let mut next = Instant::now();
    let mut round = 0;
    loop {
        serve(reader);
        clients.rest();
        let now = Instant::now();
        if now >= next {
            match look(reader, topics, &mut round) {
                Ok(()) => pulse.beat(),
                Err(error) => {
                    // What went wrong with the connections stands in the client's events.
                    serve(reader);
                    pulse.missed(&error);
                }
            }
            next = Instant::now() + if pulse.down().is_some() { WHILE_DOWN } else { WHILE_UP };
        }
        let asked = Instant::now();
        let wait = SERVE.min(next.saturating_duration_since(asked));
        if !pulse.wait(wait) {
            return;
        }
        if asked.elapsed() < wait {
            // Somebody lost all brokers: see for ourselves. While down, each second is often enough.
            if pulse.down().is_none() {
                next = Instant::now();
            }
        }
    }
}

/// Asks the cluster for some of the topics that it is used for, the next ones each time, so that new partitions are
/// noticed.
fn look(reader: &BaseConsumer<Context>, topics: &Topics, round: &mut usize) -> KafkaResult<()> {
    let some = topics.some(*round, TOPICS);
    *round = round.wrapping_add(TOPICS);
    if some.is_empty() {
        return reader.fetch_metadata(Some(ANY_TOPIC), ANSWER).map(drop);
    }
    for topic in some {
        let metadata = reader.fetch_metadata(Some(&topic), ANSWER)?;
        topics.learn(&metadata);
    }
    Ok(())
}

/// Serves what the client has to say, as far as it is here.
fn serve(reader: &BaseConsumer<Context>) {
    const EVENTS_MAX: usize = 256;
    for _ in 0..EVENTS_MAX {
        if reader.poll(Duration::ZERO).is_none() {
            return;
        }
    }
}
