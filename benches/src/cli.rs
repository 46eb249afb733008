//! The command line, which `cargo xtask bench` hands over to.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::benchmarks;
use crate::instructions;
use crate::machine::Machine;
use crate::report::{self, Report};
use crate::roles::Role;
use crate::rounds::Sample;
use crate::stage::Stage;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", disable_help_subcommand = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run benchmarks beside their yardsticks
    Run(RunArgs),
    /// Count the instructions that an event takes, and compare them with their budget
    Instructions(instructions::Args),
    /// Play a part in one; a run starts these by itself
    #[command(hide = true)]
    Role { role: String },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The benchmarks to run, by name or by the beginning of names; none: all
    names: Vec<String>,
    /// List the benchmarks and end
    #[arg(long)]
    list: bool,
    /// Rounds of each side
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Seconds of a round
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    seconds: f64,
    /// Events of a round of delivery
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Events of the backlog that memory is measured with
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    lag: u64,
    /// A Kafka that runs already; by default one is started for the benchmarks
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// How the results are printed
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// The binary to measure
    #[arg(long, env = "POSTRIDER_BIN", value_name = "PATH", hide_env = true)]
    postrider: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// The program.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Instructions(args) => instructions::run(&args, say),
        Command::Role { role } => play(&role),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn play(role: &str) -> Result<()> {
    let role: Role = serde_json::from_str(role).context("a role is started by a run")?;
    let name = role.name();
    role.play().with_context(|| format!("the {name}"))
}

fn run(args: &RunArgs) -> Result<()> {
    let chosen = benchmarks::all()
        .into_iter()
        .filter(|benchmark| {
            args.names.is_empty() || args.names.iter().any(|name| benchmark.name().starts_with(name.as_str()))
        })
        .collect::<Vec<_>>();
    if args.list {
        for benchmark in &chosen {
            say(&format!("{:<14} {}", benchmark.name(), benchmark.about()))?;
        }
        return Ok(());
    }
    if chosen.is_empty() {
        bail!("no benchmark has such a name; --list shows them");
    }
    if !(args.seconds >= 0.1 && args.seconds <= 3600.0) {
        bail!("--seconds takes 0.1 to 3600");
    }
    let machine = Machine::look(&args.postrider)?;
    if args.output == Output::Table {
        say(&machine.line())?;
    }
    let stage = Stage::new(args.kafka.clone(), args.postrider.clone(), args.seconds, args.events, args.lag);
    let mut reports = Vec::new();
    for benchmark in chosen {
        note(&format!("── {}: {}", benchmark.name(), benchmark.about()));
        let told = |label: &str, round: usize, sample: &Result<Sample>| {
            note(&format!("   round {round}, {label}: {}", report::sample(sample)));
        };
        let report = Report::of(benchmark.as_ref(), &stage, usize::from(args.rounds), told);
        if args.output == Output::Table {
            say(&report.table())?;
        }
        reports.push(report);
    }
    if args.output == Output::Json {
        say(&format!("{:#}", report::json(&reports, &machine)))?;
    }
    Ok(())
}

/// Results go to standard output,
fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// and what happens meanwhile to standard error.
fn note(line: &str) {
    // With standard error gone there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "{line}"));
}
