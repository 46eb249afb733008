//! One event a request, as services publish: against what HTTP and Kafka cost by themselves.

use super::publishing::{self, Load, Published};
use super::{BARE_AXUM, BARE_PRODUCER, Benchmark, Bound, Check, ON_EMBEDDED, ON_KAFKA};
use crate::rounds::{Figure, Prepared};
use crate::samples::Form;
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
        let mut sides = publishing::sides(stage, self.name, load);
        sides.insert(1, Prepared::new(BARE_AXUM, Published::by_axum(stage, &load("orders".into()))));
        sides
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
