//! What an answer of Google's publisher says of a record.

use broker::{Outcome, Position, RefusalKind};
use google_cloud_gax::error::rpc::Code;
use google_cloud_pubsub::error::PublishError;

use crate::{errors, permissions};

/// What became of a record. `topic` is its full name.
pub(super) fn of(answer: Result<String, PublishError>, topic: &str) -> Outcome {
    match answer {
        Ok(id) => Outcome::Durable(Position::parse(&id)),
        Err(PublishError::OrderingKeyPaused) => Outcome::refused_for_now(
            RefusalKind::Unavailable,
            "an earlier record of its key was not acknowledged, so it was not sent",
        ),
        Err(PublishError::Rpc(error)) if error.is_exhausted() => {
            Outcome::Unknown(format!("Pub/Sub did not acknowledge it in time: {}", errors::words(&error)))
        }
        Err(PublishError::Rpc(error)) => failed(&error, topic),
        Err(other) => Outcome::Unknown(other.to_string()),
    }
}

/// The first attempt was answered so, and there was no second.
fn failed(error: &google_cloud_gax::error::Error, topic: &str) -> Outcome {
    let words = errors::words(error);
    match errors::code(error) {
        Some(Code::NotFound) => Outcome::refused(
            RefusalKind::UnknownTopic,
            format!("there is no topic {topic}: create it, or let Postrider create topics: {words}"),
        ),
        Some(Code::PermissionDenied | Code::Unauthenticated) => Outcome::refused(
            RefusalKind::Denied,
            format!("this identity may not publish to {topic}: grant it {}: {words}", permissions::PUBLISH),
        ),
        Some(Code::ResourceExhausted) => {
            Outcome::refused_for_now(RefusalKind::Overloaded, format!("Pub/Sub's quota is used up: {words}"))
        }
        Some(Code::InvalidArgument | Code::OutOfRange) => {
            Outcome::refused(RefusalKind::TooLarge, format!("Pub/Sub does not take it: {words}"))
        }
        Some(Code::FailedPrecondition) => Outcome::refused_for_now(
            RefusalKind::Unavailable,
            format!("Pub/Sub does not take it at present: {words}"),
        ),
        None if error.is_authentication() && error.is_transient_and_before_rpc() => Outcome::refused_for_now(
            RefusalKind::Unavailable,
            format!("there is no token to publish to {topic} with: {words}"),
        ),
        None if error.is_authentication() => Outcome::refused(
            RefusalKind::Denied,
            format!("there are no credentials to publish to {topic} with: {words}"),
        ),
        _ => Outcome::Unknown(format!("Pub/Sub may have taken it in: {words}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use google_cloud_gax::error::Error;
    use google_cloud_gax::error::rpc::Status;

    use super::*;

    fn rpc(error: Error) -> Outcome {
        of(Err(PublishError::Rpc(Arc::new(error))), "projects/p/topics/t")
    }

    fn kind(code: Code) -> Option<RefusalKind> {
        match rpc(Error::service(Status::default().set_code(code).set_message("why"))) {
            Outcome::Refused(refusal) => {
                assert!(
                    refusal.message.contains("why"),
                    "the service's own words are told: {}",
                    refusal.message
                );
                Some(refusal.kind)
            }
            Outcome::Unknown(_) => None,
            Outcome::Durable(position) => panic!("a failure is not durable: {position}"),
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(kind(Code::NotFound), Some(RefusalKind::UnknownTopic));
        assert_eq!(kind(Code::PermissionDenied), Some(RefusalKind::Denied));
        assert_eq!(kind(Code::ResourceExhausted), Some(RefusalKind::Overloaded));
        assert_eq!(kind(Code::InvalidArgument), Some(RefusalKind::TooLarge));
        assert_eq!(kind(Code::Internal), None, "it may have landed");
    }

    #[test]
    fn what_was_tried_again_is_unknown() {
        let last = Error::service(Status::default().set_code(Code::NotFound).set_message("why"));
        assert!(matches!(rpc(Error::exhausted(last)), Outcome::Unknown(_)));
        assert!(matches!(of(Err(PublishError::Shutdown), "t"), Outcome::Unknown(_)));
        assert!(matches!(of(Err(PublishError::OrderingKeyPaused), "t"), Outcome::Refused(_)));
        assert_eq!(of(Ok("4711".into()), "t"), Outcome::Durable(Position::Number(4711)));
    }
}
