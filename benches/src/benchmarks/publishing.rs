//! The sides of publishing: a server under HTTP load, and the bare producer.

use std::net::SocketAddr;

use anyhow::Result;

use super::{BARE_PRODUCER, ON_EMBEDDED, ON_KAFKA};
use crate::amount::Amount;
use crate::measure;
use crate::roles::load::{self, Done};
use crate::roles::{Ask, At, Role, producer};
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::samples::Form;
use crate::sidecar::{On, Setup, Sidecar};
use crate::stage::{Stage, unique};
use crate::worker::Worker;

/// A server that events are published to.
enum Server {
    Sidecar(Sidecar),
    Axum(Worker),
}

/// A server, and the load that each round puts on it.
pub(super) struct Published {
    server: Server,
    load: load::Spec,
}

/// What a load is, apart from where it goes and for how long.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) connections: u64,
    pub(super) form: Form,
    pub(super) topics: Vec<String>,
}

/// A load on Postrider with each broker, and the same records from the bare producer. On Kafka each side has a topic of
/// its own, with 4 partitions.
pub(super) fn sides(stage: &Stage, name: &str, load: impl Fn(String) -> Load) -> Vec<Prepared> {
    let topic = || stage.topic(name, 4);
    let on_kafka = || Published::by_sidecar(stage, stage.on_kafka()?, &load(topic()?));
    let on_embedded = || Published::by_sidecar(stage, On::embedded(), &load("orders".into()));
    let producer = || Produced::new(stage, &load(topic()?));
    vec![
        Prepared::new(ON_KAFKA, on_kafka()),
        Prepared::new(BARE_PRODUCER, producer()),
        Prepared::new(ON_EMBEDDED, on_embedded()),
    ]
}

impl Published {
    /// A sidecar without subscriptions.
    pub(super) fn by_sidecar(stage: &Stage, on: On, load: &Load) -> Result<Self> {
        let setup = Setup { on, service: unique("publish"), topics: load.topics.clone(), subscription: None };
        let sidecar = stage.start(&setup)?;
        let to = sidecar.app();
        Ok(Self::new(stage, Server::Sidecar(sidecar), to, load))
    }

    pub(super) fn by_axum(stage: &Stage, load: &Load) -> Result<Self> {
        let (worker, at) = Worker::start::<At>(&Role::Axum)?;
        Ok(Self::new(stage, Server::Axum(worker), at.address, load))
    }

    fn new(stage: &Stage, server: Server, to: SocketAddr, load: &Load) -> Self {
        let load = load::Spec {
            to,
            connections: load.connections,
            form: load.form,
            topics: load.topics.clone(),
            warm_ms: stage.warm_ms(),
            amount: Amount::Milliseconds(stage.round_ms()),
            rate: None,
        };
        Self { server, load }
    }
}

impl Side for Published {
    fn round(&mut self) -> Result<Sample> {
        let server = match &self.server {
            Server::Sidecar(sidecar) => sidecar.process(),
            Server::Axum(worker) => worker.process(),
        };
        let (mut load, ()) = Worker::start(&Role::Load(self.load.clone()))?;
        let before = measure::cpu(server)?;
        let done: Done = load.ask(Ask::Go)?;
        let cpu = measure::cpu(server)? - before;
        let mut sample = throughput(done, cpu);
        if let Some(latency) = done.latency {
            sample.push((Figure::LatencyP50Ms, latency.p50_ms));
            sample.push((Figure::LatencyP99Ms, latency.p99_ms));
        }
        Ok(sample)
    }
}

/// The bare producer. Each round is a process of its own, and its warm-up is not counted.
pub(super) struct Produced {
    spec: producer::Spec,
}

impl Produced {
    /// As many records under way as the load has events, and the same ones.
    pub(super) fn new(stage: &Stage, load: &Load) -> Result<Self> {
        let spec = producer::Spec {
            bootstrap: stage.cluster()?.bootstrap().to_owned(),
            properties: super::producer_properties(),
            topics: load.topics.clone(),
            names_keys: load.form.events() > 1,
            in_flight: load.connections * load.form.events(),
            amount: Amount::Milliseconds(stage.round_ms()),
            rate: None,
        };
        Ok(Self { spec })
    }
}

impl Side for Produced {
    fn round(&mut self) -> Result<Sample> {
        let (mut producer, _) = Worker::start::<u64>(&Role::Producer(self.spec.clone()))?;
        let before = measure::cpu(producer.process())?;
        let done: Done = producer.ask(Ask::Go)?;
        let cpu = measure::cpu(producer.process())? - before;
        Ok(throughput(done, cpu))
    }
}

pub(super) fn throughput(done: Done, cpu: std::time::Duration) -> Sample {
    let events = done.events as f64;
    vec![
        (Figure::CpuPerEventUs, cpu.as_secs_f64() * 1e6 / events),
        (Figure::EventsPerSecond, events / done.seconds),
    ]
}
