//! What the configuration means once its defaults and overrides are applied.

use http::Uri;

use crate::address::To;
use crate::subscription::Subscription;
use crate::tree::{App, Config};

/// What a dead-letter topic's default name ends in.
pub(crate) const DEAD_LETTER_SUFFIX: &str = ".dead-letter";

/// What a redrive adds to the durable name of its subscription.
pub(crate) const REDRIVE_SUFFIX: &str = ".redrive";

impl Config {
    /// The durable name of a subscription, `{prefix}{service}.{subscription}`: everywhere the same, on every broker.
    pub fn durable_name(&self, subscription: &str) -> String {
        let service = self.service_of(subscription);
        format!("{}{service}.{subscription}", self.names.prefix)
    }

    /// The service that a subscription belongs to: its own, or the process's.
    fn service_of(&self, subscription: &str) -> &str {
        let own =
            self.subscriptions.get(subscription).and_then(|subscription| subscription.service.as_deref());
        own.unwrap_or(&self.service)
    }

    /// The application behind a subscription's webhook: its own, or the process's.
    pub fn app_of<'a>(&'a self, subscription: &'a Subscription) -> Option<&'a App> {
        subscription.app.as_ref().or(self.app.as_ref())
    }

    /// The subscription's dead-letter topic, as configured or by default `{prefix}{service}.{subscription}.dead-letter`.
    /// A configured topic's logical name, or else a name on the broker.
    pub fn dead_letter_topic(&self, subscription: &str) -> String {
        let configured = self
            .subscriptions
            .get(subscription)
            .and_then(|subscription| subscription.dead_letter.topic.clone());
        configured.unwrap_or_else(|| format!("{}{DEAD_LETTER_SUFFIX}", self.durable_name(subscription)))
    }

    /// The durable name under which a subscription's dead letters are delivered again.
    pub fn redrive_name(&self, subscription: &str) -> String {
        format!("{}{REDRIVE_SUFFIX}", self.durable_name(subscription))
    }

    /// The name of the broker that a topic is on: the topic's own, or the process's. A name that is no configured topic
    /// (a default dead-letter topic) is on the process's.
    pub fn broker_of(&self, topic: &str) -> &str {
        self.topics
            .get(topic)
            .and_then(|topic| topic.broker.as_deref())
            .unwrap_or_else(|| self.default_broker())
    }

    /// Whether a topic is on a broker, or would be after `broker` is switched to it.
    pub fn may_be_on(&self, topic: &str, broker: &str) -> bool {
        let own = self.topics.get(topic).and_then(|topic| topic.broker.as_deref());
        own.is_none_or(|own| own == broker)
    }

    /// Whether two configured topics would be on different brokers with `broker` switched to this one.
    pub(crate) fn are_apart(&self, one: &str, other: &str, broker: &str) -> bool {
        let there =
            |topic| self.topics.get(topic).and_then(|topic| topic.broker.as_deref()).unwrap_or(broker);
        there(one) != there(other)
    }

    /// The name of the broker that topics are on unless they say otherwise: `broker`, or the only one there is.
    pub fn default_broker(&self) -> &str {
        let only = || self.brokers.keys().next().map_or("", String::as_str);
        self.broker.as_deref().unwrap_or_else(only)
    }

    /// A topic's name on a broker: the one that the topic names for it, or its logical name.
    pub fn topic_on_broker(&self, topic: &str, broker: &str) -> String {
        let other = self.topics.get(topic).and_then(|topic| topic.names.get(broker));
        other.map_or(topic, String::as_str).to_owned()
    }

    /// Where a subscription's events are sent, as an absolute URI. `None` where its `to` is a path and there is no app.
    pub fn webhook(&self, subscription: &Subscription) -> Option<Uri> {
        match &subscription.to {
            To::Url(url) => Some(url.uri().clone()),
            To::Path(path) => self.app_of(subscription)?.url.join(path).ok(),
        }
    }
}
