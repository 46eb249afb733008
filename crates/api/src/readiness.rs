use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// What the probes of the health listener answer. The composition root says it; cheap to clone.
///
/// A process is *started* once, and *ready* while every check holds. Liveness is that the process answers at all: a
/// broker's outage is no reason to restart a pod.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    state: Arc<RwLock<State>>,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    ready: bool,
    checks: BTreeMap<String, Check>,
}

/// One line of `/readyz?verbose`.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) holds: bool,
    pub(crate) detail: String,
}

impl Readiness {
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `/startupz` answers 200.
    pub fn set_started(&self) {
        self.state.write().started = true;
    }

    /// Whether `/readyz` answers 200.
    pub fn set_ready(&self, ready: bool) {
        self.state.write().ready = ready;
    }

    /// What `?verbose` shows under this name. It informs; [`set_ready`](Self::set_ready) decides.
    pub fn set_check(&self, name: &str, holds: bool, detail: impl Into<String>) {
        self.state.write().checks.insert(name.to_owned(), Check { holds, detail: detail.into() });
    }

    pub(crate) fn is_started(&self) -> bool {
        self.state.read().started
    }

    pub fn is_ready(&self) -> bool {
        self.state.read().ready
    }

    pub(crate) fn checks(&self) -> BTreeMap<String, Check> {
        self.state.read().checks.clone()
    }
}
