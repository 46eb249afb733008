//! Child processes that never outlive the process that started them, however that ends.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Whether this system has what it takes: `setpriv` (util-linux), which asks the kernel for a signal at its parent's
/// death and then becomes the program.
pub fn is_possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(|| {
        let mut probe = Command::new("setpriv");
        probe.args(["--pdeathsig", "KILL", "true"]);
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })
}

/// A command that runs a program and is killed with the thread that spawns it: see [`spawn`]. Its process id is the
/// program's own. Where that [is not possible](is_possible), it is a plain command.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    if !is_possible() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts a command from a thread that lives as long as this process. The kernel sends the death signal when the
/// *thread* that started a process ends, and the threads of test runners and runtimes come and go.
pub fn spawn(command: Command) -> io::Result<Child> {
    type Job = (Command, SyncSender<io::Result<Child>>);
    static SPAWNER: OnceLock<Option<Mutex<Sender<Job>>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, todo) = channel::<Job>();
        let run = move || {
            for (mut command, answer) in todo {
                drop(answer.send(command.spawn()));
            }
        };
        std::thread::Builder::new().name("spawner".into()).spawn(run).ok()?;
        Some(Mutex::new(jobs))
    });
    let gone = || io::Error::other("no thread could be started to spawn processes from");
    let spawner = spawner.as_ref().ok_or_else(gone)?;
    let (answer, started) = sync_channel(1);
    let job = (command, answer);
    spawner.lock().unwrap_or_else(PoisonError::into_inner).send(job).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}
