//! Dead letters: why events were given up, and what to do about it.

use axum::extract::State as Extract;
use serde::Serialize;

use super::failure::of_page;
use super::path::Path;
use super::query::{self, Query};
use super::{Answer, From, Shared, ok};
use crate::{Action, Resource, may};

#[utoipa::path(
    get, path = "/v1/subscriptions/{name}/dead-letters", tag = "admin", summary = "Its dead letters",
    params(("name" = String, Path), query::Letters),
    responses((status = 200, body = crate::openapi::Letters), (status = 404)),
)]
pub(super) async fn letters(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path(name): Path<String>,
    Query(query): Query<query::Letters>,
) -> Answer {
    may(&caller, Action::Read, Resource::Subscription(&name))?;
    let filter = query.filter();
    let letters = state.subscriptions.letters(&name, &filter).await;
    ok(&letters.map_err(|error| of_page(error, filter.from.as_deref()))?)
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Redriving {
    /// How many letters are being delivered again.
    redriving: u64,
}

#[utoipa::path(
    post, path = "/v1/subscriptions/{name}/dead-letters/redrive", tag = "admin",
    summary = "Deliver them again, to this subscription alone; order is not restored",
    params(("name" = String, Path), query::Letters),
    responses(
        (status = 200, body = Redriving),
        (status = 404),
        (status = 409),
    ),
)]
pub(super) async fn redrive(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path(name): Path<String>,
    Query(query): Query<query::Letters>,
) -> Answer {
    may(&caller, Action::Write, Resource::Subscription(&name))?;
    let filter = query.filter();
    let redriving = state.subscriptions.redrive(&name, &filter).await;
    ok(&Redriving { redriving: redriving.map_err(|error| of_page(error, filter.from.as_deref()))? })
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Purged {
    /// How many letters were removed.
    purged: u64,
}

#[utoipa::path(
    delete, path = "/v1/subscriptions/{name}/dead-letters", tag = "admin", summary = "Remove them for good",
    params(("name" = String, Path), query::Letters),
    responses((status = 200, body = Purged), (status = 404)),
)]
pub(super) async fn purge(
    Extract(state): Shared,
    axum::Extension(caller): From,
    Path(name): Path<String>,
    Query(query): Query<query::Letters>,
) -> Answer {
    may(&caller, Action::Write, Resource::Subscription(&name))?;
    let filter = query.filter();
    let purged = state.subscriptions.purge(&name, &filter).await;
    ok(&Purged { purged: purged.map_err(|error| of_page(error, filter.from.as_deref()))? })
}
