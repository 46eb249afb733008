//! The yardstick of a publish over HTTP: an axum server that reads the body and answers what Postrider answers. It has as
//! many threads.

use anyhow::Result;
use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;

use super::{At, asked, say};
use crate::samples;

pub(super) fn play() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let at = At { address: listener.local_addr()? };
    let app = Router::new().route("/v1/topics/{topic}/events", post(answer));
    runtime.spawn(async move { axum::serve(listener, app).await });
    say(&at)?;
    while asked()?.is_some() {}
    runtime.shutdown_background();
    Ok(())
}

async fn answer(body: Bytes) -> impl IntoResponse {
    std::hint::black_box(body.len());
    const ACCEPTED: HeaderName = HeaderName::from_static("postrider-accepted");
    ([(header::CONTENT_TYPE, "application/json"), (ACCEPTED, "broker")], samples::ANSWER)
}
