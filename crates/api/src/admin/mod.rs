//! The admin listener: tells and obeys operators. It never writes configuration.

mod brokers;
mod browse;
mod failure;
mod letters;
mod path;
mod process;
mod query;
mod subscriptions;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{delete, get, post};
use broker::Driver;
use delivery::Subscriptions;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use publish::Publisher;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) use brokers::{__path_delete_durable, __path_durables};
pub(crate) use browse::__path_browse;
pub(crate) use letters::{__path_letters, __path_purge, __path_redrive};
pub(crate) use process::{__path_config, __path_drain, __path_openapi, __path_status};
#[cfg(fuzzing)]
pub(crate) use query::{span, time};
pub(crate) use subscriptions::{__path_list, __path_one, __path_pause, __path_resume, __path_seek};

use crate::guard::Guard;
use crate::listener::{Body, Handle};
use crate::problem::Problem;
use crate::{Caller, Face, Limits, Readiness};

/// What the admin listener asks of the process that it is part of.
pub trait House: Debug + Send + Sync + 'static {
    /// The service's name.
    fn service(&self) -> &str;
    fn version(&self) -> &str;
    /// The brokers by their names in the configuration.
    fn brokers(&self) -> Vec<(String, Arc<dyn Driver>)>;
    /// The configuration as it is in force, without its secrets.
    fn config(&self) -> serde_json::Value;
    /// Stops delivering within `wait`; publishing goes on. Returns at once.
    fn drain(&self, wait: Duration);
}

/// The admin listener's face. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    router: Router,
    guard: Guard,
    limits: Limits,
}

/// What the endpoints work on.
#[derive(Debug)]
struct State {
    house: Arc<dyn House>,
    publisher: Publisher,
    subscriptions: Subscriptions,
    readiness: Readiness,
    /// Ends streams that follow a topic.
    stop: CancellationToken,
}

type Shared = axum::extract::State<Arc<State>>;
type From = axum::Extension<Arc<Caller>>;
type Answer = Result<Response<axum::body::Body>, Problem>;

impl Admin {
    /// `hosts`: names that requests may give as their host, beside this machine's. `stop` ends streams that would go on
    /// for ever.
    pub fn new(
        house: Arc<dyn House>,
        publisher: Publisher,
        subscriptions: Subscriptions,
        readiness: Readiness,
        hosts: &[String],
        stop: CancellationToken,
    ) -> Self {
        let state = State { house, publisher, subscriptions, readiness, stop };
        Self { router: router(Arc::new(state)), guard: Guard::new(hosts), limits: Limits::default() }
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(process::index))
        .route("/v1/status", get(process::status))
        .route("/v1/config", get(process::config))
        .route("/v1/openapi.json", get(process::openapi))
        .route("/v1/drain", post(process::drain))
        .route("/v1/subscriptions", get(subscriptions::list))
        .route("/v1/subscriptions/{name}", get(subscriptions::one))
        .route("/v1/subscriptions/{name}/pause", post(subscriptions::pause))
        .route("/v1/subscriptions/{name}/resume", post(subscriptions::resume))
        .route("/v1/subscriptions/{name}/seek", post(subscriptions::seek))
        .route("/v1/subscriptions/{name}/dead-letters", get(letters::letters).delete(letters::purge))
        .route("/v1/subscriptions/{name}/dead-letters/redrive", post(letters::redrive))
        .route("/v1/topics/{topic}/events", get(browse::browse))
        .route("/v1/brokers/{broker}/subscriptions", get(brokers::durables))
        .route("/v1/brokers/{broker}/subscriptions/{durable}", delete(brokers::delete_durable))
        .fallback(process::not_found)
        .method_not_allowed_fallback(process::method_not_allowed)
        .with_state(state)
}

impl Handle for Admin {
    const FACE: Face = Face::Admin;

    fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    async fn handle(&self, caller: Arc<Caller>, request: Request<Incoming>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let mut checked = self.guard.check_host(&caller, &parts);
        if !reads {
            checked = checked.and_then(|()| Guard::check_origin(&parts.headers));
        }
        if let Err(problem) = checked {
            return problem.into_response();
        }
        parts.extensions.insert(caller);
        parts.extensions.insert(self.limits);
        let request = Request::from_parts(parts, axum::body::Body::new(body));
        // To the answer's head: what is streamed has a bound of its own for each piece.
        let answer = tokio::time::timeout(self.limits.request_timeout, self.router.clone().oneshot(request));
        match answer.await {
            Ok(Ok(response)) => response.map(Either::Right),
            Ok(Err(never)) => match never {},
            Err(_) => timed_out(reads).into_response(),
        }
    }
}

fn timed_out(reads: bool) -> Problem {
    let detail = if reads {
        "the broker did not answer within limits.request_timeout"
    } else {
        "the broker did not answer within limits.request_timeout; what was asked may have been done, or may yet be"
    };
    Problem::new("timed_out", detail)
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        Self::into_response(self).map(|body| match body {
            Either::Left(full) => axum::body::Body::new(full),
            Either::Right(body) => body,
        })
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(value).map_err(|e| Problem::new("internal", e.to_string()))?;
    let mut response = Response::new(axum::body::Body::new(Full::from(bytes)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}
