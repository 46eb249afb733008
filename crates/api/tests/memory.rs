//! A long stream goes through in bounded memory. Alone in its process, whose memory it measures.

mod support;

use broker::fake::{Fake, durable};
use support::{Server, settings, structured};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const STREAM_BYTES: usize = 64 << 20;
const GROWTH_KIB_MAX: usize = 32 << 10;

/// The most memory that this process ever had, in KiB.
fn peak_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

#[tokio::test]
async fn a_long_stream_does_not_grow_the_process() {
    let server = Server::start_with(Fake::forgetting(durable), settings()).await;
    let data = "x".repeat(4096);
    let line = structured("1", "com.example.order", "s").replace("{\"n\":1}", &format!("\"{data}\"")) + "\n";
    let count = STREAM_BYTES / line.len();
    let before = peak_kib();
    let (mut read, mut write) = server.connect().await.into_split();
    let head = format!(
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        count * line.len()
    );
    let send = async {
        write.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..count {
            write.write_all(line.as_bytes()).await.unwrap();
        }
    };
    let mut answer = Vec::new();
    let receive = read.read_to_end(&mut answer);
    let (_, received) = tokio::join!(send, receive);
    received.unwrap();
    assert_eq!(support::Reply::parse(&answer).json(), serde_json::json!({ "accepted": count }));
    let growth = peak_kib() - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB for a stream of {STREAM_BYTES} bytes");
}
