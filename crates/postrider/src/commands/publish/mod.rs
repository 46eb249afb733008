//! `postrider publish`: one event from the command line, or a stream of them.

mod lines;

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use event::{Data, Event};
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

use crate::cli::PublishArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(args: PublishArgs) -> Result<(), Failure> {
    let client = Client::new(&args.app);
    let path = format!("/v1/topics/{}/events", client::escape(&args.topic));
    let answer = if is_lines(&args) {
        lines::publish(&client, &path, &args).await?
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
    let event = event(args, data)?;
    let mut headers = HeaderMap::new();
    let body = event::http::to_binary(&event, event::http::Encoding::Percent, &mut headers);
    if let Some(key) = &args.key {
        client::put_key(&mut headers, key);
    }
    let headers = client::pairs(&headers)?;
    let answer = client.send(Method::POST, path, &headers, client::full(body)).await?;
    Ok(answer.json().await?)
}

/// The source of events that name none.
const SOURCE: &str = "postrider-cli";

fn event(args: &PublishArgs, data: Bytes) -> Result<Event, Failure> {
    let mut event = Event::builder()
        .id(args.id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string()))
        .source(args.source.as_deref().unwrap_or(SOURCE))
        .kind(args.kind.as_deref().unwrap_or(&args.topic))
        .time(jiff::Timestamp::now().to_string())
        .data_content_type(&args.content_type)
        .data(Data::Binary(data));
    if let Some(subject) = &args.subject {
        event = event.subject(subject);
    }
    event.build().map_err(|malformed| Failure::failed(format!("that makes no CloudEvent: {malformed}")))
}

async fn read_all(file: &Path) -> anyhow::Result<Bytes> {
    let mut bytes = Vec::new();
    let (mut input, _) = open(file).await?;
    input.read_to_end(&mut bytes).await.with_context(|| format!("reading {}", file.display()))?;
    Ok(bytes.into())
}

/// What is read, and sent, at a time.
const READ_BYTES: usize = 64 << 10;

/// A file or standard input.
trait Source: AsyncRead + std::fmt::Debug + Send + Unpin {}

impl<T: AsyncRead + std::fmt::Debug + Send + Unpin> Source for T {}

type Input = BufReader<Box<dyn Source>>;

/// The input and its size, where that is known.
async fn open(file: &Path) -> anyhow::Result<(Input, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((BufReader::with_capacity(READ_BYTES, Box::new(tokio::io::stdin())), None));
    }
    let opened = tokio::fs::File::open(file).await.with_context(|| format!("opening {}", file.display()))?;
    let size = opened.metadata().await.ok().map(|m| m.len());
    Ok((BufReader::with_capacity(READ_BYTES, Box::new(opened)), size))
}
