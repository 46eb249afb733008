//! What is no configuration at all.

use super::load;

#[test]
fn what_is_no_configuration_says_so() {
    for (text, said) in [
        ("a: [1\nb: 2", "config_syntax"),
        ("version: 1\n---\nversion: 1", "a second document"),
        ("service: !env NAME", "YAML tags mean nothing here"),
        ("service: *nobody", "no anchor `&nobody` stands above"),
        ("? [a]\n: b", "a key must be text"),
        ("just text", "this must be a map, and is text"),
        ("", "the key `service` is missing"),
        ("topics: { <<: 5 }", "`<<` takes a map or a list of maps, not a number"),
        (&"[".repeat(100), "config_syntax"),
    ] {
        let refused = load(text).expect_err(text);
        assert!(refused.contains(said), "{text}: {refused}");
    }
}

#[test]
fn aliases_of_aliases_do_not_fill_the_memory() {
    let mut text = "x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("x-{level}: &a{level} [{aliases}]\n"));
    }
    let refused = load(&text).expect_err("a billion values were taken");
    assert!(refused.contains("more than 100,000 values"), "{refused}");
}

#[test]
fn aliases_do_not_nest_beyond_the_bound() {
    let mut text = "x-0: &a0 []\n".to_owned();
    for level in 1..40 {
        text.push_str(&format!("x-{level}: &a{level} [[[[*a{}]]]]\n", level - 1));
    }
    let refused = load(&text).expect_err("160 levels were taken");
    assert!(refused.contains("nested too deeply"), "{refused}");
}
