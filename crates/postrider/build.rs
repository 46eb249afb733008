//! Makes the table of error pages that `postrider explain` prints from `docs/errors`, so that no page can be forgotten.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let pages = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../docs/errors").canonicalize()?;
    println!("cargo::rerun-if-changed={}", pages.display());
    let mut files: Vec<_> =
        fs::read_dir(&pages)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "md")) {
        let code = file.file_stem().and_then(|stem| stem.to_str()).ok_or("a page's name is not UTF-8")?;
        if code != "README" {
            writeln!(table, "({code:?}, include_str!({:?})),", file.display().to_string())?;
        }
    }
    table.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("error_pages.rs"), table)?;
    Ok(())
}
