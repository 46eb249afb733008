//! Subscriptions: how they are, and an operator's word to them.

use axum::extract::State as Extract;
use serde::Serialize;

use super::failure::of_delivery;
use super::path::Path;
use super::query::{self, Query};
use super::{Answer, From, Shared, ok};
use crate::{Action, Resource, may};

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct List {
    #[schema(value_type = Vec<crate::openapi::Subscription>)]
    subscriptions: Vec<delivery::Status>,
}

#[utoipa::path(
    get, path = "/v1/subscriptions", tag = "admin", summary = "All subscriptions of this process",
    responses((status = 200, body = List)),
)]
pub(super) async fn list(Extract(state): Shared, axum::Extension(caller): From) -> Answer {
    may(&caller, Action::Read, Resource::Process)?;
    ok(&List { subscriptions: state.subscriptions.list() })
}

#[utoipa::path(
    get, path = "/v1/subscriptions/{name}", tag = "admin", summary = "One subscription",
    params(("name" = String, Path)),
    responses((status = 200, body = crate::openapi::Subscription), (status = 404)),
)]
pub(super) async fn one(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path(name): Path<String>,
) -> Answer {
    may(&caller, Action::Read, Resource::Subscription(&name))?;
    ok(&state.subscriptions.status(&name).map_err(of_delivery)?)
}

/// What became of a word to a subscription.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Changed {
    subscription: String,
    /// `paused`, `resumed`, `moved`.
    state: &'static str,
    /// `process`: other replicas go on as they were. `subscription`: all of them.
    scope: &'static str,
}

#[utoipa::path(
    post, path = "/v1/subscriptions/{name}/pause", tag = "admin", summary = "Pause it in this process",
    params(("name" = String, Path)),
    responses((status = 200, body = Changed), (status = 404)),
)]
pub(super) async fn pause(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path(name): Path<String>,
) -> Answer {
    may(&caller, Action::Write, Resource::Subscription(&name))?;
    state.subscriptions.pause(&name).map_err(of_delivery)?;
    ok(&Changed { subscription: name, state: "paused", scope: "process" })
}

#[utoipa::path(
    post, path = "/v1/subscriptions/{name}/resume", tag = "admin", summary = "Resume it in this process",
    params(("name" = String, Path)),
    responses((status = 200, body = Changed), (status = 404)),
)]
pub(super) async fn resume(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path(name): Path<String>,
) -> Answer {
    may(&caller, Action::Write, Resource::Subscription(&name))?;
    state.subscriptions.resume(&name).map_err(of_delivery)?;
    ok(&Changed { subscription: name, state: "resumed", scope: "process" })
}

#[utoipa::path(
    post, path = "/v1/subscriptions/{name}/seek", tag = "admin",
    summary = "Move its cursor: what stands before counts as delivered, what stands after is delivered again",
    params(("name" = String, Path), query::Seek),
    responses(
        (status = 200, body = Changed),
        (status = 404),
        (status = 501),
    ),
)]
pub(super) async fn seek(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path(name): Path<String>,
    Query(query): Query<query::Seek>,
) -> Answer {
    may(&caller, Action::Write, Resource::Subscription(&name))?;
    let to = query::start(&query.to)?;
    state.subscriptions.seek(&name, to).await.map_err(of_delivery)?;
    ok(&Changed { subscription: name, state: "moved", scope: "subscription" })
}
