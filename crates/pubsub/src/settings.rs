//! What the driver is told of the project and of how it is used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::names;

/// How a Pub/Sub project is reached and used. Durations outside of the ranges that the service takes are refused by
/// [`check`](Self::check).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The project of topics and subscriptions that are named without one.
    pub project: String,
    /// Where the service is reached, `https://europe-west1-pubsub.googleapis.com`. `None`: the global endpoint. Order per
    /// key holds among the publishers of one region, so that a locational endpoint is what ordered topics want.
    pub endpoint: Option<String>,
    /// `HOST:PORT` of an emulator: without TLS and without credentials, instead of the service.
    pub emulator: Option<String>,
    pub credentials: Credentials,
    /// Whether topics and subscriptions that are missing are created.
    pub create: bool,
    /// Labels of what is created.
    pub labels: BTreeMap<String, String>,
    /// How long a created subscription keeps what is not settled: 10 minutes to 31 days.
    pub retention: Duration,
    /// How long a created topic keeps its messages for subscriptions made later and for seeks: 10 minutes to 31 days.
    /// `None`: not at all.
    pub topic_retention: Option<Duration>,
    /// How far a lease is extended at a time: 10 seconds to 10 minutes. What a killed process held comes again after
    /// this.
    pub lease: Duration,
    /// How long a delivery is held at the most. It is given back then, and taken again.
    pub lease_max: Duration,
    /// Streams a subscription is read with: 1 to 32.
    pub streams: u32,
    /// How long a publish waits for others to travel with.
    pub linger: Duration,
    /// Whether subscriptions that are created deliver exactly once, as the service means it.
    pub exactly_once: bool,
    /// Events are written in structured mode. Both modes are read.
    pub structured: bool,
}

/// Who we are to Google.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Application-default credentials: `GOOGLE_APPLICATION_CREDENTIALS`, `gcloud auth application-default login`, or the
    /// metadata server (Workload Identity).
    Default,
    /// A credentials file: a service account's key, or any other kind that Google's tools write.
    File(PathBuf),
}

/// A setting's name and what is wrong with it.
pub type Wrong = (&'static str, String);

const DAY: Duration = Duration::from_secs(86_400);
/// <https://cloud.google.com/pubsub/docs/subscription-properties>.
const RETENTION: [Duration; 2] = [Duration::from_secs(600), Duration::from_secs(31 * 86_400)];
const LEASE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(600)];
const LEASE_MAX: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(24 * 3600)];
const STREAMS_MAX: u32 = 32;
const LINGER_MAX: Duration = Duration::from_secs(1);

impl Settings {
    /// All defaults: application-default credentials, and what is missing is created.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            endpoint: None,
            emulator: None,
            credentials: Credentials::Default,
            create: true,
            labels: BTreeMap::new(),
            retention: 7 * DAY,
            topic_retention: None,
            lease: LEASE[0],
            lease_max: Duration::from_secs(3600),
            streams: 2,
            linger: Duration::from_millis(5),
            exactly_once: false,
            structured: false,
        }
    }

    /// What the service would not take, without asking it.
    pub fn check(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut within = |name, value: Duration, [least, most]: [Duration; 2]| {
            if value < least || value > most {
                wrong.push((name, format!("{value:?} is not between {least:?} and {most:?}")));
            }
        };
        within("retention", self.retention, RETENTION);
        if let Some(retention) = self.topic_retention {
            within("topic_retention", retention, RETENTION);
        }
        within("lease", self.lease, LEASE);
        within("lease_max", self.lease_max, LEASE_MAX);
        within("linger", self.linger, [Duration::ZERO, LINGER_MAX]);
        if self.lease > self.lease_max {
            wrong.push((
                "lease",
                format!("{:?} is longer than the longest lease, {:?}", self.lease, self.lease_max),
            ));
        }
        if self.streams == 0 || self.streams > STREAMS_MAX {
            wrong.push(("streams", format!("{} is not between 1 and {STREAMS_MAX}", self.streams)));
        }
        if let Some(endpoint) = self.endpoint.as_deref().filter(|endpoint| !endpoint.starts_with("http")) {
            wrong.push((
                "endpoint",
                format!("`{endpoint}` is no URL; write https://REGION-pubsub.googleapis.com"),
            ));
        }
        let labels = self.labels.iter();
        wrong.extend(labels.filter_map(|(key, value)| Some(("labels", names::label(key, value).err()?))));
        wrong
    }

    /// Whether requests reach one region, so that order per key holds among all publishers of it.
    pub fn is_regional(&self) -> bool {
        self.emulator.is_some()
            || self.endpoint.as_deref().is_some_and(|endpoint| endpoint.contains("-pubsub."))
    }
}
