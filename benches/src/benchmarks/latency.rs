//! From publish to webhook, at half of the highest rate that Postrider sustains.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Benchmark, Check, ON_EMBEDDED, ON_KAFKA, producer_properties};
use crate::amount::Amount;
use crate::measure;
use crate::roles::load::{self, Done};
use crate::roles::webhook::{self, Seen};
use crate::roles::{Ask, At, Consumer, Properties, Role, producer};
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::samples::Form;
use crate::sidecar::{Broker, On, Setup, Sidecar, Subscription};
use crate::stage::{Stage, unique};
use crate::worker::Worker;

/// Connections that events are published over, and most deliveries at once.
const CONNECTIONS: u64 = 64;
const PARTITIONS: u32 = 4;

const BARE: &str = "bare producer, bare consumer";

pub(super) struct Latency;

impl Benchmark for Latency {
    fn name(&self) -> &'static str {
        "latency"
    }

    fn about(&self) -> &'static str {
        "publish to webhook of 1 KiB events, 64 connections, at half of the highest rate that Postrider on Kafka sustains"
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let mut on_kafka = stage.on(Broker::Kafka).and_then(|on| Sidecars::new(stage, on));
        let mut on_embedded = Sidecars::new(stage, On::embedded());
        let mut highest = on_kafka.as_mut().ok().and_then(|side| side.highest_rate().ok());
        if highest.is_none() {
            highest = on_embedded.as_mut().ok().and_then(|side| side.highest_rate().ok());
        }
        let rate = highest.unwrap_or(1000.0) / 2.0;
        vec![
            Prepared::new(ON_KAFKA, on_kafka.map(|side| side.at_rate(rate))),
            Prepared::new(BARE, Bare::new(stage, rate)),
            Prepared::new(ON_EMBEDDED, on_embedded.map(|side| side.at_rate(rate))),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        Vec::new()
    }
}

/// Starts the webhook that events end in.
pub(super) fn webhook(delay_ms: u64) -> Result<(Worker, At)> {
    Worker::start(&Role::Webhook(webhook::Spec { delay_ms }))
}

/// A sidecar that events go through, both ways.
pub(super) struct Sidecars {
    pub(super) sidecar: Sidecar,
    webhook: Worker,
    load: load::Spec,
}

impl Sidecars {
    pub(super) fn new(stage: &Stage, on: On) -> Result<Self> {
        let topic = stage.topic(&on, "through", PARTITIONS)?;
        let (webhook, at) = webhook(0)?;
        let subscription = Subscription { topic: topic.clone(), to: at.address, concurrency: CONNECTIONS };
        let setup = Setup {
            on,
            service: unique("through"),
            topics: vec![topic.clone()],
            subscription: Some(subscription),
        };
        let sidecar = stage.start(&setup)?;
        let load = load::Spec {
            to: sidecar.app(),
            connections: CONNECTIONS,
            form: Form::Single { stamped: true },
            keyed: true,
            topics: vec![topic],
            warm_ms: 0,
            amount: Amount::Milliseconds(stage.round_ms()),
            rate: None,
        };
        Ok(Self { sidecar, webhook, load })
    }

    /// Publishes for so long each round.
    pub(super) fn lasting(mut self, milliseconds: u64) -> Self {
        self.load.amount = Amount::Milliseconds(milliseconds);
        self
    }

    /// Publishes so many a second.
    pub(super) fn at_rate(mut self, rate: f64) -> Self {
        self.load.rate = Some(rate);
        self
    }

    /// Events a second with as many publishes and deliveries under way as there may be, until the last has come.
    pub(super) fn highest_rate(&mut self) -> Result<f64> {
        let (_, seen) = self.run()?;
        Ok(seen.events as f64 / seen.seconds)
    }

    fn run(&mut self) -> Result<(Done, Seen)> {
        self.webhook.ask::<()>(Ask::Reset)?;
        let (mut load, ()) = Worker::start(&Role::Load(self.load.clone()))?;
        let done: Done = load.ask(Ask::Go)?;
        let seen: Seen = self.webhook.ask(Ask::Until(done.events))?;
        ensure!(
            seen.events >= done.events,
            "only {} of {} events came: {}",
            seen.events,
            done.events,
            self.sidecar.output()
        );
        Ok((done, seen))
    }
}

impl Side for Sidecars {
    fn round(&mut self) -> Result<Sample> {
        let before = measure::cpu(self.sidecar.process())?;
        let (_, seen) = self.run()?;
        Ok(sample(seen, measure::cpu(self.sidecar.process())? - before))
    }
}

fn sample(seen: Seen, cpu: Duration) -> Sample {
    let events = seen.events as f64;
    let mut sample = vec![
        (Figure::CpuPerEventUs, cpu.as_secs_f64() * 1e6 / events),
        (Figure::EventsPerSecond, events / seen.seconds),
    ];
    if let Some(latency) = seen.latency {
        sample.push((Figure::LatencyP50Ms, latency.p50_ms));
        sample.push((Figure::LatencyP99Ms, latency.p99_ms));
    }
    sample
}

/// What Kafka and HTTP take by themselves: a producer at that rate, and a loop that reads and POSTs.
struct Bare {
    producer: producer::Spec,
    consumer: Worker,
    webhook: Worker,
}

impl Bare {
    fn new(stage: &Stage, rate: f64) -> Result<Self> {
        let topic = stage.topic(&stage.on(Broker::Kafka)?, "through", PARTITIONS)?;
        let (webhook, at) = webhook(0)?;
        let bootstrap = stage.cluster()?.bootstrap().to_owned();
        let consumer = Consumer {
            bootstrap: bootstrap.clone(),
            properties: Properties::new(),
            topic: topic.clone(),
            group: unique("through"),
            to: at.address,
            concurrency: CONNECTIONS as usize,
        };
        let (consumer, ()) = Worker::start(&Role::Consumer(consumer))?;
        let producer = producer::Spec {
            bootstrap,
            properties: producer_properties(),
            topics: vec![topic],
            names_keys: false,
            in_flight: 10_000,
            amount: Amount::Milliseconds(stage.round_ms()),
            rate: Some(rate),
        };
        Ok(Self { producer, consumer, webhook })
    }
}

impl Side for Bare {
    fn round(&mut self) -> Result<Sample> {
        self.webhook.ask::<()>(Ask::Reset)?;
        let (mut producer, warmed) = Worker::start::<u64>(&Role::Producer(self.producer.clone()))?;
        // The group has its partitions once these have come.
        self.webhook.ask::<Seen>(Ask::Until(warmed))?;
        self.webhook.ask::<()>(Ask::Reset)?;
        let cpu = |producer: &Worker| {
            Ok::<_, anyhow::Error>(measure::cpu(producer.process())? + measure::cpu(self.consumer.process())?)
        };
        let before = cpu(&producer)?;
        let done: Done = producer.ask(Ask::Go)?;
        let after = cpu(&producer)?;
        let seen: Seen = self.webhook.ask(Ask::Until(done.events))?;
        ensure!(seen.events >= done.events, "only {} of {} events came", seen.events, done.events);
        Ok(sample(seen, after - before))
    }
}
