//! librdkafka's errors in plain words: what happened, where, and what to do.

use broker::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What an operation other than publishing failed with. `what` is the beginning of a sentence: "topic orders cannot be
/// created".
pub(crate) fn error(what: &str, error: &KafkaError) -> Error {
    let kind = error.rdkafka_error_code().map_or(ErrorKind::Unavailable, kind);
    Error::new(kind, format!("{what}: {error}"))
}

/// What the caller may do about it. What is not known to need a change somewhere is worth another try.
pub(crate) fn kind(code: RDKafkaErrorCode) -> ErrorKind {
    use RDKafkaErrorCode as C;
    match code {
        C::UnknownTopicOrPartition | C::UnknownTopic | C::UnknownPartition | C::GroupIdNotFound => {
            ErrorKind::NotFound
        }
        C::TopicAuthorizationFailed
        | C::GroupAuthorizationFailed
        | C::ClusterAuthorizationFailed
        | C::SaslAuthenticationFailed
        | C::Authentication => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    }
}
