//! A stream of events, one a line, sent as it is read.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use super::{Input, READ_BYTES, open};
use crate::cli::PublishArgs;
use crate::client::{self, Body, Client};
use crate::failure::Failure;

/// A line longer than this is no event that any broker takes.
const LINE_BYTES_MAX: usize = 64 << 20;
/// A pipe may be silent for longer than the sidecar waits for a body: an empty line says that more is to come.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Publishes the lines of a file or of standard input, with a progress bar.
pub(super) async fn publish(client: &Client, path: &str, args: &PublishArgs) -> Result<Value, Failure> {
    if let Some(data) = &args.data {
        return Err(Failure::usage(format!(
            "{data:?} is no file; lines are read with --file FILE, or --file - for standard input"
        )));
    }
    let (input, size) = open(args.file.as_deref().unwrap_or(Path::new("-"))).await?;
    let bar = progress(size);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(event::http::LINES));
    if let Some(key) = &args.key {
        client::put_key(&mut headers, key);
    }
    let trouble = Trouble::default();
    let lines = Lines { input, wrap: Wrap::of(args), bar: bar.clone(), count: 0, trouble: trouble.clone() };
    let answer = client.send(Method::POST, path, &client::pairs(&headers)?, lines.body()).await;
    bar.finish_and_clear();
    let (status, bytes) = answer?.bytes().await?;
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let accepted = answer["accepted"].as_u64();
    if let Some(trouble) = trouble.take() {
        let accepted = accepted.unwrap_or_default();
        return Err(Failure::failed(format!("{trouble:#}; {accepted} events before it were accepted")));
    }
    if status.is_success() {
        return if answer.is_object() {
            Ok(answer)
        } else {
            Err(Failure::failed("the answer is no JSON; is this a Postrider listener?"))
        };
    }
    let place = match (answer["line"].as_u64(), accepted) {
        (Some(line), Some(accepted)) => {
            format!("stopped at line {line}, {accepted} events before it were accepted: ")
        }
        _ => String::new(),
    };
    Err(Failure::failed(format!("{place}{:#}", client::problem(status, &bytes))))
}

fn progress(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => {
            (ProgressBar::new(size), "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left · {msg}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec} · {msg}"),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// How lines of bare data become events.
#[derive(Clone, Debug)]
struct Wrap {
    source: String,
    kind: String,
    subject: Option<String>,
    json: bool,
    content_type: String,
}

impl Wrap {
    fn of(args: &PublishArgs) -> Option<Self> {
        args.wrap.then(|| Self {
            source: args.source.clone().unwrap_or_else(|| super::SOURCE.into()),
            kind: args.kind.clone().unwrap_or_else(|| args.topic.clone()),
            subject: args.subject.clone(),
            json: args.content_type == "application/json",
            content_type: args.content_type.clone(),
        })
    }

    fn line(&self, line: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut event = serde_json::json!({
            "specversion": "1.0", "id": uuid::Uuid::now_v7().to_string(), "source": self.source, "type": self.kind,
            "time": jiff::Timestamp::now().to_string(), "datacontenttype": self.content_type,
        });
        if let Some(subject) = &self.subject {
            event["subject"] = Value::from(subject.as_str());
        }
        event["data"] = if self.json {
            serde_json::from_slice(line)
                .context("a line is no JSON; name another --content-type, or leave --wrap away")?
        } else {
            Value::from(std::str::from_utf8(line).context("a line is not UTF-8")?)
        };
        let mut bytes = serde_json::to_vec(&event)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// What went wrong with the input while it was being sent. The body then ends early, in good order, so that the answer
/// tells what was accepted before.
#[derive(Clone, Debug, Default)]
struct Trouble(Arc<Mutex<Option<anyhow::Error>>>);

impl Trouble {
    fn set(&self, error: anyhow::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn take(&self) -> Option<anyhow::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The input, line by line.
#[derive(Debug)]
struct Lines {
    input: Input,
    wrap: Option<Wrap>,
    bar: ProgressBar,
    count: u64,
    trouble: Trouble,
}

impl Lines {
    /// A streamed body. What a pipe has to give is sent at once, however little.
    fn body(self) -> Body {
        let frames = stream::unfold(self, |mut lines| async move {
            match lines.piece().await {
                Ok(piece) => (!piece.is_empty()).then(|| (Ok(Frame::data(Bytes::from(piece))), lines)),
                Err(error) => {
                    lines.trouble.set(error);
                    None
                }
            }
        });
        StreamBody::new(frames).boxed_unsync()
    }

    /// Whole lines, at least one unless the input is silent or has ended (then the piece is empty).
    async fn piece(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut piece = Vec::new();
        loop {
            let Ok(read) = tokio::time::timeout(KEEP_ALIVE, self.input.fill_buf()).await else {
                return Ok(b"\n".to_vec());
            };
            if read.context("reading the input")?.is_empty() {
                return Ok(piece);
            }
            self.line(&mut piece).await?;
            self.bar.set_message(format!("{} lines sent", self.count));
            if piece.len() >= READ_BYTES || (!piece.is_empty() && self.input.buffer().is_empty()) {
                return Ok(piece);
            }
        }
    }

    async fn line(&mut self, piece: &mut Vec<u8>) -> anyhow::Result<()> {
        let start = piece.len();
        let read = (&mut self.input).take(LINE_BYTES_MAX as u64).read_until(b'\n', piece).await;
        let read = read.context("reading the input")?;
        self.count += 1;
        self.bar.inc(read as u64);
        if read == LINE_BYTES_MAX {
            bail!("line {} is longer than 64 MiB", self.count);
        }
        if let Some(wrap) = &self.wrap {
            let line = piece.split_off(start);
            let line = line.trim_ascii();
            if !line.is_empty() {
                piece.extend(wrap.line(line).with_context(|| format!("line {}", self.count))?);
            }
        }
        Ok(())
    }
}
