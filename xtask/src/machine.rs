//! `cargo xtask setup`: the programs that building and testing take, found or installed.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::run::say;

/// A program that is needed, and the Debian package that has it.
#[derive(Clone, Copy)]
struct Need {
    program: &'static str,
    package: &'static str,
    /// What answers 0 where it is there and whole.
    probe: &'static [&'static str],
}

const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package, probe: &["--version"] }
}

/// librdkafka and its OpenSSL are built from source.
const BUILD: &[Need] =
    &[need("c++", "g++"), need("cmake", "cmake"), need("make", "make"), need("perl", "perl")];

/// What tests talk to Kafka with besides, make certificates with, watch and fail system calls with, and end with their
/// children by.
const TESTS: &[Need] = &[
    Need { program: "kcat", package: "kcat", probe: &["-V"] },
    Need { program: "openssl", package: "openssl", probe: &["version"] },
    need("setpriv", "util-linux"),
    need("strace", "strace"),
    // Debian leaves this part of Python out of python3.
    Need { program: "python3", package: "python3-venv", probe: &["-c", "import ensurepip, venv"] },
];

/// Kafka where there is no Docker.
const JAVA: &[Need] = &[
    Need { program: "java", package: "openjdk-17-jre-headless", probe: &["-version"] },
    need("mvn", "maven"),
];

/// What instructions are counted with.
const COUNTING: &[Need] = &[need("valgrind", "valgrind")];

const GO: &str = "Go is not here: LEFT OUT are the tests on Pub/Sub, whose proxies, and its server where there is no Docker, are \
    built with it. Install 1.21 or later from https://go.dev/dl";

/// Makes sure that all of it is here: as root on Debian or Ubuntu by installing it, elsewhere by saying what is missing.
pub(crate) fn setup() -> Result<()> {
    setup_tests()?;
    setup_counting()
}

/// The same for what building and testing take.
pub(crate) fn setup_tests() -> Result<()> {
    let java = if answers("docker", &["info"]) { &[] } else { JAVA };
    install_missing(&[BUILD, TESTS, java].concat())?;
    // Distributions have it too old, so it is not installed here.
    if !brokers::pubsub::is_possible_with_go() {
        say(GO);
    }
    Ok(())
}

/// The same for what counting instructions takes.
pub(crate) fn setup_counting() -> Result<()> {
    install_missing(COUNTING)
}

fn install_missing(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !answers(need.program, need.probe)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !(answers("apt-get", &["--version"]) && is_root()) {
        let programs: Vec<&str> = missing.iter().map(|need| need.program).collect();
        bail!(
            "{} cannot be run; on Debian and Ubuntu: apt-get install {}",
            programs.join(", "),
            packages.join(" ")
        );
    }
    let packages: Vec<&str> = packages.into_iter().map(of_this_release).collect();
    say(&format!("installing {}", packages.join(" ")));
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages.as_slice()].concat())
}

/// Later releases have no Java 17, and their default is later than that.
fn of_this_release(package: &str) -> &str {
    if package == JAVA[0].package && !answers("apt-cache", &["show", package]) {
        return "default-jre-headless";
    }
    package
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    if !command.status()?.success() {
        bail!("apt-get {} failed", arguments.join(" "));
    }
    Ok(())
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}
