//! Many topics: librdkafka walks its list of topics at each record.

use super::publishing::{Load, Produced, Published};
use super::{Benchmark, Check};
use crate::rounds::Prepared;
use crate::samples::Form;
use crate::sidecar::Broker;
use crate::stage::{Stage, unique};

const MANY: usize = 500;

const ONE_ON_KAFKA: &str = "Postrider on Kafka, 1 topic";
const MANY_ON_KAFKA: &str = "Postrider on Kafka, 500 topics";
const ONE_BARE: &str = "bare producer, 1 topic";
const MANY_BARE: &str = "bare producer, 500 topics";

struct Topics {
    name: &'static str,
    about: &'static str,
    connections: u64,
    form: Form,
}

pub(super) fn all() -> Vec<Box<dyn Benchmark>> {
    vec![
        Box::new(Topics {
            name: "topics-single",
            about: "publish of 1 KiB events, one a request, over 64 connections, to 1 and to 500 topics of a partition",
            connections: 64,
            form: Form::Single { stamped: false },
        }),
        Box::new(Topics {
            name: "topics-batch",
            about: "publish of 100 × 1 KiB a request over 8 connections, to 1 and to 500 topics of a partition",
            connections: 8,
            form: Form::Batch { events: 100, minimal: true },
        }),
    ]
}

impl Benchmark for Topics {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let load = |topics| Load { connections: self.connections, form: self.form, keyed: true, topics };
        let topics = |number| {
            let name = unique(self.name);
            let names: Vec<String> = (0..number).map(|number| format!("{name}-{number}")).collect();
            stage.cluster()?.create_topics(&names, 1).map(|()| names)
        };
        let on = || stage.on(Broker::Kafka);
        let sidecar = |number| Published::by_sidecar(stage, on()?, &load(topics(number)?));
        let bare = |number| Produced::new(stage, on()?, &load(topics(number)?));
        vec![
            Prepared::new(ONE_ON_KAFKA, sidecar(1)),
            Prepared::new(MANY_ON_KAFKA, sidecar(MANY)),
            Prepared::new(ONE_BARE, bare(1)),
            Prepared::new(MANY_BARE, bare(MANY)),
        ]
    }

    fn checks(&self) -> Vec<Check> {
        vec![Check::cpu("CPU of Postrider with 500 topics / with 1", MANY_ON_KAFKA, &[ONE_ON_KAFKA])]
    }
}
