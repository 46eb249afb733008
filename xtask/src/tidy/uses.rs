//! Who may name what: the rules that keep crates pure, and each outside world in one place.

use super::Violation;
use super::code;
use super::files::Source;

/// Names that only some crates may use.
struct Rule {
    /// `("std", "fs")` for a module, `("", "Instant::now")` for a path however it is reached.
    names: &'static [(&'static str, &'static str)],
    applies: Applies,
    /// Whether tests have to keep it too.
    in_tests: bool,
    reason: &'static str,
}

enum Applies {
    To(&'static [&'static str]),
    ToAllBut(&'static [&'static str]),
}

const RULES: &[Rule] = &[
    Rule {
        names: &[
            ("std", "fs"),
            ("", "TcpStream"),
            ("", "TcpListener"),
            ("", "UdpSocket"),
            ("", "ToSocketAddrs"),
            ("std", "process"),
            ("std", "thread"),
            ("", "tokio"),
            ("", "Instant::now"),
            ("", "SystemTime::now"),
        ],
        applies: Applies::To(&["engine", "event"]),
        in_tests: false,
        reason: "this crate does no I/O, spawns nothing and reads no clock; take the value, or the time, as an argument",
    },
    Rule {
        names: &[("std", "fs"), ("tokio", "fs"), ("rustix", "fs")],
        // `log` has the files of events, `config` and `postrider` files of configuration, `pubsub` one of credentials,
        // `api` its Unix socket's mode.
        applies: Applies::ToAllBut(&[
            "log",
            "config",
            "pubsub",
            "postrider",
            "api",
            "tests",
            "brokers",
            "torture",
            "xtask",
            "benches",
        ]),
        in_tests: false,
        reason: "only `log` touches files of events; go through it",
    },
    Rule {
        names: &[("", "rdkafka"), ("", "rdkafka_sys")],
        // Bare clients are what `benches` measures against.
        applies: Applies::ToAllBut(&["kafka", "benches"]),
        in_tests: true,
        reason: "only `kafka` names librdkafka; go through the broker contract",
    },
    Rule {
        names: &[
            ("", "google_cloud_pubsub"),
            ("", "google_cloud_auth"),
            ("", "google_cloud_gax"),
            ("", "google_cloud_wkt"),
        ],
        applies: Applies::ToAllBut(&["pubsub", "benches"]),
        in_tests: true,
        reason: "only `pubsub` names Google's client; go through the broker contract",
    },
    Rule {
        names: &[("", "todo!"), ("", "unimplemented!"), ("", "dbg!")],
        applies: Applies::ToAllBut(&[]),
        in_tests: true,
        reason: "unfinished work and debugging do not belong in a commit",
    },
];

/// Holds a Rust file to the rules of its crate.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let Some(krate) = source.krate().filter(|_| source.is_rust()) else { return Vec::new() };
    let everything = code::blank(&source.text);
    let without_tests = if source.is_test() { String::new() } else { code::only(&source.text) };
    let mut found = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.applies.to(krate)) {
        let code = if rule.in_tests { &everything } else { &without_tests };
        for (parent, name) in rule.names {
            let (lines, shown) = match *parent {
                "" => (code::lines_with(code, name), (*name).to_owned()),
                parent => (code::lines_naming(code, parent, name), format!("{parent}::{name}")),
            };
            let violation = |line| Violation::new(&source.path, line, format!("`{shown}`: {}", rule.reason));
            found.extend(lines.into_iter().map(violation));
        }
    }
    found
}

impl Applies {
    fn to(&self, krate: &str) -> bool {
        match self {
            Self::To(crates) => crates.contains(&krate),
            Self::ToAllBut(crates) => !crates.contains(&krate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn the_engine_reads_no_clock_and_does_no_io() {
        let text = "use std::{fs, mem};\nlet now = std::time::Instant::now();\ntokio::spawn(x);\nlet a: Instant = now;\n";
        assert_eq!(lines("crates/engine/src/lib.rs", text), [1, 3, 2, 1]);
        assert_eq!(
            lines("crates/delivery/src/lib.rs", "Instant::now(); tokio::spawn(x);"),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn only_log_touches_files_of_events() {
        assert_eq!(lines("crates/embedded/src/lib.rs", "std::fs::read(p);"), [1]);
        assert_eq!(lines("crates/embedded/src/lib.rs", "use rustix::fs;"), [1]);
        for fine in ["crates/log/src/lib.rs", "crates/embedded/tests/restart.rs", "tests/src/process.rs"] {
            assert_eq!(lines(fine, "std::fs::read(p);"), Vec::<usize>::new(), "{fine}");
        }
        assert_eq!(
            lines("crates/embedded/src/lib.rs", "fn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }"),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn client_libraries_stay_in_their_driver() {
        assert_eq!(lines("crates/embedded/src/lib.rs", "use rdkafka::Message;"), [1]);
        assert_eq!(lines("crates/kafka/src/lib.rs", "use rdkafka::Message;"), Vec::<usize>::new());
        assert_eq!(lines("crates/kafka/src/lib.rs", "use google_cloud_pubsub::Client;"), [1]);
    }

    #[test]
    fn unfinished_work_is_found_in_tests_too() {
        let unfinished = format!("fn a() {{ {}!() }}", "todo");
        assert_eq!(lines("crates/log/tests/a.rs", &unfinished), [1]);
        assert_eq!(
            lines("crates/log/src/a.rs", "// todo!() is a macro\nlet a = \"dbg!(x)\";"),
            Vec::<usize>::new()
        );
    }
}
