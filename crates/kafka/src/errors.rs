//! librdkafka's errors in plain words: what happened, where, and what to do.

use broker::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What an operation other than publishing failed with. `what` is the beginning of a sentence: "topic orders cannot be
/// created".
pub(crate) fn error(what: &str, error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(code) => Error::new(kind(code), format!("{what}: {}", words(code))),
        None => Error::new(ErrorKind::Unavailable, format!("{what}: {error}")),
    }
}

/// What making a client failed with: its settings, and no broker.
pub(crate) fn client(what: &str, error: &KafkaError) -> Error {
    let reason = match error {
        KafkaError::ClientCreation(reason) => reason.clone(),
        other => other.to_string(),
    };
    Error::new(ErrorKind::Conflict, format!("{what}: {reason}"))
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
        C::PolicyViolation | C::InvalidTopic | C::InvalidPartitions | C::InvalidReplicationFactor => {
            ErrorKind::Conflict
        }
        _ => ErrorKind::Unavailable,
    }
}

/// A code in plain words, where librdkafka's own leave a question open.
pub(crate) fn words(code: RDKafkaErrorCode) -> String {
    use RDKafkaErrorCode as C;
    let words = match code {
        C::BrokerTransportFailure | C::AllBrokersDown => "no broker can be reached",
        C::OperationTimedOut | C::RequestTimedOut => "no broker answered in time",
        C::UnknownTopicOrPartition | C::UnknownTopic => "there is no such topic on the broker",
        C::TopicAuthorizationFailed => "the broker's ACLs do not allow it on this topic",
        C::GroupAuthorizationFailed => "the broker's ACLs do not allow READ on this group",
        C::ClusterAuthorizationFailed => "the broker's ACLs do not allow it on the cluster",
        C::InvalidReplicationFactor => "the replication factor is larger than the number of brokers",
        C::InvalidPartitions => "the number of partitions is not allowed",
        C::InvalidTopic => "the name is none for a topic: up to 249 letters, digits, '.', '_' and '-'",
        C::PolicyViolation => "a policy of the cluster forbids it",
        C::MessageTimedOut => "it was not acknowledged in time",
        C::NotEnoughReplicas | C::NotEnoughReplicasAfterAppend => {
            "fewer replicas are in sync than min.insync.replicas asks for"
        }
        _ => return code.to_string(),
    };
    words.into()
}

/// What a connection failed with, where this error is one of a connection: librdkafka's sentence without what only its
/// developers read.
pub(crate) fn connection(code: RDKafkaErrorCode, reason: &str) -> Option<String> {
    use RDKafkaErrorCode as C;
    let what = match code {
        C::BrokerTransportFailure => "",
        C::Resolve => "the host's name is not known: ",
        C::SSL => "TLS failed: ",
        C::Authentication | C::SaslAuthenticationFailed => "the credentials are refused: ",
        _ => return None,
    };
    let end = reason.find(" (after ").or_else(|| reason.find(" (load may")).unwrap_or(reason.len());
    Some(format!("{what}{}", reason[..end].replace("/bootstrap: ", ": ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fail_in_plain_words() {
        use RDKafkaErrorCode as C;
        let refused = "127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)";
        assert_eq!(
            connection(C::BrokerTransportFailure, refused).as_deref(),
            Some("127.0.0.1:9092: Connect to ipv4#127.0.0.1:9092 failed: Connection refused")
        );
        let denied = "sasl_plaintext://k:9092/bootstrap: SASL authentication error: Authentication failed: Invalid username or password (after 312ms in state AUTH_REQ)";
        assert_eq!(
            connection(C::Authentication, denied).as_deref(),
            Some(
                "the credentials are refused: sasl_plaintext://k:9092: SASL authentication error: Authentication \
                 failed: Invalid username or password"
            )
        );
        assert_eq!(connection(C::AllBrokersDown, "1/1 brokers are down"), None);
    }
}
