//! How long a stranger waits: from the README's first command in a fresh clone, with nothing built, until the first event
//! is delivered.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{Benchmark, Check};
use crate::rounds::{Figure, Prepared, Sample, Side};
use crate::sidecar::{bound_to_us, free_address};
use crate::stage::Stage;

const FIRST: &str = "cargo run … dev";
/// Longest wait for the first delivery.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(super) struct Cold;

impl Benchmark for Cold {
    fn name(&self) -> &'static str {
        "cold"
    }

    fn about(&self) -> &'static str {
        "from the README's first command in a fresh clone of what is committed, crates fetched and nothing built, to the first event delivered"
    }

    fn sides(&self, _: &Stage) -> Vec<Prepared> {
        vec![Prepared::new(FIRST, Ok(FirstCommand))]
    }

    fn checks(&self) -> Vec<Check> {
        vec![Check::at_most("s until the first event is delivered", FIRST, Figure::DeliveredS, 240.0)]
    }

    /// Nothing is learnt from building it again.
    fn rounds(&self, _: usize) -> usize {
        1
    }
}

struct FirstCommand;

impl Side for FirstCommand {
    fn round(&mut self) -> Result<Sample> {
        let place = TempDir::with_prefix("postrider-bench-cold-")?;
        let clone = place.path().join("clone");
        succeed(Command::new("git").args(["clone", "--quiet", "--no-hardlinks", "."]).arg(&clone))?;
        succeed(cargo(&clone).args(["fetch", "--locked"]))?;
        let began = Instant::now();
        let mut dev = Dev::start(place.path(), &clone)?;
        dev.publish(began)?;
        dev.wait_for("delivered", began)?;
        Ok(vec![(Figure::DeliveredS, began.elapsed().as_secs_f64())])
    }
}

/// Cargo as a stranger has it: with a target directory in the clone, and without what configures ours.
fn cargo(clone: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    without_ours(&mut cargo);
    cargo.current_dir(clone);
    cargo
}

fn without_ours(cargo: &mut Command) {
    for ours in ["CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "RUSTFLAGS", "POSTRIDER_CONFIG", "RUSTUP_TOOLCHAIN"]
    {
        cargo.env_remove(ours);
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// The README's first command, which builds and then becomes `postrider dev`. Ends with us, or when it is dropped.
struct Dev {
    child: Child,
    app: SocketAddr,
    lines: Receiver<String>,
    errors: std::path::PathBuf,
    _reading: JoinHandle<()>,
}

impl Dev {
    fn start(place: &Path, clone: &Path) -> Result<Self> {
        let words =
            ["cargo", "run", "--locked", "--no-default-features", "--features", "embedded", "--", "dev"];
        let mut command = bound_to_us(&words.map(Into::into))?;
        without_ours(&mut command);
        let app = free_address()?;
        command.arg("--data").arg(place.join("data")).args(["--listen", &app.to_string()]);
        for listener in ["--admin-listen", "--health-listen", "--webhook"] {
            command.args([listener, &free_address()?.to_string()]);
        }
        let errors = place.join("errors.log");
        command.current_dir(clone).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&errors)?);
        let mut child = command.spawn().context("cargo cannot be started")?;
        let output = child.stdout.take().context("its output is ours")?;
        let (told, lines) = mpsc::channel();
        let read = move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    break;
                }
            }
        };
        // It ends with the child's output.
        let reading = std::thread::Builder::new().name("output of dev".into()).spawn(read)?;
        Ok(Self { child, app, lines, errors, _reading: reading })
    }

    /// Publishes an event as soon as that succeeds.
    fn publish(&mut self, began: Instant) -> Result<()> {
        while !publish(self.app).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", self.last_words());
            }
            ensure!(began.elapsed() < PATIENCE, "it takes no event: {}", self.last_words());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits for a line with this word.
    fn wait_for(&self, word: &str, began: Instant) -> Result<()> {
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
                Ok(line) if line.contains(word) => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("nothing was {word}: {}", self.last_words()),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended: {}", self.last_words()),
            }
        }
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn publish(app: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(app)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = "POST /v1/topics/orders.created/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                   content-length: 2\r\nconnection: close\r\n\r\n{}";
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
