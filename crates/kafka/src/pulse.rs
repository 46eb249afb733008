//! Whether the cluster can be reached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use broker::{Error, ErrorKind, Health};
use parking_lot::{Condvar, Mutex};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::errors;

/// Whether the cluster can be reached, as the driver's clients and its [monitor](crate::monitor) have found.
///
/// A client that loses its brokers only raises suspicion: connections come and go, and one that broke is usually back
/// within a tenth of a second. The monitor then asks, and its answer counts.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// The same as `state.down.is_some()`, for those who look at every publish.
    is_down: AtomicBool,
    state: Mutex<State>,
    suspicion: Condvar,
}

#[derive(Debug, Default)]
struct State {
    down: Option<(SystemTime, String)>,
    /// What a connection last failed with, in plain words, and what its caller may do about it.
    cause: Option<(ErrorKind, String)>,
    is_suspect: bool,
    is_ended: bool,
}

impl Pulse {
    /// A client of the driver told of an error. Most pass by themselves; that no broker can be reached is looked into.
    pub(crate) fn failed(&self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as C;
        let code = error.rdkafka_error_code();
        if let Some(code) = code
            && let Some(cause) = errors::connection(code, reason)
        {
            self.state.lock().cause = Some((errors::kind(code), cause));
        }
        match code {
            Some(C::AllBrokersDown | C::Authentication | C::SaslAuthenticationFailed) => {
                self.state.lock().is_suspect = true;
                self.suspicion.notify_all();
            }
            _ => tracing::debug!(%error, "librdkafka: {reason}"),
        }
    }

    /// The cluster answered.
    pub(crate) fn beat(&self) {
        if self.is_down.load(Ordering::Relaxed) {
            let mut state = self.state.lock();
            self.is_down.store(false, Ordering::Relaxed);
            state.cause = None;
            if let Some((since, _)) = state.down.take() {
                let lasted = since.elapsed().unwrap_or_default();
                tracing::info!(lasted_ms = lasted.as_millis() as u64, "the cluster can be reached again");
            }
        }
    }

    /// The cluster did not answer.
    pub(crate) fn missed(&self, error: &KafkaError) {
        let mut state = self.state.lock();
        let reason = match &state.cause {
            Some((_, cause)) => format!("no broker can be reached: {cause}"),
            None => format!("no broker answers: {error}"),
        };
        let since = match &state.down {
            Some((since, _)) => *since,
            None => {
                tracing::warn!("{reason}");
                SystemTime::now()
            }
        };
        state.down = Some((since, reason));
        self.is_down.store(true, Ordering::Relaxed);
    }

    pub(crate) fn health(&self) -> Health {
        match self.down() {
            None => Health::Up,
            Some((since, reason)) => Health::Down { since, reason },
        }
    }

    /// Since when it cannot be reached, and why. Costs next to nothing while it can.
    pub(crate) fn down(&self) -> Option<(SystemTime, String)> {
        if self.is_down.load(Ordering::Relaxed) { self.state.lock().down.clone() } else { None }
    }

    /// What a question failed with: where no broker can be reached, with the reason why.
    pub(crate) fn explain(&self, what: &str, error: &KafkaError) -> Error {
        use RDKafkaErrorCode as C;
        let unanswered = matches!(
            error.rdkafka_error_code(),
            Some(C::BrokerTransportFailure | C::AllBrokersDown | C::OperationTimedOut | C::RequestTimedOut)
        );
        match self.down().filter(|_| unanswered) {
            Some((_, reason)) => {
                let kind = self.state.lock().cause.as_ref().map_or(ErrorKind::Unavailable, |(kind, _)| *kind);
                Error::new(kind, format!("{what}: {reason}"))
            }
            None => errors::error(what, error),
        }
    }

    /// Waits until somebody suspects the worst, or so long. False: [`end`](Self::end) was called.
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.is_suspect && !state.is_ended {
            self.suspicion.wait_for(&mut state, at_most);
        }
        state.is_suspect = false;
        !state.is_ended
    }

    pub(crate) fn end(&self) {
        self.state.lock().is_ended = true;
        self.suspicion.notify_all();
    }
}
