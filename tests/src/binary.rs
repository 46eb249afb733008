//! The built binary, and how it is started so that it never outlives its test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use brokers::bound;
pub use brokers::bound::spawn;

/// The program to test: `POSTRIDER_BIN` where it is set (`cargo xtask test` sets it), else the workspace's own, brought
/// up to date by cargo, which also keeps several test programs from building at once.
pub fn path() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::var_os("POSTRIDER_BIN").map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    // …/target/<profile>/deps/<this test program>
    let test = std::env::current_exe().expect("the test program has a path");
    let profile =
        test.ancestors().nth(2).expect("cargo puts test programs two levels below the profile's directory");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The workspace's features are those that the test program itself was built with: nothing is built twice.
    cargo.args(["build", "--quiet", "--locked", "--workspace", "--bin", "postrider"]);
    cargo
        .arg("--target-dir")
        .arg(profile.parent().expect("the profile's directory is in the target directory"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(built.success(), "the postrider binary does not build");
    profile.join("postrider")
}

/// A command that runs the binary and is killed with the test program, however that ends (where `setpriv` is at hand;
/// elsewhere a killed test program leaves it behind). To be started with [`spawn`].
pub fn command() -> Command {
    bound::command(path())
}
