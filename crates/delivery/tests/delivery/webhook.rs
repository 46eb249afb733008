//! A webhook on loopback that does what it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Longest time that a test waits for something that is to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Requests that were open when this one came, itself included.
    pub(crate) open: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }
    pub(crate) fn attempt(&self) -> u32 {
        self.header("postrider-attempt").parse().unwrap()
    }
}

pub(crate) enum Reply {
    Answer(Response<Body>),
    /// 200, when told.
    Held(oneshot::Receiver<()>),
    /// No answer, ever.
    Hang,
    /// The connection is closed without an answer.
    Close,
}

type Script = Box<dyn FnMut(&Seen) -> Reply + Send>;

/// The server. Dropped, it is gone: later connections are refused.
pub(crate) struct Webhook {
    pub(crate) address: SocketAddr,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<Seen>>,
    closed: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
    _tasks: JoinSet<()>,
}

/// Tells when a request is over, answered or not.
struct Open {
    count: Arc<AtomicUsize>,
    closed: mpsc::UnboundedSender<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
        self.closed.send(()).ok();
    }
}

pub(crate) fn status(code: u16) -> Reply {
    answer(code, &[], "")
}

pub(crate) fn answer(code: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut response = Response::builder().status(code);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Reply::Answer(response.body(Full::new(Bytes::from(body.to_owned())).boxed()).unwrap())
}

impl Webhook {
    pub(crate) async fn start(script: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    pub(crate) fn on(listener: TcpListener, script: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let (closing, closed) = mpsc::unbounded_channel();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let count = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, sender) = (script.clone(), sender.clone());
                let (count, closing) = (count.clone(), closing.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let (script, sender) = (script.clone(), sender.clone());
                        let open = count.fetch_add(1, Ordering::SeqCst) + 1;
                        let guard = Open { count: count.clone(), closed: closing.clone() };
                        async move {
                            let _guard = guard;
                            let (head, body) = request.into_parts();
                            let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
                            let path = head.uri.path_and_query().unwrap().to_string();
                            let seen = Seen { path, headers: head.headers, body, open };
                            let reply = script.lock()(&seen);
                            sender.send(seen).ok();
                            match reply {
                                Reply::Answer(response) => Ok(response),
                                Reply::Held(told) => {
                                    told.await.ok();
                                    Ok(Response::new(Full::default().boxed()))
                                }
                                Reply::Hang => std::future::pending().await,
                                Reply::Close => Err(std::io::Error::other("closed")),
                            }
                        }
                    });
                    let io = TokioIo::new(stream);
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.ok();
                });
            }
        });
        Self { address, requests: requests.into(), closed: closed.into(), _tasks: tasks }
    }

    pub(crate) fn uri(&self) -> http::Uri {
        format!("http://{}/hook?x=1", self.address).parse().unwrap()
    }

    /// The next request.
    pub(crate) async fn next(&self) -> Seen {
        let next = async { self.requests.lock().await.recv().await.unwrap() };
        tokio::time::timeout(PATIENCE, next).await.expect("a request comes")
    }

    /// Waits until a request is over: answered, or its connection closed.
    pub(crate) async fn over(&self) {
        let over = async { self.closed.lock().await.recv().await.unwrap() };
        tokio::time::timeout(PATIENCE, over).await.expect("a request ends");
    }

    /// Requests that came and were not looked at.
    pub(crate) async fn unseen(&self) -> Vec<Seen> {
        let mut requests = self.requests.lock().await;
        std::iter::from_fn(|| requests.try_recv().ok()).collect()
    }
}

/// A server that answers each connection's first request with the next of these bytes, and closes it.
pub(crate) async fn bytes(answers: Vec<String>) -> (http::Uri, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\"}") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0, "a whole request comes");
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (uri, tasks)
}
