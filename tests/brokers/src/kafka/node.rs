//! One node of a cluster, and what may happen to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::options::{Options, Place};
use super::runtime::jvm;
use super::{Cluster, wire};

/// For a start on a machine that has much else to do.
const START_PATIENCE: Duration = Duration::from_secs(180);
/// For an orderly stop; a node that is alone may wait for a controller that is gone.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Node {
    id: u16,
    address: String,
    directory: PathBuf,
    jvm: Vec<String>,
    server: Mutex<Option<Child>>,
    cluster: Arc<Cluster>,
}

impl Node {
    /// Starts a node and does not wait for it: a cluster's first ones wait for each other.
    pub(super) fn launch(cluster: Arc<Cluster>, options: &Options, place: &Place) -> Result<Self> {
        let node = Self {
            id: place.id,
            address: format!("127.0.0.1:{}", place.port),
            directory: cluster.scratch.path().join(format!("node-{}", place.id)),
            jvm: jvm(options.tuning, if options.nodes == 1 { 512 } else { 320 }),
            server: Mutex::new(None),
            cluster,
        };
        node.spawn()?;
        Ok(node)
    }

    pub fn id(&self) -> u16 {
        self.id
    }

    /// `host:port` of its plaintext listener.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// SIGKILL, now; returns when it is gone. Its data stays.
    pub fn kill(&self) -> Result<()> {
        self.end(Signal::KILL)
    }

    /// SIGTERM, and waits until it has left the cluster in good order.
    pub fn stop(&self) -> Result<()> {
        self.end(Signal::TERM)
    }

    /// SIGSTOP: it keeps its connections and answers nobody.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT, after [`Node::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts it with the same ports and data, after [`Node::stop`]ping it where it runs, and waits until it takes part
    /// in the cluster again.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.spawn()?;
        self.until_ready()
    }

    /// Whether its process runs (a paused one does).
    pub fn is_running(&self) -> bool {
        self.server().as_mut().is_some_and(|server| matches!(server.try_wait(), Ok(None)))
    }

    /// What the server has logged: warnings and errors.
    pub fn log(&self) -> String {
        let log = fs::read(self.directory.join("node.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Where it keeps its data and log.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> Result<()> {
        let server = self.cluster.runtime.serve(&self.directory, &self.jvm)?;
        self.cluster.scratch.watch(server.id());
        *self.server() = Some(server);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let server = self.server();
        let server = server.as_ref().with_context(|| format!("node {} does not run", self.id))?;
        self.cluster.runtime.signal(&self.directory, server, signal)
    }

    /// Ends the process, if it runs, and waits for its end.
    fn end(&self, by: Signal) -> Result<()> {
        let Some(mut server) = self.server().take() else { return Ok(()) };
        let runtime = &self.cluster.runtime;
        if server.try_wait()?.is_none() {
            runtime.signal(&self.directory, &server, by)?;
            let began = Instant::now();
            while by != Signal::KILL && server.try_wait()?.is_none() {
                if began.elapsed() > STOP_PATIENCE {
                    runtime.signal(&self.directory, &server, Signal::KILL)?;
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.cluster.scratch.forget(server.id());
        server.wait()?;
        Ok(())
    }

    /// Waits until the node answers and says of itself that it takes part in the cluster.
    pub(super) fn until_ready(&self) -> Result<()> {
        let began = Instant::now();
        let own_id = i32::from(self.id);
        loop {
            let missing = match wire::brokers(&self.address) {
                Ok(brokers) if brokers.contains(&own_id) => return Ok(()),
                Ok(_) => "it has not joined the cluster".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            if !self.is_running() {
                bail!(
                    "node {} of Kafka died as it started; the end of its log:\n{}",
                    self.id,
                    self.log_tail()
                );
            }
            ensure!(
                began.elapsed() < START_PATIENCE,
                "node {} of Kafka is not ready after {} s: {missing}; the end of its log:\n{}",
                self.id,
                START_PATIENCE.as_secs(),
                self.log_tail()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A process that cannot be killed is one that is gone.
        drop(self.kill());
    }
}
