//! What the tests of both bindings publish alike.

/// The headers of an event in binary mode, with all that a header has to encode.
pub(crate) fn binary(key: &str) -> [(&str, &str); 9] {
    [
        ("ce-specversion", "1.0"),
        ("ce-id", "binary"),
        ("ce-source", "/shop?x=%2520"),
        ("ce-type", "com.example.order.created"),
        ("ce-subject", "Gr%C3%B6%C3%9Fe%20%22%E2%82%AC%22%20100%25"),
        ("ce-time", "2026-11-23T14:33:08.5+01:00"),
        ("ce-shop", "7"),
        ("content-type", "application/json; charset=utf-8"),
        ("postrider-key", key),
    ]
}
