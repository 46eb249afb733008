//! Reading a topic without a group, and where it ends.
//!
//! A browse has a thread and a consumer of its own, which live until it is dropped. It reads on demand and holds no more
//! than a few megabytes, however large the topic. What came before is handed out first, across partitions: see [`lanes`].

mod lanes;
pub(crate) mod place;
mod reader;
mod settled;

use std::collections::VecDeque;
use std::sync::Arc;

use broker::{BoxFuture, Browse, Browsed, Error, ErrorKind, Position, Selection};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;

use crate::cluster::{Cluster, Place};
use reader::Reader;

/// Browses at a time: each has a thread here, several in librdkafka, and its connections.
const BROWSES_MAX: usize = 64;

static BROWSES: Semaphore = Semaphore::const_new(BROWSES_MAX);

/// The end of every partition in one position, in order of their numbers, as `PARTITION:OFFSET` of one past the last
/// record each: `0:6,1:0`. `None` where the topic holds no record, be it that none was ever written or that retention has
/// taken them all.
pub(crate) async fn end(cluster: &Arc<Cluster>, topic: &str) -> Result<Option<Position>, Error> {
    let (cluster, topic) = (Arc::clone(cluster), topic.to_owned());
    let ask = move || {
        let partitions = cluster.partitions(&topic)?;
        let low = cluster.offsets(&topic, 0..partitions, Place::Low)?;
        let high = cluster.offsets(&topic, 0..partitions, Place::High)?;
        Ok((low != high).then(|| place::print(&high)))
    };
    spawn_blocking(ask).await.unwrap_or_else(|_| Err(gone()))
}

/// Opens a browse: [`Driver::browse`](broker::Driver::browse).
pub(crate) async fn browse(
    cluster: &Arc<Cluster>,
    topic: &str,
    what: Selection,
) -> Result<Box<dyn Browse>, Error> {
    let Ok(permit) = BROWSES.try_acquire() else {
        let message = format!("{BROWSES_MAX} topics are being browsed already: end one, or ask again later");
        return Err(Error::new(ErrorKind::Unavailable, message));
    };
    let (cluster, topic) = (Arc::clone(cluster), topic.to_owned());
    let (requests, wanted) = mpsc::channel(1);
    let (opened, opening) = oneshot::channel();
    let run = move || {
        let _permit = permit;
        match Reader::open(cluster, topic, &what) {
            Err(error) => drop(opened.send(Err(error))),
            Ok(reader) => {
                if opened.send(Ok(())).is_ok() {
                    serve(reader, wanted);
                }
            }
        }
    };
    // Nobody waits for the thread: it ends when the browse is dropped, and letting go of librdkafka's client blocks.
    std::thread::Builder::new().name("kafka-browse".into()).spawn(run).map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("a thread to browse with cannot be started: {error}"))
    })?;
    opening.await.unwrap_or_else(|_| Err(gone()))?;
    Ok(Box::new(Browser { requests, pending: None, left: VecDeque::new() }))
}

/// Answers one request after the other, until the browse is dropped.
fn serve(mut reader: Reader, mut wanted: mpsc::Receiver<Request>) {
    while let Some(request) = wanted.blocking_recv() {
        if request.answer.send(reader.page(request.max)).is_err() {
            return;
        }
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Unavailable, "the thread that read the topic has ended")
}

struct Request {
    max: usize,
    answer: oneshot::Sender<Result<Vec<Browsed>, Error>>,
}

/// The caller's side of the thread.
#[derive(Debug)]
struct Browser {
    requests: mpsc::Sender<Request>,
    /// An answer that its caller did not wait for: its records are the next ones.
    pending: Option<oneshot::Receiver<Result<Vec<Browsed>, Error>>>,
    /// What such an answer had beyond what was asked later.
    left: VecDeque<Browsed>,
}

impl Browser {
    async fn page(&mut self, max: usize) -> Result<Vec<Browsed>, Error> {
        if self.left.is_empty() {
            if self.pending.is_none() {
                let (answer, pending) = oneshot::channel();
                self.requests.send(Request { max, answer }).await.map_err(|_| gone())?;
                self.pending = Some(pending);
            }
            if let Some(pending) = &mut self.pending {
                let answer = pending.await;
                self.pending = None;
                self.left = answer.map_err(|_| gone())??.into();
            }
        }
        let max = max.min(self.left.len());
        Ok(self.left.drain(..max).collect())
    }
}

impl Browse for Browser {
    /// Cancel-safe: what was read for a call that was given up comes with the next.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Browsed>, Error>> {
        Box::pin(self.page(max))
    }
}
