//! Google's clients, made once a driver.

use std::sync::Arc;
use std::time::Duration;

use broker::{Error, ErrorKind};
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_pubsub::client::{BasePublisher, Subscriber, SubscriptionAdmin, TopicAdmin};

use crate::credentials;
use crate::publish::Patience;
use crate::settings::Settings;

/// How long an administrative question waits for its answer. Whoever asks repeats it, and tells why.
pub(crate) const ASK: Duration = Duration::from_secs(10);
/// How long the question whether anybody is there waits.
const PROBE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) publisher: BasePublisher,
    pub(crate) subscriber: Subscriber,
    pub(crate) topics: TopicAdmin,
    pub(crate) subscriptions: SubscriptionAdmin,
}

impl Clients {
    /// Makes the clients. Nothing is reached for yet but where credentials come from.
    pub(crate) async fn new(settings: &Settings, patience: &Arc<Patience>) -> Result<Self, Error> {
        // Whoever installed one before has decided.
        drop(rustls::crypto::ring::default_provider().install_default());
        let credentials = credentials::make(settings).await?;
        let endpoint = match &settings.emulator {
            Some(emulator) => Some(format!("http://{emulator}")),
            None => settings.endpoint.clone(),
        };
        let failed = |error: google_cloud_gax::client_builder::Error| {
            Error::new(ErrorKind::Denied, format!("Google's client cannot be made: {error}"))
        };
        let mut publisher = BasePublisher::builder()
            .with_credentials(credentials.clone())
            .with_retry_policy(Arc::clone(patience) as Arc<dyn google_cloud_gax::retry_policy::RetryPolicy>);
        let mut subscriber = Subscriber::builder().with_credentials(credentials.clone());
        let mut topics =
            TopicAdmin::builder().with_credentials(credentials.clone()).with_retry_policy(NeverRetry);
        let mut subscriptions =
            SubscriptionAdmin::builder().with_credentials(credentials).with_retry_policy(NeverRetry);
        if let Some(endpoint) = endpoint {
            publisher = publisher.with_endpoint(endpoint.clone());
            subscriber = subscriber.with_endpoint(endpoint.clone());
            topics = topics.with_endpoint(endpoint.clone());
            subscriptions = subscriptions.with_endpoint(endpoint);
        }
        Ok(Self {
            publisher: publisher.build().await.map_err(failed)?,
            subscriber: subscriber.build().await.map_err(failed)?,
            topics: topics.build().await.map_err(failed)?,
            subscriptions: subscriptions.build().await.map_err(failed)?,
        })
    }

    /// Asks whether anybody is there: `None` where the service answered, be it with a refusal.
    pub(crate) async fn probe(&self, topic: &str) -> Option<String> {
        let asked = self.topics.get_topic().set_topic(topic).with_attempt_timeout(PROBE).send();
        match tokio::time::timeout(PROBE, asked).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) if crate::errors::is_answer(&error) => None,
            Ok(Err(error)) => Some(crate::errors::words(&error)),
            Err(_) => Some(format!("it did not answer within {PROBE:?}")),
        }
    }
}
