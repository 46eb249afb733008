//! A topic that is full of events, delivered to a webhook that answers at once: against a bare client that reads and POSTs.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::full::Full;
use super::{BARE_CONSUMER, BARE_LOOP, BARE_SUBSCRIBER, Benchmark, Bound, Check};
use super::{ON_EMBEDDED, ON_KAFKA, ON_PUBSUB};
use crate::emulator::full_subscription;
use crate::measure;
use crate::roles::webhook::{self, Seen};
use crate::roles::{Ask, At, Consumer, Properties, Role, poster, subscriber};
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::sidecar::{Broker, On, Setup, Sidecar, Subscription, durable_name};
use crate::stage::{Stage, unique};
use crate::worker::Worker;

/// Requests open at once.
const CONCURRENCY: u64 = 64;

struct Deliver {
    name: &'static str,
    about: &'static str,
    broker: Broker,
    /// Where the broker has some.
    partitions: u32,
}

pub(super) fn all() -> Vec<Box<dyn Benchmark>> {
    vec![
        Box::new(Deliver {
            name: "deliver-4",
            about: "delivery of a full topic's keyed 1 KiB events, 64 at a time; 4 partitions",
            broker: Broker::Kafka,
            partitions: 4,
        }),
        Box::new(Deliver {
            name: "deliver-1",
            about: "delivery of a full topic's keyed 1 KiB events, 64 at a time; a single partition",
            broker: Broker::Kafka,
            partitions: 1,
        }),
        // Its log costs next to nothing: what delivery itself costs beside its POSTs.
        Box::new(Deliver {
            name: "deliver-embedded",
            about: "delivery of a full topic's keyed 1 KiB events, 64 at a time; the embedded broker",
            broker: Broker::Embedded,
            partitions: 1,
        }),
        Box::new(Deliver {
            name: "pubsub-deliver",
            about: "delivery of 20,000 keyed 1 KiB events at the most, 64 at a time; Pub/Sub's test server, at its own rate",
            broker: Broker::Pubsub,
            partitions: 1,
        }),
    ]
}

impl Benchmark for Deliver {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let ours = self.broker.ours();
        match Full::new(stage, self.broker, self.name, self.partitions, stage.events) {
            Ok(full) => vec![
                Prepared::new(ours, BySidecar::new(stage, full.clone())),
                Prepared::new(self.broker.bare_reader(), ByReader::new(full)),
            ],
            Err(error) => vec![Prepared::new::<BySidecar>(ours, Err(error))],
        }
    }

    fn checks(&self) -> Vec<Check> {
        match self.broker {
            Broker::Kafka => {
                vec![Check::cpu("CPU of Postrider on Kafka / bare consumer", ON_KAFKA, &[BARE_CONSUMER])]
            }
            Broker::Pubsub => {
                vec![Check::cpu(
                    "CPU of Postrider on Pub/Sub / bare subscriber",
                    ON_PUBSUB,
                    &[BARE_SUBSCRIBER],
                )]
            }
            Broker::Embedded => vec![
                Check::cpu("CPU of Postrider on embedded / bare loop", ON_EMBEDDED, &[BARE_LOOP]),
                Check {
                    what: "rate of Postrider on embedded / bare loop",
                    figure: Figure::EventsPerSecond,
                    side: ON_EMBEDDED,
                    against: &[BARE_LOOP],
                    bound: Bound::AtLeast(0.6),
                },
            ],
        }
    }
}

/// A webhook, and how many events a round brings it.
struct Sink {
    webhook: Worker,
    at: At,
    events: u64,
}

impl Sink {
    fn new(events: u64) -> Result<Self> {
        let (webhook, at) = Worker::start(&Role::Webhook(webhook::Spec::default()))?;
        Ok(Self { webhook, at, events })
    }

    /// Waits until all events have come to the webhook from this process, which was started for this round: what it took
    /// to start and to find the topic is counted too, and is little beside so many events.
    fn measure(&mut self, process: u32) -> Result<Sample> {
        let seen: Seen = self.webhook.ask(Ask::Until(self.events))?;
        let cpu = measure::cpu(process)?;
        ensure!(seen.events >= self.events, "only {} of {} events came", seen.events, self.events);
        let (events, memory) = (seen.events as f64, measure::memory(process)?);
        Ok(vec![
            (Figure::CpuPerEventUs, cpu.as_secs_f64() * 1e6 / events),
            (Figure::EventsPerSecond, events / seen.seconds),
            (Figure::PeakMb, memory.peak as f64 / 1e6),
        ])
    }
}

/// Each round is a new sidecar with a new subscription from the topic's beginning.
pub(super) struct BySidecar {
    sink: Sink,
    program: PathBuf,
    full: Full,
}

impl BySidecar {
    pub(super) fn new(stage: &Stage, full: Full) -> Result<Self> {
        Ok(Self { sink: Sink::new(full.events())?, program: stage.postrider.clone(), full })
    }
}

impl Side for BySidecar {
    fn round(&mut self) -> Result<Sample> {
        self.sink.webhook.ask::<()>(Ask::Reset)?;
        let service = unique("deliver");
        let (on, topic) = self.full.for_new(&durable_name(&service))?;
        let subscription =
            Subscription { topic: topic.clone(), to: self.sink.at.address, concurrency: CONCURRENCY };
        let setup = Setup { on, service, topics: vec![topic], subscription: Some(subscription) };
        let sidecar = Sidecar::start(&self.program, &setup)?;
        let sample = self.sink.measure(sidecar.process());
        sample.map_err(|error| error.context(sidecar.output()))
    }
}

/// Each round is a new process with a name of its own, from the topic's beginning.
struct ByReader {
    sink: Sink,
    full: Full,
}

impl ByReader {
    fn new(full: Full) -> Result<Self> {
        Ok(Self { sink: Sink::new(full.events())?, full })
    }
}

impl Side for ByReader {
    fn round(&mut self) -> Result<Sample> {
        self.sink.webhook.ask::<()>(Ask::Reset)?;
        let name = unique("deliver");
        let (on, topic) = self.full.for_new(&name)?;
        let role = reader(&on, topic, name, self.sink.at.address, self.sink.events);
        let (reader, ()) = Worker::start(&role)?;
        self.sink.measure(reader.process())
    }
}

/// The least that delivers a topic's events. Embedded events are where they are: it does nothing but to POST them.
fn reader(on: &On, topic: String, name: String, to: SocketAddr, events: u64) -> Role {
    let concurrency = CONCURRENCY as usize;
    match on {
        On::Embedded { .. } => Role::Poster(poster::Spec { to, concurrency, events }),
        On::Kafka { bootstrap } => Role::Consumer(Consumer {
            bootstrap: bootstrap.clone(),
            properties: Properties::new(),
            topic,
            group: name,
            to,
            concurrency,
        }),
        On::Pubsub(emulator) => Role::Subscriber(subscriber::Spec {
            endpoint: emulator.endpoint(),
            topic,
            subscription: full_subscription(&name),
            to,
            concurrency,
        }),
    }
}
