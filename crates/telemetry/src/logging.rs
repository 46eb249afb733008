use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines are written to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// One sentence about the level's syntax.
    #[error(
        "{0:?} is no log level: give one of error, warn, info, debug, trace, or a filter like info,api=debug"
    )]
    Level(String),
    #[error("logging has been set up already")]
    Twice,
}

/// Sends log lines to stderr from now on. `level` is a level, or a filter of several (`info,delivery=debug`). Once a
/// process.
pub fn init_logging(format: LogFormat, level: &str) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(level).map_err(|_| LoggingError::Level(level.to_owned()))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).finish().try_init(),
        LogFormat::Text => {
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            lines.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).finish().try_init()
        }
    };
    set.map_err(|_| LoggingError::Twice)
}
