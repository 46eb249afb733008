//! What is known of a broker in the background: a file in the target directory, so that each checkout has its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Broker;

/// A cluster of three that is asked to stop is killed, which takes no time; removing its data may.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// `host:port`, of several separated by commas.
    pub(super) address: String,
    /// Where the supervisor takes orders.
    pub(super) control: SocketAddr,
    /// What it takes them by: whoever can read this file may give them.
    pub(super) token: String,
}

/// `{target}/brokers`, beside the profile's directory that this program was built into.
pub(super) fn directory() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program has no path")?;
    let target = program.ancestors().nth(2).context("cargo puts this program into a target directory")?;
    Ok(target.join("brokers"))
}

fn file(directory: &Path, broker: Broker) -> PathBuf {
    directory.join(format!("{}.json", broker.name()))
}

impl State {
    /// That of the broker's supervisor, if it answers now, and its answer.
    pub(super) fn running(directory: &Path, broker: Broker) -> Option<(Self, String)> {
        let state = Self::parse(&fs::read_to_string(file(directory, broker)).ok()?)?;
        let told = state.ask("status").ok()?;
        Some((state, told))
    }

    pub(super) fn write(&self, directory: &Path, broker: Broker) -> Result<()> {
        let text = json!({
            "address": self.address,
            "control": self.control.to_string(),
            "token": self.token,
        });
        let partial = directory.join(format!("{}.partial", broker.name()));
        drop(fs::remove_file(&partial));
        let mut written = fs::File::options().write(true).create_new(true).mode(0o600).open(&partial)?;
        writeln!(written, "{text:#}")?;
        Ok(fs::rename(partial, file(directory, broker))?)
    }

    pub(super) fn remove(directory: &Path, broker: Broker) {
        // What is not there need not be removed.
        drop(fs::remove_file(file(directory, broker)));
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text = |name: &str| value[name].as_str();
        Some(Self {
            address: text("address")?.to_owned(),
            control: text("control")?.parse().ok()?,
            token: text("token")?.to_owned(),
        })
    }

    /// Gives the supervisor an order, and returns its answer once it is carried out.
    pub(super) fn ask(&self, order: &str) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.control, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{} {order}", self.token)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        ensure!(answer.ends_with('\n'), "the supervisor gives no answer to `{order}`");
        Ok(answer.trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_only_while_its_supervisor_answers() {
        let directory = std::env::temp_dir().join(format!("xtask-state-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let control = listener.local_addr().unwrap();
        let state = State { address: "127.0.0.1:1,127.0.0.1:2".into(), control, token: "secret".into() };
        state.write(&directory, Broker::Kafka).unwrap();
        assert_eq!(
            State::parse(&fs::read_to_string(file(&directory, Broker::Kafka)).unwrap()),
            Some(state.clone())
        );
        let answers = std::thread::Builder::new().spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut order = String::new();
            BufReader::new(&stream).read_line(&mut order).unwrap();
            writeln!(&stream, "fine").unwrap();
            order
        });
        assert_eq!(State::running(&directory, Broker::Pubsub), None, "each broker has its own");
        assert_eq!(State::running(&directory, Broker::Kafka), Some((state, "fine".to_owned())));
        assert_eq!(answers.unwrap().join().unwrap(), "secret status\n");
        assert_eq!(State::running(&directory, Broker::Kafka), None);
        fs::remove_dir_all(directory).unwrap();
    }
}
