//! Running cargo, and talking to whoever runs us.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Prints a line to standard output.
pub(crate) fn say(line: &str) {
    // With standard output gone there is nobody left to tell.
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Prints a line to standard error, where standard output is for figures.
pub(crate) fn say_aside(line: &str) {
    // With standard error gone there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The cargo that runs us, in the workspace's directory.
pub(crate) fn cargo(root: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(root);
    command
}

/// Runs a command to its end and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let shown = shown(command);
    let ended =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("{shown} cannot be started"))?;
    if !ended.status.success() {
        bail!("{shown} failed with {}", ended.status);
    }
    Ok(ended.stdout)
}

/// Runs a command to its end, shows what it writes, and hands each line of its standard output to `line` as well.
/// Whether it succeeded.
pub(crate) fn watched(command: &mut Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let shown = shown(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("{shown} cannot be started"))?;
    let stdout = child.stdout.take().context("standard output was asked for")?;
    let mut reader = BufReader::new(stdout);
    let mut raw = Vec::new();
    // By bytes: a test may print what is no UTF-8.
    while reader.read_until(b'\n', &mut raw)? > 0 {
        let text = String::from_utf8_lossy(&raw);
        let text = text.trim_end_matches(['\n', '\r']);
        say(text);
        line(text);
        raw.clear();
    }
    Ok(child.wait()?.success())
}

fn shown(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(command.get_program().to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
}
