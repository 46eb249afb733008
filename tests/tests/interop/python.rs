//! Python's packages for the tests of interoperability, installed once into the target directory, and scripts on them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use postrider_tests::sha256_hex;
use serde_json::Value;

const PYTHON: &str = "Python 3.10 or later with venv (apt-get install python3 python3-venv)";

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/interop"))
}

/// Where the packages are. What `requirements.txt` names is installed the first time, beside any Python's own packages:
/// once for each version of Python, as some of it is compiled.
fn packages() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let requirements = folder().join("requirements.txt");
        let mut pinned = fs::read(&requirements).expect("the requirements stand beside the tests");
        pinned.extend(whole(Command::new("python3").arg("--version")).stdout);
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let done = tmp.join(format!("python-packages-{}", &sha256_hex(&pinned)[..12]));
        if done.is_dir() {
            return done;
        }
        // Another test program may be at it, or have been stopped half way: what is whole is put in place at once.
        let begun = tempfile::tempdir_in(tmp).expect("the target directory can be written to");
        let venv = begun.path().join("venv");
        whole(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
        whole(pip.arg(begun.path().join("packages")).arg("--requirement").arg(&requirements));
        let renamed = fs::rename(begun.path().join("packages"), &done);
        assert!(renamed.is_ok() || done.is_dir(), "the packages could not be put in place: {renamed:?}");
        done
    })
}

/// Runs what installing takes to its good end.
fn whole(command: &mut Command) -> Output {
    let ended = command.output().unwrap_or_else(|error| panic!("{PYTHON} is needed here: {error}"));
    assert!(
        ended.status.success(),
        "Python's packages could not be installed; {PYTHON} and a package index are needed:\n{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    ended
}

/// Runs a script of `interop/` to its end and returns what it prints, line by line.
pub(crate) fn run(
    script: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &[Value],
) -> Vec<Value> {
    let mut python = Command::new("python3");
    python.arg(folder().join(script)).args(arguments).env("PYTHONPATH", packages());
    python.env("PYTHONDONTWRITEBYTECODE", "1").envs(environment.iter().copied());
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().unwrap_or_else(|error| panic!("{PYTHON} is needed here: {error}"));
    let lines: String = input.iter().map(|event| format!("{event}\n")).collect();
    child.stdin.take().expect("it is piped").write_all(lines.as_bytes()).expect("the script reads its input");
    let ended = child.wait_with_output().expect("the script ends");
    assert!(ended.status.success(), "{script}: {}", String::from_utf8_lossy(&ended.stderr));
    let printed = String::from_utf8(ended.stdout).expect("it prints JSON");
    printed.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}
