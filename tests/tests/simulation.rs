//! The engine over the model broker, seed by seed: nothing is lost, invented, reordered or repeated without a reason, and
//! all comes to rest once nothing fails any more.
//!
//! `POSTRIDER_SEEDS` sets how many seeds are run, `POSTRIDER_SEED` the first of them.

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use postrider_tests::simulation::{Mutant, Options, Report, explain, run};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The report of a seed that breaks an invariant of the code itself.
fn panicked(seed: u64) -> Report {
    Report { seed, violations: vec!["it panics".into()], ..Report::default() }
}

/// Runs seeds on all cores; the reports, by seed.
fn run_all(first: u64, seeds: u64, options: &Options) -> Vec<Report> {
    let (next, reports) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(16));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let report = catch_unwind(|| run(seed, options)).unwrap_or_else(|_| panicked(seed));
                    reports.lock().expect("no worker panicked").push(report);
                }
            });
        }
    });
    let mut reports = reports.into_inner().expect("no worker panicked");
    reports.sort_by_key(|report| report.seed);
    reports
}

#[test]
fn every_seed_keeps_the_promises() {
    let (first, seeds) = (setting("POSTRIDER_SEED", 0), setting("POSTRIDER_SEEDS", 2000));
    let options = Options::default();
    let began = Instant::now();
    let reports = run_all(first, seeds, &options);
    let took = began.elapsed();
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    println!(
        "{seeds} seeds in {took:.1?} ({:.1} a second): {} events, {} attempts, {} crashes, {} revocations, {} recalls, {} faults, \
         {} duplicates ({} excused), {} dead letters, {} steps, {:.1} virtual hours",
        seeds as f64 / took.as_secs_f64(),
        sum(|r| u64::from(r.events)),
        sum(|r| r.attempts),
        sum(|r| u64::from(r.crashes)),
        sum(|r| u64::from(r.revocations)),
        sum(|r| u64::from(r.recalls)),
        sum(|r| u64::from(r.faults)),
        sum(|r| u64::from(r.duplicates)),
        sum(|r| u64::from(r.excused)),
        sum(|r| u64::from(r.dead_letters)),
        sum(|r| r.steps),
        reports.iter().map(|r| r.virtual_time.as_secs_f64()).sum::<f64>() / 3600.0,
    );
    let broken: Vec<u64> = reports.iter().filter(|r| !r.violations.is_empty()).map(|r| r.seed).collect();
    if let Some(seed) = broken.first() {
        let story =
            catch_unwind(|| explain(*seed, &options)).unwrap_or_else(|_| format!("seed {seed} panics"));
        panic!("{} of {seeds} seeds are broken: {broken:?}\n{story}", broken.len());
    }
    for report in &reports {
        let seed = report.seed;
        assert_eq!(report.events, 500, "seed {seed}");
        assert!(report.crashes >= 2, "seed {seed} has {} crashes", report.crashes);
        assert!(report.revocations + report.recalls >= 1, "seed {seed} has no revocation");
    }
    assert!(sum(|r| u64::from(r.revocations)) > seeds, "revocations are frequent");
    assert!(sum(|r| u64::from(r.recalls)) > seeds, "recalls are frequent");
    assert!(
        sum(|r| u64::from(r.dead_letters)) > 0 && sum(|r| u64::from(r.duplicates)) > 0,
        "faults have effects"
    );
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let options = Options { trace: true, ..Options::default() };
    for seed in 0..8 {
        let (one, other) = (run(seed, &options), run(seed, &options));
        assert!(one == other, "seed {seed}");
        assert!(one.trace.len() > 10_000, "seed {seed}");
    }
}

/// How many of so many seeds the checker finds a mutant in.
fn caught(mutant: Mutant, seeds: u64) -> u64 {
    let options = Options { mutant: Some(mutant), ..Options::default() };
    let reports = run_all(1_000_000, seeds, &options);
    reports.iter().filter(|report| !report.violations.is_empty()).count() as u64
}

#[test]
fn a_shell_that_settles_early_is_caught() {
    let caught = caught(Mutant::SettleEarly, 40);
    assert!(caught >= 30, "in {caught} of 40 seeds");
}

#[test]
fn a_shell_that_drops_one_is_caught() {
    let caught = caught(Mutant::DropOne, 40);
    assert!(caught >= 38, "in {caught} of 40 seeds");
}

#[test]
fn a_shell_that_ignores_recalls_is_caught() {
    let caught = caught(Mutant::IgnoreRecalls, 40);
    assert!(caught >= 15, "in {caught} of 40 seeds");
}

#[test]
fn a_shell_that_swaps_two_is_caught() {
    let caught = caught(Mutant::SwapTwo, 40);
    assert!(caught >= 20, "in {caught} of 40 seeds");
}
