//! The program behind `cargo xtask bench`, and behind each of the processes that it measures or drives.

use std::process::ExitCode;

fn main() -> ExitCode {
    benches::main()
}
