//! One event a request, as services publish: against what HTTP and Kafka cost by themselves.

use super::publishing::{Load, Produced, Published};
use super::{BARE_AXUM, BARE_PRODUCER, Benchmark, Bound, Check, ON_EMBEDDED, ON_KAFKA};
use crate::rounds::{Figure, Prepared};
use crate::samples::Form;
use crate::sidecar::On;
use crate::stage::Stage;

struct Single {
    name: &'static str,
    about: &'static str,
    connections: u64,
}

pub(super) fn all() -> Vec<Box<dyn Benchmark>> {
    vec![
        Box::new(Single {
            name: "single-1",
            about: "publish of 1 KiB events, one a request, over one connection; 4 partitions",
            connections: 1,
        }),
        Box::new(Single {
            name: "single-64",
            about: "publish of 1 KiB events, one a request, over 64 connections; 4 partitions",
            connections: 64,
        }),
        Box::new(Single {
            name: "single-256",
            about: "publish of 1 KiB events, one a request, over 256 connections; 4 partitions",
            connections: 256,
        }),
    ]
}

impl Benchmark for Single {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let form = Form::Single { stamped: false };
        let load = |topic| Load { connections: self.connections, form, topics: vec![topic] };
        let topic = || stage.topic(self.name, 4);
        let on_kafka = || Published::by_sidecar(stage, stage.on_kafka()?, &load(topic()?));
        let on_embedded = || Published::by_sidecar(stage, On::embedded(), &load("orders".into()));
        let producer = || Produced::new(stage, &load(topic()?));
        vec![
            Prepared::new(ON_KAFKA, on_kafka()),
            Prepared::new(BARE_AXUM, Published::by_axum(stage, &load("orders".into()))),
            Prepared::new(BARE_PRODUCER, producer()),
            Prepared::new(ON_EMBEDDED, on_embedded()),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        let cpu = |what, side, against| Check {
            what,
            figure: Figure::CpuPerEventUs,
            side,
            against,
            bound: Bound::AtMost(2.0),
        };
        vec![
            cpu(
                "CPU of Postrider on Kafka / (bare axum + bare producer)",
                ON_KAFKA,
                &[BARE_AXUM, BARE_PRODUCER],
            ),
            cpu("CPU of Postrider on embedded, every event synced / bare axum", ON_EMBEDDED, &[BARE_AXUM]),
            Check {
                what: "rate of Postrider on embedded / bare axum",
                figure: Figure::EventsPerSecond,
                side: ON_EMBEDDED,
                against: &[BARE_AXUM],
                bound: Bound::AtLeast(0.5),
            },
        ]
    }
}
