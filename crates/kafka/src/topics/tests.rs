use super::*;

#[test]
fn topics_are_looked_at_in_turn() {
    let topics = Topics::default();
    assert!(topics.some(3, 8).is_empty());
    for name in ["a", "b", "c"] {
        topics.facts(name);
    }
    let two: Vec<_> = [topics.some(0, 2), topics.some(2, 2), topics.some(4, 2)].concat();
    for name in ["a", "b", "c"] {
        assert_eq!(two.iter().filter(|found| ***found == *name).count(), 2, "{name} in {two:?}");
    }
    assert_eq!(topics.some(7, 8).len(), 3);
}
