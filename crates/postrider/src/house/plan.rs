//! From the configuration to what the other crates take: topics to publish to, subscriptions to run. Pure.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::config::{self, Config};
use broker::Driver;

use super::app_health;
use super::drivers::Drivers;
use crate::failure::Failure;

/// The subscription's retry budget, as finagle and tower have it: ten retries a second always, and a fifth of the
/// first attempts beyond that.
const BUDGET_FLOOR_PER_SECOND: u32 = 10;
const BUDGET_RATIO: f64 = 0.2;
/// How often a subscription that the webhook's 410 paused is probed.
const PAUSE_PROBE: Duration = Duration::from_secs(300);
/// Events that are held of a source whose waiting deliveries stay on the broker's disk, unless the configuration says.
const BUFFER_EVENTS_STORED: u32 = 1_000_000;
const BUFFER_EVENTS_IN_MEMORY: u32 = 10_000;

/// All topics: those that the API publishes to, and the dead-letter topics that are not configured as topics.
pub(super) fn topics(config: &Config, drivers: &Drivers) -> Result<Vec<publish::Topic>, Failure> {
    let mut topics = Vec::new();
    for name in config.topics.keys() {
        topics.push(topic(config, drivers, name)?);
    }
    for name in config.subscriptions.keys() {
        let letters = dead_letter_topic(config, drivers, name)?;
        if !letters.open && !topics.iter().any(|topic| topic.name == letters.name) {
            topics.push(letters);
        }
    }
    Ok(topics)
}

fn topic(config: &Config, drivers: &Drivers, name: &str) -> Result<publish::Topic, Failure> {
    let broker = config.broker_of(name);
    let settings = config.topics.get(name);
    Ok(publish::Topic {
        name: name.into(),
        broker: broker.into(),
        on_broker: config.topic_on_broker(name, broker).into(),
        driver: driver(drivers, broker)?,
        key: settings.and_then(|topic| topic.key.as_ref()).map(key_from),
        event_bytes_max: settings.map_or(usize::MAX, |topic| topic.max_event.in_memory()),
        types: settings.map(|topic| topic.types.clone()).unwrap_or_default(),
        open: settings.is_some(),
    })
}

/// Where a subscription's dead letters go: a configured topic, or one of its own on its topic's broker.
fn dead_letter_topic(
    config: &Config,
    drivers: &Drivers,
    subscription: &str,
) -> Result<publish::Topic, Failure> {
    let name = config.dead_letter_topic(subscription);
    if config.topics.contains_key(&name) {
        return topic(config, drivers, &name);
    }
    let source = config.subscriptions.get(subscription).map_or("", |s| s.topic.as_str());
    let broker = config.broker_of(source);
    Ok(publish::Topic {
        name: name.as_str().into(),
        broker: broker.into(),
        on_broker: name.as_str().into(),
        driver: driver(drivers, broker)?,
        key: None,
        event_bytes_max: usize::MAX,
        types: Vec::new(),
        open: false,
    })
}

fn driver(drivers: &Drivers, broker: &str) -> Result<Arc<dyn Driver>, Failure> {
    drivers.get(broker).cloned().ok_or_else(|| Failure::usage(format!("no broker {broker:?} is configured")))
}

fn key_from(key: &config::Key) -> publish::KeyFrom {
    match key {
        config::Key::Subject => publish::KeyFrom::Subject,
        config::Key::Source => publish::KeyFrom::Source,
        config::Key::Type => publish::KeyFrom::Type,
        config::Key::Id => publish::KeyFrom::Id,
        config::Key::Extension(name) => publish::KeyFrom::Extension(name.clone()),
    }
}

/// The subscriptions to run.
pub(super) fn subscriptions(config: &Config, drivers: &Drivers) -> Result<Vec<delivery::Spec>, Failure> {
    config
        .subscriptions
        .iter()
        .map(|(name, settings)| subscription(config, drivers, name, settings))
        .collect()
}

fn subscription(
    config: &Config,
    drivers: &Drivers,
    name: &str,
    settings: &config::Subscription,
) -> Result<delivery::Spec, Failure> {
    let source = topic(config, drivers, &settings.topic)?;
    let uri = config
        .webhook(settings)
        .ok_or_else(|| Failure::usage(format!("subscriptions.{name}.to: a path needs app.url")))?;
    let stored = source.driver.capabilities().stored_payloads;
    Ok(delivery::Spec {
        name: name.to_owned(),
        durable: broker::Subscription {
            name: config.durable_name(name),
            topic: source.on_broker.to_string(),
            start: start(settings.start),
            ordered: settings.ordering == config::Ordering::Key,
            until: None,
            keeps_unsettled: false,
        },
        topic: settings.topic.clone(),
        broker: source.broker.to_string(),
        driver: source.driver,
        webhook: webhook(settings, uri),
        policy: policy(settings, stored),
        dead_letter: dead_letter_topic(config, drivers, name)?,
        redrive_name: config.redrive_name(name),
        reply_topic: settings.reply_topic.clone(),
        app: config.app_of(settings).map(app_health::name),
    })
}

fn start(start: config::Start) -> broker::Start {
    match start {
        config::Start::Earliest => broker::Start::Earliest,
        config::Start::Latest => broker::Start::Latest,
        config::Start::At(time) => broker::Start::At(system_time(time)),
    }
}

/// Times before 1970 are 1970: no broker holds anything older.
fn system_time(time: jiff::Timestamp) -> SystemTime {
    let since = u64::try_from(time.as_millisecond()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_millis(since)
}

fn webhook(settings: &config::Subscription, uri: http::Uri) -> delivery::Webhook {
    delivery::Webhook {
        uri,
        mode: match settings.mode {
            config::Mode::Binary => delivery::Mode::Binary,
            config::Mode::Structured => delivery::Mode::Structured,
            config::Mode::Raw => delivery::Mode::Raw,
            config::Mode::Batch(batch) => delivery::Mode::Batch { events: batch.max },
        },
        encoding: match settings.encoding {
            config::Encoding::Percent => event::http::Encoding::Percent,
            config::Encoding::Raw => event::http::Encoding::Raw,
        },
        timeout: settings.timeout.get(),
        answers: settings.answers.iter().map(|(status, meaning)| (*status, answer(*meaning))).collect(),
    }
}

fn answer(answer: config::Answer) -> delivery::Answer {
    match answer {
        config::Answer::Done => delivery::Answer::Done,
        config::Answer::Retry => delivery::Answer::Retry,
        config::Answer::RetryEvent => delivery::Answer::RetryEvent,
        config::Answer::DeadLetter => delivery::Answer::DeadLetter,
        config::Answer::Pause => delivery::Answer::Pause,
    }
}

fn policy(settings: &config::Subscription, stored: bool) -> engine::Policy {
    let (retry, breaker) = (&settings.retry, &settings.breaker);
    let buffer = if stored { BUFFER_EVENTS_STORED } else { BUFFER_EVENTS_IN_MEMORY };
    engine::Policy {
        ordering: match settings.ordering {
            config::Ordering::Key => engine::Ordering::Key,
            config::Ordering::None => engine::Ordering::None,
        },
        concurrency: settings.concurrency,
        // Delivery sets it, from the webhook's mode.
        mode: engine::Mode::Single,
        retry: engine::Retry {
            initial: retry.initial.get(),
            max: retry.max.get(),
            max_attempts: retry.max_attempts,
            max_age: retry.max_age.get(),
            retry_after_max: retry.retry_after_max.get(),
            budget_floor_per_second: BUDGET_FLOOR_PER_SECOND,
            budget_ratio: BUDGET_RATIO,
        },
        breaker: engine::Breaker {
            consecutive: breaker.consecutive,
            success_ratio: breaker.success_ratio,
            over: breaker.over.get(),
            open: breaker.open.get(),
            open_max: breaker.open_max.get(),
            pause_probe: PAUSE_PROBE,
        },
        window: engine::Window { initial: settings.window.initial },
        dead_letter: engine::DeadLetter {
            max_per_minute: settings.dead_letter.max_rate.per_minute(),
            after: match settings.after_dead_letter {
                config::AfterDeadLetter::Continue => engine::AfterDeadLetter::Continue,
                config::AfterDeadLetter::Pause => engine::AfterDeadLetter::Pause,
            },
        },
        buffer: settings.buffer.events.unwrap_or(buffer),
    }
}

/// The origins beyond loopback that webhooks may have.
pub(super) fn origins(config: &Config) -> Result<Vec<delivery::Origin>, Failure> {
    let allow = config.webhooks.allow.iter();
    allow
        .map(|origin| delivery::Origin::parse(&origin.to_string()))
        .collect::<Result<_, _>>()
        .map_err(|why| Failure::usage(format!("webhooks.allow: {why}")))
}
