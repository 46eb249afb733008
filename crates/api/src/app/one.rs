//! One event: binary, structured, or wrapped.

use std::time::Instant;

use broker::Outcome;
use bytes::Bytes;
use event::Event;
use event::http::Mode;
use http::Response;
use http::request::Parts;

use super::{App, Context, Target, answer, check_reserved, plain};
use crate::listener::Body;
use crate::problem::Problem;

impl App {
    pub(super) fn decode(
        &self,
        mode: Mode,
        parts: &Parts,
        target: &Target,
        body: Bytes,
    ) -> Result<Event, Problem> {
        let event = match (mode, target) {
            (Mode::Binary, _) => {
                event::http::from_binary(&parts.headers, body).map_err(Problem::malformed)?
            }
            (Mode::Structured, _) => event::json::from_bytes(body).map_err(Problem::malformed)?,
            (Mode::Plain, Target::Topic(topic)) => {
                plain::wrap(&parts.headers, &self.inner.service, &topic.name, body)?
            }
            (Mode::Plain, Target::ByType) => {
                let detail = "/v1/events takes CloudEvents, for the topic follows from their type; \
                              other bodies are POSTed to /v1/topics/{topic}/events";
                return Err(Problem::new("unsupported_media_type", detail));
            }
            (Mode::Batched | Mode::Lines | Mode::UnsupportedFormat, _) => {
                let detail = "CloudEvents are taken in the JSON format: application/cloudevents+json";
                return Err(Problem::new("unsupported_media_type", detail));
            }
        };
        check_reserved(&event)?;
        Ok(event)
    }

    pub(super) async fn publish_one(
        &self,
        target: &Target,
        context: Context,
        event: Event,
        deadline: Instant,
    ) -> Result<Response<Body>, Problem> {
        let topic = self.route(target, event.kind())?;
        let mut json = Vec::new();
        if !context.minimal {
            json.reserve(128 + event.id().len() + event.source().len());
            answer::begin(&event, &mut json);
        }
        let items = vec![context.item(event)];
        let prepared =
            self.inner.publisher.prepare_for(topic, items).map_err(|e| Problem::from_publish(&e))?;
        let outcome = prepared.send(deadline).await.pop();
        match outcome {
            Some(Outcome::Durable(_)) if context.minimal => Ok(answer::no_content()),
            Some(Outcome::Durable(position)) => {
                answer::durable(&position, &mut json);
                Ok(answer::ok(json))
            }
            Some(Outcome::Refused(refusal)) => Err(Problem::refused(&refusal)),
            Some(Outcome::Unknown(what)) => Err(Problem::outcome_unknown(&what)),
            None => Err(Problem::outcome_unknown("the broker gave no answer")),
        }
    }
}
