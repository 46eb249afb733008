//! What a scripted webhook can do to the sidecar that posts to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::evidence::Attempt;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request, as a script sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub attempt: Attempt,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// How many attempts of the same event at the same path came before. Counted from log D, not from what the sender
    /// says; 0 where the sender says that this is the first.
    pub earlier: usize,
}

/// What a script makes of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    /// Waited before anything is sent.
    pub delay: Duration,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Whole,
    Hang,
    Reset,
    Garbage,
    /// A body of so many bytes.
    Endless(u64),
    /// A body that ends, and its connection with it, before it is as long as it was said to be.
    BrokenOff,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), delay: Duration::ZERO, how: How::Whole }
    }

    /// Never answers.
    pub fn hang() -> Self {
        Self { how: How::Hang, ..Self::status(200) }
    }

    /// Resets the connection (RST) instead of answering.
    pub fn reset() -> Self {
        Self { how: How::Reset, ..Self::status(200) }
    }

    /// Answers with bytes that are no HTTP.
    pub fn garbage() -> Self {
        Self { how: How::Garbage, ..Self::status(200) }
    }

    /// Answers with this status and a body of so many bytes.
    pub fn endless(status: u16, bytes: u64) -> Self {
        Self { how: How::Endless(bytes), ..Self::status(status) }
    }

    /// Answers with this status and the beginning of a body, and closes the connection.
    pub fn broken_off(status: u16) -> Self {
        Self { how: How::BrokenOff, ..Self::status(status) }
    }

    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("tests write valid headers");
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    pub(crate) fn hangs(&self) -> bool {
        self.how == How::Hang
    }

    /// Whether the sender gets to see the status.
    pub(crate) fn reaches_the_sender(&self) -> bool {
        matches!(self.how, How::Whole | How::Endless(_) | How::BrokenOff)
    }

    pub(crate) fn set(&self, fault: &Fault) {
        match self.how {
            How::Reset => fault.0.store(RESET, Ordering::Relaxed),
            How::Garbage => fault.0.store(GARBAGE, Ordering::Relaxed),
            How::Whole | How::Hang | How::Endless(_) | How::BrokenOff => {}
        }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let body = match self.how {
            How::Endless(bytes) => Zeros { left: bytes, breaks_off: None }.boxed_unsync(),
            How::BrokenOff => {
                Zeros { left: 1000, breaks_off: Some(Box::pin(sleep(Duration::from_millis(20)))) }
                    .boxed_unsync()
            }
            _ => Full::new(self.body).map_err(|never| match never {}).boxed_unsync(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(self.status).expect("tests use valid statuses");
        response.headers_mut().extend(self.headers);
        if self.how == How::BrokenOff {
            response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("100000"));
        }
        response
    }
}

/// A body of zeros, made as it is read.
struct Zeros {
    left: u64,
    /// After this time, in which the rest is sent, an error follows instead of the end: the connection is closed.
    breaks_off: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for Zeros {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static CHUNK: [u8; 65_536] = [0; 65_536];
        if self.left == 0 {
            let Some(sent) = &mut self.breaks_off else { return Poll::Ready(None) };
            ready!(sent.as_mut().poll(cx));
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        let now = self.left.min(CHUNK.len() as u64);
        self.left -= now;
        let chunk = &CHUNK[..usize::try_from(now).expect("a chunk's length")];
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(chunk)))))
    }
}

const SOUND: u8 = 0;
const RESET: u8 = 1;
const GARBAGE: u8 = 2;

/// What the connection does at its next write.
#[derive(Clone, Debug)]
pub(crate) struct Fault(Arc<AtomicU8>);

/// A connection that can be told to break in ways that an HTTP library would not.
#[derive(Debug)]
pub(crate) struct Misbehaving {
    stream: TcpStream,
    fault: Fault,
}

impl Misbehaving {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, fault: Fault(Arc::new(AtomicU8::new(SOUND))) }
    }

    pub(crate) fn fault(&self) -> Fault {
        self.fault.clone()
    }
}

impl AsyncRead for Misbehaving {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Misbehaving {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.fault.0.load(Ordering::Relaxed) {
            SOUND => return Pin::new(&mut self.stream).poll_write(cx, bytes),
            GARBAGE => drop(self.stream.try_write(b"\x00\x01 this is no HTTP \xff\r\n\r\n")),
            // Lingering for no time makes the close a reset.
            _ => drop(self.stream.set_zero_linger()),
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
