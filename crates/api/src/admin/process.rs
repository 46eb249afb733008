//! The process: what it is, how it is, and how it ends.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use axum::extract::State as Extract;
use broker::Health;
use http::{Response, StatusCode};
use publish::{FullTopic, Publisher};
use serde::Serialize;

use super::query::{self, Query};
use super::{Answer, From, Shared, json, ok};
use crate::problem::Problem;
use crate::{Action, Resource, may};

/// The listener's endpoints, for whoever opens it in a browser.
pub(super) async fn index(axum::Extension(caller): From) -> Answer {
    may(&caller, Action::Read, Resource::Process)?;
    let endpoints: Vec<_> = crate::openapi::endpoints("admin");
    ok(&serde_json::json!({ "name": "postrider", "listener": "admin", "endpoints": endpoints }))
}

#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "admin", summary = "This description",
    responses((status = 200, body = serde_json::Value)),
)]
pub(super) async fn openapi(axum::Extension(caller): From) -> Answer {
    may(&caller, Action::Read, Resource::Process)?;
    let mut response = Response::new(axum::body::Body::from(crate::openapi()));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}

/// The sidecar at a glance.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Status {
    service: String,
    version: String,
    started: bool,
    ready: bool,
    brokers: Vec<BrokerStatus>,
    topics: Vec<TopicStatus>,
    /// As `/v1/subscriptions` shows them.
    #[schema(value_type = Vec<crate::openapi::Subscription>)]
    subscriptions: Vec<delivery::Status>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct BrokerStatus {
    name: String,
    /// `up`, `down`, or `pending` until its subscriptions are there.
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Since when it is down, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct TopicStatus {
    name: String,
    broker: String,
    types: Vec<String>,
    /// Present while the topic refuses events with 507 `log_full`, until one is durable again.
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<FullStatus>,
}

/// A topic that refuses events.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct FullStatus {
    /// What is full, and whose backlog fills it.
    reason: String,
    /// The first refusal and the latest, RFC 3339.
    since: Option<String>,
    last: Option<String>,
}

#[utoipa::path(
    get, path = "/v1/status", tag = "admin", summary = "The sidecar at a glance",
    responses((status = 200, body = Status)),
)]
pub(super) async fn status(Extract(state): Shared, axum::Extension(caller): From) -> Answer {
    may(&caller, Action::Read, Resource::Process)?;
    let pending = state.publisher.pending();
    let brokers = state.house.brokers().into_iter().map(|(name, driver)| {
        let why = pending.iter().find(|(broker, _)| *broker == name).map(|(_, why)| why.clone());
        broker_status(name, driver.health(), why)
    });
    ok(&Status {
        service: state.house.service().to_owned(),
        version: state.house.version().to_owned(),
        started: state.readiness.is_started(),
        ready: state.readiness.is_ready(),
        brokers: brokers.collect(),
        topics: topics(&state.publisher),
        subscriptions: state.subscriptions.list(),
    })
}

/// All topics that are published to, and internal ones where they are full.
fn topics(publisher: &Publisher) -> Vec<TopicStatus> {
    let mut full: BTreeMap<_, _> =
        publisher.full_topics().into_iter().map(|topic| (topic.name.clone(), topic)).collect();
    let open = publisher.topics();
    let mut topics: Vec<_> = open
        .iter()
        .map(|topic| TopicStatus {
            name: topic.name.to_string(),
            broker: topic.broker.to_string(),
            types: topic.types.clone(),
            full: full.remove(&topic.name).map(full_status),
        })
        .collect();
    topics.extend(full.into_values().map(|topic| TopicStatus {
        name: topic.name.to_string(),
        broker: topic.broker.to_string(),
        types: Vec::new(),
        full: Some(full_status(topic)),
    }));
    topics
}

fn full_status(topic: FullTopic) -> FullStatus {
    FullStatus { reason: topic.reason, since: rfc3339(topic.since), last: rfc3339(topic.last) }
}

fn broker_status(name: String, health: Health, pending: Option<String>) -> BrokerStatus {
    match (health, pending) {
        (Health::Down { since, reason }, _) => {
            BrokerStatus { name, health: "down", reason: Some(reason), since: rfc3339(since) }
        }
        (Health::Up, Some(reason)) => {
            BrokerStatus { name, health: "pending", reason: Some(reason), since: None }
        }
        (Health::Up, None) => BrokerStatus { name, health: "up", reason: None, since: None },
    }
}

pub(super) fn rfc3339(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time).ok().map(|time| time.to_string())
}

#[utoipa::path(
    get, path = "/v1/config", tag = "admin", summary = "The configuration in force, without its secrets",
    responses((status = 200, body = serde_json::Value)),
)]
pub(super) async fn config(Extract(state): Shared, axum::Extension(caller): From) -> Answer {
    may(&caller, Action::Read, Resource::Process)?;
    ok(&state.house.config())
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Draining {
    draining: bool,
    /// Always `process`: other replicas go on.
    scope: &'static str,
}

#[utoipa::path(
    post, path = "/v1/drain", tag = "admin", params(query::Drain),
    summary = "Stop delivering: what is under way may end, the rest is released; publishing goes on",
    responses((status = 202, body = Draining)),
)]
pub(super) async fn drain(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Query(query): Query<query::Drain>,
) -> Answer {
    const WAIT: Duration = Duration::from_secs(50);
    may(&caller, Action::Write, Resource::Process)?;
    let wait = query.wait.as_deref().map_or(Ok(WAIT), query::span)?;
    state.house.drain(wait);
    json(StatusCode::ACCEPTED, &Draining { draining: true, scope: "process" })
}

pub(super) async fn not_found() -> Answer {
    Err(Problem::new("not_found", "there is nothing at this path; / lists what there is"))
}

pub(super) async fn method_not_allowed() -> Answer {
    Err(Problem::new("method_not_allowed", "this path takes another method; / lists what there is"))
}
