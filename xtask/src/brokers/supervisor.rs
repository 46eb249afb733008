//! Owns a broker until it is told to end it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use brokers::kafka::{self, Kafka};
use brokers::pubsub::{self, Pubsub};

use super::state::State;
use super::{Broker, Up, tell_address};
use crate::run::say;

const ORDER_BYTES_MAX: u64 = 200;
const ORDER_PATIENCE: Duration = Duration::from_secs(5);

/// In a session of its own: neither a closed terminal nor Ctrl-C reaches it.
pub(super) fn detached(directory: &Path, up: Up) -> Result<()> {
    rustix::process::setsid()?;
    serve(directory, up, |_| {})
}

pub(super) fn foreground(directory: &Path, up: Up) -> Result<()> {
    serve(directory, up, |state| {
        tell_address(up.broker, state);
        say("Ctrl-C ends it");
    })
}

/// What is owned.
enum Owned {
    Kafka(Kafka),
    Pubsub(Pubsub),
}

fn serve(directory: &Path, up: Up, ready: impl FnOnce(&State)) -> Result<()> {
    let owned = Owned::start(up)?;
    let orders = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let token = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
    let state = State { address: owned.address().to_owned(), control: orders.local_addr()?, token };
    state.write(directory, up.broker)?;
    ready(&state);
    for stream in orders.incoming().flatten() {
        match order(&stream, &state.token).as_deref() {
            Some("status") => answer(&stream, &owned.tell()),
            Some("stop") => {
                drop(owned);
                State::remove(directory, up.broker);
                answer(&stream, "stopped");
                return Ok(());
            }
            // Somebody who has lost the way, or was not let in.
            _ => {}
        }
    }
    Ok(())
}

impl Owned {
    fn start(up: Up) -> Result<Self> {
        match up.broker {
            Broker::Kafka => {
                say(&format!(
                    "starting Apache Kafka, {} node{}",
                    up.nodes,
                    if up.nodes == 1 { "" } else { "s" }
                ));
                let options = kafka::Options {
                    nodes: up.nodes,
                    port: up.port,
                    tuning: kafka::Tuning::Load,
                    progress: say,
                    ..kafka::Options::default()
                };
                Ok(Self::Kafka(Kafka::start(options)?))
            }
            Broker::Pubsub => {
                say("starting a Pub/Sub server");
                Ok(Self::Pubsub(Pubsub::start(pubsub::Options { port: up.port, progress: say })?))
            }
        }
    }

    fn address(&self) -> &str {
        match self {
            Self::Kafka(kafka) => kafka.bootstrap(),
            Self::Pubsub(pubsub) => pubsub.address(),
        }
    }

    fn tell(&self) -> String {
        let state = |runs: bool| if runs { "runs" } else { "is dead" };
        match self {
            Self::Kafka(kafka) => {
                let node = |node: &kafka::Node| format!("node {} {}", node.id(), state(node.is_running()));
                let nodes: Vec<String> = kafka.nodes().iter().map(node).collect();
                format!("{}; its data and logs are in {}", nodes.join(", "), kafka.directory().display())
            }
            Self::Pubsub(pubsub) => {
                format!("the server {}; its data is in its memory", state(pubsub.is_running()))
            }
        }
    }
}

/// What a client wants that knows the token.
fn order(stream: &TcpStream, token: &str) -> Option<String> {
    stream.set_read_timeout(Some(ORDER_PATIENCE)).ok()?;
    let mut line = String::new();
    BufReader::new(stream.take(ORDER_BYTES_MAX)).read_line(&mut line).ok()?;
    let (given, order) = line.trim_end().split_once(' ')?;
    (given == token).then(|| order.to_owned())
}

fn answer(mut stream: &TcpStream, line: &str) {
    // A client that has gone need not be told.
    drop(writeln!(stream, "{line}"));
}
