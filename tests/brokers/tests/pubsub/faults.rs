//! Each fault that the proxy is told of happens, to the calls that it names, as often as it says.

use std::time::Duration;

use super::grpc::{Client, message};
use brokers::pubsub::{self, Code, Fault, Options, PROJECT, Proxy, Pubsub, rest};
use tonic::Code as Grpc;

/// How long an answer is waited for that must not come.
const SILENCE: Duration = Duration::from_millis(500);

struct House {
    server: Pubsub,
    proxy: Proxy,
    /// By way of the proxy.
    client: Client,
    /// Past it.
    direct: Client,
}

/// A server with a proxy, a topic `orders` and a subscription `billing`. None where Go is missing.
async fn house() -> Option<House> {
    if !pubsub::is_possible_with_go() {
        return None;
    }
    let started = tokio::task::spawn_blocking(|| {
        let server = Pubsub::start(Options::default()).expect("a server");
        let proxy = Proxy::start(server.address()).expect("a proxy");
        prepare(&server);
        (server, proxy)
    });
    let (server, proxy) = started.await.expect("a house");
    let client = Client::connect(&proxy.endpoint()).await;
    let direct = Client::connect(&server.endpoint()).await;
    Some(House { server, proxy, client, direct })
}

fn prepare(server: &Pubsub) {
    rest::create_topic(server.address(), PROJECT, "orders").expect("a topic");
    rest::create_subscription(server.address(), PROJECT, "billing", "orders", "").expect("a subscription");
}

impl House {
    async fn publish(&self, text: &str) -> Result<usize, tonic::Status> {
        self.client.publish("orders", vec![message(text, "")]).await
    }

    /// Over a new connection: a client may learn only by a call that its old one has broken.
    async fn publish_anew(&self, text: &str) -> usize {
        let client = Client::connect(&self.proxy.endpoint()).await;
        client.publish("orders", vec![message(text, "")]).await.expect("no fault is left")
    }

    /// What is there and held by nobody, settled and thereby gone.
    async fn rest(&self) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let received = self.direct.pull("billing").await.expect("the server is there");
            for one in &received {
                self.direct.acknowledge("billing", &one.ack_id).await.expect("the server is there");
                texts.push(one.text());
            }
            if received.is_empty() {
                texts.sort();
                return texts;
            }
        }
    }

    /// What comes of giving a message back: nothing, where it was settled.
    async fn rest_with(&self, ack_id: &str) -> Vec<String> {
        self.direct.modify("billing", ack_id, 0).await.expect("the server is there");
        self.rest().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_refused_as_often_as_it_says_and_never_applied() {
    let Some(house) = house().await else { return };
    let codes = [
        (Code::Unavailable, Grpc::Unavailable),
        (Code::DeadlineExceeded, Grpc::DeadlineExceeded),
        (Code::ResourceExhausted, Grpc::ResourceExhausted),
        (Code::PermissionDenied, Grpc::PermissionDenied),
        (Code::NotFound, Grpc::NotFound),
    ];
    for (code, expected) in codes {
        house.proxy.set(Fault::refuse("Publish", code).times(2)).unwrap();
        for _ in 0..2 {
            assert_eq!(house.publish("refused").await.unwrap_err().code(), expected);
        }
    }
    assert_eq!(house.publish("fine").await.unwrap(), 1);
    assert_eq!(house.proxy.happened().unwrap(), 10);
    assert_eq!(house.proxy.calls("Publish").unwrap(), 11);
    assert_eq!(house.proxy.calls("Acknowledge").unwrap(), 0);
    house.proxy.set(Fault::refuse("*", Code::Unavailable)).unwrap();
    for _ in 0..5 {
        assert_eq!(house.publish("refused").await.unwrap_err().code(), Grpc::Unavailable);
        assert!(house.client.stream("billing", 0).await.is_err(), "a stream is refused as well");
    }
    house.proxy.reset().unwrap();
    assert_eq!(house.publish("fine again").await.unwrap(), 1);
    assert_eq!(house.rest().await, ["fine", "fine again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_is_never_applied_and_of_what_is_lost_only_the_answer() {
    let Some(house) = house().await else { return };
    house.proxy.set(Fault::drop("Publish").times(1)).unwrap();
    assert!(tokio::time::timeout(SILENCE, house.publish("dropped")).await.is_err(), "it is not answered");
    house.proxy.set(Fault::lose_answer("Publish").times(1)).unwrap();
    assert!(tokio::time::timeout(SILENCE, house.publish("lost")).await.is_err(), "it is not answered");
    house.proxy.set(Fault::apply_and_refuse("Publish", Code::Unavailable).times(1)).unwrap();
    assert_eq!(house.publish("applied").await.unwrap_err().code(), Grpc::Unavailable);
    house.proxy.set(Fault::cut("Publish").times(1)).unwrap();
    house.publish("cut").await.unwrap_err();
    assert_eq!(house.publish_anew("fine").await, 1, "the next connection is whole");
    assert_eq!(house.rest().await, ["applied", "cut", "fine", "lost"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delayed_comes_after_what_is_not() {
    let Some(house) = house().await else { return };
    house.proxy.set(Fault::delay("Publish", 2 * SILENCE).times(1)).unwrap();
    let (delayed, client) = (house.publish("delayed"), &house.client);
    tokio::pin!(delayed);
    let taken = async {
        while house.proxy.happened().unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        biased;
        _ = &mut delayed => panic!("it is delayed"),
        () = taken => {}
    }
    let prompt = client.publish("orders", vec![message("prompt", "")]);
    tokio::select! {
        biased;
        _ = &mut delayed => panic!("it is delayed"),
        prompt = prompt => assert_eq!(prompt.unwrap(), 1),
    }
    assert_eq!(delayed.await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn settlements_fail_as_well() {
    let Some(house) = house().await else { return };
    house.publish("once").await.unwrap();
    let mut stream = house.client.stream("billing", 0).await.unwrap();
    let received = stream.next().await.unwrap();
    house.proxy.set(Fault::refuse("ModifyAckDeadline", Code::Unavailable).times(1)).unwrap();
    assert!(house.client.modify("billing", &received.ack_id, 60).await.is_err());
    house.proxy.set(Fault::apply_and_refuse("Acknowledge", Code::DeadlineExceeded).times(1)).unwrap();
    let refused = house.client.acknowledge("billing", &received.ack_id).await.unwrap_err();
    assert_eq!(refused.code(), Grpc::DeadlineExceeded);
    drop(stream);
    assert_eq!(house.rest_with(&received.ack_id).await, Vec::<String>::new(), "it was settled nevertheless");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_and_break_and_lose_what_they_carry() {
    let Some(house) = house().await else { return };
    let mut stream = house.client.stream("billing", 0).await.unwrap();
    house.proxy.set(Fault::end_streams(Code::Unavailable).times(1)).unwrap();
    assert_eq!(stream.next().await.unwrap_err().code(), Grpc::Unavailable, "also one that carries nothing");

    let mut stream = house.client.stream("billing", 0).await.unwrap();
    house.proxy.set(Fault::drop("StreamingPull").times(1)).unwrap();
    house.publish("dropped").await.unwrap();
    while house.proxy.happened().unwrap() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    house.publish("after it").await.unwrap();
    let received = stream.next().await.unwrap();
    assert_eq!(received.text(), "after it");

    house.proxy.set(Fault::cut("StreamingPull").times(1)).unwrap();
    // The connection breaks, also for whoever else is on it.
    drop(house.publish("cut").await);
    let broken = stream.next().await.unwrap_err();
    assert_eq!(house.proxy.happened().unwrap(), 3, "{broken:?}");
    assert_eq!(house.publish_anew("whole again").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_handed_out_again_under_another_ack_id() {
    let Some(house) = house().await else { return };
    let mut stream = house.client.stream("billing", 0).await.unwrap();
    house.proxy.set(Fault::redeliver().times(1)).unwrap();
    house.publish("twice").await.unwrap();
    let first = stream.next().await.unwrap();
    let again = stream.next().await.unwrap();
    assert_eq!(first.message, again.message);
    assert_ne!(first.ack_id, again.ack_id);
    house
        .client
        .acknowledge("billing", &first.ack_id)
        .await
        .expect("an old id is no error, and settles nothing");
    house.client.acknowledge("billing", &again.ack_id).await.unwrap();
    drop(stream);
    assert_eq!(house.rest_with(&again.ack_id).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_over_http_fails_by_the_same_names() {
    let Some(house) = house().await else { return };
    let address = house.proxy.address();
    let call = |method: &str, path: &str| {
        rest::call(address, method, &format!("/v1/projects/{PROJECT}/{path}"), "{}")
    };
    house.proxy.set(Fault::refuse("CreateTopic", Code::PermissionDenied).times(1)).unwrap();
    let refused = call("PUT", "topics/refused").unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("PERMISSION_DENIED"), "{refused:?}");
    assert_eq!(call("PUT", "topics/refused").unwrap().status, 200);
    for (method, name, path, status) in [
        ("GET", "GetSubscription", "subscriptions/billing", 503),
        ("GET", "ListTopics", "topics", 503),
        ("GET", "ListTopicSubscriptions", "topics/orders/subscriptions", 503),
        ("POST", "Pull", "subscriptions/billing:pull", 503),
        ("PATCH", "UpdateTopic", "topics/orders", 503),
    ] {
        house.proxy.set(Fault::refuse(name, Code::Unavailable).times(1)).unwrap();
        assert_eq!(call(method, path).unwrap().status, status, "{name}");
        assert_eq!(house.proxy.calls(name).unwrap(), 1, "{name}");
    }
    house.proxy.set(Fault::apply_and_refuse("CreateTopic", Code::Unavailable).times(1)).unwrap();
    assert_eq!(call("PUT", "topics/applied").unwrap().status, 503);
    assert_eq!(call("PUT", "topics/applied").unwrap().status, 409, "it is there");
    house.proxy.set(Fault::cut("GetTopic").times(1)).unwrap();
    assert!(call("GET", "topics/orders").is_err(), "half an answer is none");
    assert!(house.proxy.set(Fault::lose_answer("")).is_err(), "a fault names a method");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_unavailable_and_found_again() {
    let Some(house) = house().await else { return };
    let mut stream = house.client.stream("billing", 0).await.unwrap();
    house.server.kill().unwrap();
    assert_eq!(stream.next().await.unwrap_err().code(), Grpc::Unavailable);
    assert_eq!(house.publish("nowhere").await.unwrap_err().code(), Grpc::Unavailable);
    house.server.restart().unwrap();
    prepare(&house.server);
    while house.publish("back").await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(house.rest().await, ["back"]);
}
