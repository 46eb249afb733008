//! The admin and health listeners over a driver that answers as the test says.

use std::sync::Arc;
use std::time::Duration;

use broker::fake::Fake;
use broker::{Driver, Lag, Start, SubscriptionInfo};
use delivery::{Mode, Push, Spec, Subscriptions, Webhook};
use parking_lot::Mutex;
use postrider_api::{Admin, Health, House, Limits, Listener, Readiness, serve};
use serde_json::json;
use telemetry::Telemetry;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Reply, exchange, limits, request, structured};

#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) driver: Arc<Fake>,
    pub(crate) drained: Mutex<Option<Duration>>,
}

impl House for Desk {
    fn service(&self) -> &str {
        "shop"
    }
    fn version(&self) -> &str {
        "1.2.3"
    }
    fn brokers(&self) -> Vec<(String, Arc<dyn Driver>)> {
        vec![("local".into(), self.driver.clone())]
    }
    fn config(&self) -> serde_json::Value {
        json!({"service": "shop", "token": "<redacted>"})
    }
    fn drain(&self, wait: Duration) {
        *self.drained.lock() = Some(wait);
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) health: u16,
    pub(crate) desk: Arc<Desk>,
    pub(crate) publisher: publish::Publisher,
    pub(crate) readiness: Readiness,
    pub(crate) stop: CancellationToken,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(Fake::new(), limits()).await
    }

    pub(crate) async fn start_with(driver: Arc<Fake>, limits: Limits) -> Self {
        driver.knows([subscription("shop.billing", true), subscription("shop.old", false)]);
        let desk = Arc::new(Desk { driver: driver.clone(), drained: Mutex::default() });
        let publisher = super::publisher(&driver);
        let push = Push::new([]);
        let subscriptions = Subscriptions::new(
            publisher.clone(),
            Telemetry::default(),
            push,
            tokio::runtime::Handle::current(),
        );
        subscriptions.add(billing(&driver)).expect("the server starts");
        let readiness = Readiness::new();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let admin =
            Admin::new(desk.clone(), publisher.clone(), subscriptions, readiness.clone(), &[], stop.clone());
        let listener = Listener::bind("127.0.0.1:0").await.expect("the server starts");
        let port = listener.port().expect("the server starts");
        serve(listener, admin, limits, &tasks, &stop);
        let metrics = telemetry::Metrics::new("1.2.3");
        let listener = Listener::bind("127.0.0.1:0").await.expect("the server starts");
        let health = listener.port().expect("the server starts");
        serve(listener, Health::new(readiness.clone(), move || metrics.encode()), limits, &tasks, &stop);
        Self { port, health, desk, publisher, readiness, stop }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the server starts");
        exchange(stream, &request(method, path, headers, b"")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[]).await
    }

    pub(crate) async fn probe(&self, path: &str) -> Reply {
        let stream = TcpStream::connect(("127.0.0.1", self.health)).await.expect("the server starts");
        // A kubelet probes the pod's address, whatever that is.
        exchange(stream, &request("GET", path, &[("host", "10.1.2.3:3581")], b"")).await
    }

    pub(crate) async fn publish(&self, ids: &[&str]) {
        for id in ids {
            self.publish_text(&structured(id, "com.example.order", "s")).await;
        }
    }

    /// Publishes one structured event.
    pub(crate) async fn publish_text(&self, text: &str) {
        let event = event::json::from_bytes(text.to_owned().into()).expect("valid");
        let item = publish::Item { event, key: None, traceparent: None, tracestate: None };
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        self.publisher.publish("orders", vec![item], deadline).expect("taken").await;
    }
}

fn subscription(name: &str, open: bool) -> SubscriptionInfo {
    SubscriptionInfo {
        name: name.into(),
        topic: "orders".into(),
        lag: Lag { records: 3, oldest: None },
        open,
    }
}

fn billing(driver: &Arc<Fake>) -> Spec {
    Spec {
        name: "billing".into(),
        durable: broker::Subscription {
            name: "shop.billing".into(),
            topic: "orders".into(),
            start: Start::Earliest,
            ordered: true,
            until: None,
            keeps_unsettled: false,
        },
        topic: "orders".into(),
        broker: "local".into(),
        driver: driver.clone(),
        webhook: Webhook {
            uri: "http://127.0.0.1:9/".parse().expect("a URI"),
            mode: Mode::Binary,
            encoding: event::http::Encoding::Percent,
            timeout: Duration::from_secs(1),
            answers: vec![],
        },
        policy: policy(),
        dead_letter: publish::Topic { open: false, ..super::topic(driver, "orders.dead-letter", &[]) },
        redrive_name: "shop.billing.redrive".into(),
        reply_topic: None,
        app: None,
    }
}

fn policy() -> engine::Policy {
    let second = Duration::from_secs(1);
    engine::Policy {
        ordering: engine::Ordering::Key,
        concurrency: 1,
        mode: engine::Mode::Single,
        retry: engine::Retry {
            initial: second,
            max: second,
            max_attempts: 1,
            max_age: second,
            retry_after_max: second,
            budget_floor_per_second: 1,
            budget_ratio: 0.2,
        },
        breaker: engine::Breaker {
            consecutive: 5,
            success_ratio: 0.2,
            over: second,
            open: second,
            open_max: second,
            pause_probe: second,
        },
        window: engine::Window { initial: 1 },
        dead_letter: engine::DeadLetter { max_per_minute: 1, after: engine::AfterDeadLetter::Continue },
        buffer: 10,
    }
}
