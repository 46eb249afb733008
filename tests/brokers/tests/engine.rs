//! The way over Docker, with a stand-in for the engine: a script that runs in place what a container would run inside.
//! It shows that our side of it holds together; a real engine is used wherever one answers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use brokers::kafka::{Kafka, Options, prefetch, tool, wire};
use tempfile::TempDir;

/// A container is a process that lives until its input ends, and each `exec` a process beside it.
const ENGINE: &str = r#"#!/bin/sh
case $1 in
  info | image | rm) exit 0 ;;
  run)
    while [ "$1" != -c ]; do shift; done
    exec sh "$@" ;;
  exec)
    shift
    [ "$1" != --interactive ] || shift
    shift
    for argument in "$@"; do
      shift
      [ "$argument" != '/opt/kafka/libs/*' ] || argument=$JARS
      set -- "$@" "$argument"
    done
    exec "$@" ;;
esac
echo "the stand-in knows no $1" >&2
exit 1
"#;

/// Which of the two roles below this process plays, if any.
const ROLE: &str = "POSTRIDER_TEST_ROLE";

fn plays(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|played| played == role)
}

/// This program again, in a role that needs an environment of its own.
fn in_role(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args([role, "--exact", "--nocapture"]).env(ROLE, role);
    command
}

#[test]
fn fetches() {
    if plays("fetches") {
        prefetch(|_| {}).unwrap();
    }
}

#[test]
fn runs() {
    if !plays("runs") {
        return;
    }
    let kafka = Kafka::start(Options::default()).unwrap();
    kafka.create_topic("greetings", 1, &[]).unwrap();
    kafka.feed_tool(tool::PRODUCER, &["--topic", "greetings"], "hello\n").unwrap();
    kafka.node(1).pause().unwrap();
    kafka.node(1).resume().unwrap();
    kafka.node(1).kill().unwrap();
    assert!(wire::brokers(kafka.bootstrap()).is_err(), "a killed node answers nobody");
    kafka.node(1).restart().unwrap();
    let consume = ["--topic", "greetings", "--from-beginning", "--max-messages", "1"];
    assert_eq!(kafka.run_tool(tool::CONSUMER, &consume).unwrap(), "hello\n");
    assert!(kafka.node(1).directory().join("pid").is_file(), "it ran over the stand-in");
}

#[test]
fn a_cluster_in_a_container_does_what_it_is_told() {
    let fetched = in_role("fetches").env("POSTRIDER_BROKERS", "packages").status().unwrap();
    assert!(fetched.success(), "the stand-in needs Kafka's jars");
    let directory = TempDir::new().unwrap();
    let docker = directory.path().join("docker");
    fs::write(&docker, ENGINE).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cache")))
        .expect("there is a cache");
    let ended = in_role("runs")
        .env("POSTRIDER_BROKERS", "docker")
        .env("PATH", format!("{}:{path}", directory.path().display()))
        .env("JARS", format!("{cache}/postrider/brokers/kafka-4.3.1/lib/*"))
        .status()
        .unwrap();
    assert!(ended.success(), "what it said stands above");
}
