//! Google Pub/Sub's server side, in memory: what it keeps is lost when it ends.
//!
//! From Docker it is Google's emulator, else a program in Go around Google's fake of the service; what that does not
//! model stands in `tests/brokers/pubsub/README.md`.

mod build;
pub mod rest;
mod runtime;
mod shared;

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub use shared::{SHARED_PUBSUB, Shared, shared};

use crate::scratch::Scratch;
use crate::{docker, ports};
use runtime::{Runtime, Server};

/// A project to name in tests. The server takes every other one too, without being told of it.
pub const PROJECT: &str = "postrider";
/// Of every directory that a server has its log in.
const PREFIX: &str = "postrider-pubsub-";
/// How often other ports are tried, where somebody took one between our asking and the server's listening.
const ATTEMPTS: u32 = 3;
/// For a start on a machine that has much else to do; a container may be slow.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// A server to start.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A free one by default.
    pub port: Option<u16>,
    /// Told what takes long: downloads, the first build.
    pub progress: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self { port: None, progress: |_| {} }
    }
}

/// A running server. It is killed when this is dropped or this process ends.
#[derive(Debug)]
pub struct Pubsub {
    address: String,
    port: u16,
    runtime: Runtime,
    server: Mutex<Option<Server>>,
    scratch: Scratch,
}

/// Fetches or builds what [`Pubsub::start`] would, and starts nothing.
pub fn prefetch(progress: fn(&str)) -> Result<()> {
    Runtime::find(progress).map(drop)
}

/// Whether this machine has a container engine or Go, one of which it takes.
pub fn is_possible() -> bool {
    is_possible_with_go() || docker::is_possible()
}

/// Whether this machine has Go, which a server without Docker takes.
pub fn is_possible_with_go() -> bool {
    build::go().is_some()
}

impl Pubsub {
    /// Starts a server and waits until it answers: a tenth of a second, or a minute or two the first time on a machine.
    pub fn start(options: Options) -> Result<Self> {
        let runtime = Runtime::find(options.progress)?;
        let mut attempt = 1;
        loop {
            match Self::attempt(&runtime, options.port) {
                Err(_) if options.port.is_none() && attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    fn attempt(runtime: &Runtime, port: Option<u16>) -> Result<Self> {
        let port = match port {
            Some(port) => port,
            None => ports::free(1)?[0],
        };
        ensure!(ports::is_free(port), "port {port} of 127.0.0.1 is taken; choose another one");
        let started = Self {
            address: format!("127.0.0.1:{port}"),
            port,
            runtime: runtime.clone(),
            server: Mutex::new(None),
            scratch: Scratch::new(PREFIX)?,
        };
        started.spawn()?;
        Ok(started)
    }

    /// `host:port`, for both gRPC and HTTP/JSON, neither of them with TLS.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://host:port`, as Google's clients want it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL, now; returns when it is gone, and with it all topics, subscriptions and messages.
    pub fn kill(&self) -> Result<()> {
        match self.server().take() {
            Some(server) => server.kill(&self.scratch),
            None => Ok(()),
        }
    }

    /// SIGSTOP: it keeps its connections and answers nobody.
    pub fn pause(&self) -> Result<()> {
        self.server().as_ref().context("the server does not run")?.pause()
    }

    /// SIGCONT, after [`Pubsub::pause`].
    pub fn resume(&self) -> Result<()> {
        self.server().as_ref().context("the server does not run")?.resume()
    }

    /// Starts it anew on the same port, empty, after [killing](Pubsub::kill) it where it runs, and waits until it answers.
    pub fn restart(&self) -> Result<()> {
        self.kill()?;
        self.spawn()
    }

    /// Whether its process runs (a paused one does).
    pub fn is_running(&self) -> bool {
        self.server().as_mut().is_some_and(Server::is_running)
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        let log = fs::read(runtime::log(self.scratch.path())).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> Result<()> {
        *self.server() = Some(self.runtime.serve(&self.scratch, self.port)?);
        self.until_ready()
    }

    fn until_ready(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            let answered = rest::call(&self.address, "GET", &format!("/v1/projects/{PROJECT}/topics"), "");
            let runs = self.is_running();
            match answered {
                Ok(answer) if answer.status == 200 && runs => return Ok(()),
                _ if !runs => bail!("the Pub/Sub server died as it started; its log:\n{}", self.log()),
                _ if began.elapsed() > START_PATIENCE => bail!(
                    "the Pub/Sub server does not answer after {} s; its log:\n{}",
                    START_PATIENCE.as_secs(),
                    self.log()
                ),
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Pubsub {
    fn drop(&mut self) {
        // A process that cannot be killed is one that is gone.
        drop(self.kill());
    }
}
