//! Workers under strace.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::told::Told;
use crate::trace::{self, Call};
use crate::worker::{Plan, Workload};
use crate::workers::{self, Ended, Worker};

/// Runs a worker to its end and returns what it did to files, and told.
pub(crate) fn traced(
    program: &Path,
    directory: &Path,
    plan: Plan,
    into: &Path,
) -> Result<(Vec<Call>, Ended)> {
    let worker = workers::command(program, directory, plan);
    let mut strace = trace::command(trace::OF_FILES, into);
    strace.arg("-qq").arg("--").arg(worker.get_program()).args(worker.get_args());
    let ended = Worker::start(strace)?.end()?;
    if !ended.status.success() {
        bail!("a worker ended with {} though nobody killed it", ended.status);
    }
    Ok((trace::read(into)?, ended))
}

/// What strace does once it is attached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attached<'a> {
    /// Writes the calls down.
    Watch(&'a Path),
    /// Does this to the process at the `nth` call of this name in one of its threads.
    Strike { name: &'a str, nth: usize, blow: Blow },
}

/// What happens at a system call, instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// The disk fails.
    Eio,
    /// The disk is full, for once.
    Enospc,
}

impl Blow {
    /// As strace has it.
    fn injection(self) -> &'static str {
        match self {
            Self::Kill => "signal=SIGKILL",
            Self::Eio => "error=EIO",
            Self::Enospc => "error=ENOSPC",
        }
    }
}

/// Starts a gated worker, attaches strace where it waits, lets it go on, and waits for its end.
pub(crate) fn attached(worker: Command, workload: Workload, how: Attached<'_>) -> Result<Ended> {
    let mut worker = Worker::start(worker)?;
    // Recovery is watched from before the store is opened, all else from after that.
    let gate = if workload == Workload::Recover { Told::Waiting } else { Told::Ready };
    if !worker.until(gate)? {
        bail!("a worker ended before it was let in");
    }
    let strace = match how {
        Attached::Watch(into) => trace::command(trace::OF_FILES, into),
        Attached::Strike { name, nth, blow } => {
            let mut strace = trace::command(name, Path::new("/dev/null"));
            strace.arg("-e").arg(format!("inject={name}:{}:when={nth}", blow.injection()));
            strace
        }
    };
    let strace = trace::attach(strace, worker.id())?;
    worker.open_the_gate();
    let ended = worker.end()?;
    strace.wait()?;
    Ok(ended)
}
