//! Google Pub/Sub's server side, in memory: what it keeps is lost when it ends.
//!
//! From Docker it is Google's emulator, else a program in Go around Google's fake of the service; what that does not
//! model stands in `tests/brokers/pubsub/README.md`.

mod build;
mod process;
mod proxy;
pub mod rest;
mod shared;

use anyhow::{Context, Result};

pub use proxy::{Code, Fault, Proxy};
pub use shared::{SHARED_PUBSUB, Shared, shared};

use crate::choice::{Choice, choice};
use crate::docker;
use process::{Process, Recipe};

/// A project to name in tests. The server takes every other one too, without being told of it.
pub const PROJECT: &str = "postrider";

const IMAGE: &str = "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators";
const EMULATOR: &str = "gcloud beta emulators pubsub start --project=postrider --host-port=0.0.0.0:8085";
/// The emulator's port, inside of its container.
const EMULATOR_PORT: u16 = 8085;

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
    process: Process,
}

/// Fetches and builds what [`Pubsub::start`] and [`Proxy::start`] would, and starts nothing. Where servers come from
/// Docker and Go is missing, proxies are left out.
pub fn prefetch(progress: fn(&str)) -> Result<()> {
    if matches!(find(progress)?, Recipe::Container { .. }) {
        if is_possible_with_go() {
            build::program(progress)?;
        } else {
            progress("Go is not here: there will be a server, but no proxy that fails calls to it");
        }
    }
    Ok(())
}

/// Whether this machine has a container engine or Go, one of which a server takes.
pub fn is_possible() -> bool {
    is_possible_with_go() || docker::is_possible()
}

/// Whether this machine has Go, which a proxy takes, and a server without Docker.
pub fn is_possible_with_go() -> bool {
    build::go().is_some()
}

/// Docker where an engine answers, else our program, which takes Go to build.
fn find(progress: fn(&str)) -> Result<Recipe> {
    let choice = choice()?;
    if choice == Choice::Docker || choice == Choice::Best && docker::is_possible() {
        match docker::pull(IMAGE, progress) {
            Ok(()) => {
                return Ok(Recipe::Container {
                    image: IMAGE,
                    line: EMULATOR.to_owned(),
                    port: EMULATOR_PORT,
                });
            }
            Err(error) if choice == Choice::Docker => return Err(error),
            Err(error) => progress(&format!("taking Go instead of Docker: {error:#}")),
        }
    }
    Ok(Recipe::Program { program: build::program(progress)?, arguments: vec!["serve".to_owned()] })
}

impl Pubsub {
    /// Starts a server and waits until it answers: a tenth of a second, or a minute or two the first time on a machine.
    pub fn start(options: Options) -> Result<Self> {
        let recipe = find(options.progress)?;
        let probe = format!("/v1/projects/{PROJECT}/topics");
        let process = Process::start(&recipe, options.port, &probe);
        Ok(Self { process: process.context("no Pub/Sub server runs")? })
    }

    /// `host:port`, for both gRPC and HTTP/JSON, neither of them with TLS.
    pub fn address(&self) -> &str {
        self.process.address()
    }

    /// `http://host:port`, as Google's clients want it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    pub fn port(&self) -> u16 {
        self.process.port()
    }

    /// SIGKILL, now; returns when it is gone, and with it all topics, subscriptions and messages.
    pub fn kill(&self) -> Result<()> {
        self.process.kill()
    }

    /// SIGSTOP: it keeps its connections and answers nobody.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// SIGCONT, after [`Pubsub::pause`].
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// Starts it anew on the same port, empty, after [killing](Pubsub::kill) it where it runs, and waits until it answers.
    pub fn restart(&self) -> Result<()> {
        self.process.restart()
    }

    /// Whether its process runs (a paused one does).
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
