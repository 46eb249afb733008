//! Everything that is wrong is told at once, where it is written.

use postrider_config::{Code, Errors, Source, load, parse};

fn errors(text: &str) -> Errors {
    let source = Source { name: "postrider.yaml".to_owned(), text: text.to_owned() };
    parse(&[source], &|_| None).expect_err("it loaded")
}

#[test]
fn a_rogues_gallery_is_told_whole() {
    insta::assert_snapshot!("rogues", errors(include_str!("rogues.yaml")));
}

#[test]
fn one_error_is_framed_and_counted() {
    insta::assert_snapshot!(errors("version: 1\nservice: orders\nbrokers: { local: { embeded: { path: ./data } } }\ntopics: { a: {} }\n"), @r"
    error[config_unknown_key]: there is no kind of broker `embeded`
     --> postrider.yaml:3:21
      |
    3 | brokers: { local: { embeded: { path: ./data } } }
      |                     ^^^^^^^ brokers.local
      = Did you mean `embedded`?

    1 error in the configuration
    ");
}

#[test]
fn a_long_line_is_cut_around_the_mark() {
    let text =
        format!("version: 1\nservice: orders\nnames: {{ prefix: \"{}\" , prefx: a }}\n", "a".repeat(300));
    let shown = errors(&text).to_string();
    let widest = shown.lines().map(|line| line.chars().count()).max();
    assert!(widest < Some(200), "a line of {widest:?} characters was printed");
    assert!(shown.contains("^^^^^ names.prefx"), "{shown}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign.yaml");
    std::fs::write(&foreign, b"service: \xFF").unwrap();
    let files = [folder.path().join("none.yaml"), foreign, folder.path().to_owned()];
    let errors = load(&files, &|_| None).expect_err("it loaded");
    assert_eq!(errors.list.len(), 3, "{errors}");
    assert!(errors.list.iter().all(|error| error.code == Code::Unreadable));
    assert!(errors.to_string().contains("byte 9 is not UTF-8"), "{errors}");
    assert_eq!(load(&[], &|_| None).expect_err("nothing loaded").list[0].code, Code::Unreadable);
}
