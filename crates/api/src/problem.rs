//! Errors as the API tells them: RFC 9457 problem documents with a stable `code`, each with a page in `docs/errors/`.

mod codes;

use std::time::Duration;

use broker::{Refusal, RefusalKind};
use bytes::Bytes;
use event::Malformed;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use publish::Publisher;
use serde::Serialize;

pub use codes::{CODES, Code};

use crate::Body;

/// An error on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    /// Boxed: errors are passed up through every function of a request.
    document: Box<Document>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    /// Whether telemetry has been told of it by whoever refused.
    told: bool,
}

/// An `application/problem+json` body.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Document {
    /// The page that explains the code.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// Stable: `postrider explain CODE` tells more.
    code: &'static str,
    /// What is wrong with this request.
    detail: String,
    /// The CloudEvents attribute at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<String>,
    /// The rule that it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// The batch's entry at fault, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// The NDJSON stream's line at fault, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// How many events of an NDJSON stream are durable: all before this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<u64>,
    /// The topics that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<String>>,
}

/// Where the pages of the codes are.
const PAGES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/errors/");

impl Problem {
    /// A problem by its code, which must be one of [`CODES`]. `detail` is a sentence for the caller.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let Code { code, status, title } = *codes::find(code);
        Self {
            document: Box::new(Document {
                kind: format!("{PAGES}{code}.md"),
                title,
                status,
                code,
                detail: detail.into(),
                attribute: None,
                rule: None,
                index: None,
                line: None,
                accepted: None,
                topics: None,
            }),
            retry_after: None,
            allow: None,
            told: false,
        }
    }

    pub(crate) fn malformed(malformed: Malformed) -> Self {
        let mut problem = Self::new("malformed_event", malformed.to_string());
        problem.document.attribute = malformed.attribute;
        problem.document.rule = Some(malformed.rule.into_owned());
        problem
    }

    /// A topic that is not configured, with those that are.
    pub(crate) fn unknown_topic(name: &str, publisher: &Publisher) -> Self {
        let topics: Vec<_> = publisher.topics().iter().map(|topic| topic.name.to_string()).collect();
        let known = if topics.is_empty() { "none".to_owned() } else { topics.join(", ") };
        let name = telemetry::Shown::text(name);
        let detail = format!("no topic \"{name}\" is configured; known: {known}");
        Self::new("unknown_topic", detail).topics(topics)
    }

    pub(crate) fn outcome_unknown(what: &str) -> Self {
        let advice = "the event may have been written, or may yet be: send it again with the same id";
        Self { told: true, ..Self::new("outcome_unknown", format!("{what}; {advice}")) }
    }

    pub(crate) fn refused(refusal: &Refusal) -> Self {
        let code = publish::refusal_code(refusal.kind);
        let again = matches!(refusal.kind, RefusalKind::Full | RefusalKind::AfterFailure);
        let retry_after = refusal.retry_after.or(again.then_some(Duration::from_secs(1)));
        Self { told: true, retry_after, ..Self::new(code, refusal.message.clone()) }
    }

    /// The index that some errors name is left to the caller to place: it means different things.
    pub(crate) fn from_publish(error: &publish::Error) -> Self {
        let detail = match error {
            publish::Error::KeyTooLong { bytes, .. } => {
                format!("the event's key has {bytes} bytes; at most 1,024 are allowed")
            }
            publish::Error::EventTooLarge { bytes, topic, max, .. } => {
                format!("the event has {bytes} bytes; topic {topic} takes at most {max}")
            }
            other => other.to_string(),
        };
        Self { told: true, retry_after: error.retry_after(), ..Self::new(error.code(), detail) }
    }

    pub(crate) fn attribute(mut self, name: &str) -> Self {
        self.document.attribute = Some(name.to_owned());
        self
    }

    pub(crate) fn index(mut self, index: usize) -> Self {
        self.document.index = Some(index);
        self
    }

    pub(crate) fn at_line(mut self, line: u64, accepted: u64) -> Self {
        self.document.line = Some(line);
        self.document.accepted = Some(accepted);
        self
    }

    pub(crate) fn topics(mut self, topics: Vec<String>) -> Self {
        self.document.topics = Some(topics);
        self
    }

    pub(crate) fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    pub(crate) fn is_told(&self) -> bool {
        self.told
    }

    pub fn code(&self) -> &'static str {
        self.document.code
    }

    pub fn detail(&self) -> &str {
        &self.document.detail
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// `Retry-After` in whole seconds, rounded up: 429 and 503 always carry it.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        let usual = matches!(self.document.status, 429 | 503).then_some(Duration::from_secs(1));
        self.retry_after.or(usual).map(|wait| (wait.as_secs_f64().ceil() as u64).max(1))
    }

    pub(crate) fn bytes(&self) -> Bytes {
        serde_json::to_vec(&self.document).expect("strings and numbers always serialise").into()
    }

    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Either::Left(Full::new(self.bytes())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        response
    }
}

impl From<crate::Denied> for Problem {
    fn from(denied: crate::Denied) -> Self {
        Self::new("denied", denied.to_string())
    }
}
