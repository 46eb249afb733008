//! Addresses, connections, and what is the same for all three listeners.

mod bind;
mod connection;
mod quiet;
mod socket;
mod stall;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use bind::{BindError, BindErrorKind, Listener};

use crate::{Caller, Face, Limits};
use socket::Socket;

/// An answer's body: in one piece, as nearly all are, or streamed.
pub type Body = Either<Full<Bytes>, axum::body::Body>;

/// One of the three faces: answers requests. Cheap to clone, once a connection.
pub trait Handle: Clone + Send + Sync + 'static {
    const FACE: Face;

    /// Tells the face the limits of the listener that it stands behind, before the first request.
    fn within(self, _: Limits) -> Self {
        self
    }

    /// Answers a request. The future is dropped when the client disconnects.
    fn handle(
        &self,
        caller: Arc<Caller>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Answers on a listener until `stop` is cancelled: then nothing more is accepted, requests under way end, and their
/// connections close. All tasks are on the tracker, so that waiting for it (with a bound) is waiting for the last answer.
pub fn serve<H: Handle>(
    listener: Listener,
    handle: H,
    limits: Limits,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let (sockets, guard) = listener.into_sockets();
    let places = Arc::new(Semaphore::new(limits.connections));
    let handle = handle.within(limits);
    for socket in sockets {
        let serving = Serving {
            handle: handle.clone(),
            limits,
            places: places.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        // The file of a Unix socket goes when its last accept loop ends.
        let guard = guard.clone();
        tasks.spawn(async move {
            serving.accept(socket).await;
            drop(guard);
        });
    }
}

/// What the tasks of one listener share.
#[derive(Clone)]
struct Serving<H> {
    handle: H,
    limits: Limits,
    /// Over the bound on connections one waits accepted at each socket; the kernel's queue holds the others.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<H: Handle> Serving<H> {
    async fn accept(self, socket: Socket) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.pause(&error).await;
                    continue;
                }
            };
            // Taken for a connection that is there: a socket where nobody connects keeps no place from the others.
            let place = tokio::select! {
                () = self.stop.cancelled() => return,
                place = self.places.clone().acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let caller = Arc::new(Caller { face: H::FACE, peer });
            let serving = self.clone();
            self.tasks.spawn(async move {
                serving.connection(stream, caller).await;
                drop(place);
            });
        }
    }

    /// A failed accept is the peer's affair (it went away), or there are no file descriptors: then trying again at once
    /// would burn a core.
    async fn pause(&self, error: &std::io::Error) {
        use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            tracing::warn!(%error, "cannot accept connections: trying again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
