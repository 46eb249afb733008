//! The benchmarks, one file each (or one file for a few of a kind).

mod batch;
mod brokers;
mod cold;
mod deliver;
mod full;
mod latency;
mod log;
mod memory;
mod publishing;
mod single;
mod start;
mod steady;
mod topics;

use crate::roles::Properties;
use crate::rounds::{Figure, Measured, Prepared};
use crate::sidecar::Broker;
use crate::stage::Stage;

/// A benchmark: sides that do the same work, and what is judged by them.
pub(crate) trait Benchmark {
    fn name(&self) -> &'static str;
    /// A line.
    fn about(&self) -> &'static str;
    /// Sets the sides up. One that cannot be is left out of the rounds, with its reason in the report.
    fn sides(&self, stage: &Stage) -> Vec<Prepared>;
    fn checks(&self) -> Vec<Check>;
    /// How many rounds, where so many are asked for.
    fn rounds(&self, asked: usize) -> usize {
        asked
    }
}

/// A target: a figure of a side, alone or divided by the sum of the same figure of others, within a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Check {
    pub(crate) what: &'static str,
    pub(crate) figure: Figure,
    pub(crate) side: &'static str,
    pub(crate) against: &'static [&'static str],
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl Check {
    /// A figure alone, of a side.
    fn at_most(what: &'static str, side: &'static str, figure: Figure, most: f64) -> Self {
        Self { what, figure, side, against: &[], bound: Bound::AtMost(most) }
    }

    /// A side's CPU an event: at most twice that of the others together.
    fn cpu(what: &'static str, side: &'static str, against: &'static [&'static str]) -> Self {
        Self { what, figure: Figure::CpuPerEventUs, side, against, bound: Bound::AtMost(2.0) }
    }

    pub(crate) fn value(&self, sides: &[Measured]) -> Option<f64> {
        let of = |label| sides.iter().find(|side| side.label == label)?.median(self.figure);
        let value = of(self.side)?;
        if self.against.is_empty() {
            return Some(value);
        }
        let sum: f64 = self.against.iter().map(|label| of(label)).sum::<Option<f64>>()?;
        Some(value / sum)
    }

    /// A value beside what it may be.
    pub(crate) fn show(&self, value: f64) -> String {
        let unit = if self.against.is_empty() { "" } else { " ×" };
        let verdict = if self.bound.holds(value) { "reached" } else { "NOT reached" };
        let bound = match self.bound {
            Bound::AtMost(most) => format!("at most {most}"),
            Bound::AtLeast(least) => format!("at least {least}"),
        };
        format!("{value:.2}{unit}, {bound}{unit}: {verdict}")
    }
}

pub(crate) fn all() -> Vec<Box<dyn Benchmark>> {
    let mut all: Vec<Box<dyn Benchmark>> = Vec::new();
    all.extend(single::all());
    all.extend(batch::all());
    all.extend(deliver::all());
    all.push(Box::new(brokers::Brokers));
    all.push(Box::new(latency::Latency));
    all.extend(topics::all());
    all.push(Box::new(log::Log));
    all.push(Box::new(steady::Steady));
    all.extend(memory::all());
    all.push(Box::new(start::Start));
    all.push(Box::new(cold::Cold));
    all
}

/// The sides' names, which checks refer to.
const ON_KAFKA: &str = "Postrider on Kafka";
const ON_EMBEDDED: &str = "Postrider on embedded";
const ON_PUBSUB: &str = "Postrider on Pub/Sub";
const BARE_AXUM: &str = "bare axum";
const BARE_PRODUCER: &str = "bare producer";
const BARE_PUBLISHER: &str = "bare publisher";
const BARE_CONSUMER: &str = "bare consumer";
const BARE_SUBSCRIBER: &str = "bare subscriber";
const BARE_LOOP: &str = "bare loop that POSTs";

impl Broker {
    /// The name of Postrider's side.
    fn ours(self) -> &'static str {
        match self {
            Self::Embedded => ON_EMBEDDED,
            Self::Kafka => ON_KAFKA,
            Self::Pubsub => ON_PUBSUB,
        }
    }

    /// The name of the side that publishes with its client and nothing else. The embedded one has none.
    fn bare_publisher(self) -> Option<&'static str> {
        match self {
            Self::Embedded => None,
            Self::Kafka => Some(BARE_PRODUCER),
            Self::Pubsub => Some(BARE_PUBLISHER),
        }
    }

    /// The name of the side that reads with its client and POSTs.
    fn bare_reader(self) -> &'static str {
        match self {
            Self::Embedded => BARE_LOOP,
            Self::Kafka => BARE_CONSUMER,
            Self::Pubsub => BARE_SUBSCRIBER,
        }
    }
}

/// Those of the checks that are of Postrider on one of the brokers.
fn checks_of(brokers: &[Broker], checks: Vec<Check>) -> Vec<Check> {
    let is_theirs = |check: &Check| brokers.iter().any(|broker| broker.ours() == check.side);
    checks.into_iter().filter(is_theirs).collect()
}

/// What the bare producer is told beyond idempotence: Java's partitioner, as Postrider tells its own, and the linger of
/// Kafka's own clients, with which it takes the least CPU.
fn producer_properties() -> Properties {
    [("linger.ms", "5"), ("partitioner", "murmur2_random")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rounds::Series;

    #[test]
    fn names_are_unique() {
        let all = all();
        let names: BTreeSet<&str> = all.iter().map(|benchmark| benchmark.name()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn a_check_divides_by_the_sum_of_what_it_is_held_against() {
        let side = |label, value| {
            let series = vec![Series { figure: Figure::CpuPerEventUs, rounds: vec![value] }];
            Measured { label, series: Ok(series) }
        };
        let sides = [side("a", 30.0), side("b", 15.0), side("c", 5.0)];
        let check = Check::cpu("a", "a", &["b", "c"]);
        assert_eq!(check.value(&sides), Some(1.5));
        assert_eq!(check.show(1.5), "1.50 ×, at most 2 ×: reached");
        assert_eq!(Check { against: &["d"], ..check }.value(&sides), None);
        assert_eq!(Check { against: &[], ..check }.value(&sides), Some(30.0));
    }
}
