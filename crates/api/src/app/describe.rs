//! What OpenAPI says of the app listener, whose requests are dispatched by hand. A test sends each described request.

use crate::openapi::Published;

#[utoipa::path(
    post, path = "/v1/topics/{topic}/events", tag = "app", summary = "Publish to a topic",
    description = "A CloudEvent in binary, structured or batched mode; a stream of structured events, one a line; or any \
                   other body, which is wrapped.",
    params(
        ("topic" = String, Path, description = "The logical topic"),
        ("postrider-key" = Option<String>, Header, description = "What order follows: UTF-8 of at most 1,024 bytes, percent-encoded or not"),
        ("idempotency-key" = Option<String>, Header, description = "The id of an event that is wrapped"),
        ("prefer" = Option<String>, Header, description = "return=minimal, handling=strict"),
        ("traceparent" = Option<String>, Header, description = "W3C Trace Context"),
        ("tracestate" = Option<String>, Header, description = "W3C Trace Context"),
    ),
    request_body(content(
        (String = "application/cloudevents+json"),
        (String = "application/cloudevents-batch+json"),
        (String = "application/x-ndjson"),
        (String = "*/*"),
    )),
    responses(
        (status = 200, description = "Durable on the broker", body = Published),
        (status = 204, description = "Durable, and no body was wanted"),
        (status = 207, description = "Some entries of a batch are not durable", body = Published),
        (status = 400, description = "Malformed"),
        (status = 403, description = "Refused"),
        (status = 404, description = "No such topic"),
        (status = 408, description = "The body came too slowly"),
        (status = 413, description = "Too large"),
        (status = 415, description = "No type that is taken"),
        (status = 429, description = "Too much at once"),
        (status = 503, description = "Not now"),
        (status = 504, description = "It may have been written"),
        (status = 507, description = "Full"),
    ),
)]
#[expect(dead_code, reason = "a description")]
pub(crate) fn publish_to_topic() {}

#[utoipa::path(
    post, path = "/v1/events", tag = "app", summary = "Publish to the topics that take the events' types",
    description = "Like a topic's own path, for CloudEvents only: one URL for CloudEvents SDKs and K_SINK. It takes the \
                   same headers and answers the same failures.",
    request_body(content(
        (String = "application/cloudevents+json"),
        (String = "application/cloudevents-batch+json"),
        (String = "application/x-ndjson"),
        (String = "*/*"),
    )),
    responses(
        (status = 200, description = "Durable on the broker", body = Published),
        (status = 204, description = "Durable, and no body was wanted"),
        (status = 207, description = "Some entries of a batch are not durable", body = Published),
        (status = 404, description = "No topic takes the type"),
    ),
)]
#[expect(dead_code, reason = "a description")]
pub(crate) fn publish_by_type() {}
