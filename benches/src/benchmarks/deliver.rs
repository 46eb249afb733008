//! A topic that is full of events, delivered to a webhook that answers at once: against a bare loop that reads and POSTs.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{BARE_CONSUMER, BARE_LOOP, Benchmark, Bound, Check, ON_EMBEDDED, ON_KAFKA};
use crate::amount::Amount;
use crate::measure;
use crate::roles::load::{self, Done};
use crate::roles::webhook::{self, Seen};
use crate::roles::{Ask, At, Consumer, Properties, Role, poster};
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::samples::Form;
use crate::sidecar::{On, Setup, Sidecar, Subscription};
use crate::stage::{Stage, unique};
use crate::worker::Worker;

/// Requests open at once.
const CONCURRENCY: u64 = 64;

struct Deliver {
    name: &'static str,
    about: &'static str,
    partitions: u32,
}

pub(super) fn all() -> Vec<Box<dyn Benchmark>> {
    vec![
        Box::new(Deliver {
            name: "deliver-4",
            about: "delivery of a full topic's keyed 1 KiB events, 64 at a time; 4 partitions",
            partitions: 4,
        }),
        Box::new(Deliver {
            name: "deliver-1",
            about: "delivery of a full topic's keyed 1 KiB events, 64 at a time; a single partition",
            partitions: 1,
        }),
        Box::new(OnEmbedded),
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
        let full = || {
            let topic = stage.topic(self.name, self.partitions)?;
            stage.cluster()?.fill(&topic, stage.events)?;
            anyhow::Ok(topic)
        };
        match full() {
            Ok(topic) => vec![
                Prepared::new(ON_KAFKA, BySidecar::on_kafka(stage, &topic)),
                Prepared::new(BARE_CONSUMER, ByConsumer::new(stage, &topic)),
            ],
            Err(error) => vec![Prepared::new::<BySidecar>(ON_KAFKA, Err(error))],
        }
    }

    fn checks(&self) -> Vec<Check> {
        vec![Check {
            what: "CPU of Postrider on Kafka / bare consumer",
            figure: Figure::CpuPerEventUs,
            side: ON_KAFKA,
            against: &[BARE_CONSUMER],
            bound: Bound::AtMost(2.0),
        }]
    }
}

/// The embedded broker, whose log costs next to nothing: what delivery itself costs beside its POSTs.
struct OnEmbedded;

impl Benchmark for OnEmbedded {
    fn name(&self) -> &'static str {
        "deliver-embedded"
    }

    fn about(&self) -> &'static str {
        "delivery of a full topic's keyed 1 KiB events, 64 at a time; the embedded broker"
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        vec![
            Prepared::new(ON_EMBEDDED, BySidecar::on_embedded(stage)),
            Prepared::new(BARE_LOOP, ByLoop::new(stage)),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        let check =
            |what, figure, bound| Check { what, figure, side: ON_EMBEDDED, against: &[BARE_LOOP], bound };
        vec![
            check("CPU of Postrider on embedded / bare loop", Figure::CpuPerEventUs, Bound::AtMost(2.0)),
            check("rate of Postrider on embedded / bare loop", Figure::EventsPerSecond, Bound::AtLeast(0.6)),
        ]
    }
}

/// A webhook, and how many events a round brings it.
struct Sink {
    webhook: Worker,
    at: At,
    events: u64,
}

impl Sink {
    fn new(stage: &Stage) -> Result<Self> {
        let (webhook, at) = Worker::start(&Role::Webhook(webhook::Spec::default()))?;
        Ok(Self { webhook, at, events: stage.events })
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

/// Fills the topic `orders` of an embedded broker, through a sidecar that ends then.
pub(super) fn fill_embedded(stage: &Stage, on: &On, events: u64) -> Result<()> {
    let topics = vec!["orders".to_owned()];
    let setup = Setup { on: on.clone(), service: "fill".into(), topics: topics.clone(), subscription: None };
    let sidecar = stage.start(&setup)?;
    let spec = load::Spec {
        to: sidecar.app(),
        connections: 8,
        form: Form::Batch { events: 100, minimal: true },
        topics,
        warm_ms: 0,
        amount: Amount::Items(events.div_ceil(100)),
        rate: None,
    };
    let (mut load, ()) = Worker::start(&Role::Load(spec))?;
    load.ask::<Done>(Ask::Go).map(drop)
}

/// Each round is a new sidecar with a new subscription from the topic's beginning.
struct BySidecar {
    sink: Sink,
    program: PathBuf,
    setup: Setup,
    /// Where an embedded broker's topic is.
    _data: Option<TempDir>,
}

impl BySidecar {
    fn on_kafka(stage: &Stage, topic: &str) -> Result<Self> {
        Self::new(stage, stage.on_kafka()?, topic, None)
    }

    fn on_embedded(stage: &Stage) -> Result<Self> {
        let data = TempDir::with_prefix("postrider-bench-data-")?;
        let on = On::embedded_at(data.path());
        fill_embedded(stage, &on, stage.events)?;
        Self::new(stage, on, "orders", Some(data))
    }

    fn new(stage: &Stage, on: On, topic: &str, data: Option<TempDir>) -> Result<Self> {
        let sink = Sink::new(stage)?;
        let subscription =
            Subscription { topic: topic.to_owned(), to: sink.at.address, concurrency: CONCURRENCY };
        let setup = Setup {
            on,
            service: String::new(),
            topics: vec![topic.to_owned()],
            subscription: Some(subscription),
        };
        Ok(Self { sink, program: stage.postrider.clone(), setup, _data: data })
    }
}

impl Side for BySidecar {
    fn round(&mut self) -> Result<Sample> {
        self.sink.webhook.ask::<()>(Ask::Reset)?;
        self.setup.service = unique("deliver");
        let sidecar = Sidecar::start(&self.program, &self.setup)?;
        let sample = self.sink.measure(sidecar.process());
        sample.map_err(|error| error.context(sidecar.output()))
    }
}

/// Each round is a new process with a new group from the topic's beginning.
struct ByConsumer {
    sink: Sink,
    spec: Consumer,
}

impl ByConsumer {
    fn new(stage: &Stage, topic: &str) -> Result<Self> {
        let sink = Sink::new(stage)?;
        let spec = Consumer {
            bootstrap: stage.cluster()?.bootstrap().to_owned(),
            properties: Properties::new(),
            topic: topic.to_owned(),
            group: String::new(),
            to: sink.at.address,
            concurrency: CONCURRENCY as usize,
        };
        Ok(Self { sink, spec })
    }
}

impl Side for ByConsumer {
    fn round(&mut self) -> Result<Sample> {
        self.sink.webhook.ask::<()>(Ask::Reset)?;
        self.spec.group = unique("deliver");
        let (consumer, ()) = Worker::start(&Role::Consumer(self.spec.clone()))?;
        self.sink.measure(consumer.process())
    }
}

/// Each round is a new process.
struct ByLoop {
    sink: Sink,
    spec: poster::Spec,
}

impl ByLoop {
    fn new(stage: &Stage) -> Result<Self> {
        let sink = Sink::new(stage)?;
        let spec =
            poster::Spec { to: sink.at.address, concurrency: CONCURRENCY as usize, events: stage.events };
        Ok(Self { sink, spec })
    }
}

impl Side for ByLoop {
    fn round(&mut self) -> Result<Sample> {
        self.sink.webhook.ask::<()>(Ask::Reset)?;
        let (poster, ()) = Worker::start(&Role::Poster(self.spec.clone()))?;
        self.sink.measure(poster.process())
    }
}
