//! Subscriptions: created, or held against what the configuration says.

use std::time::Duration;

use broker::{Error, ErrorKind, Start, Subscription};
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_pubsub::model::{self, ExpirationPolicy};
use google_cloud_wkt::Timestamp;

use crate::clients::ASK;
use crate::project::Project;
use crate::topics::{heard, wkt};
use crate::{errors, permissions};

/// The longest that a subscription keeps anything, and what that was before.
const RETENTION_MAX: Duration = Duration::from_secs(31 * 86_400);
const RETENTION_MAX_ONCE: Duration = Duration::from_secs(7 * 86_400);

/// Makes a subscription durable: from its return on it gets all that is published.
pub(crate) async fn ensure(project: &Project, subscription: &Subscription) -> Result<(), Error> {
    let full = project.subscription(&subscription.name);
    if project.settings.create {
        let what = format!("subscription {full} cannot be created");
        match create(project, subscription, &full).await {
            Ok(created) => return begin(project, subscription, &created).await,
            Err(error) if errors::code(&error) == Some(Code::AlreadyExists) => {}
            Err(error) if errors::code(&error) == Some(Code::PermissionDenied) => {
                return match look(project, &full).await {
                    Ok(found) => check(project, subscription, &found),
                    Err(told) if told.kind == ErrorKind::NotFound => {
                        Err(errors::error(&what, permissions::CREATE_SUBSCRIPTION, &error))
                    }
                    Err(told) => Err(told),
                };
            }
            Err(error) => {
                let what = match errors::code(&error) {
                    Some(Code::NotFound) => {
                        let topic = project.topic(&subscription.topic);
                        format!("{what}: its topic {topic} does not exist, or {}", errors::NO_PROJECT)
                    }
                    _ => what,
                };
                return Err(errors::error(&what, permissions::CREATE_SUBSCRIPTION, &error));
            }
        }
    }
    let found = look(project, &full).await?;
    check(project, subscription, &found)
}

async fn create(
    project: &Project,
    subscription: &Subscription,
    full: &str,
) -> Result<model::Subscription, google_cloud_pubsub::Error> {
    if !subscription.keeps_unsettled {
        return create_keeping(project, subscription, full, project.settings.retention).await;
    }
    match create_keeping(project, subscription, full, RETENTION_MAX).await {
        // Emulators know the longest of former days only.
        Err(error) if errors::code(&error) == Some(Code::InvalidArgument) => {
            create_keeping(project, subscription, full, RETENTION_MAX_ONCE).await
        }
        answer => answer,
    }
}

async fn create_keeping(
    project: &Project,
    subscription: &Subscription,
    full: &str,
    retention: Duration,
) -> Result<model::Subscription, google_cloud_pubsub::Error> {
    let settings = &project.settings;
    let request = project
        .clients
        .subscriptions
        .create_subscription()
        .set_name(full)
        .set_topic(project.topic(&subscription.topic))
        .set_ack_deadline_seconds(i32::try_from(settings.lease.as_secs()).unwrap_or(i32::MAX))
        .set_message_retention_duration(wkt(retention))
        .set_labels(settings.labels.clone())
        .set_enable_message_ordering(is_ordered(subscription))
        .set_enable_exactly_once_delivery(settings.exactly_once)
        // Without a time to live: it never expires by itself.
        .set_expiration_policy(ExpirationPolicy::new());
    let answer = request.with_attempt_timeout(ASK).send().await;
    heard(project, &answer);
    answer
}

/// Where a new subscription is to begin before its creation, it is moved there, as far as the topic keeps anything.
async fn begin(
    project: &Project,
    subscription: &Subscription,
    created: &model::Subscription,
) -> Result<(), Error> {
    let kept =
        created.topic_message_retention_duration.as_ref().map(|kept| kept.seconds()).filter(|kept| *kept > 0);
    let Some(kept) = kept else {
        if matches!(subscription.start, Start::At(_)) {
            tracing::warn!(
                subscription = created.name,
                topic = created.topic,
                "the topic keeps nothing for new subscriptions (`topic_retention`): it begins now"
            );
        }
        return Ok(());
    };
    let now = std::time::SystemTime::now();
    let at = match subscription.start {
        Start::Latest => return Ok(()),
        Start::Earliest => now.checked_sub(Duration::from_secs(kept.unsigned_abs())).unwrap_or(now),
        Start::At(time) => time,
    };
    seek(project, &created.name, at).await
}

async fn seek(project: &Project, full: &str, to: std::time::SystemTime) -> Result<(), Error> {
    let since = to.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let time = Timestamp::clamp(seconds, i32::try_from(since.subsec_nanos()).unwrap_or(0));
    let request = project.clients.subscriptions.seek().set_subscription(full).set_time(time);
    let answer = request.with_attempt_timeout(ASK).send().await;
    heard(project, &answer);
    let what = format!("subscription {full} cannot be moved to where it is to begin");
    answer.map(drop).map_err(|error| errors::error(&what, permissions::CONSUME, &error))
}

/// Dead letters are to be seen all at once, not one of a key after another; no order among them is promised.
fn is_ordered(subscription: &Subscription) -> bool {
    subscription.ordered && !subscription.keeps_unsettled
}

/// What the service says of a subscription.
pub(crate) async fn look(project: &Project, full: &str) -> Result<model::Subscription, Error> {
    let asked = project.clients.subscriptions.get_subscription().set_subscription(full);
    let answer = asked.with_attempt_timeout(ASK).send().await;
    heard(project, &answer);
    answer.map_err(|error| {
        let hint = match errors::code(&error) {
            Some(Code::NotFound) => " (create it, or let Postrider create what is missing: `create: true`)",
            _ => "",
        };
        errors::error(
            &format!("subscription {full} cannot be looked up{hint}"),
            permissions::SEE_SUBSCRIPTION,
            &error,
        )
    })
}

/// Whether a subscription that exists is what it is to be.
fn check(project: &Project, wanted: &Subscription, found: &model::Subscription) -> Result<(), Error> {
    let name = &found.name;
    let topic = project.topic(&wanted.topic);
    let conflict = |why: String| Err(Error::new(ErrorKind::Conflict, format!("subscription {name} {why}")));
    if found.topic != topic {
        return conflict(format!(
            "reads {}, and is to read {topic}: a subscription's topic is fixed; delete it, or give this one another name",
            found.topic
        ));
    }
    if found.enable_message_ordering != is_ordered(wanted) {
        let (is, to_be) = if is_ordered(wanted) { ("without", "key") } else { ("with", "none") };
        return conflict(format!(
            "was created {is} message ordering, which is fixed, and `ordering: {to_be}` is configured: change the \
             configuration, or give the subscription another name, or delete it once it has been drained"
        ));
    }
    if found.dead_letter_policy.is_some() {
        return conflict(
            "has a dead-letter policy of Pub/Sub's own: it counts outages as failures and would take away what is only \
             waiting; remove it (`gcloud pubsub subscriptions update --clear-dead-letter-policy`), Postrider dead-letters \
             by itself"
                .into(),
        );
    }
    if found.detached {
        return conflict("is detached from its topic: delete it".into());
    }
    if !found.filter.is_empty() {
        return conflict(format!(
            "has the filter `{}`: what does not match would be dropped without a word; a filter is fixed, so give the \
             subscription another name",
            found.filter
        ));
    }
    let pushes = found.push_config.as_ref().is_some_and(|push| !push.push_endpoint.is_empty());
    if pushes || found.bigquery_config.is_some() || found.cloud_storage_config.is_some() {
        return conflict("is not to be pulled from: it pushes, or writes to a store".into());
    }
    if let Some(ttl) = found.expiration_policy.as_ref().and_then(|policy| policy.ttl.as_ref()) {
        tracing::warn!(
            subscription = name,
            days = ttl.seconds() / 86_400,
            "the subscription is deleted when nobody reads it for so long: set its expiration to never"
        );
    }
    Ok(())
}
