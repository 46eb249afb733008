//! `cargo xtask mutants`: the product with one promise broken at a time, which the black-box tests have to notice.

mod list;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub(crate) use self::list::Mutant;
use self::list::{MUTANTS, Test};
use crate::run::{cargo, output, say};
use crate::workshop::{Program, Workshop};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The mutants to try; all of them where none is named
    #[arg(value_name = "NAME", value_parser = named, conflicts_with = "list")]
    names: Vec<&'static Mutant>,
    /// Show the mutants, what each breaks, where, and which test is to say so
    #[arg(long)]
    list: bool,
}

/// The smallest binary that keeps the promises: no librdkafka is built or linked time and again.
const PROGRAM: Program = Program {
    package: "postrider",
    binary: "postrider",
    features: &["--no-default-features", "--features", "embedded"],
};

/// Seconds that a test waits for what a mutant may keep from happening.
const PATIENCE: &str = "10";

fn named(name: &str) -> Result<&'static Mutant, String> {
    MUTANTS
        .iter()
        .find(|mutant| mutant.name == name)
        .ok_or_else(|| "there is no such mutant: `cargo xtask mutants --list` names them".into())
}

/// Whether each of the mutants was caught.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    if options.list {
        list();
        return Ok(true);
    }
    let mutants = match options.names.as_slice() {
        [] => MUTANTS.iter().collect(),
        names => names.to_vec(),
    };
    let began = Instant::now();
    say("building the tests, and the product as it is; the first time takes minutes");
    let tests: BTreeSet<Test> = mutants.iter().map(|mutant| mutant.test).collect();
    let trial = Trial {
        workshop: Workshop::open(root)?,
        directory: root.join("tests"),
        programs: build_tests(root, &tests.iter().map(|test| test.file).collect())?,
    };
    let left_out = trial.as_it_is(&tests)?;
    let (mut caught, mut count) = (0, 0);
    for mutant in mutants {
        if left_out.contains(&mutant.test) {
            say(&format!("LEFT OUT  {:<34} {} cannot run here", mutant.name, mutant.test));
            continue;
        }
        count += 1;
        caught += u32::from(trial.catches(mutant)?);
    }
    say(&format!("after {:.0} s:", began.elapsed().as_secs_f64()));
    say(&format!("caught {caught} of {count}"));
    Ok(caught == count)
}

fn list() {
    for Mutant { name, what, edit, test, says } in MUTANTS {
        say(&format!("{name:<34} {what}\n{:<34} {}; {test}: {says:?}", "", edit.file));
    }
}

/// What a failing assertion says may be long.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 120;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Builds the tests of these files; returns the program of each.
fn build_tests(root: &Path, files: &BTreeSet<&str>) -> Result<HashMap<String, PathBuf>> {
    let mut command = cargo(root);
    command.args(["test", "--locked", "--quiet", "-p", "postrider-tests", "--no-run"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    command.args(files.iter().flat_map(|file| ["--test", file]));
    let told = output(&mut command)?;
    let messages = String::from_utf8_lossy(&told);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = |message: Value| {
        Some((message["target"]["name"].as_str()?.to_owned(), message["executable"].as_str()?.into()))
    };
    Ok(messages.filter_map(program).collect())
}

/// How a test ended, and all that it said.
struct Ended {
    passed: bool,
    output: String,
}

/// What a mutant is tried with.
struct Trial {
    workshop: Workshop,
    /// The directory of the tests' package.
    directory: PathBuf,
    /// Test programs by the names of their files.
    programs: HashMap<String, PathBuf>,
}

impl Trial {
    fn run(&self, test: &Test, binary: &Path, patience: Option<&str>) -> Result<Ended> {
        let program = self.programs.get(test.file).with_context(|| format!("{test} was not built"))?;
        let mut command = Command::new(program);
        command.args(["--exact", test.name, "--show-output"]).current_dir(&self.directory);
        command.env("POSTRIDER_BIN", binary).stdin(Stdio::null());
        if let Some(patience) = patience {
            command.env("POSTRIDER_PATIENCE", patience);
        }
        let ended = command.output().with_context(|| format!("{test} cannot be started"))?;
        let output = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        let passed = output.contains("test result: ok. 1 passed");
        if !passed && !output.contains("test result: FAILED. 0 passed; 1 failed") {
            bail!("{test} did not run to its end:\n{output}");
        }
        Ok(Ended { passed, output })
    }

    /// Has the product pass every test that is to notice a mutant: what fails anyway proves nothing. Returns the tests
    /// that this machine leaves out.
    fn as_it_is(&self, tests: &BTreeSet<Test>) -> Result<BTreeSet<Test>> {
        let started = Instant::now();
        let binary = self.workshop.build(&PROGRAM, None)?;
        say(&format!("built     {:<34} {:.1} s", "as it is", started.elapsed().as_secs_f64()));
        let mut left_out = BTreeSet::new();
        for test in tests {
            let started = Instant::now();
            let ended = self.run(test, &binary, None)?;
            if !ended.passed {
                bail!("{test} fails on the product as it is:\n{}", ended.output);
            }
            let seconds = started.elapsed().as_secs_f64();
            say(&format!("passed    {:<34} {test} ({seconds:.1} s)", "as it is"));
            if ended.output.contains("LEFT OUT") {
                left_out.insert(*test);
            }
        }
        Ok(left_out)
    }

    /// Builds a mutant and runs its test, which has to fail, and for the right reason.
    fn catches(&self, mutant: &Mutant) -> Result<bool> {
        let Mutant { name, what, test, says, .. } = mutant;
        let started = Instant::now();
        let built = self.workshop.build(&PROGRAM, Some(&mutant.edit));
        let binary = built.with_context(|| format!("the mutant {name} cannot be built"))?;
        let building = started.elapsed();
        let ended = self.run(test, &binary, Some(PATIENCE))?;
        let seconds = Duration::as_secs_f64;
        let times =
            format!("{:.1} s, {:.1} s of it building", seconds(&started.elapsed()), seconds(&building));
        let reason = ended.output.lines().find(|line| line.contains(says));
        match reason {
            Some(reason) if !ended.passed => {
                say(&format!("caught    {name:<34} {} ({times})", shortened(reason.trim())));
                return Ok(true);
            }
            _ if ended.passed => say(&format!("MISSED    {name:<34} {what} {test} passes ({times})")),
            _ => {
                let output = &ended.output;
                let but = "fails, but does not say";
                say(&format!("MISSED    {name:<34} {test} {but} {says:?} ({times}):\n{output}"));
            }
        }
        Ok(false)
    }
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.name)
    }
}
