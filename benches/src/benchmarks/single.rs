//! One event a request, as services publish: against what HTTP and Kafka cost by themselves.

use super::publishing::{Load, Produced, Published};
use super::{BARE_AXUM, BARE_PRODUCER, Benchmark, Check, ON_EMBEDDED, ON_KAFKA};
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
        let on_kafka = || Published::by_sidecar(stage, stage.on_kafka(), &load(topic()?));
        let on_embedded =
            || Published::by_sidecar(stage, On::Embedded { path: None }, &load("orders".into()));
        let producer = || Ok(Produced::new(stage, &load(topic()?)));
        vec![
            Prepared::new(ON_KAFKA, on_kafka()),
            Prepared::new(BARE_AXUM, Published::by_axum(stage, &load("orders".into()))),
            Prepared::new(BARE_PRODUCER, producer()),
            Prepared::new(ON_EMBEDDED, on_embedded()),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        vec![Check {
            what: "CPU of Postrider on Kafka / (bare axum + bare producer)",
            figure: Figure::CpuPerEventUs,
            side: ON_KAFKA,
            against: &[BARE_AXUM, BARE_PRODUCER],
            at_most: 2.0,
        }]
    }
}
