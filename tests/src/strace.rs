//! The sidecar under strace: what it does, and system calls of it that fail.

use std::path::Path;

use torture::trace::{self, Attached, Call};

use crate::process::Postrider;
use crate::verdict::tell;

/// Whether strace is here; a test that needs it is left out otherwise, and says so.
pub fn is_possible() -> bool {
    let possible = trace::is_possible();
    if !possible {
        tell("LEFT OUT: strace is not here, or may not trace (`cargo xtask setup` installs it)");
    }
    possible
}

/// Watches these calls of a sidecar until what is returned is dropped. `None`: one that is not our ancestor may not.
pub fn watch(sidecar: &Postrider, calls: &str, into: &Path) -> Option<Attached> {
    attach(sidecar, trace::command(calls, into))
}

/// Has one kind of call of a sidecar fail, `how` as in `error=EIO`, until what is returned is dropped.
pub fn inject(sidecar: &Postrider, call: &str, how: &str) -> Option<Attached> {
    let mut strace = trace::command(call, Path::new("/dev/null"));
    strace.arg("-e").arg(format!("inject={call}:{how}"));
    attach(sidecar, strace)
}

fn attach(sidecar: &Postrider, strace: std::process::Command) -> Option<Attached> {
    match trace::attach(strace, sidecar.id()) {
        Ok(attached) => Some(attached),
        Err(error) if error.to_string().contains("not permitted") => {
            tell("LEFT OUT: strace may trace its own children only (/proc/sys/kernel/yama/ptrace_scope)");
            None
        }
        Err(error) => panic!("{error:#}"),
    }
}

/// What was watched.
pub fn read(file: &Path) -> Vec<Call> {
    trace::read(file).expect("strace writes what can be read")
}
