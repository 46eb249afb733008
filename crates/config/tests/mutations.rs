//! Whatever is done to a configuration, it loads or says where it is wrong. Nothing panics, and whatever loads pleases
//! the schema, too.

mod judge;

use fastrand::Rng;
use postrider_config as config;
use postrider_config::{Source, parse};
use serde_json::Value;

const WHOLE: &str = include_str!("whole.yaml");

/// Two seconds' worth.
const SEEDS: u64 = 1_000;

#[test]
fn a_mutated_configuration_loads_or_says_where_it_is_wrong() {
    let schema: Value = serde_json::from_str(&config::schema()).expect("the schema is JSON");
    let (mut loaded, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let text = mutated(seed);
        let lines = text.lines().count().max(1);
        let source = Source { name: "mutant.yaml".to_owned(), text: text.clone() };
        match parse(&[source], &|_| None) {
            Ok(config) => {
                loaded += 1;
                assert!(!config.merged.to_string().is_empty());
                let mut document: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| {
                    panic!("seed {seed} loads, and another reader refuses it: {error}\n{text}")
                });
                without_nulls(&mut document);
                let complaints = judge::complaints(&schema, &document);
                assert_eq!(
                    complaints,
                    Vec::<String>::new(),
                    "seed {seed} loads, and the schema refuses it:\n{text}"
                );
            }
            Err(errors) => {
                refused += 1;
                assert!(!errors.list.is_empty(), "seed {seed}: refused without a reason");
                for error in &errors.list {
                    let place =
                        error.place.as_ref().unwrap_or_else(|| panic!("seed {seed}: {error} is nowhere"));
                    assert!(
                        (1..=lines + 1).contains(&place.line),
                        "seed {seed}: no line {}\n{text}",
                        place.line
                    );
                    assert!(place.column >= 1, "seed {seed}: columns are counted from 1");
                }
                assert!(errors.to_string().contains("mutant.yaml:"), "seed {seed}: {errors}");
            }
        }
    }
    assert!(loaded > SEEDS / 50 && refused > SEEDS / 4, "lopsided: {loaded} loaded, {refused} refused");
}

/// One to three mutations of the whole example.
fn mutated(seed: u64) -> String {
    let mut rng = Rng::with_seed(seed);
    let mut text = WHOLE.to_owned();
    for _ in 0..rng.usize(1..=3) {
        text = match rng.u8(0..7) {
            0 => lines(&text, &mut rng, |lines, at, _| drop(lines.remove(at))),
            1 => lines(&text, &mut rng, |lines, at, _| lines.insert(at, lines[at].clone())),
            2 => lines(&text, &mut rng, |lines, at, rng| {
                let other = rng.usize(0..lines.len());
                lines.swap(at, other);
            }),
            3 => garbled(&text, &mut rng),
            4 => retyped(&text, &mut rng),
            5 => renamed(&text, &mut rng),
            _ => truncated(&text, &mut rng),
        };
    }
    text
}

fn lines(text: &str, rng: &mut Rng, change: impl Fn(&mut Vec<String>, usize, &mut Rng)) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return String::new();
    }
    let at = rng.usize(0..lines.len());
    change(&mut lines, at, rng);
    lines.join("\n")
}

fn garbled(text: &str, rng: &mut Rng) -> String {
    const NOISE: [char; 22] = [
        '{', '}', '[', ']', ':', ',', '&', '*', '!', '|', '>', '"', '\'', '#', '%', '@', '-', '\t', '$',
        '\0', 'é', '\u{FEFF}',
    ];
    let mut characters: Vec<char> = text.chars().collect();
    let at = rng.usize(0..characters.len().max(1)).min(characters.len());
    characters.insert(at, NOISE[rng.usize(0..NOISE.len())]);
    characters.into_iter().collect()
}

/// Puts a value of another kind in a value's place.
fn retyped(text: &str, rng: &mut Rng) -> String {
    const VALUES: [&str; 16] = [
        "null",
        "true",
        "0",
        "-1",
        "1e99",
        "99999999999999999999",
        "\"\"",
        "[]",
        "{}",
        "[1, {}]",
        "~",
        "${env:NONE}",
        "${file:/}",
        "2026-01-01",
        "<<",
        "text",
    ];
    words(text, rng, |rng| VALUES[rng.usize(0..VALUES.len())].to_owned())
}

fn renamed(text: &str, rng: &mut Rng) -> String {
    words(text, rng, |rng| (0..rng.usize(1..9)).map(|_| rng.alphanumeric()).collect())
}

/// Replaces one word.
fn words(text: &str, rng: &mut Rng, by: impl Fn(&mut Rng) -> String) -> String {
    let is_word = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let starts: Vec<usize> = text
        .char_indices()
        .filter(|(at, c)| is_word(*c) && !text[..*at].ends_with(is_word))
        .map(|(at, _)| at)
        .collect();
    if starts.is_empty() {
        return text.to_owned();
    }
    let start = starts[rng.usize(0..starts.len())];
    let end = text[start..].find(|c| !is_word(c)).map_or(text.len(), |length| start + length);
    format!("{}{}{}", &text[..start], by(rng), &text[end..])
}

fn truncated(text: &str, rng: &mut Rng) -> String {
    let length = text.chars().count();
    text.chars().take(rng.usize(0..=length)).collect()
}

/// `null` is nothing to the loader, and the schema does not know it.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
