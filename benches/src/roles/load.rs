//! The load: requests built beforehand, sent over connections that are kept alive, each as soon as its last answer has
//! come, or at a rate. One thread, and as little work a request as can be, so that it takes little of the machine.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{asked, say};
use crate::amount::{Amount, Share};
use crate::histogram::{Histogram, Latency};
use crate::measure::monotonic_nanoseconds;
use crate::samples::{Form, STAMP_DIGITS};

/// Different requests that are built; they are sent in turns.
const REQUESTS: u64 = 1000;
/// Requests that are sent to each topic to warm up.
const WARM_UP: u64 = 4;
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) to: SocketAddr,
    /// Connections, each with one request at a time.
    pub(crate) connections: u64,
    pub(crate) form: Form,
    /// Whether events have keys.
    pub(crate) keyed: bool,
    /// Requests are spread over them.
    pub(crate) topics: Vec<String>,
    /// What is sent before the parent is told that all is ready, so that nothing cold is measured.
    pub(crate) warm_ms: u64,
    pub(crate) amount: Amount,
    /// Requests a second in all; `None`: as many as are answered.
    pub(crate) rate: Option<f64>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// From a request's first byte to its answer's last.
    pub(crate) latency: Option<Latency>,
}

pub(super) fn play(spec: &Spec) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let requests = Arc::new(Requests::build(spec));
    let mut connections = runtime.block_on(connect(spec))?;
    if spec.warm_ms > 0 {
        // A topic's first event has to find out where the topic is.
        let each_topic = Amount::Items(spec.topics.len() as u64 * WARM_UP);
        for warm in [each_topic, Amount::Milliseconds(spec.warm_ms)] {
            (connections, _) = runtime.block_on(send_all(connections, &requests, warm, spec.rate))?;
        }
    }
    say(&())?;
    if asked()?.is_none() {
        return Ok(());
    }
    let began = Instant::now();
    let (open, tally) = runtime.block_on(send_all(connections, &requests, spec.amount, spec.rate))?;
    let seconds = began.elapsed().as_secs_f64();
    let events = tally.answers * spec.form.events();
    say(&Done { events, seconds, latency: tally.latency.latency() })?;
    while asked()?.is_some() {}
    drop(open);
    Ok(())
}

/// The bytes of all requests, one after another.
struct Requests {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
    stamped: bool,
}

impl Requests {
    fn build(spec: &Spec) -> Self {
        let mut built = Self {
            bytes: Vec::new(),
            places: Vec::new(),
            stamped: spec.form == Form::Single { stamped: true },
        };
        // As many requests a topic, and batches are large enough for fewer of them.
        let topics = spec.topics.len() as u64;
        let wanted = if spec.form.events() > 1 { 50 } else { REQUESTS };
        for number in 0..wanted.next_multiple_of(topics) {
            let topic = &spec.topics[(number % topics) as usize];
            let begin = built.bytes.len();
            built.bytes.extend_from_slice(&spec.form.request(
                &spec.to.to_string(),
                topic,
                number,
                spec.keyed,
            ));
            built.places.push(begin..built.bytes.len());
        }
        built
    }

    fn number(&self, number: u64) -> &[u8] {
        &self.bytes[self.places[(number % self.places.len() as u64) as usize].clone()]
    }
}

/// What a connection has done.
struct Tally {
    answers: u64,
    latency: Histogram,
}

async fn connect(spec: &Spec) -> Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for _ in 0..spec.connections {
        let stream =
            TcpStream::connect(spec.to).await.with_context(|| format!("connecting to {}", spec.to))?;
        stream.set_nodelay(true)?;
        connections.push(Connection { stream, answer: vec![0; 16 * 1024], request: Vec::new() });
    }
    Ok(connections)
}

/// Sends an amount of requests over all connections; returns them, for there may be more to send.
async fn send_all(
    connections: Vec<Connection>,
    requests: &Arc<Requests>,
    amount: Amount,
    rate: Option<f64>,
) -> Result<(Vec<Connection>, Tally)> {
    let (share, began) = (Arc::new(Share::begin(amount)), Instant::now());
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let (requests, share) = (Arc::clone(requests), Arc::clone(&share));
        tasks.spawn(async move {
            let mut tally = Tally { answers: 0, latency: Histogram::new() };
            while let Some(number) = share.take() {
                let due = match rate {
                    Some(rate) => {
                        let due = began + Duration::from_secs_f64(number as f64 / rate);
                        Some(wait_until(due).await)
                    }
                    None => None,
                };
                let began = due.unwrap_or_else(Instant::now);
                connection.exchange(requests.number(number), requests.stamped.then_some(began)).await?;
                tally.latency.record(began.elapsed().as_nanos() as u64);
                tally.answers += 1;
            }
            anyhow::Ok((connection, tally))
        });
    }
    let mut open = Vec::new();
    let mut all = Tally { answers: 0, latency: Histogram::new() };
    while let Some(ended) = tasks.join_next().await {
        let (connection, tally) = ended??;
        open.push(connection);
        all.answers += tally.answers;
        all.latency.add(&tally.latency);
    }
    Ok((open, all))
}

/// Waits until a request is due, and returns the time that its latency counts from: when it was due where it could not be
/// sent then because earlier ones were slow, else now, for a timer of milliseconds wakes late by itself.
async fn wait_until(due: Instant) -> Instant {
    if due <= Instant::now() {
        return due;
    }
    tokio::time::sleep_until(due.into()).await;
    Instant::now()
}

struct Connection {
    stream: TcpStream,
    /// Where answers are read to.
    answer: Vec<u8>,
    /// Where a request is stamped.
    request: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads its answer, which has to be a success.
    async fn exchange(&mut self, request: &[u8], stamp: Option<Instant>) -> Result<()> {
        match stamp {
            None => self.stream.write_all(request).await?,
            Some(due) => {
                self.request.clear();
                self.request.extend_from_slice(request);
                stamp_with(&mut self.request, due)?;
                self.stream.write_all(&self.request).await?;
            }
        }
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.answer[filled..]).await?;
            ensure!(read > 0, "the server closed a connection");
            filled += read;
            if let Some(end) = end_of_answer(&self.answer[..filled])? {
                ensure!(end == filled, "the server said more than it was asked for");
                return Ok(());
            }
            if filled == self.answer.len() {
                ensure!(filled < ANSWER_BYTES_MAX, "the server does not come to an end");
                self.answer.resize(filled * 2, 0);
            }
        }
    }
}

/// Writes when a request was due into it.
fn stamp_with(request: &mut [u8], due: Instant) -> Result<()> {
    let zeros = [b'0'; STAMP_DIGITS];
    let at = request.windows(STAMP_DIGITS).position(|window| window == zeros);
    let at = at.context("the request has no place for a stamp")?;
    let late = due.elapsed().as_nanos() as u64;
    let stamp = format!("{:0STAMP_DIGITS$}", monotonic_nanoseconds() - late);
    request[at..at + STAMP_DIGITS].copy_from_slice(stamp.as_bytes());
    Ok(())
}

/// Where an answer ends; `None` while more has to come.
fn end_of_answer(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..head]).context("an answer's head is no text")?;
    let status: u16 = text.get(9..12).and_then(|status| status.parse().ok()).context("no status")?;
    let mut length = (status == 204).then_some(0);
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    let end = head + length.with_context(|| format!("an answer without its length: {text}"))?;
    if bytes.len() < end {
        return Ok(None);
    }
    // 207: some of a batch failed.
    if !(200..300).contains(&status) || status == 207 {
        bail!("answered {status}: {}", String::from_utf8_lossy(&bytes[head..end.min(head + 500)]));
    }
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for cut in 0..answer.len() {
            assert_eq!(end_of_answer(&answer[..cut]).unwrap(), None, "cut at {cut}");
        }
        assert_eq!(end_of_answer(answer).unwrap(), Some(answer.len()));
        assert_eq!(end_of_answer(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some(27));
    }

    #[test]
    fn anything_but_a_success_is_an_error_that_tells_the_answer() {
        let error = end_of_answer(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nlate").unwrap_err();
        assert_eq!(error.to_string(), "answered 503: late");
        end_of_answer(b"HTTP/1.1 207 Multi-Status\r\ncontent-length: 0\r\n\r\n").unwrap_err();
    }

    #[test]
    fn a_stamp_takes_the_place_of_its_zeros() {
        let mut request = Form::Single { stamped: true }.request("localhost", "orders", 1, true);
        let before = request.len();
        stamp_with(&mut request, Instant::now()).unwrap();
        assert_eq!(request.len(), before);
        let text = String::from_utf8(request).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix("ce-benchns: ")).unwrap();
        assert!(value.parse::<u64>().unwrap().abs_diff(monotonic_nanoseconds()) < 10_000_000_000);
    }
}
