//! As much of Pub/Sub's gRPC as tests need.

use std::collections::HashMap;
use std::time::Duration;

use brokers::pubsub::PROJECT;
use futures::channel::mpsc;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// For what has to come. It only bounds a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PubsubMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) data: Vec<u8>,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) attributes: HashMap<String, String>,
    #[prost(string, tag = "5")]
    pub(crate) ordering_key: String,
}

#[derive(Clone, PartialEq, Message)]
struct PublishRequest {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(message, repeated, tag = "2")]
    messages: Vec<PubsubMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct PublishResponse {
    #[prost(string, repeated, tag = "1")]
    message_ids: Vec<String>,
}

/// Of acknowledging and of modifying a deadline.
#[derive(Clone, PartialEq, Message)]
struct Settlement {
    #[prost(string, tag = "1")]
    subscription: String,
    #[prost(string, repeated, tag = "2")]
    ack_ids: Vec<String>,
    #[prost(int32, tag = "3")]
    ack_deadline_seconds: i32,
    #[prost(string, repeated, tag = "4")]
    modified_ids: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct PullRequest {
    #[prost(string, tag = "1")]
    subscription: String,
    #[prost(bool, tag = "2")]
    return_immediately: bool,
    #[prost(int32, tag = "3")]
    max_messages: i32,
}

#[derive(Clone, PartialEq, Message)]
struct StreamingPullRequest {
    #[prost(string, tag = "1")]
    subscription: String,
    #[prost(int32, tag = "5")]
    stream_ack_deadline_seconds: i32,
    #[prost(int64, tag = "7")]
    max_outstanding_messages: i64,
    #[prost(int64, tag = "10")]
    protocol_version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StreamingPullResponse {
    #[prost(message, repeated, tag = "1")]
    received_messages: Vec<Received>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Received {
    #[prost(string, tag = "1")]
    pub(crate) ack_id: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) message: Option<PubsubMessage>,
}

impl Received {
    pub(crate) fn text(&self) -> String {
        let data = self.message.as_ref().map(|message| message.data.clone()).unwrap_or_default();
        String::from_utf8(data).expect("tests publish text")
    }
}

/// `PullResponse` has the same form.
type PullResponse = StreamingPullResponse;

/// With an ordering key, where that is not empty.
pub(crate) fn message(text: &str, key: &str) -> PubsubMessage {
    PubsubMessage { data: text.into(), ordering_key: key.into(), ..PubsubMessage::default() }
}

#[derive(Clone)]
pub(crate) struct Client {
    grpc: Grpc<Channel>,
}

/// An open stream. It ends when this is dropped.
pub(crate) struct Stream {
    requests: mpsc::UnboundedSender<StreamingPullRequest>,
    answers: Streaming<StreamingPullResponse>,
    received: Vec<Received>,
}

impl Client {
    pub(crate) async fn connect(endpoint: &str) -> Self {
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).expect("a URL");
        Self { grpc: Grpc::new(endpoint.connect().await.expect("the server listens")) }
    }

    async fn unary<Q, A>(&self, method: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = method.parse().expect("a path");
        let answer = grpc.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await?;
        Ok(answer.into_inner())
    }

    /// Publishes, and returns how many ids came back.
    pub(crate) async fn publish(&self, topic: &str, messages: Vec<PubsubMessage>) -> Result<usize, Status> {
        let request = PublishRequest { topic: format!("projects/{PROJECT}/topics/{topic}"), messages };
        let answer: PublishResponse = self.unary("/google.pubsub.v1.Publisher/Publish", request).await?;
        Ok(answer.message_ids.len())
    }

    pub(crate) async fn acknowledge(&self, subscription: &str, ack_id: &str) -> Result<(), Status> {
        let request = Settlement {
            subscription: subscription_name(subscription),
            ack_ids: vec![ack_id.to_owned()],
            ..Settlement::default()
        };
        self.unary::<_, Empty>("/google.pubsub.v1.Subscriber/Acknowledge", request).await.map(drop)
    }

    /// A deadline of 0 gives the message back.
    pub(crate) async fn modify(&self, subscription: &str, ack_id: &str, seconds: i32) -> Result<(), Status> {
        let request = Settlement {
            subscription: subscription_name(subscription),
            ack_deadline_seconds: seconds,
            modified_ids: vec![ack_id.to_owned()],
            ..Settlement::default()
        };
        self.unary::<_, Empty>("/google.pubsub.v1.Subscriber/ModifyAckDeadline", request).await.map(drop)
    }

    /// What is there now and held by nobody.
    pub(crate) async fn pull(&self, subscription: &str) -> Result<Vec<Received>, Status> {
        let request = PullRequest {
            subscription: subscription_name(subscription),
            return_immediately: true,
            max_messages: 1000,
        };
        let answer: PullResponse = self.unary("/google.pubsub.v1.Subscriber/Pull", request).await?;
        Ok(answer.received_messages)
    }

    /// Opens a stream; 0 outstanding messages are no bound.
    pub(crate) async fn stream(&self, subscription: &str, outstanding_max: i64) -> Result<Stream, Status> {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let (requests, said) = mpsc::unbounded();
        let opening = StreamingPullRequest {
            subscription: subscription_name(subscription),
            stream_ack_deadline_seconds: 10,
            max_outstanding_messages: outstanding_max,
            protocol_version: 1,
        };
        requests.unbounded_send(opening).expect("its other end is here");
        // So that the server answers at once: its head comes with its first answer.
        requests.unbounded_send(StreamingPullRequest::default()).expect("its other end is here");
        let path = "/google.pubsub.v1.Subscriber/StreamingPull".parse().expect("a path");
        let codec = ProstCodec::<StreamingPullRequest, StreamingPullResponse>::default();
        let answers = grpc.streaming(Request::new(said), path, codec).await?.into_inner();
        Ok(Stream { requests, answers, received: Vec::new() })
    }
}

impl Stream {
    /// The next message.
    pub(crate) async fn next(&mut self) -> Result<Received, Status> {
        tokio::time::timeout(PATIENCE, async {
            while self.received.is_empty() {
                let Some(answer) = self.answers.message().await? else {
                    return Err(Status::cancelled("the stream is at its end"));
                };
                self.received = answer.received_messages;
            }
            Ok(self.received.remove(0))
        })
        .await
        .expect("a message or an end has to come")
    }

    /// Asks whether the server lives; its answer is none that [`Stream::next`] returns.
    pub(crate) fn ping(&self) {
        self.requests.unbounded_send(StreamingPullRequest::default()).expect("the stream is open");
    }
}

fn subscription_name(name: &str) -> String {
    format!("projects/{PROJECT}/subscriptions/{name}")
}
