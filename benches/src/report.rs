//! What is told of a benchmark: a table to read, or JSON to keep.

use anyhow::Result;
use serde_json::{Value, json};

use crate::benchmarks::{Benchmark, Bound, Check};
use crate::machine::Machine;
use crate::measure;
use crate::rounds::{Figure, Measured, Sample, Series, alternate};
use crate::stage::Stage;

#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    about: String,
    sides: Vec<Measured>,
    judged: Vec<Judged>,
    /// Of the machine, before and after.
    load_average: [f64; 2],
}

/// A check with what came of it; `None`: a side that it needs has no figures.
#[derive(Debug)]
struct Judged {
    check: Check,
    value: Option<f64>,
}

impl Figure {
    const fn name(self) -> &'static str {
        match self {
            Self::CpuPerEventUs => "cpu_us_per_event",
            Self::EventsPerSecond => "events_per_second",
            Self::LatencyP50Ms => "latency_p50_ms",
            Self::LatencyP99Ms => "latency_p99_ms",
            Self::ResidentMb => "resident_mb",
            Self::PeakMb => "peak_mb",
            Self::DiskMb => "disk_mb",
            Self::ReadyMs => "ready_ms",
            Self::DeliveredS => "delivered_s",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::CpuPerEventUs => "CPU µs/event",
            Self::EventsPerSecond => "events/s",
            Self::LatencyP50Ms => "p50 ms",
            Self::LatencyP99Ms => "p99 ms",
            Self::ResidentMb => "resident MB",
            Self::PeakMb => "peak MB",
            Self::DiskMb => "disk MB",
            Self::ReadyMs => "ready after ms",
            Self::DeliveredS => "delivered after s",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::EventsPerSecond => format!("{value:.0}"),
            Self::CpuPerEventUs if value < 100.0 => format!("{value:.2}"),
            Self::LatencyP50Ms | Self::LatencyP99Ms => format!("{value:.2}"),
            Self::CpuPerEventUs
            | Self::ResidentMb
            | Self::PeakMb
            | Self::DiskMb
            | Self::ReadyMs
            | Self::DeliveredS => format!("{value:.1}"),
        }
    }
}

impl Report {
    /// Runs a benchmark.
    pub(crate) fn of(
        benchmark: &dyn Benchmark,
        stage: &Stage,
        rounds: usize,
        told: impl FnMut(&'static str, usize, &Result<Sample>),
    ) -> Self {
        let before = measure::load_average();
        let sides = alternate(benchmark.sides(stage), benchmark.rounds(rounds), told);
        let load_average = [before, measure::load_average()];
        let judge = |check: Check| Judged { value: check.value(&sides), check };
        let judged = benchmark.checks().into_iter().map(judge).collect();
        Self {
            name: benchmark.name().to_owned(),
            about: benchmark.about().to_owned(),
            sides,
            judged,
            load_average,
        }
    }

    /// For reading: a row a side, its medians with the least and the most of its rounds, then what they come to.
    pub(crate) fn table(&self) -> String {
        let [before, after] = self.load_average;
        let mut text =
            format!("\n{}: {}\n(load average {before:.1} before, {after:.1} after)\n", self.name, self.about);
        let mut figures: Vec<Figure> =
            self.series().flat_map(|series| series.iter().map(|series| series.figure)).collect();
        figures.sort_unstable();
        figures.dedup();
        let width = self.sides.iter().map(|side| side.label.len()).max().unwrap_or(0);
        text += &format!("  {:<width$}", "");
        for figure in &figures {
            text += &format!("  {:>26}", figure.title());
        }
        for side in &self.sides {
            text += &format!("\n  {:<width$}", side.label);
            match &side.series {
                Ok(series) => {
                    for figure in &figures {
                        text += &format!("  {:>26}", cell(series, *figure));
                    }
                }
                Err(error) => text += &format!("  failed: {error:#}"),
            }
        }
        for Judged { check, value } in &self.judged {
            let what = check.what;
            let shown = value.map_or_else(|| "not measured".to_owned(), |value| check.show(value));
            text += &format!("\n  {what}: {shown}");
        }
        text
    }

    fn series(&self) -> impl Iterator<Item = &Vec<Series>> {
        self.sides.iter().filter_map(|side| side.series.as_ref().ok())
    }

    fn json(&self) -> Value {
        let sides: Vec<Value> = self.sides.iter().map(side_json).collect();
        let checks: Vec<Value> = self
            .judged
            .iter()
            .map(|Judged { check, value }| {
                let reached = value.map(|value| check.bound.holds(value));
                let (bound, limit) = match check.bound {
                    Bound::AtMost(most) => ("at_most", most),
                    Bound::AtLeast(least) => ("at_least", least),
                };
                json!({ "what": check.what, "value": value, bound: limit, "reached": reached })
            })
            .collect();
        json!({
            "name": self.name,
            "about": self.about,
            "load_average": self.load_average,
            "sides": sides,
            "checks": checks,
        })
    }
}

fn cell(series: &[Series], figure: Figure) -> String {
    let Some(series) = series.iter().find(|series| series.figure == figure) else { return "–".into() };
    let median = figure.show(series.median());
    match series.rounds.len() {
        0 | 1 => median,
        _ => format!("{median} ({}–{})", figure.show(series.min()), figure.show(series.max())),
    }
}

fn side_json(side: &Measured) -> Value {
    match &side.series {
        Err(error) => json!({ "label": side.label, "error": format!("{error:#}") }),
        Ok(series) => {
            let figures: serde_json::Map<String, Value> = series
                .iter()
                .map(|series| {
                    let told = json!({ "median": series.median(), "rounds": series.rounds });
                    (series.figure.name().to_owned(), told)
                })
                .collect();
            json!({ "label": side.label, "figures": figures })
        }
    }
}

/// A round in a line.
pub(crate) fn sample(sample: &Result<Sample>) -> String {
    match sample {
        Err(error) => format!("failed: {error:#}"),
        Ok(sample) => {
            let shown =
                sample.iter().map(|(figure, value)| format!("{} {}", figure.show(*value), figure.title()));
            shown.collect::<Vec<_>>().join(", ")
        }
    }
}

/// All reports, with the machine that they were made on.
pub(crate) fn json(reports: &[Report], machine: &Machine) -> Value {
    let reports: Vec<Value> = reports.iter().map(Report::json).collect();
    json!({ "machine": machine.json(), "benchmarks": reports })
}
