//! What a node runs on: a Java machine of this computer, or a container.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::artifacts::Artifacts;
use super::docker::Container;
use super::options::{Options, Tuning};
use super::{prepare, tool};
use crate::choice::{Choice, choice};
use crate::scratch::Scratch;
use crate::{bound, docker};

#[derive(Debug)]
pub(super) enum Runtime {
    Java(Artifacts),
    Docker(Container),
}

impl Runtime {
    /// Docker where an engine answers, else Java with Kafka's artifacts from Maven.
    pub(super) fn find(scratch: &Scratch, options: &Options, ports: &[Vec<u16>]) -> Result<Self> {
        let java = || Ok(Self::Java(Artifacts::install(options.progress, prepare::artifacts)?));
        match choice()? {
            Choice::Packages => return java(),
            Choice::Best if !docker::is_possible() => return java(),
            Choice::Docker | Choice::Best => {}
        }
        match Container::start(scratch, ports, options.progress) {
            Ok(container) => Ok(Self::Docker(container)),
            Err(error) if choice()? == Choice::Docker => Err(error),
            Err(error) => {
                (options.progress)(&format!(
                    "Docker runs, but starts no Kafka; taking Java instead: {error:#}"
                ));
                java()
            }
        }
    }

    /// Downloads what [`Runtime::find`] would.
    pub(super) fn fetch(progress: fn(&str)) -> Result<()> {
        let choice = choice()?;
        if choice == Choice::Docker || choice == Choice::Best && docker::is_possible() {
            match Container::pull(progress) {
                Err(error) if choice == Choice::Docker => return Err(error),
                Err(error) => progress(&format!("taking Java instead of Docker: {error:#}")),
                Ok(_) => return Ok(()),
            }
        }
        Artifacts::install(progress, prepare::artifacts).map(drop)
    }

    /// What a server binds its listeners to.
    pub(super) fn bind(&self) -> &'static str {
        match self {
            Self::Java(_) => "127.0.0.1",
            Self::Docker(container) => container.bind(),
        }
    }

    /// What a freshly formatted node has beside its own id, where that is at hand.
    pub(super) fn checkpoint(&self) -> Option<PathBuf> {
        match self {
            Self::Java(artifacts) => Some(artifacts.checkpoint()),
            Self::Docker(_) => None,
        }
    }

    /// Starts the server whose directory this is. It writes its process id to `pid` there, where it is not the child's.
    pub(super) fn serve(&self, directory: &Path, jvm: &[String]) -> Result<Child> {
        let mut command = match self {
            Self::Java(artifacts) => artifacts.java(),
            Self::Docker(container) => {
                let pid = directory.join("pid");
                // An earlier server's, which must not be taken for this one's.
                drop(std::fs::remove_file(&pid));
                container.java_with_pid(&pid)
            }
        };
        command.args(jvm).args(LOGGING).arg(tool::SERVER).arg(directory.join("server.properties"));
        let log = std::fs::File::options().create(true).append(true).open(directory.join("node.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        bound::spawn(command).context("the Java machine cannot be started")
    }

    /// Sends a signal to a server that [`Runtime::serve`] started.
    pub(super) fn signal(&self, directory: &Path, server: &Child, signal: Signal) -> Result<()> {
        match self {
            Self::Java(_) => {
                let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw).context("no process id")?;
                Ok(kill_process(pid, signal)?)
            }
            Self::Docker(container) => container.signal(&directory.join("pid"), signal),
        }
    }

    /// Runs a class to its end, and returns what it printed.
    pub(super) fn run(&self, class: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = match self {
            Self::Java(artifacts) => artifacts.java(),
            Self::Docker(container) => container.java(),
        };
        command.args(jvm(Tuning::Start, 256)).args(LOGGING).arg(class).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = bound::spawn(command).with_context(|| format!("{class} cannot be started"))?;
        let mut stdin = running.stdin.take().context("standard input was asked for")?;
        let input = input.to_owned();
        // From another thread: what does not read its input may fill its output first.
        let feed = std::thread::Builder::new().name("feed".into()).spawn(move || {
            // A tool that ends without reading has its reasons, and tells them.
            drop(stdin.write_all(input.as_bytes()));
        })?;
        let ended = running.wait_with_output()?;
        drop(feed.join());
        let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
        ensure!(
            ended.status.success(),
            "{class} {} failed with {}:\n{printed}{}",
            arguments.join(" "),
            ended.status,
            String::from_utf8_lossy(&ended.stderr)
        );
        Ok(printed)
    }
}

/// Only what is worth reading, with its time, on standard error.
const LOGGING: &[&str] = &[
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    // Key sets of tokens may lie in a file or anywhere on loopback.
    "-Dorg.apache.kafka.sasl.oauthbearer.allowed.files=/",
];

/// The options of a Java machine.
pub(super) fn jvm(tuning: Tuning, heap_mib: u32) -> Vec<String> {
    let mut jvm = vec![
        format!("-Xmx{heap_mib}m"),
        "-XX:+ExitOnOutOfMemoryError".to_owned(),
        "-Xshare:auto".to_owned(),
        // What another maker's machine does not know it passes over.
        "-XX:+IgnoreUnrecognizedVMOptions".to_owned(),
    ];
    if tuning == Tuning::Start {
        jvm.extend(["-XX:+UseSerialGC".to_owned(), "-XX:TieredStopAtLevel=1".to_owned()]);
    }
    jvm
}
