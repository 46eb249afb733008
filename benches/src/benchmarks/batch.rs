//! Many events a request: against what Kafka costs by itself.

use super::publishing::{self, Load};
use super::{BARE_PRODUCER, Benchmark, Bound, Check, ON_EMBEDDED, ON_KAFKA};
use crate::rounds::{Figure, Prepared};
use crate::samples::Form;
use crate::stage::Stage;

/// Events of a request.
const EVENTS: u64 = 100;
/// Requests at once.
const CONNECTIONS: u64 = 8;

struct Batch {
    name: &'static str,
    about: &'static str,
    form: Form,
}

pub(super) fn all() -> Vec<Box<dyn Benchmark>> {
    vec![
        Box::new(Batch {
            name: "batch-json",
            about: "publish of 100 × 1 KiB a request, as a JSON array, over 8 connections; 4 partitions",
            form: Form::Batch { events: EVENTS, minimal: false },
        }),
        Box::new(Batch {
            name: "batch-minimal",
            about: "the same with `prefer: return=minimal`",
            form: Form::Batch { events: EVENTS, minimal: true },
        }),
        Box::new(Batch {
            name: "batch-lines",
            about: "publish of 100 × 1 KiB a request, as NDJSON, over 8 connections; 4 partitions",
            form: Form::Lines { events: EVENTS },
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
        let load = |topic| Load { connections: CONNECTIONS, form: self.form, topics: vec![topic] };
        publishing::sides(stage, self.name, load)
    }

    fn checks(&self) -> Vec<Check> {
        vec![
            Check {
                what: "CPU of Postrider on Kafka / bare producer",
                figure: Figure::CpuPerEventUs,
                side: ON_KAFKA,
                against: &[BARE_PRODUCER],
                bound: Bound::AtMost(2.0),
            },
            Check::at_most("CPU µs of an event on embedded", ON_EMBEDDED, Figure::CpuPerEventUs, 6.0),
        ]
    }
}
