//! The way over Docker, with stand-ins for the engine and for the emulator inside: scripts that run in place what a
//! container would run. They show that our side of it holds together; a real engine is used wherever one answers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use brokers::pubsub::{self, Options, PROJECT, Pubsub, rest};
use tempfile::TempDir;

/// A container is a session of processes that ends with its first one.
const ENGINE: &str = r#"#!/bin/sh
case $1 in
  info | image) exit 0 ;;
  run)
    while [ "$1" != -c ]; do
      [ "$1" != --name ] || name=$2
      [ "$1" != --publish ] || port=$2
      shift
    done
    port=${port#127.0.0.1:}
    export PORT="${port%:*}"
    echo $$ > "$CONTAINERS/$name"
    exec setsid sh -c 'sh -c "$1"; kill -KILL 0' sh "$2" ;;
  kill) exec kill -KILL -- "-$(cat "$CONTAINERS/$2")" ;;
  pause) exec kill -STOP -- "-$(cat "$CONTAINERS/$2")" ;;
  unpause) exec kill -CONT -- "-$(cat "$CONTAINERS/$2")" ;;
esac
echo "the stand-in knows no $1" >&2
exit 1
"#;

/// Takes whatever arguments the emulator has.
const EMULATOR: &str = r#"#!/bin/sh
program=$(ls -t "$CACHE"/postrider/brokers/pubsub-*/pubsub | head -n 1)
sleep 600 | "$program" serve --port "$PORT"
"#;

/// Set for the program that has an engine to use.
const ROLE: &str = "POSTRIDER_TEST_CONTAINERS";

#[test]
fn runs() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let server = Pubsub::start(Options::default()).unwrap();
    let topic = format!("/v1/projects/{PROJECT}/topics/orders");
    let status = || rest::call(server.address(), "GET", &topic, "").unwrap().status;
    rest::create_topic(server.address(), PROJECT, "orders").unwrap();
    server.pause().unwrap();
    assert!(server.is_running());
    server.resume().unwrap();
    assert_eq!(status(), 200);
    server.kill().unwrap();
    assert!(!server.is_running());
    assert!(rest::call(server.address(), "GET", &topic, "").is_err(), "a killed server answers nobody");
    server.restart().unwrap();
    assert_eq!(status(), 404, "another container has another memory");
    println!("\nRAN {}", server.address());
    // As if we were killed: the container ends by the end of its input.
    std::mem::forget(server);
}

#[test]
fn a_server_in_a_container_does_what_it_is_told_and_ends_with_us() {
    if !pubsub::is_possible_with_go() {
        return;
    }
    let server = Pubsub::start(Options::default()).expect("the stand-in needs our program");
    drop(server);
    let directory = TempDir::new().unwrap();
    script(directory.path(), "docker", ENGINE);
    script(directory.path(), "gcloud", EMULATOR);
    let path = std::env::var("PATH").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cache")))
        .expect("there is a cache");
    let containers = TempDir::new().unwrap();
    let ran = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["engine::runs", "--exact", "--nocapture"])
        .env("POSTRIDER_BROKERS", "docker")
        .env("PATH", format!("{}:{path}", directory.path().display()))
        .env("CACHE", cache)
        .env("CONTAINERS", containers.path())
        .env(ROLE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let address = said.lines().find_map(|line| line.strip_prefix("RAN "));
    let address = address.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&ran.stderr)));
    assert_eq!(fs::read_dir(containers.path()).unwrap().count(), 2, "it ran over the stand-in");
    super::server::until("nobody listens", || rest::call(address, "GET", "/", "").is_err());
}

fn script(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::write(&path, text).expect("a directory of our own");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file of our own");
}
