//! kcat, which knows records and nothing of events.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A record as kcat shows it: values that are not UTF-8 are not for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    /// In the record's order.
    pub(crate) headers: Vec<(String, Option<String>)>,
}

impl Record {
    /// The header's value; panics where the record has none or two of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.headers.iter().filter(|(found, _)| found == name).collect();
        match values.as_slice() {
            [] => None,
            [(_, value)] => value.as_deref(),
            several => panic!("{} headers are named {name}: {several:?}", several.len()),
        }
    }

    /// The headers that make the event: those of a hop are Postrider's own.
    pub(crate) fn of_the_event(&self) -> Vec<(&str, &str)> {
        let ours = |name: &str| name.starts_with("ce_") || name == "content-type";
        let mut pairs: Vec<(&str, &str)> = self
            .headers
            .iter()
            .filter(|(name, _)| ours(name))
            .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or("null")))
            .collect();
        pairs.sort_unstable();
        pairs
    }
}

fn run(mut command: Command, input: &[u8]) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("kcat does not run ({error}): apt-get install kcat, or brew install kcat")
    });
    child.stdin.take().expect("it is piped").write_all(input).expect("kcat reads its input");
    let ended = child.wait_with_output().expect("kcat ends");
    assert!(ended.status.success(), "kcat: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("kcat prints JSON")
}

fn kcat(bootstrap: &str, mode: &str, topic: &str) -> Command {
    let mut command = Command::new("kcat");
    command.args([mode, "-b", bootstrap, "-t", topic, "-X", "topic.metadata.refresh.interval.ms=1000"]);
    command
}

/// The first records of a topic of one partition.
pub(crate) fn consume(bootstrap: &str, topic: &str, count: usize) -> Vec<Record> {
    let mut command = kcat(bootstrap, "-C", topic);
    command.args(["-J", "-q", "-e", "-o", "beginning", "-c", &count.to_string()]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let record = |line: &str| {
        let told: Value = serde_json::from_str(line).expect("a record is a line of JSON");
        let headers = told["headers"].as_array().cloned().unwrap_or_default();
        Record {
            key: text(&told["key"]),
            value: text(&told["payload"]),
            headers: headers
                .chunks(2)
                .map(|pair| (text(&pair[0]).unwrap_or_default(), pair.get(1).and_then(text)))
                .collect(),
        }
    };
    run(command, b"").lines().map(record).collect()
}

/// Writes one record; a value that is `None` is a null. A key holds no colon.
pub(crate) fn produce(
    bootstrap: &str,
    topic: &str,
    key: Option<&str>,
    headers: &[(&str, Option<&str>)],
    value: Option<&str>,
) {
    let mut command = kcat(bootstrap, "-P", topic);
    for (name, value) in headers {
        command.arg("-H").arg(value.map_or_else(|| (*name).to_owned(), |value| format!("{name}={value}")));
    }
    // What stands between two delimiters is a record; the input ends before the first. With -Z what is empty is a null.
    command.args(["-Z", "-D", "\u{1}", "-K", ":"]);
    run(command, format!("{}:{}", key.unwrap_or_default(), value.unwrap_or_default()).as_bytes());
}
