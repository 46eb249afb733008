//! The example files, as `postrider check` judges them: the configuration, and what each driver says of its part of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use postrider_tests::binary;

/// Each example as it is meant to be loaded.
const EXAMPLES: [&[&str]; 5] = [
    &["embedded.yaml"],
    &["kafka.yaml"],
    &["pubsub.yaml"],
    &["base.yaml", "overlays/primary.yaml"],
    &["base.yaml", "overlays/secondary.yaml"],
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether the files are right, and what is printed of them.
fn check(files: &[&str], environment: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(binary::path());
    command.arg("check").current_dir(root()).stdin(Stdio::null());
    for file in files {
        command.arg("--config").arg(format!("config/{file}"));
    }
    for variable in ["POSTRIDER_CONFIG", "PUBSUB_EMULATOR_HOST", "ENV", "KAFKA_PASSWORD"] {
        command.env_remove(variable);
    }
    let ended = command.envs(environment.iter().copied()).output().expect("the binary starts");
    let printed = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8(printed).expect("it prints UTF-8"))
}

#[test]
fn every_example_is_right_and_warns_of_nothing() {
    for files in EXAMPLES {
        let (right, printed) = check(files, &[]);
        assert!(right, "{files:?}:\n{printed}");
        assert!(!printed.contains("warning"), "{files:?}:\n{printed}");
    }
    let mut left: BTreeSet<String> = BTreeSet::new();
    for folder in ["config", "config/overlays"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("the examples are there") {
            let path = entry.expect("the folder is readable").path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let name = path.strip_prefix(root().join("config")).expect("it is below the folder");
                left.insert(name.display().to_string());
            }
        }
    }
    for checked in EXAMPLES.concat() {
        left.remove(checked);
    }
    assert_eq!(left, BTreeSet::new(), "no test checks these");
}

#[test]
fn every_value_says_where_it_comes_from_and_no_secret_is_told() {
    let password = ("KAFKA_PASSWORD", "canary-4711");
    let emulator = ("PUBSUB_EMULATOR_HOST", "localhost:8085");
    let (right, printed) = check(&["base.yaml", "overlays/secondary.yaml"], &[password, emulator]);
    assert!(right, "{printed}");
    assert!(!printed.contains("canary"), "{printed}");
    let line = |start: &str, end: &str| {
        let has = |line: &&str| line.trim_start().starts_with(start) && line.ends_with(end);
        assert!(printed.lines().any(|line| has(&line)), "no {start} … {end}\n{printed}");
    };
    line("broker: secondary", "# config/overlays/secondary.yaml:1:9");
    line("sasl.password: \"***\"", ", ${env:KAFKA_PASSWORD:-…}");
    line("emulator: \"localhost:8085\"", "# the environment's PUBSUB_EMULATOR_HOST");
    line("retention: 7d", "# default");
    line("warning: ", "is used instead of the service, without TLS and credentials");
}
