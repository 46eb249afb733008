//! The health listener: probes and metrics, no payloads.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

use crate::listener::{Body, Handle};
use crate::problem::Problem;
use crate::{Action, Caller, Face, Readiness, Resource, may};

/// The health listener's face. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    readiness: Readiness,
    /// Writes the page of metrics: what is read only then is read right before.
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

impl Health {
    /// `metrics` answers `/metrics`, in OpenMetrics text.
    pub fn new(readiness: Readiness, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { readiness, metrics: Arc::new(metrics) }
    }

    fn answer(&self, caller: &Caller, request: &Request<Incoming>) -> Result<Response<Body>, Problem> {
        may(caller, Action::Read, Resource::Process)?;
        let path = request.uri().path();
        let answer = match path {
            "/livez" => probe("live", true),
            "/startupz" => probe("started", self.readiness.is_started()),
            "/readyz" if is_verbose(request) => self.verbose(),
            "/readyz" => probe("ready", self.readiness.is_ready()),
            "/metrics" => text(StatusCode::OK, telemetry::METRICS_CONTENT_TYPE, (self.metrics)()),
            _ => {
                let detail = "there are /livez, /startupz, /readyz (?verbose) and /metrics";
                return Err(Problem::new("not_found", detail));
            }
        };
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Problem::new("method_not_allowed", "health is read").allow("GET, HEAD"));
        }
        Ok(answer)
    }

    fn verbose(&self) -> Response<Body> {
        let ready = self.readiness.is_ready();
        let mut lines = String::new();
        for (name, check) in self.readiness.checks() {
            let mark = if check.holds { '+' } else { '-' };
            lines.push_str(&format!("[{mark}] {name}: {}\n", telemetry::Shown::text(&check.detail)));
        }
        lines.push_str(if ready { "ready\n" } else { "not ready\n" });
        text(status(ready), PLAIN, lines)
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn is_verbose(request: &Request<Incoming>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("verbose")))
}

fn status(holds: bool) -> StatusCode {
    if holds { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn probe(word: &'static str, holds: bool) -> Response<Body> {
    text(status(holds), PLAIN, if holds { format!("{word}\n") } else { format!("not {word}\n") })
}

fn text(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

impl Handle for Health {
    const FACE: Face = Face::Health;

    async fn handle(&self, caller: Arc<Caller>, request: Request<Incoming>) -> Response<Body> {
        self.answer(&caller, &request).unwrap_or_else(Problem::into_response)
    }
}

#[utoipa::path(
    get, path = "/livez", tag = "health", summary = "Whether the process lives",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
#[expect(dead_code, reason = "a description")]
pub(crate) fn livez() {}

#[utoipa::path(
    get, path = "/startupz", tag = "health", summary = "Whether it has started",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, body = String, content_type = "text/plain"),
    ),
)]
#[expect(dead_code, reason = "a description")]
pub(crate) fn startupz() {}

#[utoipa::path(
    get, path = "/readyz", tag = "health", summary = "Whether it takes events",
    params(("verbose" = Option<String>, Query, description = "Tell every check")),
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, body = String, content_type = "text/plain"),
    ),
)]
#[expect(dead_code, reason = "a description")]
pub(crate) fn readyz() {}

#[utoipa::path(
    get, path = "/metrics", tag = "health", summary = "Metrics for Prometheus",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
)]
#[expect(dead_code, reason = "a description")]
pub(crate) fn metrics() {}
