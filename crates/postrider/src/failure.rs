//! How a command fails: one clear message and an exit code.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// Exit codes: 1 something failed, 64 bad usage or configuration (`EX_USAGE` of sysexits.h).
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

const FAILED: u8 = 1;
const USAGE: u8 = 64;

impl Failure {
    /// The work could not be done.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { code: FAILED, message: message.to_string() }
    }

    /// What was asked for makes no sense: arguments or configuration.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self { code: USAGE, message: message.to_string() }
    }

    /// Whoever read the output has had enough: no failure of ours, and the end of the command.
    pub(crate) fn quiet() -> Self {
        Self { code: 0, message: String::new() }
    }

    /// Prints the message to standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            // With standard error gone there is nobody left to tell.
            drop(writeln!(std::io::stderr(), "postrider: {}", self.message.trim_end()));
        }
        ExitCode::from(self.code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}

/// Prints clap's own message: help and version succeed, everything else is bad usage.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
