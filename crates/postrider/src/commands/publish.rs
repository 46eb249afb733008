//! `postrider publish`: one event from the command line, or a stream of them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use futures::stream;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::cli::PublishArgs;
use crate::client::{self, Body, Client};
use crate::failure::Failure;
use crate::output;

/// A line longer than this is no event that any broker takes.
const LINE_BYTES_MAX: usize = 64 << 20;

pub(crate) async fn run(args: PublishArgs) -> Result<(), Failure> {
    let client = Client::new(&args.app);
    let path = format!("/v1/topics/{}/events", client::escape(&args.topic));
    let answer = if is_lines(&args) {
        publish_lines(&client, &path, &args).await?
    } else {
        publish_one(&client, &path, &args).await?
    };
    output::value(args.output.output, &answer, summary)
}

fn is_lines(args: &PublishArgs) -> bool {
    let by_name = |path: &Path| path.extension().is_some_and(|e| e == "ndjson" || e == "jsonl");
    args.ndjson || args.wrap || args.file.as_deref().is_some_and(by_name)
}

fn summary(answer: &Value) -> String {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    match answer.get("accepted").and_then(Value::as_u64) {
        Some(events) => format!("accepted {events} events"),
        None => {
            format!("accepted {} at position {} by the {}", text("id"), text("position"), text("accepted"))
        }
    }
}

async fn publish_one(client: &Client, path: &str, args: &PublishArgs) -> Result<Value, Failure> {
    let data = match (&args.data, &args.file) {
        (Some(data), _) => Bytes::from(data.clone()),
        (None, Some(file)) => read_all(file).await?,
        (None, None) => {
            return Err(Failure::usage(
                "what is to be published? Give the data as an argument, or --file FILE, or --file - for standard input",
            ));
        }
    };
    let id = args.id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let source = args.source.clone();
    let mut headers = vec![("content-type", args.content_type.as_str())];
    if let Some(key) = &args.key {
        headers.push(("postrider-key", key));
    }
    let (id, source, kind, subject) = (
        header_value(&id),
        header_value(source.as_deref().unwrap_or("postrider-cli")),
        header_value(args.kind.as_deref().unwrap_or(&args.topic)),
        args.subject.as_deref().map(header_value),
    );
    let time = jiff::Timestamp::now().to_string();
    headers.extend([
        ("ce-specversion", "1.0"),
        ("ce-id", &id),
        ("ce-source", &source),
        ("ce-type", &kind),
        ("ce-time", &time),
    ]);
    if let Some(subject) = &subject {
        headers.push(("ce-subject", subject));
    }
    let answer = client.send(Method::POST, path, &headers, client::full(data)).await?;
    Ok(answer.json().await?)
}

/// Percent-encodes what an HTTP header of the CloudEvents binding must not hold raw (§3.1.3.2).
fn header_value(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

async fn read_all(file: &Path) -> anyhow::Result<Bytes> {
    let mut bytes = Vec::new();
    let (mut input, _) = open(file).await?;
    input.read_to_end(&mut bytes).await.with_context(|| format!("reading {}", file.display()))?;
    Ok(bytes.into())
}

type Input = Box<dyn AsyncBufRead + Send + Unpin>;

/// The input and its size, where that is known.
async fn open(file: &Path) -> anyhow::Result<(Input, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(tokio::io::stdin())), None));
    }
    let opened = tokio::fs::File::open(file).await.with_context(|| format!("opening {}", file.display()))?;
    let size = opened.metadata().await.ok().map(|m| m.len());
    Ok((Box::new(BufReader::with_capacity(256 << 10, opened)), size))
}

async fn publish_lines(client: &Client, path: &str, args: &PublishArgs) -> Result<Value, Failure> {
    if let Some(data) = &args.data {
        return Err(Failure::usage(format!(
            "{data:?} is no file; lines are read with --file FILE, or --file - for standard input"
        )));
    }
    let file = args.file.as_deref().unwrap_or(Path::new("-"));
    let (input, size) = open(file).await?;
    let bar = progress(size);
    let headers = [
        ("content-type", "application/x-ndjson"),
        ("postrider-key", args.key.as_deref().unwrap_or_default()),
    ];
    let headers = if args.key.is_some() { &headers[..] } else { &headers[..1] };
    let body = lines_body(input, Wrap::of(args), bar.clone());
    let answer = client.send(Method::POST, path, headers, body).await;
    bar.finish_and_clear();
    let (status, bytes) = answer?.bytes().await?;
    if status.is_success() {
        return Ok(
            serde_json::from_slice(&bytes).context("the answer is no JSON; is this a Postrider listener?")?
        );
    }
    let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let place = match (
        problem.get("line").and_then(Value::as_u64),
        problem.get("accepted").and_then(Value::as_u64),
    ) {
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
            source: args.source.clone().unwrap_or_else(|| "postrider-cli".into()),
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

/// The input as a streamed body, a line at a time where lines are wrapped, else in the pieces that were read.
fn lines_body(input: Input, wrap: Option<Wrap>, bar: ProgressBar) -> Body {
    let frames = stream::try_unfold((input, 0_u64), move |(mut input, mut lines)| {
        let (wrap, bar) = (wrap.clone(), bar.clone());
        async move {
            let mut piece = Vec::new();
            while piece.len() < 64 << 10 {
                let start = piece.len();
                if (&mut input).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut piece).await? == 0 {
                    break;
                }
                let read = piece.len() - start;
                if read == LINE_BYTES_MAX {
                    return Err(anyhow!("line {} is longer than 64 MiB", lines + 1));
                }
                lines += 1;
                bar.inc(read as u64);
                if let Some(wrap) = &wrap {
                    let line = piece.split_off(start);
                    let line = line.trim_ascii();
                    if !line.is_empty() {
                        piece.extend(wrap.line(line).with_context(|| format!("line {lines}"))?);
                    }
                }
            }
            bar.set_message(format!("{lines} lines sent"));
            Ok((!piece.is_empty()).then(|| (Frame::data(Bytes::from(piece)), (input, lines))))
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
