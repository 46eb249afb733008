//! Whether the app behind the webhooks is up: its health path answers 2xx, or, where it has none, its port takes
//! connections. Delivery starts when it first is, stands still while it is not, and goes on when it is again.

use std::time::Duration;

use delivery::Subscriptions;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::client::{self, Client};

const EVERY_WHILE_DOWN: Duration = Duration::from_millis(250);
const EVERY_WHILE_UP: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(2);
/// One slow answer of a busy app is no outage.
const FAILURES_BEFORE_DOWN: u32 = 3;

/// The name that subscriptions know an app by: where it is and how its health is asked.
pub(super) fn name(app: &::config::App) -> String {
    format!("{}{}", app.url.origin(), app.health.as_deref().unwrap_or_default())
}

/// An app that subscriptions deliver to.
#[derive(Clone, Debug)]
pub(super) struct App {
    /// The name that subscriptions know it by.
    pub(super) name: String,
    authority: String,
    health: Option<String>,
}

impl App {
    pub(super) fn new(app: &::config::App) -> Self {
        let origin = app.url.origin();
        Self {
            name: name(app),
            authority: format!("{}:{}", origin.host, origin.port),
            health: app.health.clone(),
        }
    }

    async fn is_up(&self) -> bool {
        tokio::time::timeout(TIMEOUT, self.answers()).await.unwrap_or(false)
    }

    async fn answers(&self) -> bool {
        match &self.health {
            Some(path) => {
                let client = Client::new(&self.authority);
                let asked = client.send(http::Method::GET, path, &[], client::empty()).await;
                asked.is_ok_and(|answer| answer.status.is_success())
            }
            None => TcpStream::connect(&self.authority).await.is_ok(),
        }
    }
}

/// Probes until stopped, and tells the subscriptions of every change.
pub(super) async fn watch(app: App, subscriptions: Subscriptions, stop: CancellationToken) {
    let mut up = false;
    let mut failures = 0;
    loop {
        let answered = tokio::select! {
            answered = app.is_up() => answered,
            () = stop.cancelled() => return,
        };
        failures = if answered { 0 } else { failures + 1 };
        let now = answered || (up && failures < FAILURES_BEFORE_DOWN);
        if now != up {
            tracing::info!(app = app.name, up = now, "the app's health changed");
            subscriptions.set_app(&app.name, now);
            up = now;
        }
        let pause = if up && failures == 0 { EVERY_WHILE_UP } else { EVERY_WHILE_DOWN };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}
