//! The durable subscriptions that brokers hold, used or not: one that nobody uses keeps its topic's events for ever.

use std::sync::Arc;

use axum::extract::State as Extract;
use broker::Driver;
use serde::Serialize;

use super::failure::of_broker;
use super::path::Path;
use super::{Answer, From, Shared, State, ok};
use crate::problem::Problem;
use crate::{Action, Resource, may};

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Durables {
    subscriptions: Vec<Durable>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Durable {
    /// The durable name.
    name: String,
    topic: String,
    lag: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_age_ms: Option<u64>,
    /// Whether it is being delivered.
    open: bool,
}

#[utoipa::path(
    get, path = "/v1/brokers/{broker}/subscriptions", tag = "admin",
    summary = "The durable subscriptions of a broker, used or not",
    params(("broker" = String, Path)),
    responses(
        (status = 200, body = Durables),
        (status = 404),
        (status = 501),
    ),
)]
pub(super) async fn durables(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path(broker): Path<String>,
) -> Answer {
    may(&caller, Action::Read, Resource::Broker(&broker))?;
    let found = driver(&state, &broker)?.subscriptions().await.map_err(of_broker)?;
    let subscriptions = found.into_iter().map(|info| Durable {
        name: info.name,
        topic: info.topic,
        lag: info.lag.records,
        oldest_age_ms: info.lag.oldest.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        open: info.open,
    });
    ok(&Durables { subscriptions: subscriptions.collect() })
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Deleted {
    deleted: String,
}

#[utoipa::path(
    delete, path = "/v1/brokers/{broker}/subscriptions/{durable}", tag = "admin",
    summary = "Delete a durable subscription that is not open, with what it has not delivered",
    params(("broker" = String, Path), ("durable" = String, Path)),
    responses(
        (status = 200, body = Deleted),
        (status = 404),
        (status = 409),
        (status = 501),
    ),
)]
pub(super) async fn delete_durable(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path((broker, durable)): Path<(String, String)>,
) -> Answer {
    may(&caller, Action::Write, Resource::Broker(&broker))?;
    driver(&state, &broker)?.delete(&durable).await.map_err(of_broker)?;
    ok(&Deleted { deleted: durable })
}

fn driver(state: &State, broker: &str) -> Result<Arc<dyn Driver>, Problem> {
    let brokers = state.house.brokers();
    let known: Vec<_> = brokers.iter().map(|(name, _)| name.clone()).collect();
    brokers.into_iter().find(|(name, _)| name == broker).map(|(_, driver)| driver).ok_or_else(|| {
        let name = telemetry::Shown::text(broker);
        Problem::new(
            "unknown_broker",
            format!("no broker \"{name}\" is configured; known: {}", known.join(", ")),
        )
    })
}
