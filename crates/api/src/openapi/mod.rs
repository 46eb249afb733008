//! The description of the API, made from the handlers themselves.

mod schemas;

use http::StatusCode;
use serde::Serialize;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

pub(crate) use schemas::{Letters, Published, Subscription};

use crate::problem::Document;
use crate::{admin, app, health};

/// The OpenAPI 3.1 document of all three listeners, as pretty JSON.
pub fn openapi() -> String {
    let mut text = described().to_pretty_json().expect("the description always serialises");
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Postrider",
        description = "The app listener takes events in (default localhost:3500), the admin listener tells and obeys \
                       operators (default localhost:3580), the health listener answers probes (default 0.0.0.0:3581).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        app::publish_to_topic, app::publish_by_type,
        admin::status, admin::config, admin::openapi, admin::drain,
        admin::list, admin::one, admin::pause, admin::resume, admin::seek,
        admin::letters, admin::purge, admin::redrive,
        admin::browse, admin::durables, admin::delete_durable,
        health::livez, health::startupz, health::readyz, health::metrics,
    ),
    components(schemas(Document)),
    tags(
        (name = "app", description = "Publish"),
        (name = "admin", description = "Operate"),
        (name = "health", description = "Probes and metrics"),
    ),
)]
struct Description;

/// What handlers say of themselves, and what holds for all of them.
fn described() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    for item in description.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
            let answers_problems = operation.tags.iter().flatten().all(|tag| tag != "health");
            describe_responses(operation, answers_problems);
        }
    }
    description
}

/// Every response has a description, as OpenAPI demands, and every failure is a problem document, also of a status that
/// stands for none of the operation's own.
fn describe_responses(operation: &mut Operation, answers_problems: bool) {
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            let known = status.parse().ok().and_then(|status: StatusCode| status.canonical_reason());
            known.unwrap_or_default().clone_into(&mut response.description);
        }
        if answers_problems && status.starts_with(['4', '5']) {
            response.content = problem("").content;
        }
    }
    if answers_problems {
        let other = problem("Any other failure: `code` says which, docs/errors what to do");
        responses.insert("default".to_owned(), RefOr::T(other));
    }
}

fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name("Document");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

/// One line of the admin listener's `/`.
#[derive(Debug, Serialize)]
pub(crate) struct Endpoint {
    method: &'static str,
    path: String,
    what: String,
}

/// The endpoints with this tag.
pub(crate) fn endpoints(tag: &str) -> Vec<Endpoint> {
    let description = Description::openapi();
    let mut endpoints = Vec::new();
    for (path, item) in description.paths.paths {
        let PathItem { get, post, delete, .. } = item;
        for (method, operation) in [("GET", get), ("POST", post), ("DELETE", delete)] {
            let Some(operation) = operation else { continue };
            if operation.tags.iter().flatten().any(|t| t == tag) {
                let what = operation.summary.unwrap_or_default();
                endpoints.push(Endpoint { method, path: path.clone(), what });
            }
        }
    }
    endpoints
}
