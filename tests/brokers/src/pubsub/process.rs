//! A process that serves a port, and what may happen to it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::rest;
use crate::scratch::Scratch;
use crate::{bound, docker, ports};

/// Of every directory that a process has its log in.
const PREFIX: &str = "postrider-pubsub-";
/// How often other ports are tried, where somebody took one between our asking and the process's listening.
const ATTEMPTS: u32 = 3;
/// For a start on a machine that has much else to do; a container may be slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to run. To a program `--port PORT` is added.
#[derive(Clone, Debug)]
pub(super) enum Recipe {
    Program {
        program: PathBuf,
        arguments: Vec<String>,
    },
    /// A command line inside of an image, and the port that it serves there.
    Container {
        image: &'static str,
        line: String,
        port: u16,
    },
}

/// A process. It is killed when this is dropped or our process ends.
#[derive(Debug)]
pub(super) struct Process {
    recipe: Recipe,
    port: u16,
    address: String,
    /// A path that answers 200 once it is ready.
    probe: String,
    running: Mutex<Option<Running>>,
    scratch: Scratch,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// The name of the container that it stands for.
    container: Option<String>,
}

impl Process {
    /// Starts it on this port of 127.0.0.1, or on a free one, and waits until it answers.
    pub(super) fn start(recipe: &Recipe, port: Option<u16>, probe: &str) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::attempt(recipe, port, probe) {
                Err(_) if port.is_none() && attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    fn attempt(recipe: &Recipe, port: Option<u16>, probe: &str) -> Result<Self> {
        let port = match port {
            Some(port) => port,
            None => ports::free(1)?[0],
        };
        ensure!(ports::is_free(port), "port {port} of 127.0.0.1 is taken; choose another one");
        let process = Self {
            recipe: recipe.clone(),
            port,
            address: format!("127.0.0.1:{port}"),
            probe: probe.to_owned(),
            running: Mutex::new(None),
            scratch: Scratch::new(PREFIX)?,
        };
        process.spawn()?;
        Ok(process)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn kill(&self) -> Result<()> {
        let Some(mut running) = self.running().take() else { return Ok(()) };
        if matches!(running.child.try_wait(), Ok(None)) {
            match &running.container {
                None => running.child.kill()?,
                Some(_) => running.docker("kill")?,
            }
        }
        self.scratch.forget(running.child.id());
        running.child.wait()?;
        Ok(())
    }

    pub(super) fn pause(&self) -> Result<()> {
        self.running().as_ref().context("it does not run")?.signal(Signal::STOP, "pause")
    }

    pub(super) fn resume(&self) -> Result<()> {
        self.running().as_ref().context("it does not run")?.signal(Signal::CONT, "unpause")
    }

    pub(super) fn restart(&self) -> Result<()> {
        self.kill()?;
        self.spawn()
    }

    pub(super) fn is_running(&self) -> bool {
        let mut running = self.running();
        running.as_mut().is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.scratch.path().join("process.log")
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> Result<()> {
        let (mut command, container) = self.recipe.command(self.port);
        let log = fs::File::options().create(true).append(true).open(self.log_file())?;
        // Its standard input is a pipe that we hold: it ends with us.
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let child = bound::spawn(command).context("it cannot be started")?;
        self.scratch.watch(child.id());
        *self.running() = Some(Running { child, container });
        self.until_ready()
    }

    fn until_ready(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let answered = rest::call(&self.address, "GET", &self.probe, "");
            let runs = self.is_running();
            match answered {
                Ok(answer) if answer.status == 200 && runs => return Ok(()),
                _ if !runs => bail!("it died as it started; its log:\n{}", self.log()),
                _ if began.elapsed() > PATIENCE => {
                    bail!("it does not answer after {} s; its log:\n{}", PATIENCE.as_secs(), self.log())
                }
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that cannot be killed is one that is gone.
        drop(self.kill());
    }
}

impl Recipe {
    /// The command, and the name of the container that it starts.
    fn command(&self, port: u16) -> (Command, Option<String>) {
        match self {
            Self::Program { program, arguments } => {
                let mut command = bound::command(program);
                command.args(arguments).args(["--port", &port.to_string()]);
                (command, None)
            }
            Self::Container { image, line, port: inside } => {
                let name = format!("postrider-pubsub-{}-{:08x}", std::process::id(), fastrand::u32(..));
                let mut command = Command::new("docker");
                command.args(run_arguments(&name, image, line, port, *inside));
                (command, Some(name))
            }
        }
    }
}

impl Running {
    fn signal(&self, signal: Signal, order: &str) -> Result<()> {
        if self.container.is_some() {
            return self.docker(order);
        }
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

/// A container that lives as long as its standard input is open, with nothing else in it.
fn run_arguments(name: &str, image: &str, line: &str, port: u16, inside: u16) -> Vec<String> {
    let publish = format!("127.0.0.1:{port}:{inside}");
    let line = format!("{line} & cat > /dev/null");
    let arguments = ["run", "--rm", "--interactive", "--name", name, "--publish", &publish]
        .into_iter()
        .chain(["--entrypoint", "sh", image, "-c", &line]);
    arguments.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_listens_on_loopback_and_ends_with_its_input() {
        assert_eq!(
            run_arguments("n", "i", "serve", 15_001, 8085).join(" "),
            "run --rm --interactive --name n --publish 127.0.0.1:15001:8085 --entrypoint sh i -c serve & cat > /dev/null"
        );
    }
}
