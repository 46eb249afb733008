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
    /// The text is neither a level nor a filter.
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
    let filter = filter(level)?;
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

fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    let wrong = || LoggingError::Level(level.to_owned());
    // The filter's own syntax takes any lone word for a module's name: a misspelt level would silence the log.
    let is_level =
        |word: &str| !word.is_empty() && word.parse::<tracing::level_filters::LevelFilter>().is_ok();
    if level.split(',').any(|part| !part.contains(['=', '[']) && !is_level(part.trim())) {
        return Err(wrong());
    }
    EnvFilter::try_new(level).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_an_error() {
        for right in ["info", "WARN", "off", "info,api=debug", "postrider_delivery=trace"] {
            assert!(filter(right).is_ok(), "{right}");
        }
        for wrong in ["", "infos", "verbose", "info,", "api=loud"] {
            let error = filter(wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{wrong:?} is no log level")), "{error}");
        }
    }
}
