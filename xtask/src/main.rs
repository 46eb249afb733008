//! The project's own commands. `cargo xtask` is an alias, in `.cargo/config.toml`.

mod bench;
mod brokers;
mod fuzz;
mod generated;
mod instructions;
mod machine;
mod mutants;
mod run;
mod simulate;
mod test;
mod tidy;
mod torture;
mod workshop;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Postrider's own commands, beside those of cargo.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    max_term_width = 110
)]
#[command(
    after_help = "A change is ready when `.ci/run` passes: formatting, lints, docs, dependency policy, tidy, the drift check, the tests, the mutants of the binary, the budget of instructions and a minute of each fuzz target."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the tests: all of them, or the parts that are named
    ///
    /// Builds the binary, runs every test against it and ends with a summary. Starts one Kafka for all tests that need
    /// one, from Docker or on Java 17 with Maven, unless POSTRIDER_KAFKA names one. No fixed port; nothing stays behind.
    #[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test unit\n  \
        cargo xtask test promises -- kill_9       # only tests whose name contains this\n  \
        POSTRIDER_SEED=42 cargo xtask test promises    # repeat a failure that printed its seed")]
    Test {
        /// The parts to run
        #[arg(value_enum, value_name = "PART")]
        parts: Vec<test::Part>,
        /// Handed to the test programs: a name to filter by, --nocapture, --test-threads N
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
        /// Leave out what needs Kafka or Pub/Sub: then a Rust toolchain and a C linker are enough
        #[arg(long)]
        no_brokers: bool,
    },
    /// Measure Postrider beside its yardsticks, in the same run: CPU per event first, then rates, latency and memory
    ///
    /// Builds for release. docs/benchmarks.md tells what the numbers mean. Nothing is asserted: what is told is how
    /// Postrider compares with the least that could do the same work, on this machine, now.
    #[command(
        disable_help_flag = true,
        after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench single deliver-1 --rounds 5\n  \
        cargo xtask bench --list\n  cargo xtask bench -o json > figures.json\n  cargo xtask bench --help"
    )]
    Bench {
        /// The benchmarks to run, and options: --help shows them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME")]
        arguments: Vec<String>,
    },
    /// Torture the durable log: kills at any moment, at every system call, and power losses, each judged by what was told
    ///
    /// A worker appends, settles, rotates and compacts on a directory and tells what the log has acknowledged. It is
    /// killed, recovered, killed while it recovers, and then judged: every acknowledged record is there, whole, in order
    /// and at its position; what was settled durably is settled, and nothing else is. The last line tells how many
    /// cycles, events and kills there were, and how much was lost. Exits with 1 when anything was, keeps the directory
    /// and tells the seed. Leaves out, and says so, what needs strace where that is not here.
    #[command(
        disable_help_flag = true,
        after_help = "Examples:\n  cargo xtask torture\n  cargo xtask torture --cycles 2000      # some minutes\n  \
        cargo xtask torture --seed 42          # the same work and kills, as far as the clock repeats itself\n  \
        cargo xtask torture --directory /mnt/data    # on the disk that matters\n  cargo xtask torture --help"
    )]
    Torture {
        /// Options: --help shows them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
        arguments: Vec<String>,
    },
    /// Fuzz every parser, or the targets that are named, led by coverage; the stable toolchain is enough
    ///
    /// As many targets at once as there are cores. What was found to reach more is kept in the target directory and is
    /// where the next run begins. A failure tells the command that shows it again.
    #[command(
        after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz event_json config --seconds 600\n  \
        cargo xtask fuzz event_json --input crash-0123    # run one input, a failed one, again"
    )]
    Fuzz {
        /// The targets: names of files in fuzz/targets
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
        /// Seconds for each target
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u64,
        /// Run the one target on this file, and nothing else
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
    },
    /// Run the delivery engine and the publish path over a broker that misbehaves, in virtual time, seed by seed
    ///
    /// Each seed brings crashes, revocations, recalls, rewinds, duplicates, lost and late answers, outages, sick and slow
    /// webhooks, storms of 429, clock steps, reconfigurations, redrives and shutdowns; then nothing fails any more, and all
    /// must come to rest. Every step is held against the rules of docs/reliability.md. The same seed gives the same trace,
    /// byte for byte. Exit 1: a promise is broken; the seed, the trace and the command that repeats it are printed.
    ///
    /// A mutant is the product with one rule broken, built apart from the clone. It must be caught.
    #[command(after_help = "Examples:\n  cargo xtask simulate --seeds 100000\n  \
        cargo xtask simulate --seed 4711 --seeds 1     # repeat a seed, with its trace\n  \
        cargo xtask simulate --mutants                 # `caught n of n`, or exit 1\n  \
        cargo xtask simulate --mutant overlap-attempts # exits 1: it is caught")]
    Simulate(simulate::Options),
    /// Break the built binary on purpose, one promise at a time: the black-box tests must notice
    ///
    /// A mutant is the product with one rule broken outside of the engine (`simulate --mutants` breaks that), built apart
    /// from the clone, with the embedded driver alone. First the product as it is has to pass the tests. Then each
    /// mutant's test has to fail, and to name what is broken: a test that fails for another reason does not count. Says
    /// what is left out where strace is not here. The last line is `caught n of n`; exit 1 below that.
    ///
    /// MISSED means a hole in the tests: have the test judge more, or judge it sooner.
    #[command(after_help = "Examples:\n  cargo xtask mutants\n  cargo xtask mutants --list\n  \
        cargo xtask mutants delivery-reset-is-done log-settles-not-written")]
    Mutants(mutants::Options),
    /// Count the instructions that an event takes, published and delivered, and fail where they exceed their budget by a tenth
    ///
    /// Runs the binary under valgrind's callgrind, with the embedded driver alone. The budget is benches/instructions.json;
    /// docs/performance.md tells what it is bound to.
    #[command(after_help = "Examples:\n  cargo xtask instructions\n  \
        cargo xtask instructions --profile-out /tmp/profiles   # callgrind_annotate's view of each case\n  \
        cargo xtask instructions --update                      # what is counted becomes the budget")]
    Instructions {
        /// Write what is counted as the new budget
        #[arg(long)]
        update: bool,
        /// Keep the profiles in this directory
        #[arg(long, value_name = "DIR")]
        profile_out: Option<PathBuf>,
    },
    /// Start and stop real brokers for development and measurements
    #[command(subcommand)]
    Brokers(brokers::Action),
    /// Find the programs that building and testing take, and install those that are missing
    ///
    /// On Debian and Ubuntu, as root, by apt-get; elsewhere it says what is missing. Go, which the Pub/Sub server takes
    /// without Docker, it only looks for. `test` begins with the same.
    Setup,
    /// Check the house rules that no compiler knows: arrows between crates, file sizes, banned words
    #[command(
        after_help = "Every violation is printed at once, as FILE:LINE: what is wrong and what to do instead."
    )]
    Tidy,
    /// Write the files that are generated from the code, such as the configuration's JSON Schema
    #[command(
        after_help = "Example:\n  cargo xtask schema --check      # fail where a committed file differs"
    )]
    Schema {
        /// Change nothing: fail where a committed file is not what the code generates
        #[arg(long)]
        check: bool,
    },
}

/// EX_USAGE of sysexits.h, as the product has it.
const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(told) => {
            // With standard error gone there is nobody left to tell.
            drop(told.print());
            return if told.use_stderr() { ExitCode::from(BAD_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = match command {
        Command::Bench { arguments } => bench::run(&root(), &arguments),
        Command::Instructions { update, profile_out } => instructions::run(&root(), update, profile_out),
        Command::Test { parts, arguments, no_brokers } => test::run(&parts, &arguments, !no_brokers),
        Command::Torture { arguments } => torture::run(&root(), &arguments),
        Command::Brokers(action) => brokers::run(action),
        Command::Fuzz { targets, seconds, input } => fuzz::run(&root(), &targets, seconds, input.as_deref()),
        Command::Setup => machine::setup().map(|()| true),
        Command::Tidy => tidy::run(&root()),
        Command::Simulate(options) => simulate::run(&root(), &options),
        Command::Mutants(options) => mutants::run(&root(), &options),
        Command::Schema { check } => generated::run(&root(), check),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            run::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace's directory.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}
