//! The parent's end of a process that plays a role: how it is started, asked and ended.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::roles::{Ask, Role};

/// A process that plays a role. It ends when its standard input closes, so also when we are killed.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    role: String,
}

impl Worker {
    /// Starts a role and waits until it is ready; returns what it says of itself then.
    pub(crate) fn start<T: DeserializeOwned>(role: &Role) -> Result<(Self, T)> {
        let program = std::env::current_exe().context("this program has a path")?;
        let mut command = Command::new(program);
        command.arg("role").arg(serde_json::to_string(role)?);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("standard output was asked for")?);
        let mut worker = Self { child, stdin, stdout, role: role.name().to_owned() };
        let ready = worker.answer()?;
        Ok((worker, ready))
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks something and waits for the answer.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, ask: Ask) -> Result<T> {
        let stdin = self.stdin.as_mut().context("open until dropped")?;
        serde_json::to_writer(&mut *stdin, &ask)?;
        stdin.write_all(b"\n")?;
        stdin.flush()?;
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the {} ended, see above", self.role);
        }
        serde_json::from_str(&line).with_context(|| format!("the {} said {line:?}", self.role))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stdin = None;
        drop(self.child.wait());
    }
}
