//! Every promise holds on every broker: what changes is the configuration, and how much a fault costs.

use std::time::Duration;

/// A broker to keep the promises on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In the sidecar's own process.
    Embedded,
    /// The Kafka that `POSTRIDER_KAFKA` names, or one that this test program starts. All tests share it.
    Kafka,
}

impl Backend {
    /// How often a test kills its sidecar. A killed member keeps its partitions until its session has expired (10 s), so
    /// that on Kafka each kill costs that long.
    pub fn kills(self, embedded: usize, kafka: usize) -> usize {
        match self {
            Self::Embedded => embedded,
            Self::Kafka => kafka,
        }
    }

    /// How long a publisher waits between two events under load: as long as a session lasts, all that comes is backlog.
    pub fn pace(self) -> Duration {
        match self {
            Self::Embedded => Duration::ZERO,
            Self::Kafka => Duration::from_millis(15),
        }
    }
}

/// Makes two tests of each function: `NAME::embedded` and `NAME::kafka`.
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
        mod $promise {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                super::$promise($crate::Backend::Embedded).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn kafka() {
                super::$promise($crate::Backend::Kafka).await;
            }
        }
    )+};
}
