//! Kafka's image in Docker: one container a cluster, in which each node is a process of its own, as it is without one.
//!
//! The container lives as long as its standard input is open, and that is a pipe which we hold: it ends with us, however
//! we end, and `--rm` removes it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::artifacts::VERSION;
use crate::scratch::Scratch;
use crate::{bound, docker};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Container {
    name: String,
    /// `docker run`, which holds the container's standard input open.
    running: Child,
}

impl Container {
    /// Starts the container, without any node in it. Our directory has the same path inside.
    pub(super) fn start(scratch: &Scratch, ports: &[Vec<u16>], progress: fn(&str)) -> Result<Self> {
        let image = Self::pull(progress)?;
        let name = format!("postrider-kafka-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let mut command = Command::new("docker");
        command.args(run_arguments(&name, &image, scratch.path(), ports));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = bound::spawn(command).context("docker cannot be started")?;
        let began = Instant::now();
        while !docker::run(&["exec", &name, "true"])?.status.success() {
            if running.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                drop(running.kill());
                let said = running.wait_with_output()?.stderr;
                bail!("the container does not start: {}", String::from_utf8_lossy(&said).trim());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { name, running })
    }

    /// The image's name, once it is here.
    pub(super) fn pull(progress: fn(&str)) -> Result<String> {
        let image = format!("apache/kafka:{VERSION}");
        docker::pull(&image, progress)?;
        Ok(image)
    }

    /// With the host's network nodes bind to loopback; where only chosen ports are published, the engine comes from outside.
    pub(super) fn bind(&self) -> &'static str {
        if HOST_NETWORK { "127.0.0.1" } else { "0.0.0.0" }
    }

    /// A Java machine with all of Kafka's classes, to which a class and its arguments are to be given.
    pub(super) fn java(&self) -> Command {
        let mut command = bound::command("docker");
        command.args(["exec", "--interactive", &self.name, "java", "-cp", CLASS_PATH]);
        command
    }

    /// As [`Container::java`]; it first writes its process id, inside of the container, to a file.
    pub(super) fn java_with_pid(&self, file: &Path) -> Command {
        let mut command = bound::command("docker");
        let script = r#"echo $$ > "$1"; shift; exec java "$@""#;
        command.args(["exec", &self.name, "sh", "-c", script, "sh"]).arg(file).args(["-cp", CLASS_PATH]);
        command
    }

    pub(super) fn signal(&self, pid_file: &Path, signal: Signal) -> Result<()> {
        let pid = std::fs::read_to_string(pid_file).context("the node has not started")?;
        let number = signal.as_raw().to_string();
        let sent = docker::run(&["exec", &self.name, "kill", &format!("-{number}"), pid.trim()])?;
        ensure!(
            sent.status.success(),
            "the node has no signal {number}: {}",
            String::from_utf8_lossy(&sent.stderr)
        );
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.running.stdin.take());
        // It ends by its input's end; this is for an engine that has lost it.
        drop(docker::run(&["rm", "--force", &self.name]));
        drop(self.running.kill());
        drop(self.running.wait());
    }
}

/// Where the image keeps Kafka's jars. Expanded by the Java machine.
const CLASS_PATH: &str = "/opt/kafka/libs/*";
/// Elsewhere the engine runs in a virtual machine, whose network is not ours.
const HOST_NETWORK: bool = cfg!(target_os = "linux");

fn run_arguments(name: &str, image: &str, directory: &Path, ports: &[Vec<u16>]) -> Vec<String> {
    let directory = directory.display();
    let user = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let mut arguments: Vec<String> =
        ["run", "--rm", "--interactive", "--name", name].map(str::to_owned).into();
    arguments.extend(["--user".into(), user, "--volume".into(), format!("{directory}:{directory}")]);
    if HOST_NETWORK {
        arguments.extend(["--network".into(), "host".into()]);
    } else {
        // All but the controllers', which only talk to one another.
        for port in ports.iter().flat_map(|ports| ports.iter().take(1).chain(ports.iter().skip(2))) {
            arguments.extend(["--publish".into(), format!("127.0.0.1:{port}:{port}")]);
        }
    }
    arguments.extend(["--entrypoint", "sh", image, "-c", "cat > /dev/null"].map(str::to_owned));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_sees_our_directory_and_ends_with_its_input() {
        let arguments = run_arguments("n", "i", Path::new("/data/x"), &[vec![1, 2, 3]]).join(" ");
        assert!(arguments.starts_with("run --rm --interactive --name n --user "), "{arguments}");
        assert!(arguments.contains("--volume /data/x:/data/x"), "{arguments}");
        assert!(arguments.ends_with("--entrypoint sh i -c cat > /dev/null"), "{arguments}");
    }
}
