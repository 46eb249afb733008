//! What happens, told as typed events; metrics and logs are made from them here, in one place.
//!
//! A crate that has something to tell calls [`Telemetry::tell`] with a [`Happened`]; it knows neither metric names nor
//! log formats. Observers are added at start-up: the metrics, the log, and in `postrider dev` the terminal.

mod happened;
mod log;
mod logging;
mod metrics;
mod shown;

pub use happened::{AttemptResult, Happened, Trace};
pub use log::Log;
pub use logging::{LogFormat, LoggingError, init_logging};
pub use metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, Metrics};
pub use shown::Shown;

use std::fmt::Debug;
use std::sync::Arc;

/// Something that looks at everything that happens. Called on the hot path: it must not block.
pub trait Observer: Debug + Send + Sync + 'static {
    fn observe(&self, happened: &Happened<'_>);
}

/// Where events are told. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    observers: Arc<[Box<dyn Observer>]>,
}

impl Telemetry {
    pub fn new(observers: Vec<Box<dyn Observer>>) -> Self {
        Self { observers: observers.into() }
    }

    pub fn tell(&self, happened: Happened<'_>) {
        for observer in self.observers.iter() {
            observer.observe(&happened);
        }
    }
}
