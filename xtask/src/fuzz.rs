//! `cargo xtask fuzz`: every parser against inputs that libFuzzer makes up, led by what they reach.
//!
//! Built with the stable toolchain: LLVM's coverage pass is a code generation option, and only the sanitizers, which
//! find what safe Rust does not do, would need a nightly one.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, output, say};
use crate::test::target_directory;

/// Coverage of edges, told to libFuzzer in counters, and the operands of comparisons.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";
/// An input that takes longer has found a loop.
const INPUT_SECONDS_MAX: u32 = 20;
/// A program that grows beyond this has found a way to make a parser hold what it should not.
const MEMORY_MIB_MAX: u32 = 2048;
/// Lines of a failed target's output that are shown.
const SHOWN_LINES: usize = 30;

struct Fuzzing {
    /// Where seeds are.
    root: PathBuf,
    /// Where the programs are.
    built: PathBuf,
    /// Where corpora, crashes and logs go: kept from run to run.
    work: PathBuf,
    seconds: u64,
}

struct Ended {
    target: String,
    executions: u64,
    took: Duration,
    /// The input that failed, where one did.
    crash: Option<PathBuf>,
    failed: bool,
}

/// Whether no target found anything. `input`: run one target on this file alone.
pub(crate) fn run(root: &Path, targets: &[String], seconds: u64, input: Option<&Path>) -> Result<bool> {
    let targets = chosen(root, targets)?;
    let fuzzing = build(root, &targets, seconds)?;
    if let Some(input) = input {
        let [target] = targets.as_slice() else { bail!("an input is one target's: name that one") };
        let status = Command::new(fuzzing.built.join(target)).arg(input).stdin(Stdio::null()).status();
        return Ok(status.context("the target cannot be started")?.success());
    }
    let waiting = Mutex::new(VecDeque::from(targets));
    let ended = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            while let Some(target) = next(&waiting) {
                let one = fuzzing.fuzz(&target)?;
                ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(one);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    let mut ended = ended.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    ended.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(summary(&ended))
}

fn next(waiting: &Mutex<VecDeque<String>>) -> Option<String> {
    waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front()
}

/// The targets that are named, or all.
fn chosen(root: &Path, named: &[String]) -> Result<Vec<String>> {
    let files = fs::read_dir(root.join("fuzz/targets")).context("fuzz/targets cannot be read")?.flatten();
    let stem = |file: fs::DirEntry| Some(file.path().file_stem()?.to_str()?.to_owned());
    let mut all: Vec<String> = files.filter_map(stem).collect();
    all.sort();
    match named.iter().find(|name| !all.contains(name)) {
        Some(unknown) => bail!("there is no fuzz target {unknown}; there are {}", all.join(", ")),
        None if named.is_empty() => Ok(all),
        None => Ok(named.to_vec()),
    }
}

fn build(root: &Path, targets: &[String], seconds: u64) -> Result<Fuzzing> {
    say("building the fuzz targets; the first time takes minutes");
    let host = host()?;
    let work = target_directory(root)?.join("fuzz");
    let mut build = cargo(root);
    build.args(["build", "--quiet", "--locked", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    // With a target named, build scripts and macros are built without coverage.
    build.args(["--target", &host, "--target-dir"]).arg(&work);
    build.args(targets.iter().flat_map(|target| ["--bin", target]));
    output(build.env("RUSTFLAGS", RUSTFLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    Ok(Fuzzing { root: root.join("fuzz"), built: work.join(&host).join("release"), work, seconds })
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = String::from_utf8(output(Command::new(rustc).arg("-vV"))?)?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

impl Fuzzing {
    fn fuzz(&self, target: &str) -> Result<Ended> {
        let corpus = self.work.join("corpus").join(target);
        let crashes = self.work.join("crashes").join(target);
        let log = self.work.join(format!("{target}.log"));
        for directory in [&corpus, &crashes] {
            fs::create_dir_all(directory)
                .with_context(|| format!("{} cannot be made", directory.display()))?;
        }
        let mut command = Command::new(self.built.join(target));
        command.arg(format!("-max_total_time={}", self.seconds)).arg("-print_final_stats=1");
        command.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        command.arg(format!("-artifact_prefix={}/", crashes.display())).arg(&corpus);
        let seeds = self.root.join("seeds").join(target);
        command.args(seeds.is_dir().then_some(seeds));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let began = Instant::now();
        let status = command.status().with_context(|| format!("{target} cannot be started"))?;
        let told = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let failed = !status.success();
        let written = told.lines().find_map(|line| line.split_once("Test unit written to "));
        let ended = Ended {
            target: target.to_owned(),
            executions: executions(&told),
            took: began.elapsed(),
            crash: written.map(|(_, path)| path.trim().into()),
            failed,
        };
        say(&ended.line());
        if failed {
            say(&shown(&told));
        }
        Ok(ended)
    }
}

fn executions(told: &str) -> u64 {
    let count = told.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// What a failed target said, from its panic on.
fn shown(told: &str) -> String {
    let lines: Vec<&str> = told.lines().collect();
    let panic = lines.iter().position(|line| line.contains(" panicked at ") || line.contains("==ERROR"));
    let from = panic.unwrap_or_else(|| lines.len().saturating_sub(SHOWN_LINES));
    lines[from..].iter().take(SHOWN_LINES).map(|line| format!("    {line}\n")).collect()
}

impl Ended {
    fn line(&self) -> String {
        let Self { target, executions, took, failed, .. } = self;
        let rate = *executions as f64 / took.as_secs_f64().max(0.001);
        let end = if *failed { "FAILED" } else { "fine" };
        format!(
            "{target:<16} {executions:>12} executions  {rate:>9.0}/s  {:>5.0} s  {end}",
            took.as_secs_f64()
        )
    }
}

/// Tells how to see each failure again; whether there was none.
fn summary(ended: &[Ended]) -> bool {
    let failed: Vec<&Ended> = ended.iter().filter(|ended| ended.failed).collect();
    for Ended { target, crash, .. } in &failed {
        match crash {
            Some(input) => say(&format!("again: cargo xtask fuzz {target} --input {}", input.display())),
            None => say(&format!(
                "{target} ended without telling on which input: see its log in the target directory"
            )),
        }
    }
    let executions: u64 = ended.iter().map(|ended| ended.executions).sum();
    say(&format!("fuzz: {} targets, {executions} executions, {} failed", ended.len(), failed.len()));
    failed.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_tells_is_read() {
        let told = "INFO: Seed: 1\nthread 'x' panicked at a.rs:1:1:\nboom\nartifact_prefix='c/'; Test unit written to c/crash-1\nstat::number_of_executed_units: 4506\n";
        assert_eq!(executions(told), 4506);
        assert!(shown(told).trim_start().starts_with("thread 'x' panicked"), "{}", shown(told));
        assert_eq!(executions(""), 0);
    }

    #[test]
    fn targets_are_those_that_there_are() {
        let all = chosen(&crate::root(), &[]).expect("they are there");
        assert!(all.contains(&"event_json".to_owned()), "{all:?}");
        let error = chosen(&crate::root(), &["event_yaml".to_owned()]).expect_err("there is none");
        assert!(error.to_string().contains("event_json"), "{error}");
    }
}
