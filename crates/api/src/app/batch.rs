//! `application/cloudevents-batch+json`: all entries are validated before the first is written.

use std::sync::Arc;
use std::time::Instant;

use broker::Outcome;
use bytes::Bytes;
use event::Event;
use futures::future::join_all;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use publish::{Prepared, Topic};

use super::{App, Context, Target, answer, check_reserved};
use crate::listener::Body;
use crate::problem::Problem;

/// The entries of a batch that go to one topic, by their indexes. One call a topic: so the contract's rule for a key's
/// later entries holds for all of the batch.
#[derive(Debug)]
struct Part {
    topic: Arc<Topic>,
    events: Vec<Event>,
    indexes: Vec<usize>,
}

impl App {
    pub(super) async fn publish_batch(
        &self,
        target: &Target,
        context: &Context,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Response<Body>, Problem> {
        let events = event::json::batch_from_bytes(body).map_err(|(index, malformed)| {
            let problem = Problem::malformed(malformed);
            match index {
                Some(index) => problem.index(index),
                None => problem,
            }
        })?;
        let mut results = Results::new(&events);
        let (parts, indexes) = self.prepare_batch(target, context, events)?;
        // All parts are handed over before the first wait: a client that disconnects leaves no half behind.
        let sent: Vec<_> = parts.into_iter().map(|part| part.send(deadline)).collect();
        for (outcomes, indexes) in join_all(sent).await.into_iter().zip(indexes) {
            for (outcome, index) in outcomes.into_iter().zip(indexes) {
                results.set(index, outcome);
            }
        }
        Ok(results.into_response(context))
    }

    /// Routes, checks and admits every entry. The error names the first that cannot be taken.
    fn prepare_batch(
        &self,
        target: &Target,
        context: &Context,
        events: Vec<Event>,
    ) -> Result<(Vec<Prepared>, Vec<Vec<usize>>), Problem> {
        let mut parts: Vec<Part> = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            check_reserved(&event).map_err(|problem| problem.index(index))?;
            let topic = self.route(target, event.kind()).map_err(|problem| problem.index(index))?;
            let part = match parts.iter_mut().position(|part| part.topic.name == topic.name) {
                Some(found) => &mut parts[found],
                None => {
                    parts.push(Part { topic, events: Vec::new(), indexes: Vec::new() });
                    let last = parts.len() - 1;
                    &mut parts[last]
                }
            };
            part.events.push(event);
            part.indexes.push(index);
        }
        let mut prepared = Vec::with_capacity(parts.len());
        let mut indexes = Vec::with_capacity(parts.len());
        for part in parts {
            let items = part.events.into_iter().map(|event| context.item(event)).collect();
            prepared.push(self.inner.publisher.prepare_for(part.topic, items).map_err(|error| {
                let problem = Problem::from_publish(&error);
                match error {
                    publish::Error::KeyTooLong { index, .. }
                    | publish::Error::EventTooLarge { index, .. } => problem.index(part.indexes[index]),
                    _ => problem,
                }
            })?);
            indexes.push(part.indexes);
        }
        Ok((prepared, indexes))
    }
}

/// One result an entry, in order.
#[derive(Debug)]
struct Results {
    /// The beginnings of the entries' JSON, one after another, and where each ends: the events themselves go on to the
    /// broker.
    heads: Vec<u8>,
    ends: Vec<usize>,
    outcomes: Vec<Option<Outcome>>,
}

impl Results {
    fn new(events: &[Event]) -> Self {
        let (mut heads, mut ends) = (Vec::new(), Vec::with_capacity(events.len()));
        for event in events {
            answer::begin(event, &mut heads);
            ends.push(heads.len());
        }
        Self { heads, ends, outcomes: vec![None; events.len()] }
    }

    fn set(&mut self, index: usize, outcome: Outcome) {
        self.outcomes[index] = Some(outcome);
    }

    fn into_response(self, context: &Context) -> Response<Body> {
        let mut json = Vec::with_capacity(self.heads.len() + 100 * self.ends.len() + 64);
        json.extend_from_slice(b"{\"results\":[");
        let (mut failed, mut worst, mut wait_s) = (0_usize, StatusCode::OK, None);
        let mut start = 0;
        for (n, (end, outcome)) in self.ends.into_iter().zip(self.outcomes).enumerate() {
            if n > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&self.heads[start..end]);
            start = end;
            let outcome = outcome.unwrap_or_else(|| Outcome::Unknown("the broker gave no answer".into()));
            match (&outcome, answer::failure(&outcome)) {
                (Outcome::Durable(position), _) => answer::durable(position, &mut json),
                (_, Some(problem)) => {
                    failed += 1;
                    worst = worse(worst, problem.status());
                    wait_s = wait_s.max(problem.retry_after_s());
                    failure(&problem, &mut json);
                }
                (_, None) => {}
            }
        }
        json.push(b']');
        if failed == 0 {
            json.push(b'}');
            return if context.minimal { answer::no_content() } else { answer::ok(json) };
        }
        json.extend_from_slice(format!(",\"failed\":{failed}}}").as_bytes());
        let status = if context.strict { worst } else { StatusCode::MULTI_STATUS };
        let mut response = answer::json_response(status, json);
        if let Some(seconds) = wait_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Ends an entry with why it is not durable: `,"status":…,"code":…,"detail":…}`.
fn failure(problem: &Problem, into: &mut Vec<u8>) {
    into.extend_from_slice(format!(",\"status\":{},\"code\":", problem.status().as_u16()).as_bytes());
    answer::string(problem.code(), into);
    into.extend_from_slice(b",\"detail\":");
    answer::string(problem.detail(), into);
    into.push(b'}');
}

/// An unknown outcome is the worst: only it may have written what it does not report. Else the higher status.
fn worse(a: StatusCode, b: StatusCode) -> StatusCode {
    let rank = |status: StatusCode| (status == StatusCode::GATEWAY_TIMEOUT, status.as_u16());
    if rank(b) > rank(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_outcome_is_the_worst() {
        let s = |n| StatusCode::from_u16(n).unwrap();
        assert_eq!(worse(s(507), s(504)), s(504));
        assert_eq!(worse(s(504), s(507)), s(504));
        assert_eq!(worse(s(429), s(503)), s(503));
        assert_eq!(worse(s(200), s(404)), s(404));
    }
}
