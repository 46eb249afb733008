//! What each command takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Span;

/// The sidecar that a command talks to.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// Admin listener of the sidecar: HOST:PORT or unix:PATH
    #[arg(long, env = "POSTRIDER_ADMIN", default_value = "localhost:3580", value_name = "ADDRESS")]
    pub(crate) admin: String,
}

#[derive(Debug, Args)]
pub(crate) struct SubscriptionArgs {
    /// Its name in the configuration
    pub(crate) subscription: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// How long to wait at most
    #[arg(long, default_value = "50s")]
    pub(crate) wait: Span,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file; may be given several times, later files override earlier ones
    #[arg(
        long,
        short,
        env = "POSTRIDER_CONFIG",
        value_delimiter = ':',
        required = true,
        value_name = "FILE"
    )]
    pub(crate) config: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  postrider run --config config/embedded.yaml")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or per crate: `info,postrider_telemetry=debug` tells every attempt
    #[arg(long, env = "POSTRIDER_LOG", default_value = "info", value_name = "LEVEL")]
    pub(crate) log: String,
    /// How to log, to standard error
    #[arg(long, env = "POSTRIDER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postrider dev\n  postrider dev --forward-to http://127.0.0.1:8080/events\n  \
    postrider dev --forward-to http://127.0.0.1:8080/events -- npm start"
)]
pub(crate) struct DevArgs {
    /// Where the embedded broker keeps its events
    #[arg(long, default_value = "dev-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Topic to offer; may be given several times
    #[arg(long, default_value = "orders.created", value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
    /// Deliver to this URL instead of the sample webhook
    #[arg(long, value_name = "URL")]
    pub(crate) forward_to: Option<String>,
    /// Where the app listener is
    #[arg(long, default_value = "localhost:3500", value_name = "ADDRESS")]
    pub(crate) listen: String,
    /// Where the admin listener is
    #[arg(long, default_value = "localhost:3580", value_name = "ADDRESS")]
    pub(crate) admin_listen: String,
    /// Where the health listener is
    #[arg(long, default_value = "localhost:3581", value_name = "ADDRESS")]
    pub(crate) health_listen: String,
    /// Where the sample webhook is
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub(crate) webhook: String,
    /// The app to start once Postrider is ready; `dev` ends with it
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Say only whether it is right
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postrider publish orders.created '{\"total\": 12}' --key customer-7\n  \
    postrider publish orders.created --file events.ndjson\n  \
    generate | postrider publish orders.created --file - --ndjson --wrap"
)]
pub(crate) struct PublishArgs {
    pub(crate) topic: String,
    /// The event's data
    #[arg(conflicts_with = "file")]
    pub(crate) data: Option<String>,
    /// Read from a file, or from standard input with `-`
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The input holds one event in structured mode a line (implied by .ndjson and .jsonl)
    #[arg(long)]
    pub(crate) ndjson: bool,
    /// The lines are data, not events: make an event of each
    #[arg(long)]
    pub(crate) wrap: bool,
    /// Content type of the data
    #[arg(long, default_value = "application/json", value_name = "MEDIA TYPE")]
    pub(crate) content_type: String,
    /// Key that order and partition follow
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The event's id (default: a new UUIDv7)
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The event's source (default: postrider-cli)
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// The event's type (default: the topic's name)
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// The event's subject
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// App listener of the sidecar: HOST:PORT or unix:PATH
    #[arg(long, env = "POSTRIDER_APP", default_value = "localhost:3500", value_name = "ADDRESS")]
    pub(crate) app: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to print
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    pub(crate) topic: String,
    /// Begin at `earliest`, `latest`, a position, or an RFC 3339 time
    #[arg(long, default_value = "latest")]
    pub(crate) from: String,
    /// Stop after so many events
    #[arg(long, short = 'n', value_name = "EVENTS")]
    pub(crate) limit: Option<u64>,
    /// Print only events with this key
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Print what is there and stop, rather than wait for more
    #[arg(long)]
    pub(crate) no_follow: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    pub(crate) topic: String,
    /// Where to POST each event, in binary mode
    #[arg(long, value_name = "URL")]
    pub(crate) forward_to: String,
    /// Begin at `earliest`, `latest`, a position, or an RFC 3339 time
    #[arg(long, default_value = "latest")]
    pub(crate) from: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show one subscription, with all that is known of it
    pub(crate) subscription: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    pub(crate) subscription: String,
    /// Deliver again from `earliest`, `latest` (skip what is there), or an RFC 3339 time
    #[arg(long)]
    pub(crate) from: String,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Why they are here, grouped, and the letters themselves
    List {
        subscription: String,
        #[command(flatten)]
        filter: LetterFilterArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Why one letter is here, with the webhook's last answer
    Show {
        subscription: String,
        /// The event's id
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Deliver letters again, to this subscription alone
    Redrive {
        subscription: String,
        #[command(flatten)]
        filter: LetterFilterArgs,
        /// Only say how many it would be
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove letters for good
    Purge {
        subscription: String,
        #[command(flatten)]
        filter: LetterFilterArgs,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LetterFilterArgs {
    /// Only letters with this event id
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Only letters with this key
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Only letters with this reason
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only letters whose last answer had this status
    #[arg(long)]
    pub(crate) status: Option<u16>,
    /// At most so many letters
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct HealthcheckArgs {
    /// Health listener to ask: HOST:PORT or unix:PATH
    #[arg(long, env = "POSTRIDER_HEALTH", default_value = "127.0.0.1:3581", value_name = "ADDRESS")]
    pub(crate) health: String,
    /// Which question to ask
    #[arg(long, value_enum, default_value_t = Probe::Ready)]
    pub(crate) probe: Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Probe {
    Live,
    Startup,
    Ready,
}
