//! docker-compose.yml and the Dockerfile do what they say, though no engine is here: their own loaders take them, and the
//! services that they describe run as processes, with the same commands, environments, files and health checks, on a real
//! Kafka.

#[path = "compose/described.rs"]
mod described;
#[path = "compose/pod.rs"]
mod pod;

use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::time::{Duration, Instant};

use brokers::kafka::{Kafka, Options};
use http::Method;
use postrider_tests::webhook::patience;
use postrider_tests::{binary, client};
use serde_json::Value;

use described::Described;
use pod::Pod;

/// How a service answers a GET.
async fn get(pod: &Pod, path: &str) -> Value {
    let request = client::request(Method::GET, path, &[], "");
    client::send(pod.service(), request).await.map(|answer| answer.json()).unwrap_or_default()
}

/// Waits until something is so; panics with what all processes have printed when that takes too long.
async fn until(pods: &[&Pod], what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        if began.elapsed() > patience() {
            let printed: Vec<String> = pods.iter().map(|pod| pod.printed()).collect();
            panic!("never came: {what}\n{}", printed.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A Kafka with the settings that the compose file gives its own, but for addresses, directories and memory.
async fn kafka(described: &Described) -> Kafka {
    let own = ["LISTENER", "LISTENERS", "CONTROLLER", "PROCESS", "NODE", "LOG_DIRS", "HEAP", "INTER_BROKER"];
    let environment = &described.service("kafka").environment;
    let settings = environment
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("KAFKA_")?, value)))
        .filter(|(name, _)| !name.contains("LISTENER") && !own.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name.to_lowercase().replace('_', "."), value.clone()))
        .collect();
    let start = move || Kafka::start(Options { settings, ..Options::default() });
    let started = tokio::task::spawn_blocking(start).await.expect("the start does not panic");
    started.expect("Kafka starts with the settings of the compose file")
}

/// The numbers of each customer's orders, as shipping first saw them.
fn shipped_in_order(printed: &str) -> BTreeMap<String, Vec<u64>> {
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in printed.lines().filter(|line| line.ends_with(": shipped")) {
        let order = line.split_once(": ").and_then(|(_, rest)| rest.rsplit_once(" (attempt"));
        let order: Value = order.and_then(|(text, _)| serde_json::from_str(text).ok()).unwrap_or_default();
        if let (Some(customer), Some(number)) = (order["customer"].as_str(), order["number"].as_u64()) {
            numbers.entry(customer.to_owned()).or_default().push(number);
        }
    }
    numbers
}

#[test]
fn their_own_loaders_take_the_compose_file_and_the_dockerfile() {
    let Some(described) = Described::load() else { return };
    let names: Vec<&str> = described.services.keys().map(String::as_str).collect();
    assert_eq!(names, ["kafka", "orders", "orders-postrider", "shipping", "shipping-postrider"]);
    assert_eq!(described.image.user, "nonroot");
    for service in described.services.values().filter(|service| !service.is_built) {
        assert!(!service.healthcheck.is_empty(), "{} tells its health", service.image);
    }
}

/// The files that the sidecars are given.
#[test]
fn the_configurations_are_valid_and_warn_of_nothing() {
    let Some(described) = Described::load() else { return };
    for name in ["orders", "shipping"] {
        let pod = Pod::new(&described, name, &HashMap::new());
        let checked = pod.check();
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        assert_eq!(String::from_utf8_lossy(&checked.stderr), "", "{name}: an example warns of nothing");
    }
}

/// The image has a C library and `libgcc_s`, and nothing else to link to.
#[cfg(target_os = "linux")]
#[test]
fn the_image_has_every_library_that_the_binary_needs() {
    const HAS: [&str; 6] = ["linux-vdso.", "libc.", "libm.", "libgcc_s.", "libpthread.", "libdl."];
    let ended = Command::new("ldd").arg(binary::path()).output().expect("ldd is part of every glibc");
    let listed = String::from_utf8_lossy(&ended.stdout).into_owned();
    let missing: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|library| !library.starts_with('/') && !HAS.iter().any(|has| library.starts_with(has)))
        .collect();
    assert!(listed.contains("libc."), "ldd lists the libraries: {listed}");
    assert_eq!(missing, Vec::<&str>::new(), "gcr.io/distroless/cc has none of these");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_compose_file_describes_delivers_every_order_in_order() {
    let Some(described) = Described::load() else { return };
    let kafka = kafka(&described).await;
    let hosts = HashMap::from([("kafka:9092".to_owned(), kafka.bootstrap().to_owned())]);
    let mut orders = Pod::new(&described, "orders", &hosts);
    let mut shipping = Pod::new(&described, "shipping", &hosts);
    for pod in [&mut orders, &mut shipping] {
        pod.start_service();
        pod.start_sidecar();
    }
    let pods = [&orders, &shipping];
    for pod in pods {
        until(&pods, "every health check", async || pod.is_healthy()).await;
    }

    let shipped = async || get(&shipping, "/stats").await["shipped"].as_u64().unwrap_or(0);
    until(&pods, "three orders", async || shipped().await >= 3).await;

    let json = [("content-type", "application/json")];
    let request = client::request(Method::POST, "/orders", &json, r#"{"customer": "zoë", "total": 12}"#);
    let answer = client::send(orders.service(), request).await.expect("the orders service answers");
    assert_eq!(answer.status, 200, "an order is taken: {}", answer.text());
    until(&pods, "the order of zoë", async || get(&shipping, "/stats").await["customers"]["zoë"] == 1).await;

    shipping.kill_sidecar();
    let before = get(&orders, "/stats").await["accepted"].as_u64().unwrap_or(0);
    let pods = [&orders, &shipping];
    until(&pods, "orders while nothing is delivered", async || {
        get(&orders, "/stats").await["accepted"].as_u64() > Some(before + 1)
    })
    .await;
    shipping.start_sidecar();
    orders.kill_service();
    let pods = [&orders, &shipping];
    // The one of zoë, and those that it has printed.
    let accepted = 1 + orders.printed().matches(": 200 broker").count() as u64;
    until(&pods, "every order that was accepted", async || {
        get(&shipping, "/stats").await["shipped"].as_u64() >= Some(accepted)
    })
    .await;

    for (customer, numbers) in shipped_in_order(&shipping.printed()) {
        assert!(numbers.is_sorted(), "the orders of {customer} were shipped in order: {numbers:?}");
    }
    let used = kafka.run_tool(brokers::kafka::tool::TOPICS, &["--describe", "--topic", "orders.created"]);
    let used = used.expect("the topic can be described");
    assert!(used.contains("PartitionCount: 12"), "created as config/kafka.yaml says: {used}");
}
