use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::quiet::{Counted, Quiet};
use super::socket::Stream;
use super::stall::Impatient;
use super::{Handle, Serving};
use crate::{Caller, Limits};

/// Requests that one HTTP/2 connection may have under way.
const STREAMS_MAX: u32 = 256;

impl<H: Handle> Serving<H> {
    /// Answers one connection until the peer closes it, sends nothing or takes nothing of its answers for too long, or
    /// `stop` is cancelled.
    pub(super) async fn connection(&self, stream: Stream, caller: Arc<Caller>) {
        let quiet = Quiet::new();
        let service = service_fn(|request| {
            let (handle, caller, open) = (self.handle.clone(), caller.clone(), quiet.open());
            async move {
                let response = handle.handle(caller, request).await;
                Ok::<_, Infallible>(response.map(|body| Counted::new(body, open)))
            }
        });
        let builder = builder(&self.limits, &self.tasks);
        let stream = Impatient::new(stream, self.limits.idle_timeout);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let idle_max = self.limits.idle_timeout;
        let mut idle = pin!(tokio::time::sleep(idle_max));
        let mut closing = false;
        loop {
            tokio::select! {
                // What goes wrong on a connection is its peer's doing, and the peer's to see.
                _ = connection.as_mut() => return,
                () = self.stop.cancelled(), if !closing => {
                    connection.as_mut().graceful_shutdown();
                    closing = true;
                }
                () = idle.as_mut() => {
                    let quiet = quiet.elapsed();
                    let is_idle = quiet >= idle_max;
                    if is_idle && closing {
                        return;
                    }
                    if is_idle {
                        connection.as_mut().graceful_shutdown();
                        closing = true;
                    }
                    let next = if is_idle { idle_max } else { idle_max - quiet };
                    idle.as_mut().reset(Instant::now() + next.max(Duration::from_millis(10)));
                }
            }
        }
    }
}

fn builder(limits: &Limits, tasks: &TaskTracker) -> Builder<Tasks> {
    /// hyper panics below this.
    const HEADER_BYTES_MIN: usize = 8 << 10;
    let header_bytes = limits.header_bytes.max(HEADER_BYTES_MIN);
    let mut builder = Builder::new(Tasks(tasks.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Puts the tasks of HTTP/2 streams on the tracker.
#[derive(Clone, Debug)]
struct Tasks(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
