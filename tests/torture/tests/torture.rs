//! The short form of `cargo xtask torture`, and the proof that the judge can fail.

#![expect(clippy::unwrap_used, reason = "what fails in a test is to fail the test")]
#![expect(
    clippy::print_stdout,
    reason = "the test runner captures what is printed, and shows it where a test fails"
)]

use std::path::{Path, PathBuf};

use torture::power::{self, Mutant, Run};
use torture::steps::{Blow, Plan};
use torture::worker::Workload;
use torture::{kills, steps, trace};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_postrider-torture"))
}

/// A directory on a disk: the system's temporary one, or cargo's where that is in memory.
fn place() -> PathBuf {
    kills::place(None).or_else(|_| kills::place(Some(Path::new(env!("CARGO_TARGET_TMPDIR"))))).unwrap()
}

/// Another seed at each run, told where a test fails.
fn random() -> fastrand::Rng {
    let given = std::env::var("POSTRIDER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("POSTRIDER_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Without strace these tests have nothing to say, and say so.
fn cannot_trace() -> bool {
    if trace::is_possible() {
        return false;
    }
    println!("LEFT OUT: strace is not here, or may not trace");
    true
}

#[test]
fn fifty_kills_at_random_moments_lose_nothing() {
    let data = tempfile::TempDir::with_prefix_in("postrider-torture-", place()).unwrap();
    let tally = kills::run(program(), data.path(), 50, random().u64(..)).unwrap();
    assert_eq!(tally.problems, Vec::<String>::new(), "the directory: {}", data.keep().display());
    assert_eq!(tally.cycles, 50);
    assert!(tally.events > 50 && tally.nested > 0, "it worked between the kills: {tally:?}");
}

#[test]
fn a_kill_at_every_system_call_of_append_loses_nothing() {
    killed_at_every(1, Workload::Append);
}

#[test]
fn a_kill_at_every_third_system_call_of_rotate_loses_nothing() {
    // It has many. Which third that is differs from run to run; `cargo xtask torture` has all of them.
    killed_at_every(3, Workload::Rotate);
}

#[test]
fn a_kill_at_every_system_call_of_compact_loses_nothing() {
    killed_at_every(1, Workload::Compact);
}

#[test]
fn a_kill_at_every_system_call_of_recover_loses_nothing() {
    killed_at_every(1, Workload::Recover);
}

fn killed_at_every(stride: usize, workload: Workload) {
    if cannot_trace() {
        return;
    }
    let mut tally = steps::Tally::default();
    let plan = Plan { workload, blow: Blow::Kill, stride, nested: 4 };
    steps::run(program(), &place(), plan, &mut random(), &mut tally).unwrap();
    assert_eq!(tally.problems, Vec::<String>::new(), "the directory: {:?}", tally.kept);
    assert!(tally.kills > 20 && tally.nested > 0, "there were calls to kill at: {tally:?}");
}

#[test]
fn a_system_call_that_fails_loses_nothing() {
    if cannot_trace() {
        return;
    }
    let mut random = random();
    let mut tally = steps::Tally::default();
    for workload in [Workload::Append, Workload::Rotate, Workload::Compact, Workload::Recover] {
        for blow in [Blow::Eio, Blow::Enospc] {
            // One in six, another one at each run. `cargo xtask torture` has all of them fail.
            let plan = Plan { workload, blow, stride: 6, nested: 4 };
            steps::run(program(), &place(), plan, &mut random, &mut tally).unwrap();
            assert_eq!(tally.problems, Vec::<String>::new(), "the directory: {:?}", tally.kept);
        }
    }
    assert!(tally.failures > 20, "there were calls to fail: {tally:?}");
}

#[test]
fn a_power_loss_at_any_moment_of_append_loses_nothing() {
    power_lost_at_every_moment(Workload::Append);
}

#[test]
fn a_power_loss_at_any_moment_of_rotate_loses_nothing() {
    power_lost_at_every_moment(Workload::Rotate);
}

#[test]
fn a_power_loss_at_any_moment_of_compact_loses_nothing() {
    power_lost_at_every_moment(Workload::Compact);
}

fn power_lost_at_every_moment(workload: Workload) {
    if cannot_trace() {
        return;
    }
    let mut random = random();
    let mut tally = power::Tally::default();
    let run = Run::trace(program(), workload, 1).unwrap();
    run.lose_power(4, &mut random, &mut tally).unwrap();
    assert_eq!(tally.problems, Vec::<String>::new(), "the directory: {:?}", tally.kept);
    run.lose_power_again(program(), 4, &mut random, &mut tally).unwrap();
    assert_eq!(tally.problems, Vec::<String>::new(), "the directory: {:?}", tally.kept);
    assert!(tally.states > 100 && tally.nested > 20, "there was something to lose: {tally:?}");
}

/// A program that forgets one sync, or does one thing too early, is found out by some state of some moment.
#[test]
fn every_mutant_is_caught() {
    if cannot_trace() {
        return;
    }
    // It appends, seals, settles and removes.
    let run = Run::trace(program(), Workload::Rotate, 1).unwrap();
    let mut random = random();
    for mutant in Mutant::ALL {
        let mut tally = power::Tally::default();
        run.mutated(mutant).lose_power(10, &mut random, &mut tally).unwrap();
        assert_ne!(tally.problems, Vec::<String>::new(), "{mutant:?} lives: {} states", tally.states);
        println!("{mutant:?}, after {} states: {}", tally.states, tally.problems[0]);
        if let Some(kept) = tally.kept {
            drop(std::fs::remove_dir_all(kept));
        }
    }
}
