//! `cargo xtask test`: everything that a stranger needs to pass all tests on a fresh machine.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use brokers::SHARED_KAFKA;
use brokers::kafka::{Kafka, Options};
use brokers::pubsub::{self, Pubsub, SHARED_PUBSUB};
use clap::ValueEnum;

use crate::run::{cargo, output, say, watched};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Every crate's own tests, documentation examples included
    Unit,
    /// The promises, on the built binary
    Promises,
    /// The delivery engine and the publish path under thousands of seeded faults, and the mutants that are
    /// to be caught; the checker that judges both
    Simulation,
    /// The durable log, killed and without power at every moment
    Torture,
}

/// Packages whose tests are parts of their own.
const OTHER_PARTS: &[&str] = &["postrider-tests", "postrider-simulation", "postrider-torture"];
/// … and those that make no sense, or cannot be built, without real brokers.
const WITHOUT_BROKERS: &[&str] =
    &["postrider-kafka", "postrider-pubsub", "postrider-brokers", "postrider-benches"];

/// Seeds of a test run.
const SEEDS: u64 = 3000;

/// What one part's test programs said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    failures: BTreeSet<String>,
}

struct Outcome {
    part: Part,
    succeeded: bool,
    took: Duration,
    tally: Tally,
}

/// Whether all tests of the parts (of none: of all parts) passed.
pub(crate) fn run(parts: &[Part], arguments: &[String], with_brokers: bool) -> Result<bool> {
    let root = crate::root();
    let parts: BTreeSet<Part> = match parts {
        [] => Part::value_variants().iter().copied().collect(),
        some => some.iter().copied().collect(),
    };
    let with_brokers = with_brokers && parts.iter().any(|part| part.needs_brokers());
    check_machine(with_brokers)?;
    heading("building");
    let binary = build(&root, &parts, with_brokers)?;
    let kafka = if with_brokers { start_kafka()? } else { None };
    let pubsub = if with_brokers { start_pubsub()? } else { None };
    let mut outcomes = Vec::new();
    for part in parts {
        heading(part.name());
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut tests = part.command(&root, with_brokers);
        tests.env("POSTRIDER_BIN", &binary);
        if let Some(kafka) = &kafka {
            tests.env(SHARED_KAFKA, kafka.bootstrap());
        }
        if let Some(pubsub) = &pubsub {
            tests.env(SHARED_PUBSUB, pubsub.address());
        }
        tests.arg("--").args(part.arguments(with_brokers)).args(arguments);
        let mut succeeded = watched(&mut tests, |line| tally.read(line))?;
        if part == Part::Simulation && arguments.is_empty() {
            succeeded &= simulate(&root, &mut tally)?;
        }
        outcomes.push(Outcome { part, succeeded, took: began.elapsed(), tally });
    }
    summary(&outcomes);
    Ok(outcomes.iter().all(|outcome| outcome.succeeded))
}

/// Seeds and mutants, which are no tests of libtest's.
fn simulate(root: &Path, tally: &mut Tally) -> Result<bool> {
    let kept = crate::simulate::seeds(root, 0, SEEDS)?;
    let missed = crate::simulate::all_caught(root, 0, crate::simulate::SEEDS)?;
    tally.count("every_seed_keeps_the_promises", kept);
    tally.count("every_mutant_is_caught", missed.is_empty());
    Ok(kept && missed.is_empty())
}

/// What the tests need beyond what has built this program, told before minutes are spent on building.
fn check_machine(with_brokers: bool) -> Result<()> {
    heading("checking this machine");
    std::net::TcpListener::bind("127.0.0.1:0").context(
        "the tests talk over loopback, and 127.0.0.1 cannot be bound; allow it in this sandbox or container",
    )?;
    let probe = std::env::temp_dir().join(format!("postrider-xtask-{}", std::process::id()));
    std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).with_context(|| {
        format!("the tests keep data in {}; set TMPDIR to a place that can be written", shown(&probe))
    })?;
    say("loopback and temporary directory: fine");
    if with_brokers {
        crate::machine::setup_tests()
            .context("`cargo xtask test --no-brokers` needs no more than a Rust toolchain and a C linker")?;
    }
    let bound = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).status();
    if !bound.is_ok_and(|status| status.success()) {
        say(
            "setpriv (util-linux) is not here: tests that are killed may leave a sidecar running. They pass without it.",
        );
    }
    let traces = Command::new("strace").arg("--version").stdout(std::process::Stdio::null()).status();
    if !traces.is_ok_and(|status| status.success()) {
        say(
            "strace is not here: LEFT OUT are kills at every system call, power losses, and system calls that fail.",
        );
    }
    if with_brokers && pubsub::is_possible_with_go() && !names_one(SHARED_PUBSUB) {
        pubsub::prefetch(say).context(
            "the tests need a Pub/Sub server; `cargo xtask test --no-brokers` leaves out those that do",
        )?;
        say("Pub/Sub: here");
    }
    if with_brokers && !names_one(SHARED_KAFKA) {
        brokers::kafka::prefetch(say)
            .context("the tests need a Kafka; `cargo xtask test --no-brokers` leaves out those that do")?;
        say("Kafka: here");
    }
    Ok(())
}

/// Whether somebody has started one for us.
fn names_one(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|address| !address.is_empty())
}

/// One for all tests, unless there is one. It ends with the value, or with us.
fn start_kafka() -> Result<Option<Kafka>> {
    if names_one(SHARED_KAFKA) {
        return Ok(None);
    }
    heading("starting Kafka");
    let began = Instant::now();
    let kafka = Kafka::start(Options { progress: say, ..Options::default() })?;
    say(&format!("{} after {:.1} s", kafka.bootstrap(), began.elapsed().as_secs_f64()));
    Ok(Some(kafka))
}

/// The same for Pub/Sub.
fn start_pubsub() -> Result<Option<Pubsub>> {
    if names_one(SHARED_PUBSUB) || !pubsub::is_possible_with_go() {
        return Ok(None);
    }
    let pubsub = Pubsub::start(pubsub::Options { progress: say, ..pubsub::Options::default() })?;
    say(&format!("Pub/Sub at {}", pubsub.address()));
    Ok(Some(pubsub))
}

/// Builds everything first, so that the tests' own time is theirs alone; returns the binary.
fn build(root: &Path, parts: &BTreeSet<Part>, with_brokers: bool) -> Result<PathBuf> {
    if parts.contains(&Part::Promises) {
        output(cargo(root).args(["build", "--locked", "--workspace", "--bin", "postrider"]))?;
    }
    for part in parts {
        output(part.command(root, with_brokers).arg("--no-run"))?;
    }
    Ok(target_directory(root)?.join("debug").join("postrider"))
}

pub(crate) fn target_directory(root: &Path) -> Result<PathBuf> {
    let metadata = output(cargo(root).args(["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata)?;
    match metadata["target_directory"].as_str() {
        Some(directory) => Ok(directory.into()),
        None => bail!("cargo metadata names no target directory"),
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Promises => "promises",
            Self::Simulation => "simulation",
            Self::Torture => "torture",
        }
    }

    fn needs_brokers(self) -> bool {
        matches!(self, Self::Unit | Self::Promises)
    }

    /// For the test programs. A promise on a real broker says so in its name.
    fn arguments(self, with_brokers: bool) -> &'static [&'static str] {
        match self {
            Self::Promises if !with_brokers => &["--skip", "kafka", "--skip", "pubsub"],
            Self::Promises if !pubsub::is_possible_with_go() => &["--skip", "pubsub"],
            _ => &[],
        }
    }

    fn command(self, root: &Path, with_brokers: bool) -> Command {
        let mut command = cargo(root);
        command.args(["test", "--locked", "--no-fail-fast"]);
        match self {
            Self::Unit => {
                let without = match with_brokers {
                    true if pubsub::is_possible_with_go() => &[][..],
                    true => &["postrider-pubsub"],
                    false => WITHOUT_BROKERS,
                };
                let others = OTHER_PARTS.iter().chain(without);
                command.arg("--workspace").args(others.flat_map(|name| ["--exclude", name]))
            }
            Self::Promises => {
                command.args(["-p", "postrider-tests", "--lib"]).args(promises(root, with_brokers))
            }
            Self::Simulation => {
                command.args(["-p", "postrider-simulation", "--profile", crate::simulate::PROFILE])
            }
            Self::Torture => command.args(["-p", "postrider-torture"]),
        };
        command
    }
}

/// `--test NAME` for every file in `tests/tests`; without brokers, without those that start some, and without Go without
/// those on Pub/Sub, which have it in their names.
fn promises(root: &Path, with_brokers: bool) -> Vec<OsString> {
    let files = std::fs::read_dir(root.join("tests/tests")).into_iter().flatten().flatten();
    let rust = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "rs"));
    // A test that starts brokers of its own cannot do without them; a promise has its name filtered.
    let starts_brokers =
        |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("brokers::"));
    let rust = rust.filter(|path| with_brokers || !starts_brokers(path));
    let mut names: Vec<OsString> = rust.filter_map(|path| Some(path.file_stem()?.to_owned())).collect();
    if !pubsub::is_possible_with_go() {
        names.retain(|name| !name.to_string_lossy().contains("pubsub"));
    }
    names.sort();
    names.into_iter().flat_map(|name| ["--test".into(), name]).collect()
}

impl Tally {
    fn count(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.failures.insert(name.to_owned());
        }
    }

    /// Reads a line of libtest's output: `test NAME ... FAILED` or `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test ") else { return };
        if let Some(counts) = rest.strip_prefix("result: ") {
            for count in counts.split([';', '.']) {
                let mut words = count.split_whitespace();
                let number = words.next().and_then(|number| number.parse::<u64>().ok());
                match (number, words.next()) {
                    (Some(number), Some("passed")) => self.passed += number,
                    (Some(number), Some("failed")) => self.failed += number,
                    (Some(number), Some("ignored")) => self.ignored += number,
                    _ => {}
                }
            }
        } else if let Some(name) = rest.strip_suffix(" ... FAILED") {
            self.failures.insert(name.to_owned());
        }
    }
}

fn summary(outcomes: &[Outcome]) {
    heading("summary");
    say("part         passed  failed  ignored   seconds");
    for Outcome { part, succeeded, took, tally } in outcomes {
        let Tally { passed, failed, ignored, .. } = tally;
        let note = if *succeeded || *failed > 0 { "" } else { "   did not run to its end: see above" };
        let seconds = took.as_secs_f64();
        say(&format!("{:<12} {passed:>6} {failed:>7} {ignored:>8} {seconds:>9.1}{note}", part.name()));
    }
    for Outcome { part, tally, .. } in outcomes {
        for name in &tally.failures {
            say(&format!("failed: {name}   (again: cargo xtask test {} -- {name})", part.name()));
        }
    }
    let succeeded = outcomes.iter().all(|outcome| outcome.succeeded);
    say(if succeeded { "\nAll tests passed." } else { "\nTests failed." });
}

fn heading(text: &str) {
    say(&format!("\n── {text}"));
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_adds_up_what_libtest_prints() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test d - (line 3) ... ignored",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            tally.read(line);
        }
        let failures = BTreeSet::from(["a::c".to_owned()]);
        assert_eq!(tally, Tally { passed: 5, failed: 1, ignored: 1, failures });
    }
}
