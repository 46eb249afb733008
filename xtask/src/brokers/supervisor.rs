//! Owns a broker until it is told to end it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use brokers::kafka::{Kafka, Options, Tuning};

use super::state::State;
use super::{Up, tell_address};
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
        tell_address(state);
        say("Ctrl-C ends it");
    })
}

fn serve(directory: &Path, up: Up, ready: impl FnOnce(&State)) -> Result<()> {
    say(&format!("starting Apache Kafka, {} node{}", up.nodes, if up.nodes == 1 { "" } else { "s" }));
    let kafka = Kafka::start(Options {
        nodes: up.nodes,
        port: up.port,
        tuning: Tuning::Load,
        progress: say,
        ..Options::default()
    })?;
    let orders = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let token = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
    let state = State { bootstrap: kafka.bootstrap().to_owned(), control: orders.local_addr()?, token };
    state.write(directory)?;
    ready(&state);
    for stream in orders.incoming().flatten() {
        match order(&stream, &state.token).as_deref() {
            Some("status") => answer(&stream, &tell(&kafka)),
            Some("stop") => {
                drop(kafka);
                State::remove(directory);
                answer(&stream, "stopped");
                return Ok(());
            }
            // Somebody who has lost the way, or was not let in.
            _ => {}
        }
    }
    Ok(())
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

fn tell(kafka: &Kafka) -> String {
    let node = |node: &brokers::kafka::Node| {
        format!("node {} {}", node.id(), if node.is_running() { "runs" } else { "is dead" })
    };
    let nodes: Vec<String> = kafka.nodes().iter().map(node).collect();
    format!("{}; its data and logs are in {}", nodes.join(", "), kafka.directory().display())
}
