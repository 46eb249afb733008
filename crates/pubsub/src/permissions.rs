//! What an identity is to be granted, as errors say it: a permission, what it is needed on, and Google's role that has it.

pub(crate) const PUBLISH: &str = "pubsub.topics.publish on the topic (roles/pubsub.publisher has it)";
pub(crate) const CREATE_TOPIC: &str = "pubsub.topics.create on the project (roles/pubsub.editor has it)";
pub(crate) const SEE_TOPIC: &str = "pubsub.topics.get on the topic (roles/pubsub.viewer has it)";
pub(crate) const CREATE_SUBSCRIPTION: &str = "pubsub.subscriptions.create on the project (roles/pubsub.editor has it) and \
     pubsub.topics.attachSubscription on the topic (roles/pubsub.subscriber has it)";
pub(crate) const SEE_SUBSCRIPTION: &str =
    "pubsub.subscriptions.get on the subscription (roles/pubsub.viewer has it)";
pub(crate) const CONSUME: &str =
    "pubsub.subscriptions.consume on the subscription (roles/pubsub.subscriber has it)";
