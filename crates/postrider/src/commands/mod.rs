//! The commands, a file each.

pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod dead_letters;
pub(crate) mod explain;
pub(crate) mod healthcheck;
pub(crate) mod listen;
pub(crate) mod publish;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod tail;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output;

pub(crate) fn print(text: &str) -> Result<(), Failure> {
    output::line(text.trim_end())
}

pub(crate) fn schema() -> String {
    config::schema()
}

pub(crate) fn completion(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "postrider", &mut script);
    print(&String::from_utf8_lossy(&script))
}
