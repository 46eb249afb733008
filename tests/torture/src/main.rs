//! The torture of the log. `cargo xtask torture` builds it, and hands its options over.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use torture::steps::Blow;
use torture::worker::{self, Plan, Workload};
use torture::{kills, power, steps, trace};

/// Kills, cuts the power of and judges a durable log, and tells what was lost.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask torture", disable_help_subcommand = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Kills at every system call, power losses, and then kills at random moments
    All {
        /// How often a worker is killed at a random moment, and judged
        #[arg(long, value_name = "N", default_value_t = 50)]
        cycles: u64,
        /// Another one at each run, unless it is given
        #[arg(long, value_name = "S")]
        seed: Option<u64>,
        /// Work below this directory, which has to be on a disk; by default the system's temporary one
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
    /// Be the worker that is killed
    #[command(hide = true)]
    Work {
        directory: PathBuf,
        #[arg(long)]
        workload: Workload,
        #[arg(long)]
        run: u32,
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        gated: bool,
    },
}

/// The sum of everything.
#[derive(Debug, Default)]
struct Sum {
    cycles: u64,
    events: u64,
    kills: u64,
    lost: usize,
}

fn main() -> ExitCode {
    let done = match Cli::parse().role {
        Role::Work { directory, workload, run, seed, gated } => {
            worker::run(&directory, Plan { run, seed, workload, gated }).map(|()| true)
        }
        Role::All { cycles, seed, directory } => all(cycles, seed, directory.as_deref()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("torture: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was lost.
fn all(cycles: u64, seed: Option<u64>, directory: Option<&Path>) -> Result<bool> {
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let program = std::env::current_exe().context("this program has no path")?;
    let place = kills::place(directory)?;
    say(&format!("seed {seed}, below {}", place.display()));
    let mut sum = Sum::default();
    if trace::is_possible() {
        sum.every_call(&program, &place, seed)?;
        sum.power(&program, seed)?;
    } else {
        say("LEFT OUT: kills at every system call, and power losses. strace is not here, or may not trace");
    }
    sum.random_moments(&program, &place, cycles, seed)?;
    let Sum { cycles, events, kills, lost } = sum;
    if lost > 0 {
        say(&format!("again: --seed {seed}"));
    }
    say(&format!("cycles {cycles}, events {events}, kills {kills}, lost {lost}"));
    Ok(lost == 0)
}

impl Sum {
    fn every_call(&mut self, program: &Path, place: &Path, seed: u64) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        for workload in [Workload::Append, Workload::Rotate, Workload::Compact, Workload::Recover] {
            let mut tally = steps::Tally::default();
            for blow in [Blow::Kill, Blow::Eio, Blow::Enospc] {
                let plan = steps::Plan { workload, blow, stride: 1, nested: 3 };
                if tally.problems.is_empty() {
                    steps::run(program, place, plan, &mut random, &mut tally)?;
                }
            }
            say(&format!(
                "{workload:?}, at each of its system calls: {} kills, {} of them of recoveries; {} failures",
                tally.kills, tally.nested, tally.failures
            ));
            (self.kills, self.events) = (self.kills + tally.kills, self.events + tally.events);
            self.problems(&tally.problems, tally.kept.as_deref());
        }
        Ok(())
    }

    fn power(&mut self, program: &Path, seed: u64) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        for workload in [Workload::Append, Workload::Rotate, Workload::Compact] {
            let run = power::Run::trace(program, workload, seed)?;
            let mut tally = power::Tally::default();
            run.lose_power(20, &mut random, &mut tally)?;
            if tally.problems.is_empty() {
                run.lose_power_again(program, 20, &mut random, &mut tally)?;
            }
            say(&format!(
                "{workload:?}: power lost at each of {} moments: {} states judged, {} of them of recoveries",
                run.moments(),
                tally.states,
                tally.nested
            ));
            self.problems(&tally.problems, tally.kept.as_deref());
        }
        Ok(())
    }

    fn random_moments(&mut self, program: &Path, place: &Path, cycles: u64, seed: u64) -> Result<()> {
        let data = tempfile::TempDir::with_prefix_in("postrider-torture-", place)?;
        let tally = kills::run(program, data.path(), cycles, seed)?;
        say(&format!(
            "killed at random moments: {} kills, {} of them of recoveries",
            tally.kills, tally.nested
        ));
        self.cycles += tally.cycles;
        (self.kills, self.events) = (self.kills + tally.kills, self.events + tally.events);
        let kept = (!tally.problems.is_empty()).then(|| data.keep());
        self.problems(&tally.problems, kept.as_deref());
        Ok(())
    }

    fn problems(&mut self, problems: &[String], kept: Option<&Path>) {
        self.lost += problems.len();
        for problem in problems {
            say(problem);
        }
        if let Some(kept) = kept {
            say(&format!("the directory is kept: {}", kept.display()));
        }
    }
}

/// Prints a line to standard output.
fn say(line: &str) {
    // With standard output gone there is nobody left to tell.
    drop(writeln!(std::io::stdout(), "{line}"));
}
