//! Requests of Pub/Sub's API over HTTP/JSON: what starting a server and preparing a test takes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

const PATIENCE: Duration = Duration::from_secs(20);
/// More than any answer that is asked for here.
const ANSWER_BYTES_MAX: u64 = 32 << 20;
const CONFLICT: u16 = 409;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's.
    pub status: u16,
    /// JSON, also where it tells an error.
    pub body: String,
}

/// Asks the server at `address` (`host:port`) and returns its answer, whatever that is. `path` is as in Google's API:
/// `/v1/projects/P/topics/T:publish`.
pub fn call(address: &str, method: &str, path: &str, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("nobody listens on {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    parse(&answer).with_context(|| format!("{address} gives no answer to {method} {path}"))
}

/// Creates a topic; one that is there already is left as it is.
pub fn create_topic(address: &str, project: &str, name: &str) -> Result<()> {
    created(name, &call(address, "PUT", &format!("/v1/projects/{project}/topics/{name}"), "{}")?)
}

/// Creates a subscription; one that is there already is left as it is. `settings` are further fields of it in JSON, as
/// `"enableMessageOrdering":true`, separated by commas.
pub fn create_subscription(
    address: &str,
    project: &str,
    name: &str,
    topic: &str,
    settings: &str,
) -> Result<()> {
    let comma = if settings.is_empty() { "" } else { "," };
    let body = format!(r#"{{"topic":"projects/{project}/topics/{topic}"{comma}{settings}}}"#);
    created(name, &call(address, "PUT", &format!("/v1/projects/{project}/subscriptions/{name}"), &body)?)
}

fn created(name: &str, answer: &Answer) -> Result<()> {
    ensure!(
        matches!(answer.status, 200 | CONFLICT),
        "{name} cannot be created: {} {}",
        answer.status,
        answer.body
    );
    Ok(())
}

fn parse(answer: &[u8]) -> Result<Answer> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("its head has no end")?;
    let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("it has no status")?;
    let body = &answer[end + 4..];
    let headers: Vec<String> = lines.map(|line| line.replace(' ', "")).collect();
    let body = if headers.iter().any(|header| header == "transfer-encoding:chunked") {
        unchunk(body)?
    } else {
        let length = headers.iter().find_map(|header| header.strip_prefix("content-length:"));
        ensure!(length.is_none_or(|length| length == body.len().to_string()), "its body is cut off");
        body.to_vec()
    };
    Ok(Answer { status: status.parse()?, body: String::from_utf8(body)? })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|bytes| bytes == b"\r\n").context("a chunk has no length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end])?.trim(), 16)?;
        if length == 0 {
            return Ok(body);
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + length) else { bail!("a chunk is cut off") };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + length..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_and_in_chunks() {
        let fine = Answer { status: 200, body: "{\"a\":1}".into() };
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}").unwrap(), fine);
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap(), fine);
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\":1}").is_err());
        assert!(parse(&chunked[..chunked.len() - 14]).is_err(), "what is cut off is no answer");
    }
}
