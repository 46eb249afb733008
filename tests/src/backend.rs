//! Every promise holds on every broker: what changes is the configuration, and how much a fault costs.

use std::time::Duration;

/// A broker to keep the promises on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In the sidecar's own process.
    Embedded,
    /// The Kafka that `POSTRIDER_KAFKA` names, or one that this test program starts. All tests share it.
    Kafka,
    /// The Pub/Sub server that `POSTRIDER_PUBSUB` names, or one that this test program starts. All tests share it.
    Pubsub,
}

impl Backend {
    /// How often a test kills its sidecar. A killed member keeps its partitions until its session has expired, and what a
    /// killed subscriber held is leased to it: each kill costs 10 s where the broker is not in the process.
    pub fn kills(self, embedded: usize, elsewhere: usize) -> usize {
        match self {
            Self::Embedded => embedded,
            Self::Kafka | Self::Pubsub => elsewhere,
        }
    }

    /// Whether a subscription's status shows this backlog. Pub/Sub tells nobody how much stands there: what is held is seen.
    pub fn shows_backlog(self, status: &serde_json::Value, events: usize) -> bool {
        match self {
            Self::Embedded | Self::Kafka => status["lag"] == serde_json::json!(events),
            Self::Pubsub => status["lag"].as_u64().is_some_and(|lag| lag > 0),
        }
    }

    /// After so long a killed sidecar's leases have run out, and what it had left unsettled has come again.
    pub fn leases(self) -> Duration {
        match self {
            // Whoever starts next has it at once, or the place where the group's progress stands.
            Self::Embedded | Self::Kafka => Duration::ZERO,
            Self::Pubsub => Duration::from_secs(12),
        }
    }

    /// How long a publisher waits between two events under load: as long as a session lasts, all that comes is backlog.
    pub fn pace(self) -> Duration {
        match self {
            Self::Embedded => Duration::ZERO,
            Self::Kafka => Duration::from_millis(15),
            // The server hands out a message in 10 ms on each stream, and of a key one at a time.
            Self::Pubsub => Duration::from_millis(40),
        }
    }
}

/// Makes a test on each broker of each function: `NAME::embedded`, `NAME::kafka` and `NAME::pubsub`.
///
/// ```
/// use postrider_tests::{Backend, on_each_backend};
///
/// async fn an_event_is_delivered(backend: Backend) {
///     // let sidecar = Postrider::start(Setup::on(backend)).await; …
/// #   drop(backend);
/// }
///
/// on_each_backend!(an_event_is_delivered);
/// ```
#[macro_export]
macro_rules! on_each_backend {
    ($($promise:ident),+ $(,)?) => {$(
        $crate::on_backends!($promise: embedded Embedded, kafka Kafka, pubsub Pubsub);
    )+};
}

/// The same for what Pub/Sub cannot do: it keeps no history and no attempts.
#[macro_export]
macro_rules! on_each_backend_but_pubsub {
    ($($promise:ident),+ $(,)?) => {$(
        $crate::on_backends!($promise: embedded Embedded, kafka Kafka);
    )+};
}

/// The same for what takes a broker outside of the sidecar: one that can be away, or that several sidecars share.
#[macro_export]
macro_rules! on_each_backend_but_embedded {
    ($($promise:ident),+ $(,)?) => {$(
        $crate::on_backends!($promise: kafka Kafka, pubsub Pubsub);
    )+};
}

#[doc(hidden)]
#[macro_export]
macro_rules! on_backends {
    ($promise:ident: $($name:ident $backend:ident),+) => {
        mod $promise {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$promise($crate::Backend::$backend).await;
                }
            )+
        }
    };
}
