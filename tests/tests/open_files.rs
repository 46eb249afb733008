//! The limit of open files that a process begins with is no bound on its connections. In a test program of its own, whose
//! limit the sidecar inherits.
#![cfg(target_os = "linux")]

use http::Method;
use postrider_tests::{Postrider, Setup, client};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpStream;

/// Few enough that the sidecar could not hold [`CONNECTIONS`].
const BEGINS_WITH: u64 = 100;
const CONNECTIONS: usize = 300;

#[tokio::test]
async fn a_sidecar_may_open_what_the_system_allows() {
    let given = getrlimit(Resource::Nofile);
    let sidecar = {
        setrlimit(Resource::Nofile, Rlimit { current: Some(BEGINS_WITH), ..given })
            .expect("a limit can be lowered");
        let sidecar = Postrider::start(Setup::new().with("/limits/connections", json!(4096))).await;
        setrlimit(Resource::Nofile, given).expect("and raised again to what it was");
        sidecar
    };
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(TcpStream::connect(sidecar.health()).await.expect("the kernel's queue has room"));
    }
    let ready = client::send(sidecar.health(), client::request(Method::GET, "/readyz", &[], "")).await;
    assert_eq!(ready.expect("the health listener answers").status, 200);
    sidecar.publish_event("e-1", "k").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", sidecar.id())).expect("the process runs");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line of open files");
    let [soft, hard] = [3, 4].map(|column| files.split_whitespace().nth(column));
    assert_eq!(soft, hard, "{files}");
    let most: Option<u64> = soft.and_then(|soft| soft.parse().ok());
    let warned = sidecar.output().contains("files may be open, and limits.connections");
    assert_eq!(warned, most.is_some_and(|most| most < 3 * 4096), "{}", sidecar.output());
}
