//! Promise 7, as far as it stands before spans do: the trace of the publisher's request reaches the webhook unbroken.

use std::sync::{Arc, Mutex};

use postrider_tests::{Answer, Backend, Postrider, Seen, Setup, Webhook, on_each_backend};
use serde_json::json;

on_each_backend!(the_trace_headers_pass_and_the_tracing_attributes_are_left_alone,);

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STATE: &str = "vendor=value,other=1";
/// The trace that the event started with: an attribute of it, and nobody's business on the way.
const ATTRIBUTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

async fn the_trace_headers_pass_and_the_tracing_attributes_are_left_alone(backend: Backend) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let kept = seen.clone();
    let webhook = Webhook::scripted(move |request| {
        kept.lock().expect("nobody panics here").push(request.clone());
        // The first attempt fails, so that a retry is seen as well.
        Answer::status(if request.earlier == 0 { 500 } else { 200 })
    })
    .await;
    let sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), json!({}))).await;
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "traced"),
        ("ce-source", "/tests"),
        ("ce-type", "com.example.order.created"),
        ("ce-traceparent", ATTRIBUTE),
        ("content-type", "application/json"),
        ("traceparent", PARENT),
        ("tracestate", STATE),
    ];
    let answer = sidecar.publish("/v1/topics/orders/events", &headers, "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    webhook.until_delivered(1).await;
    let seen = seen.lock().expect("nobody panics here");
    assert_eq!(seen.len(), 2, "an attempt and its retry");
    for request in seen.iter() {
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("traceparent"), Some(PARENT), "the hop's own header");
        assert_eq!(header("tracestate"), Some(STATE));
        assert_eq!(header("ce-traceparent"), Some(ATTRIBUTE), "an attribute is never rewritten");
    }
}
