//! The command line, as clap reads it. Its help is meant to teach.

mod args;
mod span;

use clap::{Parser, Subcommand};

pub(crate) use args::*;
pub(crate) use span::Span;

/// The drivers that this build has.
const DRIVERS: &[&str] = &[
    #[cfg(feature = "embedded")]
    "embedded",
    #[cfg(feature = "kafka")]
    "kafka",
    #[cfg(feature = "pubsub")]
    "pubsub",
];

pub(crate) fn version_long() -> String {
    format!("postrider {}\ndrivers: {}", env!("CARGO_PKG_VERSION"), DRIVERS.join(", "))
}

/// An event sidecar: POST events to localhost, and they are made durable on the configured broker;
/// what arrives is pushed to the service's webhook, in order per key, with retries and dead letters.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, disable_help_subcommand = true, max_term_width = 110)]
#[command(
    after_help = "Begin with `postrider dev`: a broker, a webhook and three lines of curl to try, without any configuration.\n\
    Exit codes: 0 done, 1 failed, 64 bad usage or configuration."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the sidecar
    Run(RunArgs),
    /// Try Postrider: embedded broker, sample webhook, every event's way shown; needs no configuration
    Dev(DevArgs),
    /// Check configuration files and print the merged result
    Check(CheckArgs),
    /// Publish events to a topic
    Publish(PublishArgs),
    /// Print a topic's events
    Tail(TailArgs),
    /// Forward a topic's new events to a URL, without a subscription
    Listen(ListenArgs),
    /// Show the sidecar and its subscriptions
    Status(StatusArgs),
    /// Stop delivering a subscription in this process; nothing is lost
    Pause(SubscriptionArgs),
    /// Deliver a paused subscription again
    Resume(SubscriptionArgs),
    /// Move a subscription's cursor, so that events are delivered again (or skipped)
    Replay(ReplayArgs),
    /// List, show, redrive or purge dead letters
    #[command(visible_alias = "dlq")]
    DeadLetters(DeadLettersArgs),
    /// Stop delivering and wait until nothing is in flight; publishing goes on (for a preStop hook)
    Drain(DrainArgs),
    /// Ask the health listener; exit 0 when ready (for a container's health check)
    Healthcheck(HealthcheckArgs),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Explain an error code, or list them all
    Explain { code: Option<String> },
    /// Print a completion script for a shell
    Completion { shell: clap_complete::Shell },
    /// Print the version and the drivers that are built in
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
