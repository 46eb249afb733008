//! A proxy to a server that fails calls on demand.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::process::{Process, Recipe};
use super::{build, rest};

/// Passes every call, over gRPC or HTTP/JSON, on to a server, but for the faults that are set: each test has its own in
/// front of a server that it may share. It answers `UNAVAILABLE` while the server is away. It takes Go to build.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
}

/// What happens to calls of a method, named as in Google's API (`Publish`, `StreamingPull`, `CreateTopic`), or `*` for
/// all. Of several faults the one that was set first happens. Over HTTP/JSON, faults are those of the same method.
#[derive(Clone, Debug)]
#[must_use = "it has to be set"]
pub struct Fault {
    method: String,
    action: &'static str,
    code: Option<Code>,
    delay: Duration,
    /// 0: until it is taken away.
    times: u32,
}

/// What a call fails with. Over HTTP/JSON it is the status that Google's API gives for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    Internal,
    Unavailable,
    Unauthenticated,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl Fault {
    /// Answered at once, and never seen by the server. Of `StreamingPull`, the opening of a stream; open ones are left
    /// alone: an outage takes [`Fault::end_streams`] as well.
    pub fn refuse(method: &str, code: Code) -> Self {
        Self { code: Some(code), ..Self::new(method, "refuse") }
    }

    /// Passed on later. Of `StreamingPull`, what the server hands out.
    pub fn delay(method: &str, delay: Duration) -> Self {
        Self { delay, ..Self::new(method, "delay") }
    }

    /// Never passed on and never answered. Of `StreamingPull`, what the server hands out is lost; it comes again when its
    /// lease has run out, 10 s at the least.
    pub fn drop(method: &str) -> Self {
        Self::new(method, "drop")
    }

    /// Applied by the server, and never answered. Not for `StreamingPull`.
    pub fn lose_answer(method: &str) -> Self {
        Self::new(method, "lose")
    }

    /// Applied by the server, and then answered as if it had failed. Not for `StreamingPull`.
    pub fn apply_and_refuse(method: &str, code: Code) -> Self {
        Self { code: Some(code), ..Self::new(method, "lose") }
    }

    /// Applied by the server, whose answer breaks off in its middle, and the connection with it. Of `StreamingPull`, what
    /// the server hands out, which comes again when its lease has run out.
    pub fn cut(method: &str) -> Self {
        Self::new(method, "cut")
    }

    /// Open streams end, each as one time.
    pub fn end_streams(code: Code) -> Self {
        Self { code: Some(code), ..Self::new("StreamingPull", "end") }
    }

    /// What is handed out over a stream arrives, and the server hands it out again under another ack id, as after a lease
    /// that ran out unseen: the earlier id settles nothing any more. Without a bound it goes on as fast as the server does.
    pub fn redeliver() -> Self {
        Self::new("StreamingPull", "redeliver")
    }

    /// Only so often, where it would else happen until it is taken away.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    fn new(method: &str, action: &'static str) -> Self {
        Self { method: method.to_owned(), action, code: None, delay: Duration::ZERO, times: 0 }
    }

    fn json(&self) -> String {
        let code = self.code.map(|code| format!(r#""code":"{}","#, code.name())).unwrap_or_default();
        format!(
            r#"{{"method":"{}","action":"{}",{code}"millis":{},"times":{}}}"#,
            self.method,
            self.action,
            self.delay.as_millis(),
            self.times
        )
    }
}

impl Proxy {
    /// Starts a proxy to the server at `address` (`host:port`), which need not be there yet.
    pub fn start(address: &str) -> Result<Self> {
        let arguments = vec!["proxy".to_owned(), "--to".to_owned(), address.to_owned()];
        let recipe = Recipe::Program { program: build::program(|_| {})?, arguments };
        Ok(Self { process: Process::start(&recipe, None, "/faults").context("no proxy runs")? })
    }

    /// `host:port`, for both gRPC and HTTP/JSON, neither of them with TLS.
    pub fn address(&self) -> &str {
        self.process.address()
    }

    /// `http://host:port`, as Google's clients want it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Sets a fault, beside those that are set. It is in force when this returns.
    pub fn set(&self, fault: Fault) -> Result<()> {
        self.control("POST", &fault.json()).map(drop)
    }

    /// Takes all faults away. What was not answered stays unanswered.
    pub fn reset(&self) -> Result<()> {
        self.control("DELETE", "").map(drop)
    }

    /// How often a method was called, or a stream opened, whatever came of it.
    pub fn calls(&self, method: &str) -> Result<u64> {
        let told = self.control("GET", "")?;
        let calls = told.split_once("\"calls\":").map_or("", |(_, calls)| calls);
        let count = calls.split_once(&format!("\"{method}\":")).map_or("0", |(_, count)| count);
        let digits = count.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().with_context(|| format!("no count: {told}"))
    }

    /// How often the faults that are set have happened, all together.
    pub fn happened(&self) -> Result<u64> {
        let told = self.control("GET", "")?;
        let counts = told.split("\"happened\":").skip(1);
        let counts =
            counts.map(|count| count.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
        counts.map(|count| count.parse::<u64>().with_context(|| format!("no count: {told}"))).sum()
    }

    /// SIGKILL, now: whoever calls finds nobody, and the server, with all that it holds, goes on behind it.
    pub fn kill(&self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it anew on the same port, without faults, after [killing](Proxy::kill) it where it runs, and waits until it
    /// answers.
    pub fn restart(&self) -> Result<()> {
        self.process.restart()
    }

    /// SIGSTOP: it keeps its connections and answers nobody.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// SIGCONT, after [`Proxy::pause`].
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    fn control(&self, method: &str, body: &str) -> Result<String> {
        let answer = rest::call(self.address(), method, "/faults", body)?;
        ensure!(answer.status == 200, "the proxy refuses it: {}", answer.body.trim());
        Ok(answer.body)
    }
}
