//! The built binary, and how it is started so that it never outlives its test.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel, sync_channel};

/// The program to test: `POSTRIDER_BIN` where it is set (`cargo xtask test` sets it), else the workspace's own, brought
/// up to date by cargo, which also keeps several test programs from building at once.
pub fn path() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::var_os("POSTRIDER_BIN").map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    // …/target/<profile>/deps/<this test program>
    let test = std::env::current_exe().expect("the test program has a path");
    let profile =
        test.ancestors().nth(2).expect("cargo puts test programs two levels below the profile's directory");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The workspace's features are those that the test program itself was built with: nothing is built twice.
    cargo.args(["build", "--quiet", "--locked", "--workspace", "--bin", "postrider"]);
    cargo
        .arg("--target-dir")
        .arg(profile.parent().expect("the profile's directory is in the target directory"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(built.success(), "the postrider binary does not build");
    profile.join("postrider")
}

/// A command that runs the binary and is killed with the test program, however that ends (on Linux; elsewhere a killed
/// test program leaves it behind).
pub fn command() -> Command {
    static SETPRIV: OnceLock<bool> = OnceLock::new();
    let bound = *SETPRIV.get_or_init(|| {
        let tried = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).status();
        tried.is_ok_and(|status| status.success())
    });
    if !bound {
        return Command::new(path());
    }
    // setpriv becomes the binary: the process id is its own.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(path());
    command
}

/// Starts a command from a thread that lives as long as the test program. The kernel sends the death signal when the
/// *thread* that started a process ends, and a runtime's worker threads come and go.
pub fn spawn(command: Command) -> io::Result<Child> {
    type Job = (Command, std::sync::mpsc::SyncSender<io::Result<Child>>);
    static SPAWNER: OnceLock<parking_lot::Mutex<Sender<Job>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, todo) = channel::<Job>();
        let run = move || {
            for (mut command, answer) in todo {
                drop(answer.send(command.spawn()));
            }
        };
        std::thread::Builder::new().name("spawner".into()).spawn(run).expect("a thread starts");
        parking_lot::Mutex::new(jobs)
    });
    let (answer, started) = sync_channel(1);
    spawner.lock().send((command, answer)).expect("the spawner never ends");
    started.recv().expect("the spawner answers every job")
}
