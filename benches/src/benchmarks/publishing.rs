//! The sides of publishing: a server under HTTP load, and the broker's bare client.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use crate::amount::Amount;
use crate::emulator::full_topic;
use crate::measure;
use crate::roles::load::{self, Done};
use crate::roles::{Ask, At, Role, producer, publisher};
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::samples::Form;
use crate::sidecar::{Broker, On, Setup, Sidecar};
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
    /// Whether events have keys.
    pub(super) keyed: bool,
    pub(super) topics: Vec<String>,
}

/// A load on Postrider with each of the brokers, and the same events from the bare client of each that has one. Each side
/// has a topic of its own; on Kafka it has 4 partitions.
pub(super) fn sides(
    stage: &Stage,
    name: &str,
    brokers: &[Broker],
    load: impl Fn(String) -> Load,
) -> Vec<Prepared> {
    let mut sides = Vec::new();
    for broker in brokers {
        let on_broker = || {
            let on = stage.on(*broker)?;
            let load = load(stage.topic(&on, name, 4)?);
            anyhow::Ok((on, load))
        };
        let ours = on_broker().and_then(|(on, load)| Published::by_sidecar(stage, on, &load));
        sides.push(Prepared::new(broker.ours(), ours));
        if let Some(label) = broker.bare_publisher() {
            let bare = on_broker().and_then(|(on, load)| Produced::new(stage, on, &load));
            sides.push(Prepared::new(label, bare));
        }
    }
    sides
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
            keyed: load.keyed,
            topics: load.topics.clone(),
            warm_ms: stage.warm_ms(),
            amount: Amount::Milliseconds(stage.round_ms()),
            rate: None,
        };
        Self { server, load }
    }

    pub(super) fn process(&self) -> u32 {
        match &self.server {
            Server::Sidecar(sidecar) => sidecar.process(),
            Server::Axum(worker) => worker.process(),
        }
    }
}

impl Side for Published {
    fn round(&mut self) -> Result<Sample> {
        let server = self.process();
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

/// The broker's bare client. Each round is a process of its own, and its warm-up is not counted.
pub(super) struct Produced {
    role: Role,
    /// What it talks to lives as long.
    _on: On,
}

impl Produced {
    /// As many events under way as the load has, and the same ones.
    pub(super) fn new(stage: &Stage, on: On, load: &Load) -> Result<Self> {
        let names_keys = load.keyed && load.form.events() > 1;
        let in_flight = load.connections * load.form.events();
        let amount = Amount::Milliseconds(stage.round_ms());
        let role = match &on {
            On::Embedded { .. } => bail!("the embedded broker is Postrider's own: it has no bare client"),
            On::Kafka { bootstrap } => Role::Producer(producer::Spec {
                bootstrap: bootstrap.clone(),
                properties: super::producer_properties(),
                topics: load.topics.clone(),
                names_keys,
                in_flight,
                amount,
                rate: None,
            }),
            On::Pubsub(emulator) => Role::Publisher(publisher::Spec {
                endpoint: emulator.endpoint(),
                topic: full_topic(load.topics.first().context("a load has a topic")?),
                keyed: load.keyed,
                names_keys,
                in_flight,
                amount,
            }),
        };
        Ok(Self { role, _on: on })
    }
}

impl Side for Produced {
    fn round(&mut self) -> Result<Sample> {
        let (mut producer, _) = Worker::start::<u64>(&self.role)?;
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
