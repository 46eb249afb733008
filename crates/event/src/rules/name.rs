//! Attribute names.

/// Longest attribute name that is taken, in bytes. The specification recommends 20 (a SHOULD) and sets no limit; this
/// one bounds what a stranger can make us keep, and fits every broker's header names.
pub const NAME_BYTES_MAX: usize = 128;

/// The rule that `name` breaks, or `None`.
pub(crate) fn broken_rule(name: &str) -> Option<&'static str> {
    // CloudEvents 1.0.2, Naming Conventions:
    //# CloudEvents attribute names MUST consist of lower-case letters ('a' to
    //# 'z') or digits ('0' to '9') from the ASCII character set.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Some(
            "attribute names must consist of lower-case letters and digits alone (CloudEvents 1.0.2, Naming Conventions)",
        );
    }
    if name.len() > NAME_BYTES_MAX {
        return Some("attribute names longer than 128 characters are not accepted; 20 are recommended");
    }
    // Said outright by the drafts after 1.0.2 (Naming Conventions), which needs it for its JSON envelope:
    //# CloudEvent attributes MUST NOT have the name `data`
    if name == "data" {
        return Some(
            "`data` is reserved for the payload and must not name an attribute (CloudEvents, Naming Conventions)",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_letters_and_digits_make_a_name() {
        for good in ["a", "0", "comexampleextension1", "anameoflongerthantwentycharacters", "datax"] {
            assert_eq!(broken_rule(good), None, "{good}");
        }
        assert_eq!(broken_rule(&"n".repeat(NAME_BYTES_MAX)), None);
    }

    #[test]
    fn anything_else_makes_none() {
        for bad in ["", "A", "myExt", "my-ext", "my_ext", "my.ext", "a b", "é", "data", "a\n"] {
            assert!(broken_rule(bad).is_some(), "{bad:?}");
        }
        assert!(broken_rule(&"n".repeat(NAME_BYTES_MAX + 1)).is_some());
    }
}
