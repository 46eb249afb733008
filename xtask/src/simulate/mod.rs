//! `cargo xtask simulate`: seeds of the simulation, and the mutants of the product that it has to catch.

mod endpoint;
mod engine;
mod mutants;
mod publish;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::mutants::Mutant;
use crate::run::{cargo, output, say};
use crate::test::target_directory;
use crate::workshop::{Program, Workshop};

/// The profile that all of it is built with.
pub(crate) const PROFILE: &str = "simulation";
const PROGRAM: Program =
    Program { package: "postrider-simulation", binary: "postrider-simulate", features: &[] };

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How many seeds to run, of a mutant at most
    #[arg(long, value_name = "N", default_value_t = SEEDS)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Run this mutant until a seed breaks: exit 1, naming the invariant and the seed. Exit 0: nothing noticed it
    #[arg(long, value_name = "NAME", value_parser = named, conflicts_with_all = ["mutants", "list"])]
    mutant: Option<&'static Mutant>,
    /// Run every mutant. Exit 1 unless each is caught
    #[arg(long, conflicts_with = "list")]
    mutants: bool,
    /// Show the mutants and what each breaks
    #[arg(long)]
    list: bool,
}

fn named(name: &str) -> Result<&'static Mutant, String> {
    mutants::all()
        .find(|mutant| mutant.name == name)
        .ok_or_else(|| "there is no such mutant: `cargo xtask simulate --list` names them".into())
}

/// The rarest of what mutants need to be noticed came up in one of 500 seeds.
pub(crate) const SEEDS: u64 = 2000;

/// Whether no promise was broken; with mutants, whether each was caught.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    match options.mutant {
        _ if options.list => {
            list();
            Ok(true)
        }
        _ if options.mutants => Ok(all_caught(root, options.seed, options.seeds)?.is_empty()),
        Some(mutant) => {
            let binary = build_mutant(&Workshop::open(root)?, mutant)?;
            passes(mutant.command(&binary, options.seed, options.seeds))
        }
        None => seeds(root, options.seed, options.seeds),
    }
}

fn list() {
    for mutant in mutants::all() {
        let place = mutant.edit().map_or("the simulation's shell", |edit| edit.file);
        say(&format!("{:<34} {}\n{:<34} {place}", mutant.name, mutant.what, ""));
    }
}

/// Whether so many seeds keep every promise.
pub(crate) fn seeds(root: &Path, first: u64, seeds: u64) -> Result<bool> {
    let mut command = Command::new(build(root)?);
    command.args(["--seed", &first.to_string(), "--seeds", &seeds.to_string()]);
    passes(command)
}

/// Builds the simulation of what is here.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    output(cargo(root).args(["build", "--locked", "--quiet", "--profile", PROFILE, "-p", PROGRAM.package]))?;
    Ok(target_directory(root)?.join(PROFILE).join(PROGRAM.binary))
}

fn build_mutant(workshop: &Workshop, mutant: &Mutant) -> Result<PathBuf> {
    let built = workshop.build(&PROGRAM, mutant.edit());
    built.with_context(|| format!("the mutant {} cannot be built", mutant.name))
}

fn passes(mut command: Command) -> Result<bool> {
    let status = command.stdin(Stdio::null()).status().context("the simulation cannot be started")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("the simulation ended with {status}"),
    }
}

/// What became of one mutant.
struct Verdict {
    /// The invariant and the seed, where it was caught.
    caught: Option<String>,
    /// Its last line, of seeds, events, faults and events/s.
    line: String,
}

/// Runs every mutant; returns the names of those that were not caught.
pub(crate) fn all_caught(root: &Path, first: u64, seeds: u64) -> Result<Vec<&'static str>> {
    let began = Instant::now();
    let workshop = Workshop::open(root)?;
    let (mut missed, mut count, mut sums) = (Vec::new(), 0, [0_u64; 3]);
    for mutant in mutants::all() {
        count += 1;
        let started = Instant::now();
        let built = build_mutant(&workshop, mutant)?;
        let building = started.elapsed();
        let verdict = verdict(mutant.command(&built, first, seeds))?;
        let seconds = Duration::as_secs_f64;
        let time =
            format!("{:.1} s, {:.1} s of it building", seconds(&started.elapsed()), seconds(&building));
        match verdict.caught {
            Some(how) => say(&format!("caught  {:<34} {how} ({time})", mutant.name)),
            None => {
                say(&format!("MISSED  {:<34} {} ({time})", mutant.name, mutant.what));
                missed.push(mutant.name);
            }
        }
        let numbers = verdict.line.split(", ").filter_map(|part| part.split(' ').next()?.parse::<u64>().ok());
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += number;
        }
    }
    say(&format!("caught {} of {count}", count - missed.len()));
    let [seeds, events, faults] = sums;
    let seconds = began.elapsed().as_secs_f64();
    let rate = events as f64 / seconds;
    say(&format!("{seeds} seeds, {events} events, {faults} faults, {rate:.0} events/s ({seconds:.1} s)"));
    Ok(missed)
}

fn verdict(mut command: Command) -> Result<Verdict> {
    let ended = command.stdin(Stdio::null()).output().context("the simulation cannot be started")?;
    let text = String::from_utf8_lossy(&ended.stdout);
    let line = text.lines().last().unwrap_or_default().to_owned();
    let first =
        text.lines().find_map(|line| line.split_once("The first, ")).map(|(_, first)| first.to_owned());
    match ended.status.code() {
        Some(0) => Ok(Verdict { caught: None, line }),
        Some(1) => Ok(Verdict { caught: Some(first.unwrap_or_default()), line }),
        _ => bail!("the simulation ended with {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr)),
    }
}
