//! A running sidecar: the release binary with a configuration of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use brokers::pubsub::PROJECT;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator::Emulator;

/// Longest wait for a sidecar to become ready, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker, to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    Embedded,
    Kafka,
    Pubsub,
}

/// The broker behind a sidecar.
#[derive(Clone, Debug)]
pub(crate) enum On {
    Kafka {
        bootstrap: String,
    },
    Pubsub(Rc<Emulator>),
    /// In a directory of its own; or in one that several use, one after another.
    Embedded {
        path: Option<PathBuf>,
        /// What of a topic is kept once it is settled; `None`: the default.
        retention_bytes: Option<u64>,
    },
}

impl On {
    /// In a directory of its own.
    pub(crate) fn embedded() -> Self {
        Self::Embedded { path: None, retention_bytes: None }
    }

    pub(crate) fn embedded_at(path: &Path) -> Self {
        Self::Embedded { path: Some(path.to_owned()), retention_bytes: None }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) on: On,
    /// What parts the durable names of one sidecar's subscriptions from another's.
    pub(crate) service: String,
    pub(crate) topics: Vec<String>,
    pub(crate) subscription: Option<Subscription>,
}

#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) topic: String,
    pub(crate) to: SocketAddr,
    pub(crate) concurrency: u64,
}

/// What every sidecar's subscription is called. Its durable name has the service's name before it.
const SUBSCRIPTION: &str = "sink";

/// The durable name of a service's subscription.
pub(crate) fn durable_name(service: &str) -> String {
    format!("{service}.{SUBSCRIPTION}")
}

/// It is stopped, and its data removed, when this is dropped.
#[derive(Debug)]
pub(crate) struct Sidecar {
    child: Child,
    directory: TempDir,
    app: SocketAddr,
    ready_after: Duration,
    /// What it talks to lives as long.
    _on: On,
}

impl Sidecar {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(program: &Path, setup: &Setup) -> Result<Self> {
        Self::start_by(&[program.into()], setup)
    }

    /// The same by the words of a command, which may be those of a program that runs it, and becomes its process.
    pub(crate) fn start_by(words: &[OsString], setup: &Setup) -> Result<Self> {
        let directory = TempDir::with_prefix("postrider-bench-")?;
        let [app, admin, health] = [free_address()?, free_address()?, free_address()?];
        let config = directory.path().join("postrider.yaml");
        // JSON is YAML.
        fs::write(&config, format!("{:#}\n", setup.config(app, admin, health)))?;
        let output = File::create(directory.path().join("output.log"))?;
        let mut command = bound_to_us(words)?;
        command.args(["run", "--config"]).arg(&config).current_dir(directory.path()).stdin(Stdio::null());
        command.env("NO_COLOR", "1").env_remove("POSTRIDER_CONFIG");
        command.stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("{} cannot be started", words[0].display()))?;
        let mut sidecar = Self { child, directory, app, ready_after: Duration::ZERO, _on: setup.on.clone() };
        sidecar.wait_until_ready(health)?;
        Ok(sidecar)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where events are published.
    pub(crate) fn app(&self) -> SocketAddr {
        self.app
    }

    fn wait_until_ready(&mut self, health: SocketAddr) -> Result<()> {
        let began = Instant::now();
        while !is_ready(health) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the sidecar ended with {status}: {}", self.output());
            }
            if began.elapsed() > PATIENCE {
                bail!("the sidecar did not become ready: {}", self.output());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.ready_after = began.elapsed();
        Ok(())
    }

    /// How long it took to become ready.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Dies as if its machine did.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The last of what it wrote.
    pub(crate) fn output(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join("output.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Ends it in good order, and waits until it has ended well.
    pub(crate) fn end(mut self) -> Result<()> {
        let status = self.stop()?;
        ensure!(status.success(), "the sidecar ended with {status}: {}", self.output());
        Ok(())
    }

    /// Lets it end in good order, as a pod does.
    fn stop(&mut self) -> Result<ExitStatus> {
        // It may have ended by itself, and its process id may be another's by now.
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(process, Signal::TERM)?;
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > PATIENCE {
                bail!("the sidecar does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if self.stop().is_err() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

impl Setup {
    fn config(&self, app: SocketAddr, admin: SocketAddr, health: SocketAddr) -> Value {
        let broker = match &self.on {
            On::Kafka { bootstrap } => {
                let servers: Vec<&str> = bootstrap.split(',').collect();
                json!({ "kafka": { "bootstrap_servers": servers } })
            }
            On::Pubsub(emulator) => {
                json!({ "pubsub": { "project": PROJECT, "emulator": emulator.address() } })
            }
            On::Embedded { path, retention_bytes } => {
                let path = path.clone().unwrap_or_else(|| PathBuf::from("./data"));
                let mut embedded = json!({ "path": path });
                if let Some(bytes) = retention_bytes {
                    embedded["retention"] = json!({ "size": format!("{bytes}B") });
                }
                json!({ "embedded": embedded })
            }
        };
        let topics: serde_json::Map<String, Value> =
            self.topics.iter().map(|topic| (topic.clone(), json!({}))).collect();
        let subscriptions = match &self.subscription {
            None => json!({}),
            Some(Subscription { topic, to, concurrency }) => {
                let to = format!("http://{to}/events");
                json!({ SUBSCRIPTION: { "topic": topic, "to": to, "concurrency": concurrency } })
            }
        };
        json!({
            "version": 1,
            "service": self.service,
            "listen": {
                "app": app.to_string(),
                "admin": admin.to_string(),
                "health": health.to_string(),
            },
            "brokers": { "broker": broker },
            "topics": topics,
            "subscriptions": subscriptions,
        })
    }
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A command that is killed when we are (where there is `setpriv`, which becomes the program: the process id is its own).
pub(crate) fn bound_to_us(words: &[OsString]) -> Result<Command> {
    let (program, arguments) = words.split_first().context("a command has a program")?;
    let tried = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).status();
    let mut command = if tried.is_ok_and(|status| status.success()) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments);
    Ok(command)
}

fn is_ready(health: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(health)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
