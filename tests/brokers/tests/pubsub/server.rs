//! A real Pub/Sub server starts, does what it is told, and leaves nothing behind.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brokers::pubsub::rest::{self, Answer};
use brokers::pubsub::{self, Options, PROJECT, Pubsub};

const PATIENCE: Duration = Duration::from_secs(60);

/// Whether there is what a server takes. Told where it is not, for then nothing is tested.
fn is_possible() -> bool {
    let possible = pubsub::is_possible();
    if !possible {
        // With standard error gone there is nobody left to tell.
        drop(writeln!(std::io::stderr(), "LEFT OUT: neither Docker nor Go is here"));
    }
    possible
}

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn call(address: &str, method: &str, path: &str, body: &str) -> Answer {
    rest::call(address, method, &format!("/v1/projects/{PROJECT}/{path}"), body).expect("the server answers")
}

/// A field of JSON that is all on one line, as far as tests need one.
fn field(json: &str, name: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    Some(rest.trim_start().strip_prefix('"')?.split('"').next()?.to_owned())
}

#[test]
fn what_is_published_is_pulled_and_a_restart_forgets_it() {
    if !is_possible() {
        return;
    }
    let server = Pubsub::start(Options::default()).unwrap();
    let address = server.address();
    rest::create_topic(address, PROJECT, "greetings").unwrap();
    rest::create_topic(address, PROJECT, "greetings").expect("a topic that is there is fine");
    rest::create_subscription(address, PROJECT, "reader", "greetings", r#""enableMessageOrdering":true"#)
        .unwrap();
    let published = call(
        address,
        "POST",
        "topics/greetings:publish",
        r#"{"messages":[{"data":"aGVsbG8=","orderingKey":"k"}]}"#,
    );
    assert_eq!(published.status, 200, "{published:?}");
    let pulled = call(address, "POST", "subscriptions/reader:pull", r#"{"maxMessages":10}"#);
    assert_eq!(field(&pulled.body, "data").as_deref(), Some("aGVsbG8="), "{pulled:?}");
    let ack_id = field(&pulled.body, "ackId").expect("it has one");
    let settled =
        call(address, "POST", "subscriptions/reader:acknowledge", &format!(r#"{{"ackIds":["{ack_id}"]}}"#));
    assert_eq!(settled.status, 200, "{settled:?}");

    server.kill().unwrap();
    assert!(!server.is_running());
    assert!(rest::call(address, "GET", "/", "").is_err(), "a killed server answers nobody");
    server.restart().unwrap();
    assert_eq!(call(address, "GET", "topics/greetings", "").status, 404, "all was in its memory");
}

#[test]
fn a_paused_server_runs_and_goes_on() {
    if !is_possible() {
        return;
    }
    let server = Pubsub::start(Options::default()).unwrap();
    server.pause().unwrap();
    assert!(server.is_running());
    server.resume().unwrap();
    assert_eq!(call(server.address(), "GET", "topics", "").status, 200);
}

/// By the paths that Google's admin clients for Rust use, and in the form that they understand.
#[test]
fn topics_and_subscriptions_are_administered_over_http() {
    if !is_possible() {
        return;
    }
    let server = Pubsub::start(Options::default()).unwrap();
    let call = |method: &str, path: &str, body: &str| call(server.address(), method, path, body);
    assert_eq!(call("PUT", "topics/orders", "{}").status, 200);
    assert_eq!(call("PUT", "topics/orders", "{}").status, 409);
    let update = r#"{"topic":{"labels":{"team":"shop"}},"updateMask":"labels"}"#;
    assert_eq!(call("PATCH", "topics/orders?$alt=json;enum-encoding=int", update).status, 200);
    assert_eq!(field(&call("GET", "topics/orders", "").body, "team").as_deref(), Some("shop"));
    let subscription = format!(r#"{{"topic":"projects/{PROJECT}/topics/orders","ackDeadlineSeconds":20}}"#);
    assert_eq!(call("PUT", "subscriptions/billing", &subscription).status, 200);
    let update = r#"{"subscription":{"ackDeadlineSeconds":30},"updateMask":"ackDeadlineSeconds"}"#;
    let updated = call("PATCH", "subscriptions/billing", update);
    assert!(updated.body.replace(' ', "").contains("\"ackDeadlineSeconds\":30"), "{updated:?}");
    for list in ["topics", "subscriptions", "topics/orders/subscriptions"] {
        let listed = call("GET", list, "");
        assert!(listed.body.contains(&format!("projects/{PROJECT}/")), "{list}: {listed:?}");
    }
    assert_eq!(call("DELETE", "subscriptions/billing", "").status, 200);
    assert_eq!(call("DELETE", "topics/orders", "").status, 200);
    let missing = call("GET", "topics/orders", "");
    assert_eq!((missing.status, field(&missing.body, "status").as_deref()), (404, Some("NOT_FOUND")));
}

/// What the next tests kill: it starts a server, says where, and waits.
#[test]
fn holder() {
    if std::env::var_os("POSTRIDER_TEST_HOLDS").is_none() {
        return;
    }
    let server = Pubsub::start(Options::default()).unwrap();
    println!("\nHOLDS {}", server.address());
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn kill_9_of_its_starter_leaves_neither_processes_nor_files() {
    if is_possible() {
        assert_nothing_is_left(&mut holder_command());
    }
}

/// A system without `setpriv`, where the kernel kills nobody for us: the server ends with its input.
#[test]
fn kill_9_of_its_starter_leaves_nothing_where_its_input_must_tell_it() {
    if pubsub::is_possible_with_go() {
        pubsub::prefetch(|_| {}).unwrap();
        let path = tempfile::TempDir::new().unwrap();
        for program in ["sh", "rm", "sleep"] {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .map(|directory| directory.join(program))
                .find(|candidate| candidate.is_file());
            std::os::unix::fs::symlink(found.expect(program), path.path().join(program)).unwrap();
        }
        assert_nothing_is_left(
            holder_command().env("PATH", path.path()).env("POSTRIDER_BROKERS", "packages"),
        );
    }
}

fn holder_command() -> Command {
    let mut holder = Command::new(std::env::current_exe().expect("this program has a path"));
    holder.args(["server::holder", "--exact", "--nocapture"]).env("POSTRIDER_TEST_HOLDS", "1");
    holder
}

fn assert_nothing_is_left(holder: &mut Command) {
    let directory = tempfile::TempDir::new().expect("a directory of our own");
    let mut holder =
        holder.env("TMPDIR", directory.path()).stdout(Stdio::piped()).spawn().expect("this program starts");
    let lines = BufReader::new(holder.stdout.take().expect("it was asked for")).lines();
    let told = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("HOLDS ").map(str::to_owned));
    let address = told.expect("the holder starts a server");
    rest::call(&address, "GET", "/", "").expect("it runs");
    holder.kill().expect("it is ours");
    holder.wait().expect("it is ours");
    until("nobody listens", || rest::call(&address, "GET", "/", "").is_err());
    until("no file is left", || is_empty(directory.path()));
    let port = address.rsplit(':').next().expect("an address has a port");
    until("no process names the port", || processes_naming(port).is_empty());
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Where the system tells what its processes were started with.
fn processes_naming(text: &str) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let names = |path: &PathBuf| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == text.as_bytes())
    };
    processes.filter(names).collect()
}
