//! `postrider`: the sidecar and the commands that operate it.

mod cli;
mod client;
mod commands;
mod dev;
mod failure;
mod house;
mod open_files;
mod output;
mod ports;
mod runtimes;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Run(args) => commands::run::run(&args),
        Command::Dev(args) => dev::run(args),
        Command::Check(args) => commands::check::run(&args),
        Command::Schema => commands::print(&commands::schema()),
        Command::Explain { code } => commands::explain::run(code.as_deref()),
        Command::Completion { shell } => commands::completion(shell),
        Command::Version => commands::print(&cli::version_long()),
        Command::Publish(args) => block_on(commands::publish::run(args)),
        Command::Tail(args) => block_on(commands::tail::run(args)),
        Command::Listen(args) => block_on(commands::listen::run(args)),
        Command::Status(args) => block_on(commands::status::run(args)),
        Command::Pause(args) => block_on(commands::control::pause(&args)),
        Command::Resume(args) => block_on(commands::control::resume(&args)),
        Command::Replay(args) => block_on(commands::control::replay(&args)),
        Command::DeadLetters(args) => block_on(commands::dead_letters::run(args)),
        Command::Drain(args) => block_on(commands::control::drain(&args)),
        Command::Healthcheck(args) => block_on(commands::healthcheck::run(args)),
    }
}

/// Runs a client command on a small runtime of its own.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // A read of standard input that nobody ends must not keep the process.
    runtime.shutdown_background();
    result
}
