//! Subscriptions: what they read, whom they call, where their dead letters go.

use std::collections::BTreeMap;

use super::{Check, listeners};
use crate::address::To;
use crate::broker::BrokerKind;
use crate::error::Code;
use crate::names;
use crate::path::Path;
use crate::subscription::{Answer, Mode, Subscription};

pub(super) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let mut durable: BTreeMap<String, &str> = BTreeMap::new();
    let mut dead_letters: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for (name, subscription) in &config.subscriptions {
        let path = Path::of(&["subscriptions", name]);
        check.name(&path, name, names::name);
        if let Some(service) = &subscription.service {
            check.name(&path.key("service"), service, names::name);
        }
        check.reference(&path.key("topic"), "topic", &subscription.topic, "topics", config.topics.keys());
        if let Some(topic) = &subscription.reply_topic {
            check.reference(&path.key("reply_topic"), "topic", topic, "topics", config.topics.keys());
            if *topic == subscription.topic {
                check.warn(
                    &path.key("reply_topic"),
                    "answers come back to this subscription: a loop unless the app ends it",
                );
            }
        }
        durable_name(check, &path, name, &mut durable);
        webhook(check, &path, subscription);
        dead_letter(check, &path, name, subscription);
        dead_letters_apart(check, &path, name, &mut dead_letters);
        policy(check, &path, subscription);
    }
    if config.topics.is_empty() && !check.is_placeholder(&Path::of(&["topics"])) {
        check.warn(&Path::of(&["topics"]), "no topic is configured: nothing can be published or delivered");
    }
}

/// A subscription has two names on its broker: its own, and that of a redrive.
fn durable_name<'a>(
    check: &mut Check<'_>,
    path: &Path,
    name: &'a str,
    taken: &mut BTreeMap<String, &'a str>,
) {
    let config = check.config;
    if !names_are_known(check, path) {
        return;
    }
    let durable = config.durable_name(name);
    if durable.len() > names::DURABLE_MAX {
        let (length, max) = (durable.len(), names::DURABLE_MAX);
        let message = format!(
            "the durable name (prefix, service and subscription) has {length} bytes, and may have {max}"
        );
        check.error(Code::BadName, path, message, "Shorten one of the three.");
    }
    if config.brokers.values().any(|broker| broker.kind() == BrokerKind::Pubsub)
        && let Err(reason) = names::pubsub(&durable)
    {
        check.error(Code::BadName, path, format!("Pub/Sub does not take its durable name: {reason}"), "");
    }
    for used in [durable, config.redrive_name(name)] {
        if let Some(other) = taken.insert(used, name).filter(|other| *other != name) {
            let message =
                format!("subscription `{other}` would have the same durable name, its own or its redrive's");
            check.error(Code::Conflict, path, message, "Rename one of the two, or its service.");
        }
    }
}

/// False where a part of the durable name is wrong: what is made of it says nothing then.
fn names_are_known(check: &Check<'_>, path: &Path) -> bool {
    let parts = [Path::of(&["service"]), Path::of(&["names", "prefix"]), path.key("service"), path.clone()];
    !parts.iter().any(|part| check.has_error(part))
}

fn webhook(check: &mut Check<'_>, path: &Path, subscription: &Subscription) {
    let config = check.config;
    let to = path.key("to");
    if let Some(app) = &subscription.app {
        listeners::app(check, &path.key("app"), app);
    }
    match &subscription.to {
        To::Url(url) => listeners::url(check, &to, url),
        To::Path(_) => match config.app_of(subscription) {
            Some(app) if app.url.join(&subscription.to.to_string()).is_err() => {
                check.error(Code::BadValue, &to, "the app's URL and this path make no URL", "");
            }
            Some(_) => {}
            None if check.is_placeholder(&Path::of(&["app"])) => {}
            None => check.error(
                Code::MissingKey,
                &to,
                "a path is below the app's URL, and there is no app",
                "Add `app: { url: \"http://127.0.0.1:8080\" }`, or write a whole URL.",
            ),
        },
    }
}

fn dead_letter(check: &mut Check<'_>, path: &Path, name: &str, subscription: &Subscription) {
    let config = check.config;
    if subscription.dead_letter.topic.is_none() && !names_are_known(check, path) {
        return;
    }
    let letters = config.dead_letter_topic(name);
    let broker = config.broker_of(&subscription.topic);
    let written = path.key("dead_letter").key("topic");
    if config.topics.contains_key(&letters) {
        let other = config.broker_of(&letters);
        if letters == subscription.topic {
            let message = "dead letters must not go to the subscription's own topic";
            check.error(Code::Conflict, &written, message, "They would be delivered, and fail, for ever.");
        } else if other != broker && config.topics.contains_key(&subscription.topic) {
            let message = format!(
                "dead letters must stay on the topic's broker, `{broker}`, and this topic is on `{other}`"
            );
            check.error(Code::Conflict, &written, message, "A redrive reads both.");
        } else if config.topics.contains_key(&subscription.topic)
            && let Some(apart) =
                config.brokers.keys().find(|broker| config.are_apart(&subscription.topic, &letters, broker))
        {
            let message = format!(
                "dead letters must stay on the topic's broker, and with `broker: {apart}` `{}` and this topic would be apart",
                subscription.topic
            );
            check.error(
                Code::Conflict,
                &written,
                message,
                "Give both topics the same `broker:`, or neither.",
            );
        } else if subscription.dead_letter.topic.is_none() {
            let message = "a configured topic has the name of this subscription's dead letters";
            check.error(Code::Conflict, path, message, "Rename the topic, or set `dead_letter.topic`.");
        }
        return;
    }
    // Its name is one on the broker itself, and must be possible on each, as a topic's.
    let at = if subscription.dead_letter.topic.is_some() { &written } else { path };
    for (broker, kind) in config.brokers.iter().map(|(name, broker)| (name, broker.kind())) {
        if let Err(reason) = names::on_broker(kind, &letters) {
            let message =
                format!("broker `{broker}` ({kind}) does not take the dead-letter topic's name: {reason}");
            check.error(Code::BadName, at, message, "");
        }
        if !config.may_be_on(&subscription.topic, broker) {
            continue;
        }
        let there = |topic: &&String| {
            config.may_be_on(topic, broker) && config.topic_on_broker(topic, broker) == letters
        };
        if let Some(topic) = config.topics.keys().find(there) {
            let message =
                format!("topic `{topic}` has the name of the dead-letter topic on broker `{broker}`");
            check.error(Code::Conflict, at, message, "Write its logical name, or choose another.");
        }
    }
}

/// A subscription's letters stand until they are settled in its own cursor. In a topic of two, each would hold the
/// other's letters for ever, and the topic would never become empty.
fn dead_letters_apart<'a>(
    check: &mut Check<'a>,
    path: &Path,
    name: &'a str,
    taken: &mut BTreeMap<(&'a str, String), &'a str>,
) {
    let config = check.config;
    let subscription = &config.subscriptions[name];
    let by_default = subscription.dead_letter.topic.is_none();
    if by_default && !names_are_known(check, path) {
        return;
    }
    let letters = config.dead_letter_topic(name);
    for broker in config.brokers.keys().filter(|broker| config.may_be_on(&subscription.topic, broker)) {
        let on_broker = config.topic_on_broker(&letters, broker);
        if let Some(other) = taken.insert((broker, on_broker), name) {
            let at = if by_default { path.clone() } else { path.key("dead_letter").key("topic") };
            let message = format!("subscription `{other}` has the same dead-letter topic");
            let hint = "Leave `dead_letter.topic` away, or give each its own: one would keep the other's letters for ever.";
            check.error(Code::Conflict, &at, message, hint);
        }
    }
}

fn policy(check: &mut Check<'_>, path: &Path, subscription: &Subscription) {
    let grow = "Waits grow from the one to the other.";
    let (retry, breaker) = (&subscription.retry, &subscription.breaker);
    check.not_longer(&path.key("retry"), [("initial", retry.initial), ("max", retry.max)], grow);
    check.not_longer(&path.key("breaker"), [("open", breaker.open), ("open_max", breaker.open_max)], grow);
    let window = path.key("window").key("initial");
    if subscription.window.initial > subscription.concurrency && check.is_written(&window) {
        check.warn(
            &window,
            format!("`concurrency` is {}, and the window never exceeds it", subscription.concurrency),
        );
    }
    buffer(check, path, subscription);
    for (status, answer) in &subscription.answers {
        if (200..300).contains(status) && *answer != Answer::Done {
            let path = path.key("answers").key(&status.to_string());
            check.warn(&path, format!("an app that answers {status} believes that it is done"));
        }
    }
}

/// Most deliveries of one subscription held at once, in events.
const BUFFER_MAX: u32 = 1_000_000;

fn buffer(check: &mut Check<'_>, subscription: &Path, settings: &Subscription) {
    let path = subscription.key("buffer").key("events");
    let Some(events) = settings.buffer.events else { return };
    if !(1..=BUFFER_MAX).contains(&events) {
        let message = format!("`events` must be between 1 and {BUFFER_MAX}");
        check.error(Code::BadValue, &path, message, "Leave it out for the default.");
    } else if events < settings.concurrency {
        let message =
            format!("less than `concurrency` ({}), which is then never reached", settings.concurrency);
        check.warn(&path, message);
    }
    if let Mode::Batch(batch) = settings.mode
        && batch.max > events
    {
        check.warn(&subscription.key("mode"), "a batch is larger than the buffer, and is never filled");
    }
}
