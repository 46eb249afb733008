//! `postrider tail`: a topic's events, one a line.

use anyhow::Context;
use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::cli::{Format, TailArgs};
use crate::client::{self, Answer, Client};
use crate::failure::Failure;
use crate::output;

/// A line of the admin listener's stream is one event; none is larger than a broker's record.
const LINE_BYTES_MAX: usize = 64 << 20;

pub(crate) async fn run(args: TailArgs) -> Result<(), Failure> {
    let mut lines = Lines::open(&args.admin.admin, &args.topic, &args.from, !args.no_follow).await?;
    let mut printed = 0;
    while args.limit.is_none_or(|limit| printed < limit) {
        let Some(event) = lines.next().await? else { break };
        if args.key.as_deref().is_some_and(|key| event.get("key").and_then(Value::as_str) != Some(key)) {
            continue;
        }
        let text = match args.output.output {
            Format::Json => event.to_string(),
            Format::Yaml => {
                format!("---\n{}", serde_saphyr::to_string(&event).map_err(Failure::failed)?.trim_end())
            }
            Format::Table => sentence(&event),
        };
        output::line(&text)?;
        printed += 1;
    }
    Ok(())
}

/// One event as a person reads it.
fn sentence(line: &Value) -> String {
    let event = &line["event"];
    let text = |value: &Value| match value {
        Value::String(text) => output::printable(text),
        Value::Null => "-".into(),
        other => other.to_string(),
    };
    let data = if event["data"].is_null() { &event["data_base64"] } else { &event["data"] };
    let mut data = output::printable(&text(data));
    if data.len() > 200 {
        let end = (0..=200).rev().find(|i| data.is_char_boundary(*i)).unwrap_or(0);
        data.truncate(end);
        data.push('…');
    }
    format!(
        "{}  {}  {}  key={}  {}  {data}",
        text(&line["position"]),
        text(&line["time"]),
        text(&event["type"]),
        text(&line["key"]),
        text(&event["id"]),
    )
}

/// The NDJSON stream of `GET /v1/topics/{topic}/events`.
#[derive(Debug)]
pub(crate) struct Lines {
    answer: Answer,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    pub(crate) async fn open(admin: &str, topic: &str, from: &str, follow: bool) -> Result<Self, Failure> {
        let (topic, from) = (client::escape(topic), client::escape(from));
        let path = format!("/v1/topics/{topic}/events?from={from}&follow={follow}");
        let answer = Client::new(admin).send(Method::GET, &path, &[], client::empty()).await?;
        if !answer.status.is_success() {
            let (status, body) = answer.bytes().await?;
            return Err(client::problem(status, &body).into());
        }
        Ok(Self { answer, buffer: BytesMut::new(), ended: false })
    }

    /// The next line, or `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Failure> {
        let mut scanned = 0;
        loop {
            if let Some(end) = self.buffer[scanned..].iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(scanned + end + 1);
                scanned = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(serde_json::from_slice(&line).context("a line of the stream is no JSON")?));
            }
            if self.ended {
                return Ok(None);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(Failure::failed("a line of the stream is longer than 64 MiB"));
            }
            scanned = self.buffer.len();
            match self.answer.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.context("the stream broke off")?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None => self.ended = true,
            }
        }
    }
}
