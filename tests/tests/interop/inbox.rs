//! A webhook that keeps what it is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use postrider_tests::{Answer, Webhook};
use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Inbox {
    webhook: Webhook,
    delivered: Arc<Mutex<Vec<Delivered>>>,
}

impl Inbox {
    pub(crate) async fn open() -> Self {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&delivered);
        let webhook = Webhook::scripted(move |seen| {
            log.lock().push(Delivered { headers: seen.headers.clone(), body: seen.body.clone() });
            Answer::status(204)
        })
        .await;
        Self { webhook, delivered }
    }

    pub(crate) fn url(&self) -> String {
        self.webhook.url("/")
    }

    /// What it was sent, in order, once so much has come.
    pub(crate) async fn in_order(&self, count: usize) -> Vec<Delivered> {
        self.webhook.until_delivered(count).await;
        let log = self.delivered.lock();
        assert_eq!(log.len(), count, "nothing comes twice: {log:#?}");
        log.clone()
    }

    /// The same by the events' ids: events of different keys have no order.
    pub(crate) async fn by_id(&self, count: usize) -> BTreeMap<String, Delivered> {
        let all = self.in_order(count).await;
        all.into_iter().map(|delivered| (delivered.header("webhook-id").to_owned(), delivered)).collect()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Delivered {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("nothing", |value| std::str::from_utf8(value.as_bytes()).unwrap_or("no UTF-8"))
    }

    pub(crate) fn headers<const N: usize>(&self, names: [&str; N]) -> [&str; N] {
        names.map(|name| self.header(name))
    }

    /// The body as JSON: that of an event without data, which goes structured.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Work of another program.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => panic!("{error}"),
    })
}
