//! A topic's events, read without a subscription: one JSON object a line.

use std::time::Duration;

use axum::extract::State as Extract;
use broker::{Body, Driver, ErrorKind, Letter, Position, Record, Selection};
use bytes::Bytes;
use futures::stream;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::failure::of_topic;
use super::path::Path;
use super::query::{self, Query};
use super::{Answer, From, Shared};
use crate::problem::Problem;
use crate::{Action, Limits, Resource, may};

/// Records of one read from the broker, and so of one piece of the answer.
const PAGE: usize = 64;

/// How often the end is looked at again while a stream follows it.
const POLL: Duration = Duration::from_millis(200);

#[utoipa::path(
    get, path = "/v1/topics/{topic}/events", tag = "admin",
    summary = "A topic's events, one JSON object a line: position, time, key, event, and what came with it",
    params(("topic" = String, Path), query::Browse),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = 404),
        (status = 501),
    ),
)]
pub(super) async fn browse(
    Extract(state): Shared,
    axum::Extension(caller): From,
    axum::Extension(limits): axum::Extension<Limits>,
    Path(name): Path<String>,
    Query(query): Query<query::Browse>,
) -> Answer {
    may(&caller, Action::Read, Resource::Topic(&name))?;
    let topic = state.publisher.topic(&name);
    let topic = topic.ok_or_else(|| Problem::unknown_topic(&name, &state.publisher))?;
    let (driver, on_broker) = (&*topic.driver, &*topic.on_broker);
    let (selection, skip) = select(driver, on_broker, query.from.as_deref()).await?;
    let given = skip.is_none() && selection.from.is_some();
    let reader = match driver.browse(on_broker, selection).await {
        // A broker finds nothing at a position that is none; whether it has the topic, its end tells.
        Err(error) if given && error.kind == ErrorKind::NotFound => {
            driver.end(on_broker).await.map_err(of_topic)?;
            let detail =
                "the query: from is earliest, latest, a time like 2026-01-31T12:00:00Z, or a position";
            return Err(Problem::new("bad_request", format!("{detail}: {}", error.message)));
        }
        reader => reader.map_err(of_topic)?,
    };
    let patience = limits.request_timeout;
    let (left, follow, stop) = (query.limit, query.follow, state.stop.clone());
    let pages = Pages { reader, skip, left, follow, patience, stop };
    let stream = stream::try_unfold(pages, |mut pages| async move {
        let page = pages.next().await?;
        Ok::<_, broker::Error>(page.map(|page| (page, pages)))
    });
    let mut response = Response::new(axum::body::Body::from_stream(stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(event::http::LINES));
    Ok(response)
}

/// What to read, and what of it to leave out: `latest` begins after the record at the topic's present end.
async fn select(
    driver: &dyn Driver,
    topic: &str,
    from: Option<&str>,
) -> Result<(Selection, Option<Position>), Problem> {
    let mut selection = Selection::default();
    let mut skip = None;
    match from {
        None | Some("" | "earliest") => {}
        Some("latest") => {
            skip = driver.end(topic).await.map_err(of_topic)?;
            selection.from = skip.clone();
        }
        Some(text) => match query::time(text) {
            Some(time) => selection.since = Some(time),
            None => selection.from = Some(Position::parse(text)),
        },
    }
    Ok((selection, skip))
}

struct Pages {
    reader: Box<dyn broker::Browse>,
    skip: Option<Position>,
    left: Option<u64>,
    follow: bool,
    /// How long a read from the broker may take.
    patience: Duration,
    stop: CancellationToken,
}

impl Pages {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, broker::Error> {
        while self.left != Some(0) {
            let max = self.left.map_or(PAGE, |left| usize::try_from(left).unwrap_or(PAGE).min(PAGE));
            let read = tokio::time::timeout(self.patience, self.reader.next(max)).await;
            // The answer has begun: it can only be broken off.
            let slow = || broker::Error::new(ErrorKind::Unavailable, "the broker did not answer in time");
            let mut records = read.map_err(|_| slow())??;
            let read = records.len();
            if let Some(skip) = self.skip.take_if(|_| read > 0) {
                records.retain(|(position, _, _)| *position != skip);
            }
            if !records.is_empty() {
                self.left = self.left.map(|left| left.saturating_sub(records.len() as u64));
                return Ok(Some(lines(&records)));
            }
            if read == 0 && !self.waited().await {
                break;
            }
        }
        Ok(None)
    }

    /// Waits a little at the end. False: this is the end.
    async fn waited(&mut self) -> bool {
        if !self.follow {
            return false;
        }
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(POLL) => true,
        }
    }
}

fn lines(records: &[(Position, u64, Record)]) -> Bytes {
    let mut out = Vec::new();
    for (position, time_ms, record) in records {
        line(position, *time_ms, record, &mut out);
    }
    out.into()
}

/// What stands before the event in a line.
#[derive(Serialize)]
struct Head<'a> {
    position: String,
    time: Option<String>,
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    letter: Option<LetterLine<'a>>,
    /// Why the record is no event.
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign: Option<&'a str>,
}

#[derive(Serialize)]
struct LetterLine<'a> {
    reason: &'a str,
    attempts: u32,
    status: Option<u16>,
    subscription: &'a str,
    topic: &'a str,
    position: &'a str,
    answer: &'a str,
}

fn line(position: &Position, time_ms: u64, record: &Record, out: &mut Vec<u8>) {
    let time = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let head = Head {
        position: position.to_string(),
        time: time.map(|time| time.to_string()),
        key: record.key.as_ref().map(ToString::to_string),
        traceparent: record.hop.traceparent.map(|trace| trace.to_string()),
        letter: record.letter.as_deref().map(letter),
        foreign: match &record.body {
            Body::Foreign { reason, .. } => Some(reason),
            Body::Event(_) => None,
        },
    };
    serde_json::to_writer(&mut *out, &head).expect("strings and numbers always serialise");
    if let Body::Event(event) = &record.body {
        // The event is JSON already: it is put in as the head's last member, and the end of its line is that of the whole.
        out.pop();
        out.extend_from_slice(b",\"event\":");
        event::json::write_line(event, out);
        out.pop();
        out.push(b'}');
    }
    out.push(b'\n');
}

fn letter(letter: &Letter) -> LetterLine<'_> {
    LetterLine {
        reason: &letter.reason,
        attempts: letter.attempts,
        status: letter.status,
        subscription: &letter.subscription,
        topic: &letter.topic,
        position: &letter.position,
        answer: &letter.answer,
    }
}
