//! Many events a request: against what the broker costs by itself.

use super::publishing::{self, Load};
use super::{BARE_PRODUCER, BARE_PUBLISHER, Benchmark, Check, ON_EMBEDDED, ON_KAFKA, ON_PUBSUB, checks_of};
use crate::rounds::{Figure, Prepared};
use crate::samples::Form;
use crate::sidecar::Broker;
use crate::stage::Stage;

/// Events of a request.
const EVENTS: u64 = 100;
/// Requests at once.
const CONNECTIONS: u64 = 8;

struct Batch {
    name: &'static str,
    about: &'static str,
    brokers: &'static [Broker],
    form: Form,
    /// Whether events have keys.
    keyed: bool,
}

pub(super) fn all() -> Vec<Box<dyn Benchmark>> {
    vec![
        Box::new(Batch {
            name: "batch-json",
            about: "publish of 100 × 1 KiB a request, as a JSON array, over 8 connections; 4 partitions",
            brokers: &[Broker::Kafka, Broker::Embedded],
            form: Form::Batch { events: EVENTS, minimal: false },
            keyed: true,
        }),
        Box::new(Batch {
            name: "batch-minimal",
            about: "the same with `prefer: return=minimal`",
            brokers: &[Broker::Kafka, Broker::Embedded],
            form: Form::Batch { events: EVENTS, minimal: true },
            keyed: true,
        }),
        Box::new(Batch {
            name: "batch-lines",
            about: "publish of 100 × 1 KiB a request, as NDJSON, over 8 connections; 4 partitions",
            brokers: &[Broker::Kafka, Broker::Embedded],
            form: Form::Lines { events: EVENTS },
            keyed: true,
        }),
        Box::new(Batch {
            name: "pubsub-batch-json",
            about: "publish of 100 × 1 KiB a request, as a JSON array, over 8 connections; Pub/Sub's test server, at its own rate",
            brokers: &[Broker::Pubsub],
            form: Form::Batch { events: EVENTS, minimal: false },
            keyed: true,
        }),
        Box::new(Batch {
            name: "pubsub-batch-json-unkeyed",
            about: "the same without keys, so that a request to Pub/Sub carries more than one",
            brokers: &[Broker::Pubsub],
            form: Form::Batch { events: EVENTS, minimal: false },
            keyed: false,
        }),
    ]
}

impl Benchmark for Batch {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn sides(&self, stage: &Stage) -> Vec<Prepared> {
        let load = |topic| Load {
            connections: CONNECTIONS,
            form: self.form,
            keyed: self.keyed,
            topics: vec![topic],
        };
        publishing::sides(stage, self.name, self.brokers, load)
    }

    fn checks(&self) -> Vec<Check> {
        let all = vec![
            Check::cpu("CPU of Postrider on Kafka / bare producer", ON_KAFKA, &[BARE_PRODUCER]),
            Check::cpu("CPU of Postrider on Pub/Sub / bare publisher", ON_PUBSUB, &[BARE_PUBLISHER]),
            Check::at_most("CPU µs of an event on embedded", ON_EMBEDDED, Figure::CpuPerEventUs, 6.0),
        ];
        checks_of(self.brokers, all)
    }
}
