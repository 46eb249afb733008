//! Several files as one: maps merge deeply, scalars and lists replace, `null` removes.

use crate::node::{Kind, Node};

/// Lays a later file over what the earlier ones say.
pub(crate) fn overlay(base: Node, over: Node) -> Node {
    let (base_at, entries) = match (base.kind, over.kind) {
        (Kind::Map(entries), Kind::Map(over)) => {
            let mut entries = entries;
            for entry in over {
                match entries.iter().position(|present| present.key == entry.key) {
                    None => entries.push(entry),
                    Some(index) if entry.node.kind == Kind::Null => {
                        entries.remove(index);
                    }
                    Some(index) => {
                        let present = &mut entries[index];
                        let base =
                            std::mem::replace(&mut present.node, Node { at: entry.key_at, kind: Kind::Null });
                        present.node = overlay(base, entry.node);
                        present.key_at = entry.key_at;
                    }
                }
            }
            (base.at, entries)
        }
        (_, kind) => return Node { at: over.at, kind },
    };
    Node { at: base_at, kind: Kind::Map(entries) }
}

#[cfg(test)]
mod tests {
    use super::overlay;
    use crate::compose::compose;
    use crate::node::{Kind, Node};

    fn render(node: &Node) -> String {
        match &node.kind {
            Kind::Null => "null".to_owned(),
            Kind::Scalar(scalar) => scalar.text.clone(),
            Kind::List(items) => format!("[{}]", items.iter().map(render).collect::<Vec<_>>().join(", ")),
            Kind::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|entry| format!("{}: {}", entry.key, render(&entry.node))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn merged(base: &str, over: &str) -> String {
        let mut errors = Vec::new();
        let base = compose(0, base, &mut errors).expect("the base is YAML");
        let over = compose(1, over, &mut errors).expect("the overlay is YAML");
        assert!(errors.is_empty(), "{errors:?}");
        render(&overlay(base, over))
    }

    #[test]
    fn maps_merge_deeply_and_everything_else_replaces() {
        assert_eq!(
            merged("a: { b: 1, c: [1, 2] }\nd: 4", "a: { c: [3], e: 5 }\nd: { f: 6 }"),
            "{a: {b: 1, c: [3], e: 5}, d: {f: 6}}"
        );
    }

    #[test]
    fn null_removes() {
        assert_eq!(merged("a: { b: 1, c: 2 }", "a: { b: null }"), "{a: {c: 2}}");
        assert_eq!(merged("a: { b: 1 }", "a:"), "{}");
    }

    #[test]
    fn anchors_and_merge_keys_work_and_what_stands_beside_them_wins() {
        assert_eq!(
            merged("x-shared: &shared { max: 5m, initial: 1s }\nretry: { <<: *shared, max: 1m }", ""),
            "{retry: {max: 1m, initial: 1s}}"
        );
    }
}
