//! A real Kafka starts, does what it is told, survives what is done to it, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brokers::kafka::{Kafka, Options, tool, wire};

const PATIENCE: Duration = Duration::from_secs(60);

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_produced_is_consumed_also_after_a_kill() {
    let kafka = Kafka::start(Options::default()).unwrap();
    kafka.create_topic("greetings", 1, &[("max.message.bytes", "2000")]).unwrap();
    kafka.create_topic("greetings", 1, &[]).expect("a topic that is there is fine");
    kafka.feed_tool(tool::PRODUCER, &["--topic", "greetings"], "hello\nworld\n").unwrap();
    kafka.node(1).kill().unwrap();
    assert!(wire::brokers(kafka.bootstrap()).is_err(), "a killed node answers nobody");
    kafka.node(1).restart().unwrap();
    let consume = ["--topic", "greetings", "--from-beginning", "--max-messages", "2"];
    assert_eq!(kafka.run_tool(tool::CONSUMER, &consume).unwrap(), "hello\nworld\n");
    let refused = kafka.run_tool(tool::TOPICS, &["--describe", "--topic", "nowhere"]).unwrap_err();
    assert!(format!("{refused:#}").contains("nowhere"), "a tool's own words are told: {refused:#}");
    let directory = kafka.directory().to_owned();
    drop(kafka);
    assert!(!directory.exists(), "the data goes with the cluster");
}

#[test]
fn a_paused_node_runs_and_goes_on() {
    let kafka = Kafka::start(Options::default()).unwrap();
    kafka.node(1).pause().unwrap();
    assert!(kafka.node(1).is_running());
    kafka.node(1).resume().unwrap();
    assert_eq!(wire::brokers(kafka.bootstrap()).unwrap(), [1]);
    kafka.node(1).stop().unwrap();
    assert!(!kafka.node(1).is_running());
}

#[test]
fn three_nodes_lose_one_and_take_writes_still() {
    let kafka = Kafka::start(Options { nodes: 3, ..Options::default() }).unwrap();
    until("all nodes know all others", || wire::brokers(kafka.bootstrap()).is_ok_and(|all| all.len() == 3));
    kafka.create_topic("replicated", 3, &[]).unwrap();
    kafka.node(2).kill().unwrap();
    kafka
        .feed_tool(tool::PRODUCER, &["--topic", "replicated", "--command-property", "acks=all"], "hello\n")
        .unwrap();
    kafka.node(2).restart().unwrap();
    let offsets = kafka.run_tool(tool::OFFSETS, &["--topic", "replicated"]).unwrap();
    let written: u64 =
        offsets.lines().map(|line| line.rsplit(':').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(written, 1, "{offsets}");
}

/// What the next test kills: it starts a Kafka, says where, and waits.
#[test]
fn holder() {
    if std::env::var_os("POSTRIDER_TEST_HOLDS").is_none() {
        return;
    }
    let kafka = Kafka::start(Options::default()).unwrap();
    println!("\nHOLDS {} {}", kafka.bootstrap(), kafka.directory().display());
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn kill_9_of_its_starter_leaves_neither_processes_nor_data() {
    assert_nothing_is_left(&mut holder_command());
}

/// A system without `setpriv`, where the kernel kills nobody for us: PATH has only what else is needed.
#[test]
fn kill_9_of_its_starter_leaves_nothing_where_a_script_must_see_to_it() {
    brokers::kafka::prefetch(|_| {}).unwrap();
    let path = tempfile::TempDir::new().unwrap();
    for program in ["java", "sh", "rm", "sleep"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|directory| directory.join(program))
            .find(|candidate| candidate.is_file());
        std::os::unix::fs::symlink(found.expect(program), path.path().join(program)).unwrap();
    }
    assert_nothing_is_left(holder_command().env("PATH", path.path()).env("POSTRIDER_BROKERS", "packages"));
}

fn holder_command() -> Command {
    let mut holder = Command::new(std::env::current_exe().expect("this program has a path"));
    holder.args(["holder", "--exact", "--nocapture"]).env("POSTRIDER_TEST_HOLDS", "1");
    holder
}

fn assert_nothing_is_left(holder: &mut Command) {
    let mut holder = holder.stdout(Stdio::piped()).spawn().expect("this program starts");
    let lines = BufReader::new(holder.stdout.take().expect("it was asked for")).lines();
    let told = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("HOLDS ").map(str::to_owned));
    let told = told.expect("the holder starts a Kafka");
    let (address, directory) = told.split_once(' ').expect("an address and a directory");
    wire::brokers(address).expect("it runs");
    holder.kill().expect("it is ours");
    holder.wait().expect("it is ours");
    until("the directory is gone", || !Path::new(directory).exists());
    until("nobody listens", || wire::brokers(address).is_err());
    until("no process names the directory", || processes_naming(directory).is_empty());
}

/// Where the system tells what its processes were started with.
fn processes_naming(text: &str) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let names = |path: &PathBuf| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    processes.filter(names).collect()
}
