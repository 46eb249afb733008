//! `cargo xtask brokers`: real brokers for development and measurements, in the background.
//!
//! ```text
//! brokers up ──starts──▶ supervisor (this program, detached) ──owns──▶ Kafka
//!                          ▲ writes {target}/brokers/kafka.json: where it listens, and its token
//! brokers down, status ────┘ one line over loopback
//! ```

mod state;
mod supervisor;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use brokers::SHARED_KAFKA;
use clap::{Args, Subcommand, ValueEnum};

use crate::run::say;
use state::State;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start a broker in the background and print where it is
    ///
    /// Apache Kafka 4.x, each node both broker and controller, from Docker where an engine runs, else from its Maven
    /// artifacts on Java 17 or later. The first start on a machine downloads 54 MB and takes a minute, the others some
    /// seconds. It listens on loopback only; `brokers down` ends it, and its data goes with it.
    #[command(after_help = "Examples:\n  cargo xtask brokers up kafka\n  \
        cargo xtask brokers up kafka --nodes 3          # a cluster that replicates everything thrice\n  \
        cargo xtask brokers up kafka --port 9092        # where tools look for it by default\n  \
        cargo xtask brokers up kafka --foreground       # until Ctrl-C\n\n\
        Tests use the one that POSTRIDER_KAFKA names (host:port), and start their own where it names none.")]
    Up(Up),
    /// End the broker that `up` started, and remove its data
    Down,
    /// Tell whether a broker runs, and where; fails where none does
    Status,
    /// Download what `up` and the tests need, and start nothing
    Fetch,
    /// What `up` leaves in the background
    #[command(hide = true)]
    Supervise(Up),
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Up {
    #[arg(value_enum, value_name = "BROKER")]
    broker: Broker,
    /// How many nodes: 1, or 3
    #[arg(long, default_value_t = 1, value_parser = nodes)]
    nodes: u16,
    /// The first node's port; the others' follow. Free ones by default
    #[arg(long)]
    port: Option<u16>,
    /// Stay in the foreground; Ctrl-C ends it
    #[arg(long)]
    foreground: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Broker {
    Kafka,
}

fn nodes(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|n| matches!(n, 1 | 3)).ok_or_else(|| "it is 1 or 3".to_owned())
}

/// Whether it is as wished: `status` fails where nothing runs.
pub(crate) fn run(action: Action) -> Result<bool> {
    let directory = state::directory()?;
    match action {
        Action::Up(up) => start(&directory, up).map(|()| true),
        Action::Supervise(up) => supervisor::detached(&directory, up).map(|()| true),
        Action::Down => down(&directory).map(|()| true),
        Action::Status => Ok(status(&directory)),
        Action::Fetch => {
            brokers::kafka::prefetch(say)?;
            say("everything that a Kafka needs is here");
            Ok(true)
        }
    }
}

fn start(directory: &Path, up: Up) -> Result<()> {
    if let Some((state, told)) = State::running(directory) {
        say(&format!("it runs already: {told}"));
        tell_address(&state);
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    if up.foreground {
        return supervisor::foreground(directory, up);
    }
    State::remove(directory);
    let log = directory.join("kafka.log");
    let mut supervisor = spawn(up, &log)?;
    let mut shown = 0;
    loop {
        shown += follow(&log, shown);
        if let Some((state, _)) = State::running(directory) {
            tell_address(&state);
            say("cargo xtask brokers down    # ends it and removes its data");
            return Ok(());
        }
        if supervisor.try_wait()?.is_some() {
            follow(&log, shown);
            bail!("the broker did not start");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts this program again, to stay when we end.
fn spawn(up: Up, log: &Path) -> Result<Child> {
    let file = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["brokers", "supervise", "kafka", "--nodes", &up.nodes.to_string()]);
    if let Some(port) = up.port {
        command.args(["--port", &port.to_string()]);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    command.spawn().context("the supervisor cannot be started")
}

/// Prints the whole lines of a log behind its first `from` bytes, and returns how many bytes that were.
fn follow(log: &Path, from: usize) -> usize {
    let text = fs::read(log).unwrap_or_default();
    let new = text.get(from..).unwrap_or_default();
    let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    for line in String::from_utf8_lossy(&new[..whole]).lines() {
        say(line);
    }
    whole
}

fn tell_address(state: &State) {
    say(&format!("kafka: {}", state.bootstrap));
    say(&format!("export {SHARED_KAFKA}={}    # has tests use it", state.bootstrap));
}

fn down(directory: &Path) -> Result<()> {
    match State::running(directory) {
        Some((state, _)) => {
            state.ask("stop")?;
            say("the broker has ended and its data is gone");
        }
        None => say("no broker runs"),
    }
    State::remove(directory);
    Ok(())
}

fn status(directory: &Path) -> bool {
    let Some((state, told)) = State::running(directory) else {
        say("no broker runs; start one with: cargo xtask brokers up kafka");
        return false;
    };
    say(&told);
    tell_address(&state);
    true
}
