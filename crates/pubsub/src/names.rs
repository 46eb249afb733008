//! Names of resources: `projects/P/topics/T`, `projects/P/subscriptions/S`.

/// Longest key or value of a label, in characters.
const LABEL_MAX: usize = 63;

/// A topic's full name. One that is full already, of whatever project, stays as it is.
pub(crate) fn topic(project: &str, name: &str) -> String {
    full(project, "topics", name)
}

/// A subscription's full name.
pub(crate) fn subscription(project: &str, name: &str) -> String {
    full(project, "subscriptions", name)
}

fn full(project: &str, kind: &str, name: &str) -> String {
    if name.starts_with("projects/") { name.to_owned() } else { format!("projects/{project}/{kind}/{name}") }
}

/// <https://cloud.google.com/resource-manager/docs/labels-overview#requirements>.
pub(crate) fn label(key: &str, value: &str) -> Result<(), String> {
    let good = |c: char| c.is_lowercase() || c.is_numeric() || matches!(c, '_' | '-');
    let other = |text: &str| text.chars().any(|c| !good(c)) || text.chars().count() > LABEL_MAX;
    if key.is_empty() || !key.starts_with(char::is_lowercase) || other(key) {
        return Err(format!(
            "`{key}` is no label: at most {LABEL_MAX} of a-z, 0-9, `_` and `-`, a letter first"
        ));
    }
    if other(value) {
        return Err(format!("`{value}` is no label's value: at most {LABEL_MAX} of a-z, 0-9, `_` and `-`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_projects_unless_it_names_another() {
        assert_eq!(topic("shop", "orders"), "projects/shop/topics/orders");
        assert_eq!(topic("shop", "projects/other/topics/orders"), "projects/other/topics/orders");
        assert_eq!(
            subscription("shop", "dev.orders.billing"),
            "projects/shop/subscriptions/dev.orders.billing"
        );
    }

    #[test]
    fn labels_are_what_google_takes() {
        assert_eq!(label("team", "shop-1"), Ok(()));
        assert_eq!(label("team", ""), Ok(()));
        for (key, value) in [("Team", "a"), ("", "a"), ("1a", "a"), ("team", "A"), ("team", &"a".repeat(64))]
        {
            assert!(label(key, value).is_err(), "{key}={value}");
        }
    }
}
