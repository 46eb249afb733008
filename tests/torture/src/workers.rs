//! Starting workers and listening to them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;

use crate::told::Told;
use crate::worker::Plan;

/// Longer than any step of a worker may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running worker.
pub(crate) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    told: Receiver<Told>,
    reader: JoinHandle<()>,
    heard: Vec<Told>,
}

/// How a worker ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Log A.
    pub(crate) told: Vec<Told>,
}

/// The command that runs a worker; `program` is this very program.
pub(crate) fn command(program: &Path, directory: &Path, plan: Plan) -> Command {
    let mut command = Command::new(program);
    let workload = plan.workload.to_possible_value();
    let workload = workload.as_ref().map_or("mix", |value| value.get_name());
    command.arg("work").arg(directory).args(["--workload", workload]);
    command.args(["--run", &plan.run.to_string(), "--seed", &plan.seed.to_string()]);
    if plan.gated {
        command.arg("--gated");
    }
    command
}

impl Worker {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let stdout = child.stdout.take().context("standard output was asked for")?;
        let (send, told) = channel();
        // It reads to the end of the pipe: what was told before a kill stays there.
        let read = move || {
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                match Told::parse(&line) {
                    Some(told) if send.send(told).is_ok() => {}
                    _ => return,
                }
            }
        };
        let reader = std::thread::Builder::new().name("log-a".into()).spawn(read)?;
        Ok(Self { stdin: child.stdin.take(), child, told, reader, heard: Vec::new() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has told this. `false`: it ended before.
    pub(crate) fn until(&mut self, awaited: Told) -> Result<bool> {
        loop {
            match self.told.recv_timeout(PATIENCE) {
                Ok(told) => {
                    self.heard.push(told);
                    if told == awaited {
                        return Ok(true);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {
                    drop(self.child.kill());
                    return Err(anyhow!("a worker hangs: it never told {awaited}"));
                }
            }
        }
    }

    /// Lets a gated worker begin.
    pub(crate) fn open_the_gate(&mut self) {
        use std::io::Write;
        if let Some(mut stdin) = self.stdin.take() {
            // A worker that is gone already is noticed by how it ended.
            drop(stdin.write_all(b"\n"));
        }
    }

    /// SIGKILL, now.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
    }

    /// Waits for its end and returns all that it told.
    pub(crate) fn end(mut self) -> Result<Ended> {
        let status = self.child.wait()?;
        self.reader.join().map_err(|_| anyhow!("log A cannot be read"))?;
        self.heard.extend(self.told.try_iter());
        Ok(Ended { status, told: self.heard })
    }
}
