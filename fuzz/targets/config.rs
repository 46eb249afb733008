//! Configuration files, merged where there are several (a NUL stands between them).

#![no_main]

use config::{Source, parse};
use libfuzzer_sys::{Corpus, fuzz_target};
use postrider_fuzz::bounded;

/// A node of the tree is a hundred bytes and more, an error with its path and excerpt several hundred, and `[` alone
/// makes one.
const BYTES_PER_BYTE: u64 = 4096;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    // This machine's files are none of its business.
    if text.contains("file:") {
        return Corpus::Reject;
    }
    let sources: Vec<Source> = (0..)
        .zip(text.split('\0').take(3))
        .map(|(n, text): (usize, _)| Source { name: format!("{n}.yaml"), text: text.to_owned() })
        .collect();
    let env = |name: &str| name.starts_with('A').then(|| "4".to_owned());
    match bounded(input.len(), BYTES_PER_BYTE, || parse(&sources, &env)) {
        Ok(loaded) => assert_says_the_same(&loaded),
        Err(errors) => {
            assert!(!errors.list.is_empty(), "refused without a reason");
            assert!(!errors.to_string().is_empty());
            for error in &errors.list {
                let place = error.place.as_ref().unwrap_or_else(|| panic!("{error:?} is nowhere"));
                let source = sources.iter().find(|source| source.name == place.file);
                // To YAML, a carriage return ends a line, too.
                let lines = source.expect("one of the files").text.split(['\n', '\r']).count();
                assert!((1..=lines + 1).contains(&place.line), "{error:?}: the file has {lines} lines");
                assert!(place.column >= 1, "columns are counted from 1");
            }
        }
    }
    Corpus::Keep
});

/// What is told to be in force is a configuration itself, and the same one.
fn assert_says_the_same(loaded: &config::Loaded) {
    let told = loaded.merged.to_string();
    if told.contains("***") {
        return;
    }
    let source = Source { name: "told.yaml".to_owned(), text: told.clone() };
    let again = parse(&[source], &|_| None).unwrap_or_else(|errors| panic!("{errors}\n{told}"));
    assert_eq!(again.config.redacted(), loaded.config.redacted(), "{told}");
}
