//! The app listener: takes events in.
//!
//! Two paths, matched by hand: this is the hot path, and a router, extractors and a middleware stack would be most of
//! its cost.

mod answer;
mod batch;
mod body;
mod context;
mod describe;
mod lines;
mod one;
mod plain;

use std::sync::Arc;
use std::time::Instant;

use event::http::Mode;
use http::header::{CONTENT_ENCODING, EXPECT, HeaderMap};
use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use publish::{Publisher, Topic};
use telemetry::{Happened, Telemetry};
use tokio_util::task::TaskTracker;

use crate::guard::Guard;
use crate::listener::{Body, Handle};
use crate::problem::Problem;
use crate::{Action, Caller, Face, Limits, Resource, may};
use context::Context;
pub(crate) use describe::{__path_publish_by_type, __path_publish_to_topic};

/// So many of the largest bodies may be held at once; of smaller ones, accordingly more.
const BODIES_MAX: usize = 16;

/// Where only small bodies are taken, streams still gather lines into groups of this size.
const BODY_BYTES_MIN: usize = lines::GROUP_BYTES;

/// The app listener's face. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    publisher: Publisher,
    telemetry: Telemetry,
    service: String,
    guard: Guard,
    limits: Limits,
    budget: body::Budget,
    tasks: TaskTracker,
}

/// What the configuration says of the app listener.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The service's name: the source of events that are wrapped.
    pub service: String,
    /// Host names that requests may name, beside this machine's.
    pub hosts: Vec<String>,
    pub limits: Limits,
}

/// Where the events of a request go.
#[derive(Clone, Debug)]
enum Target {
    Topic(Arc<Topic>),
    /// To the topics that take their types.
    ByType,
}

impl Target {
    /// The topic's name for metrics: configured, or empty.
    fn label(&self) -> &str {
        match self {
            Self::Topic(topic) => &topic.name,
            Self::ByType => "",
        }
    }
}

impl Handle for App {
    const FACE: Face = Face::App;

    async fn handle(&self, caller: Arc<Caller>, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let waits = parts.headers.contains_key(EXPECT);
        let body = body::Reader::new(body, waits, self.inner.budget.clone(), self.inner.tasks.clone());
        let target = match self.admit(&caller, &parts) {
            Ok(target) => target,
            // Nothing that the request says may become a label.
            Err(problem) => return self.refused("", problem),
        };
        match self.answer(&parts, &target, body).await {
            Ok(response) => response,
            Err(problem) => self.refused(target.label(), problem),
        }
    }
}

impl App {
    /// `tasks` owns what outlives a request: reading on from clients that were answered early.
    pub fn new(publisher: Publisher, telemetry: Telemetry, settings: Settings, tasks: TaskTracker) -> Self {
        let Settings { service, hosts, limits } = settings;
        let guard = Guard::new(&hosts);
        let body_bytes = limits.body_bytes.max(BODY_BYTES_MIN);
        let budget = body::Budget::new(body_bytes.saturating_mul(BODIES_MAX));
        Self { inner: Arc::new(Inner { publisher, telemetry, service, guard, limits, budget, tasks }) }
    }

    async fn answer(
        &self,
        parts: &Parts,
        target: &Target,
        mut body: body::Reader,
    ) -> Result<Response<Body>, Problem> {
        let deadline = Instant::now() + self.inner.limits.request_timeout;
        let context = Context::read(&parts.headers)?;
        let max = self.inner.limits.body_bytes;
        match event::http::mode(&parts.headers) {
            Mode::Lines => self.publish_lines(target, &context, body).await,
            Mode::Batched => {
                let body = body.all(max, deadline).await?;
                self.publish_batch(target, &context, body, deadline).await
            }
            mode => {
                if mode == Mode::Plain {
                    plain::check(&parts.headers, body.is_empty())?;
                }
                let event = self.decode(mode, parts, target, body.all(max, deadline).await?)?;
                self.publish_one(target, context, event, deadline).await
            }
        }
    }

    fn refused(&self, topic: &str, problem: Problem) -> Response<Body> {
        if !problem.is_told() {
            let code = problem.code();
            self.inner.telemetry.tell(Happened::Refused { topic, code, events: 1, trace: None });
        }
        problem.into_response()
    }

    /// All that can be refused by the request's head.
    fn admit(&self, caller: &Caller, parts: &Parts) -> Result<Target, Problem> {
        self.inner.guard.check_host(caller, parts)?;
        Guard::check_origin(&parts.headers)?;
        let target = match path(parts.uri.path()) {
            Some(Path::Events) => {
                may(caller, Action::Publish, Resource::Events)?;
                Target::ByType
            }
            Some(Path::Topic(name)) => {
                let name = percent_decoded(name)?;
                may(caller, Action::Publish, Resource::Topic(&name))?;
                self.check_method(&parts.method)?;
                let topic = self.inner.publisher.topic(&name).filter(|topic| topic.open);
                Target::Topic(topic.ok_or_else(|| Problem::unknown_topic(&name, &self.inner.publisher))?)
            }
            None => {
                let detail = "events are POSTed to /v1/topics/{topic}/events, or to /v1/events";
                return Err(Problem::new("not_found", detail));
            }
        };
        self.check_method(&parts.method)?;
        check_encoding(&parts.headers)?;
        Ok(target)
    }

    fn check_method(&self, method: &Method) -> Result<(), Problem> {
        if method == Method::POST {
            return Ok(());
        }
        Err(Problem::new("method_not_allowed", "events are POSTed").allow("POST"))
    }

    fn route(&self, target: &Target, kind: &str) -> Result<Arc<Topic>, Problem> {
        match target {
            Target::Topic(topic) => Ok(topic.clone()),
            Target::ByType => self.inner.publisher.topic_of_type(kind).ok_or_else(|| {
                let topics = self.inner.publisher.topics();
                let detail = format!(
                    "no topic takes events of type \"{}\"; a topic's types: in the configuration names those it takes",
                    telemetry::Shown::text(kind)
                );
                Problem::new("unrouted_type", detail).topics(topics.iter().map(|t| t.name.to_string()).collect())
            }),
        }
    }
}

enum Path<'a> {
    Events,
    Topic(&'a str),
}

fn path(path: &str) -> Option<Path<'_>> {
    let rest = path.strip_prefix("/v1/")?;
    if rest == "events" {
        return Some(Path::Events);
    }
    let name = rest.strip_prefix("topics/")?.strip_suffix("/events")?;
    (!name.is_empty() && !name.contains('/')).then_some(Path::Topic(name))
}

fn percent_decoded(segment: &str) -> Result<std::borrow::Cow<'_, str>, Problem> {
    crate::percent::decoded(segment)
        .ok_or_else(|| Problem::new("bad_request", "the path holds a malformed percent escape"))
}

/// A compressed body could be a bomb, and its length says nothing: none is taken.
fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Problem::new("unsupported_encoding", "send the body without a content-encoding"))
        }
        _ => Ok(()),
    }
}

/// Attributes that mean something to a later version are refused, so that they are not ignored in silence.
fn check_reserved(event: &event::Event) -> Result<(), Problem> {
    if event.attribute("deliverat").is_some() {
        let detail = "deliverat: delayed delivery is reserved and not there yet";
        return Err(Problem::new("reserved_attribute", detail).attribute("deliverat"));
    }
    Ok(())
}
