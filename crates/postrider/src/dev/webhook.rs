//! The sample webhook of `postrider dev`: it prints what it gets, and fails when it is told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::terminal::say;

/// What the webhook answers: a status, for so many requests (`None`: until told otherwise).
#[derive(Clone, Copy, Debug)]
struct Answer {
    status: StatusCode,
    times: Option<u64>,
}

type Shared = Arc<Mutex<Answer>>;

const HEALTHY: Answer = Answer { status: StatusCode::OK, times: None };

#[derive(Debug, serde::Deserialize)]
struct AnswerQuery {
    status: u16,
    times: Option<u64>,
}

/// Binds the webhook; port 0 picks a free one.
pub(super) async fn bind(address: &str) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until stopped.
pub(super) async fn serve(listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/answer", put(set_answer))
        .fallback(receive)
        .with_state(Shared::new(Mutex::new(HEALTHY)));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn set_answer(
    State(answer): State<Shared>,
    query: Result<Query<AnswerQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let parsed = query.ok().and_then(|Query(q)| Some((StatusCode::from_u16(q.status).ok()?, q.times)));
    let Some((status, times)) = parsed else {
        return (
            StatusCode::BAD_REQUEST,
            "write PUT /answer?status=503&times=2 (without times: until told otherwise)\n",
        )
            .into_response();
    };
    let next = if times == Some(0) { HEALTHY } else { Answer { status, times } };
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = next;
    let how_long = times.map_or_else(|| "from now on".to_owned(), |n| format!("for the next {n} requests"));
    let text = format!("the sample webhook answers {} {how_long}\n", status.as_u16());
    say("webhook", text.trim_end());
    text.into_response()
}

async fn receive(State(answer): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let status = next_status(&answer);
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
    let shown = body.len().min(200);
    let more = if body.len() > shown { "…" } else { "" };
    say(
        "webhook",
        &format!(
            "got POST {} id={} type={} key={} attempt={} {}{more} and answers {}",
            uri.path(),
            header("ce-id"),
            header("ce-type"),
            header("postrider-key"),
            header("postrider-attempt"),
            String::from_utf8_lossy(&body[..shown]),
            status.as_u16()
        ),
    );
    status
}

fn next_status(answer: &Shared) -> StatusCode {
    let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    let status = answer.status;
    if let Some(times) = &mut answer.times {
        *times = times.saturating_sub(1);
        if *times == 0 {
            *answer = HEALTHY;
        }
    }
    status
}
