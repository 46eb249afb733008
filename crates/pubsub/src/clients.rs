//! Google's clients, made once a driver.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::{Error, ErrorKind};
use google_cloud_auth::credentials::{
    Builder, Credentials, anonymous, external_account, impersonated, service_account, user_account,
};
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_pubsub::client::{BasePublisher, Subscriber, SubscriptionAdmin, TopicAdmin};
use serde_json::Value;

use crate::publish::Patience;
use crate::settings::{self, Settings};

/// How long an administrative question waits for its answer, its repetitions included.
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
    /// Makes the clients. Nothing is reached for yet but the files of credentials.
    pub(crate) async fn new(settings: &Settings, patience: &Arc<Patience>) -> Result<Self, Error> {
        // Whoever installed one before has decided.
        drop(rustls::crypto::ring::default_provider().install_default());
        let credentials = credentials(settings)?;
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
        let mut topics = TopicAdmin::builder().with_credentials(credentials.clone());
        let mut subscriptions = SubscriptionAdmin::builder().with_credentials(credentials);
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

fn credentials(settings: &Settings) -> Result<Credentials, Error> {
    if settings.emulator.is_some() {
        return Ok(anonymous::Builder::new().build());
    }
    let denied = |what: &str, error: &dyn std::fmt::Display| {
        let hint = "set GOOGLE_APPLICATION_CREDENTIALS or `credentials.file`, or run where Workload Identity gives some";
        Error::new(ErrorKind::Denied, format!("{what}: {error}; {hint}"))
    };
    match &settings.credentials {
        settings::Credentials::Default => Builder::default()
            .build()
            .map_err(|error| denied("there are no application-default credentials", &error)),
        settings::Credentials::File(path) => {
            let what = format!("the credentials in {} cannot be used", path.display());
            from_file(path).map_err(|error| denied(&what, &error))
        }
    }
}

/// A credentials file says what kind it is.
fn from_file(path: &Path) -> Result<Credentials, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let json: Value = serde_json::from_slice(&text).map_err(|error| format!("it is no JSON: {error}"))?;
    let kind = json.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let built = match kind.as_str() {
        "service_account" => service_account::Builder::new(json).build(),
        "authorized_user" => user_account::Builder::new(json).build(),
        "external_account" => external_account::Builder::new(json).build(),
        "impersonated_service_account" => impersonated::Builder::new(json).build(),
        other => return Err(format!("its `type` is `{other}`, which is none of Google's")),
    };
    built.map_err(|error| error.to_string())
}
