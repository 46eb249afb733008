//! `cargo xtask brokers`: real brokers for development and measurements, in the background.
//!
//! ```text
//! brokers up ──starts──▶ supervisor (this program, detached) ──owns──▶ Kafka, or a Pub/Sub server
//!                          ▲ writes {target}/brokers/{broker}.json: where it listens, and its token
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
use brokers::pubsub::SHARED_PUBSUB;
use clap::{Args, Subcommand, ValueEnum};

use crate::run::say;
use state::State;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start a broker in the background and print where it is
    ///
    /// Apache Kafka 4.x, each node both broker and controller, from Docker where an engine runs, else from its Maven
    /// artifacts on Java 17 or later. The first start on a machine downloads 54 MB and takes a minute, the others some
    /// seconds.
    ///
    /// Google Pub/Sub: Google's emulator from Docker where an engine runs, else a program around Google's fake of the
    /// service, which takes Go to build. What that does not model: tests/brokers/pubsub/README.md.
    ///
    /// It listens on loopback only; `brokers down` ends it, and its data goes with it.
    #[command(after_help = "Examples:\n  cargo xtask brokers up kafka\n  \
        cargo xtask brokers up kafka --nodes 3          # a cluster that replicates everything thrice\n  \
        cargo xtask brokers up kafka --port 9092        # where tools look for it by default\n  \
        cargo xtask brokers up kafka --foreground       # until Ctrl-C\n  \
        cargo xtask brokers up pubsub --port 8085       # gRPC and HTTP/JSON on one port\n\n\
        Tests use the ones that POSTRIDER_KAFKA and POSTRIDER_PUBSUB name (host:port), and start their own where they \
        name none.")]
    Up(Up),
    /// End the brokers that `up` started, or the one that is named, and remove their data
    Down(Which),
    /// Tell which brokers run, and where; fails where none does, or the one that is named does not
    Status(Which),
    /// Download and build what `up` and the tests need, for all or the one that is named, and start nothing
    Fetch(Which),
    /// What `up` leaves in the background
    #[command(hide = true)]
    Supervise(Up),
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Up {
    #[arg(value_enum, value_name = "BROKER")]
    broker: Broker,
    /// How many nodes of Kafka: 1, or 3
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
    Pubsub,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Which {
    /// By default all
    #[arg(value_enum, value_name = "BROKER")]
    broker: Option<Broker>,
}

impl Broker {
    fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Pubsub => "pubsub",
        }
    }
}

impl Which {
    fn brokers(self) -> impl Iterator<Item = Broker> {
        Broker::value_variants()
            .iter()
            .copied()
            .filter(move |broker| self.broker.is_none_or(|one| one == *broker))
    }
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
        Action::Down(which) => down(&directory, which).map(|()| true),
        Action::Status(which) => Ok(status(&directory, which)),
        Action::Fetch(which) => {
            for broker in which.brokers() {
                match broker {
                    Broker::Kafka => brokers::kafka::prefetch(say)?,
                    Broker::Pubsub => brokers::pubsub::prefetch(say)?,
                }
                say(&format!("{}: everything that it needs is here", broker.name()));
            }
            Ok(true)
        }
    }
}

fn start(directory: &Path, up: Up) -> Result<()> {
    if let Some((state, told)) = State::running(directory, up.broker) {
        say(&format!("it runs already: {told}"));
        tell_address(up.broker, &state);
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    if up.foreground {
        return supervisor::foreground(directory, up);
    }
    State::remove(directory, up.broker);
    let log = directory.join(format!("{}.log", up.broker.name()));
    let mut supervisor = spawn(up, &log)?;
    let mut shown = 0;
    loop {
        shown += follow(&log, shown);
        if let Some((state, _)) = State::running(directory, up.broker) {
            tell_address(up.broker, &state);
            say(&format!("cargo xtask brokers down {}    # ends it and removes its data", up.broker.name()));
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
    command.args(["brokers", "supervise", up.broker.name(), "--nodes", &up.nodes.to_string()]);
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

fn tell_address(broker: Broker, state: &State) {
    let address = &state.address;
    say(&format!("{}: {address}", broker.name()));
    match broker {
        Broker::Kafka => say(&format!("export {SHARED_KAFKA}={address}    # has tests use it")),
        Broker::Pubsub => {
            say(&format!("export {SHARED_PUBSUB}={address}    # has tests use it"));
            say(&format!("export PUBSUB_EMULATOR_HOST={address}    # has Google's tools use it"));
        }
    }
}

fn down(directory: &Path, which: Which) -> Result<()> {
    let mut ran = false;
    for broker in which.brokers() {
        if let Some((state, _)) = State::running(directory, broker) {
            state.ask("stop")?;
            say(&format!("{} has ended and its data is gone", broker.name()));
            ran = true;
        }
        State::remove(directory, broker);
    }
    if !ran {
        say("no broker runs");
    }
    Ok(())
}

fn status(directory: &Path, which: Which) -> bool {
    let mut runs = false;
    for broker in which.brokers() {
        if let Some((state, told)) = State::running(directory, broker) {
            say(&told);
            tell_address(broker, &state);
            runs = true;
        }
    }
    if !runs {
        let name = which.broker.unwrap_or(Broker::Kafka).name();
        say(&format!("no broker runs; start one with: cargo xtask brokers up {name}"));
    }
    runs
}
