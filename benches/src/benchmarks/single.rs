//! One event a request, as services publish: against what HTTP and the broker cost by themselves.

use super::publishing::{self, Load, Published};
use super::{BARE_AXUM, BARE_PRODUCER, BARE_PUBLISHER, Benchmark, Bound, Check};
use super::{ON_EMBEDDED, ON_KAFKA, ON_PUBSUB, checks_of};
use crate::rounds::{Figure, Prepared};
use crate::samples::Form;
use crate::sidecar::Broker;
use crate::stage::Stage;

struct Single {
    name: &'static str,
    about: &'static str,
    brokers: &'static [Broker],
    connections: u64,
    /// Whether events have keys.
    keyed: bool,
}

pub(super) fn all() -> Vec<Box<dyn Benchmark>> {
    vec![
        Box::new(Single {
            name: "single-1",
            about: "publish of 1 KiB events, one a request, over one connection; 4 partitions",
            brokers: &[Broker::Kafka, Broker::Embedded],
            connections: 1,
            keyed: true,
        }),
        Box::new(Single {
            name: "single-64",
            about: "publish of 1 KiB events, one a request, over 64 connections; 4 partitions",
            brokers: &[Broker::Kafka, Broker::Embedded],
            connections: 64,
            keyed: true,
        }),
        Box::new(Single {
            name: "single-256",
            about: "publish of 1 KiB events, one a request, over 256 connections; 4 partitions",
            brokers: &[Broker::Kafka, Broker::Embedded],
            connections: 256,
            keyed: true,
        }),
        Box::new(Single {
            name: "pubsub-single-64",
            about: "publish of 1 KiB events, one a request, over 64 connections; Pub/Sub's test server, at its own rate",
            brokers: &[Broker::Pubsub],
            connections: 64,
            keyed: true,
        }),
        Box::new(Single {
            name: "pubsub-single-64-unkeyed",
            about: "the same without keys, so that a request to Pub/Sub carries more than one",
            brokers: &[Broker::Pubsub],
            connections: 64,
            keyed: false,
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
        let load =
            |topic| Load { connections: self.connections, form, keyed: self.keyed, topics: vec![topic] };
        let mut sides = publishing::sides(stage, self.name, self.brokers, load);
        sides.insert(1, Prepared::new(BARE_AXUM, Published::by_axum(stage, &load("orders".into()))));
        sides
    }

    fn checks(&self) -> Vec<Check> {
        let all = vec![
            Check::cpu(
                "CPU of Postrider on Kafka / (bare axum + bare producer)",
                ON_KAFKA,
                &[BARE_AXUM, BARE_PRODUCER],
            ),
            Check::cpu(
                "CPU of Postrider on Pub/Sub / (bare axum + bare publisher)",
                ON_PUBSUB,
                &[BARE_AXUM, BARE_PUBLISHER],
            ),
            Check::cpu(
                "CPU of Postrider on embedded, every event synced / bare axum",
                ON_EMBEDDED,
                &[BARE_AXUM],
            ),
            Check {
                what: "rate of Postrider on embedded / bare axum",
                figure: Figure::EventsPerSecond,
                side: ON_EMBEDDED,
                against: &[BARE_AXUM],
                bound: Bound::AtLeast(0.5),
            },
        ];
        checks_of(self.brokers, all)
    }
}
