//! What a node needs before it starts: its directory formatted. And, once for a machine, what makes that and the start
//! quick.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::artifacts::Artifacts;
use super::options::{Options, Place, Tuning, User};
use super::runtime::{Runtime, jvm};
use super::{Cluster, tool, wire};
use crate::scratch::Scratch;
use crate::{bound, ports};

const CHECKPOINT: &str = "bootstrap.checkpoint";
const PATIENCE: Duration = Duration::from_secs(120);

/// Fetches what [`Kafka::start`](super::Kafka::start) would fetch, and starts nothing that lasts.
pub fn prefetch(progress: fn(&str)) -> Result<()> {
    Runtime::fetch(progress)
}

/// Formats the directories of all nodes, as Kafka's storage tool does. That tool takes seconds and writes, beside ids,
/// the same for every node that has no users: there the file is copied that it wrote once.
pub(super) fn format(cluster: &Cluster, options: &Options) -> Result<()> {
    let cluster_id = cluster_id();
    let data = |id: u16| cluster.scratch.path().join(format!("node-{id}/data"));
    let checkpoint = match cluster.runtime.checkpoint() {
        Some(checkpoint) if options.users.is_empty() => checkpoint,
        _ => {
            let properties = cluster.scratch.path().join("node-1/server.properties");
            run_storage_tool(&cluster.runtime, &properties, &cluster_id, &options.users)?;
            data(1).join(CHECKPOINT)
        }
    };
    for id in 1..=options.nodes {
        let data = data(id);
        if data.join("meta.properties").exists() {
            continue;
        }
        fs::create_dir_all(&data)?;
        let meta = format!("version=1\ncluster.id={cluster_id}\nnode.id={id}\ndirectory.id={}\n", uuid());
        fs::write(data.join("meta.properties"), meta)?;
        fs::copy(&checkpoint, data.join(CHECKPOINT))?;
    }
    Ok(())
}

fn run_storage_tool(runtime: &Runtime, properties: &Path, cluster_id: &str, users: &[User]) -> Result<()> {
    let properties = properties.display().to_string();
    let mut arguments = vec!["format", "--cluster-id", cluster_id, "--config", &properties];
    let mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
    let scram = |user: &User| {
        mechanisms.map(|mechanism| format!("{mechanism}=[name={},password={}]", user.name, user.password))
    };
    let scram: Vec<String> = users.iter().flat_map(scram).collect();
    for credential in &scram {
        arguments.extend(["--add-scram", credential]);
    }
    runtime.run(tool::STORAGE, &arguments, "").map(drop).context("a node's directory cannot be formatted")
}

/// 16 random bytes in URL-safe base64, as Kafka writes them: the last of 22 characters holds but two bits.
fn uuid() -> String {
    // The first one is a letter: a tool would take a dash for an option.
    std::iter::once(fastrand::alphabetic())
        .chain(std::iter::repeat_with(fastrand::alphanumeric).take(20))
        .chain(fastrand::choice(['A', 'Q', 'g', 'w']))
        .collect()
}

fn cluster_id() -> String {
    uuid()
}

/// Fills the cache with what makes starts quick: the checkpoint of a formatted node, and an archive of its classes.
pub(super) fn artifacts(artifacts: &Artifacts) -> Result<()> {
    let scratch = Scratch::new(super::PREFIX)?;
    let ports = ports::free(2)?;
    let place = Place {
        id: 1,
        port: ports[0],
        controller_port: ports[1],
        listener_ports: Vec::new(),
        directory: scratch.path().display().to_string(),
        bind: "127.0.0.1",
    };
    let properties = scratch.path().join("server.properties");
    fs::write(&properties, Options::default().properties(&place, std::slice::from_ref(&place)))?;
    run_storage_tool(&Runtime::Java(artifacts.clone()), &properties, &cluster_id(), &[])?;
    put(&scratch.path().join("data").join(CHECKPOINT), &artifacts.checkpoint())?;
    if artifacts.classes().is_file() {
        return Ok(());
    }
    let archive = scratch.path().join("classes.jsa");
    // A machine that writes no archive starts without one, more slowly; an empty file says that it was tried.
    if train(artifacts, &scratch, place.port, &archive).is_err() || !archive.is_file() {
        fs::write(&archive, "")?;
    }
    put(&archive, &artifacts.classes())
}

/// Runs a node for a moment and has the Java machine write down which classes it took.
fn train(artifacts: &Artifacts, scratch: &Scratch, port: u16, archive: &Path) -> Result<()> {
    let mut command = artifacts.java();
    command.args(jvm(Tuning::Start, 512)).arg(format!("-XX:ArchiveClassesAtExit={}", archive.display()));
    command.args(["-Xlog:cds=off", tool::SERVER]).arg(scratch.path().join("server.properties"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = bound::spawn(command)?;
    scratch.watch(server.id());
    let began = Instant::now();
    let address = format!("127.0.0.1:{port}");
    while wire::create_topic(&address, "trained", 1, &[]).is_err() {
        let runs = server.try_wait()?.is_none();
        if !runs || began.elapsed() > PATIENCE {
            drop(server.kill());
            drop(server.wait());
            ensure!(runs, "Kafka died as it started");
            ensure!(began.elapsed() <= PATIENCE, "Kafka did not start");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(pid, Signal::TERM)?;
    server.wait()?;
    Ok(())
}

/// Copies a file to where others may look for it at any time.
fn put(from: &Path, to: &Path) -> Result<()> {
    let partial = to.with_extension("partial");
    fs::copy(from, &partial)?;
    fs::rename(partial, to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_kafka_writes_them() {
        let id = uuid();
        assert_eq!(id.len(), 22);
        assert!(
            id.ends_with(['A', 'Q', 'g', 'w']) && id.starts_with(|c: char| c.is_ascii_alphabetic()),
            "{id}"
        );
    }
}
