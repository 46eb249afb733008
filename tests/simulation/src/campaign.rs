//! Many seeds, on all cores.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::{Options, Report, run};

/// Which seeds to run, and how.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    pub first: u64,
    pub seeds: u64,
    /// Begin no other seed once one is broken.
    pub until_broken: bool,
    pub options: Options,
}

/// What the seeds of a campaign showed, in sum.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    pub seeds: u64,
    pub events: u64,
    pub attempts: u64,
    pub faults: u64,
    pub crashes: u64,
    pub restarts: u64,
    pub revocations: u64,
    pub recalls: u64,
    pub duplicates: u64,
    pub excused: u64,
    pub dead_letters: u64,
    pub redrives: u64,
    pub steps: u64,
    pub virtual_time: Duration,
    pub took: Duration,
    /// The first broken promise of each broken seed.
    pub broken: BTreeMap<u64, String>,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.events += u64::from(report.events);
        self.attempts += report.attempts;
        self.faults += u64::from(report.faults);
        self.crashes += u64::from(report.crashes);
        self.restarts += u64::from(report.restarts);
        self.revocations += u64::from(report.revocations);
        self.recalls += u64::from(report.recalls);
        self.duplicates += u64::from(report.duplicates);
        self.excused += u64::from(report.excused);
        self.dead_letters += u64::from(report.dead_letters);
        self.redrives += u64::from(report.redrives);
        self.steps += report.steps;
        self.virtual_time += report.virtual_time;
        if let Some(violation) = report.violations.first() {
            self.broken.insert(report.seed, violation.clone());
        }
    }

    /// The line that every run ends with.
    pub fn line(&self) -> String {
        let seconds = self.took.as_secs_f64().max(1e-9);
        format!(
            "{} seeds, {} events, {} faults, {:.0} events/s ({:.1} seeds/s, {:.1} s)",
            self.seeds,
            self.events,
            self.faults,
            self.events as f64 / seconds,
            self.seeds as f64 / seconds,
            seconds,
        )
    }

    /// What else there was.
    pub fn details(&self) -> String {
        format!(
            "{} attempts, {} crashes, {} restarts, {} revocations, {} recalls, {} redrives, {} dead letters, \
             {} duplicates ({} excused), {} steps, {:.1} virtual hours",
            self.attempts,
            self.crashes,
            self.restarts,
            self.revocations,
            self.recalls,
            self.redrives,
            self.dead_letters,
            self.duplicates,
            self.excused,
            self.steps,
            self.virtual_time.as_secs_f64() / 3600.0,
        )
    }
}

/// The report of a seed that breaks an invariant of the code itself.
fn panicked(seed: u64, payload: &(dyn Any + Send)) -> Report {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a word");
    Report { seed, violations: vec![format!("an assertion of the code: {text}")], ..Report::default() }
}

impl Campaign {
    /// Runs the seeds on all cores. `progress` is told of what there was so far, now and then.
    pub fn run(&self, progress: impl Fn(&Sum) + Sync) -> Sum {
        let began = Instant::now();
        let (next, stop) = (AtomicU64::new(self.first), AtomicBool::new(false));
        let sum = Mutex::new((Sum::default(), began));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.first.saturating_add(self.seeds) {
                    return;
                }
                let report = catch_unwind(|| run(seed, &self.options));
                let report = report.unwrap_or_else(|payload| panicked(seed, &*payload));
                if self.until_broken && !report.violations.is_empty() {
                    stop.store(true, Ordering::Relaxed);
                }
                let mut sum = sum.lock();
                sum.0.add(&report);
                if sum.1.elapsed() > PROGRESS_EVERY {
                    sum.1 = Instant::now();
                    sum.0.took = began.elapsed();
                    progress(&sum.0);
                }
            }
        };
        let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(work);
            }
        });
        Sum { took: began.elapsed(), ..sum.into_inner().0 }
    }
}

const PROGRESS_EVERY: Duration = Duration::from_secs(10);
