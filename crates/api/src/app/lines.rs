//! `application/x-ndjson`: a stream of structured events, of any length, in bounded memory.
//!
//! Lines are gathered into groups, and a group is published as a batch while the next one is read. Only one group is
//! under way: the answer promises that all lines before the one it names are durable and invites the client to go on
//! from there, so nothing may be written beyond a group that failed. The slower the broker, the larger the groups; at
//! their bound reading stops, and the client's connection fills.
//!
//! All that a stream holds (a line whose end has not come, the group that is gathered, the group under way) is counted
//! with the bodies of all requests.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Outcome;
use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use http::Response;
use publish::{Item, Topic};

use super::body::{Reader, too_large};
use super::{App, Context, Target, answer, check_reserved};
use crate::listener::Body;
use crate::problem::Problem;

const GROUP_EVENTS: usize = 4096;
pub(super) const GROUP_BYTES: usize = 1 << 20;

/// Each event's line and what became of it, in the stream's order.
type Sent = Vec<(u64, Outcome)>;
type UnderWay = Pin<Box<dyn Future<Output = Sent> + Send>>;

impl App {
    pub(super) async fn publish_lines(
        &self,
        target: &Target,
        context: &Context,
        body: Reader,
    ) -> Result<Response<Body>, Problem> {
        let mut stream = Stream::new(self, target, context, body);
        let mut under_way: Option<UnderWay> = None;
        let mut accepted = 0;
        loop {
            if under_way.is_none() && !stream.group.is_empty() {
                let first = stream.group.lines[0];
                let sent = stream.send().map_err(|problem| problem.at_line(first, accepted))?;
                under_way = Some(Box::pin(sent));
            }
            let reading = stream.end.is_none() && !stream.group.is_full();
            tokio::select! {
                sent = outcomes(&mut under_way), if under_way.is_some() => {
                    under_way = None;
                    accepted = count(sent, accepted)?;
                    stream.answered();
                }
                frame = stream.frame(), if reading => stream.take(frame),
                else => break,
            }
        }
        if let Some(Err(problem)) = stream.end {
            return Err(problem.at_line(stream.line, accepted));
        }
        if context.minimal {
            return Ok(answer::no_content());
        }
        Ok(answer::ok(format!("{{\"accepted\":{accepted}}}").into_bytes()))
    }
}

/// The answer of the group under way. Cancel-safe.
async fn outcomes(under_way: &mut Option<UnderWay>) -> Sent {
    match under_way {
        Some(sent) => sent.await,
        None => std::future::pending().await,
    }
}

/// Counts the durable events up to the first that is not.
fn count(sent: Sent, mut accepted: u64) -> Result<u64, Problem> {
    for (line, outcome) in sent {
        if let Some(problem) = answer::failure(&outcome) {
            return Err(problem.at_line(line, accepted));
        }
        accepted += 1;
    }
    Ok(accepted)
}

/// A stream of lines on its way in.
#[derive(Debug)]
struct Stream<'a> {
    app: &'a App,
    target: &'a Target,
    context: &'a Context,
    body: Reader,
    /// The beginning of a line whose end has not come yet.
    rest: BytesMut,
    /// The line read last, from 1.
    line: u64,
    group: Group,
    /// Bytes of the group under way.
    sent_bytes: usize,
    /// Nothing more is read: the stream ended, or its present line cannot be taken.
    end: Option<Result<(), Problem>>,
}

impl<'a> Stream<'a> {
    fn new(app: &'a App, target: &'a Target, context: &'a Context, body: Reader) -> Self {
        let (rest, line, group, sent_bytes, end) = Default::default();
        Self { app, target, context, body, rest, line, group, sent_bytes, end }
    }

    /// The next piece. Cancel-safe.
    async fn frame(&mut self) -> Result<Option<Bytes>, Problem> {
        let pause: Duration = self.app.inner.limits.request_timeout;
        tokio::time::timeout(pause, self.body.frame())
            .await
            .unwrap_or_else(|_| Err(Problem::new("request_timeout", "the stream stood still for too long")))
    }

    /// Takes a piece apart; what cannot be taken ends the stream.
    fn take(&mut self, frame: Result<Option<Bytes>, Problem>) {
        let taken = match frame {
            Ok(Some(bytes)) => self.split(bytes),
            Ok(None) => {
                let last = self.rest.split().freeze();
                self.end = Some(Ok(()));
                if last.is_empty() { Ok(()) } else { self.event(&last) }
            }
            Err(problem) => {
                self.line += 1;
                Err(problem)
            }
        };
        if let Err(problem) = taken {
            self.end = Some(Err(problem));
        }
    }

    fn split(&mut self, mut bytes: Bytes) -> Result<(), Problem> {
        let max = self.app.inner.limits.body_bytes;
        while let Some(end) = memchr::memchr(b'\n', &bytes) {
            let mut line = bytes.split_to(end + 1);
            if !self.rest.is_empty() {
                self.rest.extend_from_slice(&line);
                line = self.rest.split().freeze();
            }
            if line.len() > max {
                self.line += 1;
                return Err(too_large(max));
            }
            self.event(&line)?;
        }
        self.rest.extend_from_slice(&bytes);
        if self.rest.len() > max {
            self.line += 1;
            return Err(too_large(max));
        }
        self.hold(0).inspect_err(|_| self.line += 1)
    }

    /// Counts what is held, and so many bytes more.
    fn hold(&mut self, more: usize) -> Result<(), Problem> {
        self.body.hold(self.rest.len() + self.group.bytes + self.sent_bytes + more)
    }

    /// The group under way has been answered.
    fn answered(&mut self) {
        self.sent_bytes = 0;
        if let Err(problem) = self.hold(0) {
            self.end = Some(Err(problem));
        }
    }

    fn event(&mut self, line: &Bytes) -> Result<(), Problem> {
        self.line += 1;
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() {
            // It came in one piece of memory with the events around it, and stays for as long as they do.
            self.group.pad(line.len());
            return Ok(());
        }
        let event = event::json::from_bytes(line.slice_ref(trimmed)).map_err(Problem::malformed)?;
        check_reserved(&event)?;
        let topic = self.app.route(self.target, event.kind())?;
        let mut item = self.context.item(event);
        self.app.inner.publisher.vet(&topic, &mut item).map_err(|e| Problem::from_publish(&e))?;
        self.hold(line.len())?;
        self.group.push(topic, item, self.line, line.len());
        Ok(())
    }

    /// Publishes the group, in one call a topic.
    fn send(&mut self) -> Result<impl Future<Output = Sent> + Send + use<>, Problem> {
        let inner = &self.app.inner;
        let deadline = Instant::now() + inner.limits.request_timeout;
        let Group { parts, lines, bytes } = std::mem::take(&mut self.group);
        self.sent_bytes = bytes;
        let mut prepared = Vec::with_capacity(parts.len());
        let mut places = Vec::with_capacity(parts.len());
        for part in parts {
            let one = inner.publisher.prepare_for(part.topic, part.items);
            prepared.push(one.map_err(|e| Problem::from_publish(&e))?);
            places.push(part.places);
        }
        let sent: Vec<_> = prepared.into_iter().map(|part| part.send(deadline)).collect();
        Ok(async move {
            let mut all: Sent = lines
                .into_iter()
                .map(|line| (line, Outcome::Unknown("the broker gave no answer".into())))
                .collect();
            for (outcomes, places) in join_all(sent).await.into_iter().zip(places) {
                for (outcome, place) in outcomes.into_iter().zip(places) {
                    all[place].1 = outcome;
                }
            }
            all
        })
    }
}

/// Lines to be published together.
#[derive(Debug, Default)]
struct Group {
    parts: Vec<Part>,
    /// The line of each event.
    lines: Vec<u64>,
    bytes: usize,
}

/// The events of a group that go to one topic, and their places in it.
#[derive(Debug)]
struct Part {
    topic: Arc<Topic>,
    items: Vec<Item>,
    places: Vec<usize>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= GROUP_EVENTS || self.bytes >= GROUP_BYTES
    }

    fn pad(&mut self, bytes: usize) {
        if !self.is_empty() {
            self.bytes += bytes;
        }
    }

    fn push(&mut self, topic: Arc<Topic>, item: Item, line: u64, bytes: usize) {
        let found = self.parts.iter().position(|part| part.topic.name == topic.name);
        let part = found.unwrap_or_else(|| {
            self.parts.push(Part { topic, items: Vec::new(), places: Vec::new() });
            self.parts.len() - 1
        });
        let part = &mut self.parts[part];
        part.items.push(item);
        part.places.push(self.lines.len());
        self.lines.push(line);
        self.bytes += bytes;
    }
}
