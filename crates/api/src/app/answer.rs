//! The answers to what was taken in, written by hand: they are small, and a tree of JSON values would cost more than
//! the rest of the request.

use broker::{Outcome, Position};
use bytes::Bytes;
use event::Event;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};

use crate::listener::Body;
use crate::problem::Problem;

const ACCEPTED: HeaderName = HeaderName::from_static("postrider-accepted");

/// The answer to one event, begun while the event is still at hand: `{"id":…,"source":…`.
pub(super) fn begin(event: &Event, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"id\":");
    string(event.id(), into);
    into.extend_from_slice(b",\"source\":");
    string(event.source(), into);
}

/// Ends it with where the event is: `,"accepted":"broker","position":…}`.
pub(super) fn durable(position: &Position, into: &mut Vec<u8>) {
    into.extend_from_slice(b",\"accepted\":\"broker\",\"position\":");
    string(&position.to_string(), into);
    into.push(b'}');
}

pub(super) fn string(text: &str, into: &mut Vec<u8>) {
    serde_json::to_writer(into, text).expect("a string always serialises");
}

/// What becomes of an outcome that is not durable.
pub(super) fn failure(outcome: &Outcome) -> Option<Problem> {
    match outcome {
        Outcome::Durable(_) => None,
        Outcome::Refused(refusal) => Some(Problem::refused(refusal)),
        Outcome::Unknown(what) => Some(Problem::outcome_unknown(what)),
    }
}

/// All of the request's events are durable.
pub(super) fn ok(json: Vec<u8>) -> Response<Body> {
    let mut response = json_response(StatusCode::OK, json);
    response.headers_mut().insert(ACCEPTED, HeaderValue::from_static("broker"));
    response
}

/// The same, for who wants no body.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::new())));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ACCEPTED, HeaderValue::from_static("broker"));
    response
}

pub(super) fn json_response(status: StatusCode, json: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(json.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
