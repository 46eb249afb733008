//! What a server runs on: a program of ours around Google's fake of the service, or Google's emulator in a container.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::build;
use crate::choice::{Choice, choice};
use crate::scratch::Scratch;
use crate::{bound, docker};

const IMAGE: &str = "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators";
/// The emulator's port, inside of its container.
const INSIDE: u16 = 8085;

#[derive(Clone, Debug)]
pub(super) enum Runtime {
    /// The program.
    Go(PathBuf),
    Docker,
}

impl Runtime {
    /// Docker where an engine answers, else the program, which takes Go to build.
    pub(super) fn find(progress: fn(&str)) -> Result<Self> {
        let choice = choice()?;
        if choice == Choice::Docker || choice == Choice::Best && docker::is_possible() {
            match docker::pull(IMAGE, progress) {
                Ok(()) => return Ok(Self::Docker),
                Err(error) if choice == Choice::Docker => return Err(error),
                Err(error) => progress(&format!("taking Go instead of Docker: {error:#}")),
            }
        }
        Ok(Self::Go(build::program(progress)?))
    }

    /// Starts a server on a port of 127.0.0.1. It is killed with us.
    pub(super) fn serve(&self, scratch: &Scratch, port: u16) -> Result<Server> {
        let log = std::fs::File::options().create(true).append(true).open(log(scratch.path()))?;
        let container = match self {
            Self::Go(_) => None,
            Self::Docker => {
                Some(format!("postrider-pubsub-{}-{:08x}", std::process::id(), fastrand::u32(..)))
            }
        };
        let mut command = match (self, &container) {
            (Self::Go(program), _) => {
                let mut command = bound::command(program);
                command.args(["serve", "--port", &port.to_string()]);
                command
            }
            (Self::Docker, name) => {
                let mut command = Command::new("docker");
                command.args(run_arguments(name.as_deref().unwrap_or_default(), port));
                command
            }
        };
        // Its standard input is a pipe that we hold: it ends with us.
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let child = bound::spawn(command).context("the Pub/Sub server cannot be started")?;
        scratch.watch(child.id());
        Ok(Server { child, container })
    }
}

/// Where a server in this directory writes what it has to say.
pub(super) fn log(directory: &Path) -> PathBuf {
    directory.join("server.log")
}

/// A server that runs, until it is [ended](Server::kill).
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    container: Option<String>,
}

impl Server {
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) fn kill(mut self, scratch: &Scratch) -> Result<()> {
        if self.is_running() {
            match &self.container {
                None => self.child.kill()?,
                Some(_) => self.docker("kill")?,
            }
        }
        scratch.forget(self.child.id());
        self.child.wait()?;
        Ok(())
    }

    pub(super) fn pause(&self) -> Result<()> {
        if self.container.is_some() { self.docker("pause") } else { self.signal(Signal::STOP) }
    }

    pub(super) fn resume(&self) -> Result<()> {
        if self.container.is_some() { self.docker("unpause") } else { self.signal(Signal::CONT) }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    fn docker(&self, order: &str) -> Result<()> {
        let done = docker::run(&[order, self.container.as_deref().unwrap_or_default()])?;
        ensure!(
            done.status.success(),
            "docker {order} fails: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        );
        Ok(())
    }
}

/// A container that lives as long as its standard input is open, with nothing but the emulator in it.
fn run_arguments(name: &str, port: u16) -> Vec<String> {
    let emulator =
        format!("gcloud beta emulators pubsub start --project=postrider --host-port=0.0.0.0:{INSIDE}");
    let publish = format!("127.0.0.1:{port}:{INSIDE}");
    let script = format!("{emulator} & cat > /dev/null");
    let arguments = [
        "run",
        "--rm",
        "--interactive",
        "--name",
        name,
        "--publish",
        &publish,
        "--entrypoint",
        "sh",
        IMAGE,
        "-c",
        &script,
    ];
    arguments.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_listens_on_loopback_and_ends_with_its_input() {
        let arguments = run_arguments("n", 15_001).join(" ");
        assert!(
            arguments.starts_with("run --rm --interactive --name n --publish 127.0.0.1:15001:8085 "),
            "{arguments}"
        );
        assert!(arguments.ends_with("--host-port=0.0.0.0:8085 & cat > /dev/null"), "{arguments}");
    }
}
