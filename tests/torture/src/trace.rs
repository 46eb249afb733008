//! System calls of a program, as strace saw them.
//!
//! strace stops a thread before and after each call and writes a line at each stop, or one where nothing came between.
//! What stands on an earlier line happened before what stands on a later one: a call whose end is told on line 7 was
//! over before one whose beginning is told on line 8 was let go.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The calls that change what a power loss leaves, or that decide when.
pub(crate) const OF_FILES: &str = "creat,open,openat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,\
    fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,\
    copy_file_range,sendfile";

/// Whether strace is here and may trace.
pub fn is_possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(|| {
        let mut probe = Command::new("strace");
        probe.args(["-f", "-o", "/dev/null", "-e", "trace=none", "true"]);
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })
}

/// strace, writing these calls of a program and all its threads into a file, in the form that `parse` reads.
pub fn command(calls: &str, into: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-xx", "-s", "4000000", "-e", "signal=none"]);
    strace.arg("-e").arg(format!("trace={calls}")).arg("-o").arg(into);
    strace
}

/// strace at work on a process that runs. It lets go of it when this is dropped; the process goes on.
#[derive(Debug)]
pub struct Attached(Child);

/// Attaches strace to a process and all its threads, and returns when what they do is seen.
pub fn attach(mut strace: Command, process: u32) -> Result<Attached> {
    strace.args(["-p", &process.to_string()]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut attached = Attached(strace.spawn().context("strace cannot be started")?);
    let stderr = attached.0.stderr.take().context("standard error was asked for")?;
    let mut said = BufReader::new(stderr);
    let mut all = String::new();
    while said.read_line(&mut all)? > 0 {
        if all.contains(" attached") {
            // What it says later is read by nobody, and is too little to fill a pipe.
            attached.0.stderr = Some(said.into_inner());
            return Ok(attached);
        }
    }
    bail!("strace did not attach: {all}")
}

impl Attached {
    /// Waits until the process that is watched has ended.
    pub fn wait(mut self) -> Result<()> {
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let process = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // It detaches in good order and writes out what it has seen. Gone already, it has done so.
        if let (Some(process), Ok(None)) = (process, self.0.try_wait()) {
            let _gone = kill_process(process, Signal::TERM);
        }
        drop(self.0.wait());
    }
}

/// Reads what strace wrote.
pub fn read(file: &Path) -> Result<Vec<Call>> {
    parse(&std::fs::read_to_string(file).context("strace wrote nothing")?)
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    /// As strace prints them, with everything that is text in hexadecimal.
    arguments: String,
    /// What follows the equals sign.
    returned: String,
    /// The line that tells of its beginning.
    pub began: usize,
    /// … and of its end. `None`: it never came back.
    pub ended: Option<usize>,
}

/// Reads what `strace -f -y -xx` wrote.
fn parse(text: &str) -> Result<Vec<Call>> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<u32, usize> = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let (thread, rest) = line.split_once(' ').with_context(|| format!("line {at} has no thread"))?;
        let thread: u32 = thread.parse().with_context(|| format!("line {at} begins with no thread"))?;
        let rest = rest.trim_start();
        // Where strace lets go of a thread within a call, that call never came back as far as anybody saw.
        let rest = rest.strip_suffix(" <detached ...>").unwrap_or(rest);
        if rest.is_empty() || rest.starts_with(['-', '+', '<']) && !rest.starts_with("<... ") {
            continue;
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some(call) = open.remove(&thread).map(|of| &mut calls[of]) else { continue };
            let Some((_, more)) = resumed.split_once(" resumed>") else { bail!("line {at}: {rest}") };
            let Some((more, returned)) = split_result(more) else { continue };
            call.arguments.push_str(more);
            call.returned = returned.to_owned();
            call.ended = Some(at).filter(|_| !returned.starts_with('?'));
            continue;
        }
        let Some((name, rest)) = rest.split_once('(') else { bail!("line {at} is no call: {rest}") };
        let name = name.to_owned();
        let mut call =
            Call { thread, name, arguments: String::new(), returned: String::new(), began: at, ended: None };
        if let Some(arguments) = rest.strip_suffix("<unfinished ...>") {
            call.arguments = arguments.trim_end().to_owned();
            open.insert(thread, calls.len());
        } else {
            let (arguments, returned) = split_result(rest).unwrap_or((rest, "?"));
            (call.arguments, call.returned) = (arguments.to_owned(), returned.to_owned());
            call.ended = Some(at).filter(|_| !returned.starts_with('?'));
        }
        calls.push(call);
    }
    Ok(calls)
}

/// Splits `arguments) = result`. Texts are in hexadecimal, so that no parenthesis is one of theirs.
fn split_result(rest: &str) -> Option<(&str, &str)> {
    let (arguments, returned) = rest.rsplit_once(" = ")?;
    Some((arguments.trim_end().strip_suffix(')')?, returned))
}

impl Call {
    /// What it returned. `None`: an error, or it never did.
    pub fn result(&self) -> Option<i64> {
        self.ended?;
        let number = self.returned.split(['<', ' ']).next()?;
        number.parse().ok().filter(|number| *number >= 0)
    }

    /// The file of the descriptor that it was given, or that it returned: where that was at the time of the call, or
    /// `pipe:[…]`, `TCP:[…]` and the like. `None`: none, or one that was removed before.
    pub fn file(&self) -> Option<PathBuf> {
        let from = if self.name.starts_with("open") || self.name == "creat" {
            &self.returned
        } else {
            &self.arguments
        };
        let (_, rest) = from.split_once('<')?;
        let (path, after) = rest.split_once('>')?;
        (!after.starts_with("(deleted)")).then(|| PathBuf::from(OsString::from_vec(unhex(path))))
    }

    /// The number of the descriptor that it was given.
    pub(crate) fn descriptor(&self) -> Option<u32> {
        self.arguments.split(['<', ',']).next()?.trim().parse().ok()
    }

    /// Its texts, in their order: paths, or what is written.
    pub fn texts(&self) -> Vec<Vec<u8>> {
        self.arguments.split('"').skip(1).step_by(2).map(unhex).collect()
    }

    /// Its texts as paths.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.texts().into_iter().map(|text| PathBuf::from(OsString::from_vec(text))).collect()
    }

    /// Its `n`th last argument, if that is a number.
    pub(crate) fn number_from_end(&self, n: usize) -> Option<u64> {
        self.arguments.rsplit(", ").nth(n)?.trim().parse().ok()
    }

    /// Whether a flag such as `O_CREAT` is among its arguments.
    pub fn has(&self, flag: &str) -> bool {
        self.arguments.split([',', '|', ' ']).any(|word| word == flag)
    }
}

/// `\x2f\x74` as bytes; what is not escaped stands for itself.
fn unhex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = rest.strip_prefix(b"\\x").and_then(|hex| hex.get(..2));
        let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &rest[4..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_others_came_between_are_put_together() {
        let text = "\
10 openat(AT_FDCWD<\\x2f>, \"\\x2f\\x61\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 3<\\x2f\\x61>
10 pwrite64(3<\\x2f\\x61>, \"\\x68\\x29\", 2, 40) = 2
10 fdatasync(3<\\x2f\\x61> <unfinished ...>
11 unlink(\"\\x2f\\x62\")              = -1 ENOENT (No such file or directory)
10 <... fdatasync resumed>)           = 0
11 pwrite64(3<\\x2f\\x61>(deleted), \"\\x68\", 1, 40 <unfinished ...>
11 +++ killed by SIGKILL +++
12 fdatasync(3<\\x2f\\x61> <unfinished ...>
12 <... fdatasync resumed> <detached ...>
13  <detached ...>
14 sendto(9<\\x74>, \"\\x68\\x69\", 2, MSG_NOSIGNAL, NULL, 0 <detached ...>
";
        let calls = parse(text).unwrap();
        assert_eq!(calls.len(), 7);
        assert!(calls[0].has("O_CREAT") && !calls[0].has("O_TRUNC"));
        assert_eq!(calls[0].file(), Some("/a".into()));
        assert_eq!(calls[0].paths(), [PathBuf::from("/a")]);
        assert_eq!((calls[1].texts(), calls[1].number_from_end(0)), (vec![b"h)".to_vec()], Some(40)));
        assert_eq!((calls[1].descriptor(), calls[1].result()), (Some(3), Some(2)));
        assert_eq!((calls[2].began, calls[2].ended, calls[2].result()), (2, Some(4), Some(0)));
        assert_eq!(calls[3].result(), None);
        assert_eq!((calls[4].file(), calls[4].ended), (None, None));
        assert_eq!((calls[5].file(), calls[5].ended), (Some("/a".into()), None));
        assert_eq!((calls[6].texts(), calls[6].ended), (vec![b"hi".to_vec()], None), "seen to begin");
    }
}
