//! The three listeners: their addresses are taken first, answered on later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::config::{Config, Listen};
use api::{BindError, BindErrorKind, Listener};
use broker::Driver;
use delivery::Subscriptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::drivers::Drivers;
use crate::failure::Failure;
use crate::ports;

/// Where the listeners are, as a client would write it.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) app: String,
    pub(crate) admin: String,
    pub(crate) health: String,
}

/// Addresses that are taken and not answered on yet.
#[derive(Debug)]
pub(super) struct Listeners {
    app: Listener,
    admin: Listener,
    health: Listener,
}

impl Listeners {
    pub(super) async fn bind(listen: &Listen) -> Result<Self, Failure> {
        let bind = async |key: &str, address: String| {
            Listener::bind(&address).await.map_err(|error| taken(key, &error))
        };
        Ok(Self {
            app: bind("app", listen.app.to_string()).await?,
            admin: bind("admin", listen.admin.to_string()).await?,
            health: bind("health", listen.health.to_string()).await?,
        })
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            app: self.app.address().to_owned(),
            admin: self.admin.address().to_owned(),
            health: self.health.address().to_owned(),
        }
    }

    /// Answers on all three until `stop`.
    pub(super) fn serve(
        self,
        faces: Faces,
        limits: api::Limits,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        api::serve(self.app, faces.app, limits, tasks, stop);
        api::serve(self.admin, faces.admin, limits, tasks, stop);
        api::serve(self.health, faces.health, limits, tasks, stop);
    }
}

/// What answers on the listeners.
#[derive(Debug)]
pub(super) struct Faces {
    pub(super) app: api::App,
    pub(super) admin: api::Admin,
    pub(super) health: api::Health,
}

/// One clear line for an address that cannot be taken, with the name of who holds it where that can be seen.
fn taken(key: &str, error: &BindError) -> Failure {
    let port = error.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let option = if key == "app" { "--listen".to_owned() } else { format!("--{key}-listen") };
    let change = format!("or change listen.{key} (of `dev`: {option})");
    let advice = match (&error.kind, port.and_then(ports::holder)) {
        (BindErrorKind::InUse, Some(holder)) => format!(": {holder} holds it; stop that, {change}"),
        (BindErrorKind::InUse, None) => format!("; stop whoever holds it, {change}"),
        _ => String::new(),
    };
    Failure::failed(format!("the {key} listener: {error}{advice}"))
}

/// The bounds of all three listeners.
pub(super) fn limits(config: &Config) -> api::Limits {
    api::Limits {
        header_bytes: config.limits.header.in_memory(),
        body_bytes: config.limits.body.in_memory(),
        request_timeout: config.limits.request_timeout.get(),
        connections: usize::try_from(config.limits.connections).unwrap_or(usize::MAX),
        ..api::Limits::default()
    }
}

/// What the admin listener asks of the process.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) service: String,
    pub(super) drivers: Drivers,
    pub(super) redacted: serde_json::Value,
    pub(super) subscriptions: Subscriptions,
    pub(super) tasks: TaskTracker,
}

impl api::House for Desk {
    fn service(&self) -> &str {
        &self.service
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn brokers(&self) -> Vec<(String, Arc<dyn Driver>)> {
        self.drivers.iter().map(|(name, driver)| (name.clone(), driver.clone())).collect()
    }

    fn config(&self) -> serde_json::Value {
        self.redacted.clone()
    }

    fn drain(&self, wait: Duration) {
        let subscriptions = self.subscriptions.clone();
        tracing::info!(wait_ms = wait.as_millis(), "an operator asked to drain");
        self.tasks.spawn(async move { subscriptions.drain_all(Instant::now() + wait).await });
    }
}
