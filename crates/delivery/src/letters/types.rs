use serde::{Deserialize, Serialize};

/// Which dead letters.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LetterFilter {
    pub id: Option<String>,
    pub key: Option<String>,
    pub reason: Option<String>,
    pub status: Option<u16>,
    /// Skip letters before this position; the next page of an answer.
    pub from: Option<String>,
    pub limit: Option<usize>,
}

/// The answer of `GET …/dead-letters`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Letters {
    pub total: u64,
    pub groups: Vec<LetterGroup>,
    pub letters: Vec<LetterView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetterGroup {
    pub reason: String,
    pub status: Option<u16>,
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetterView {
    pub id: String,
    pub source: String,
    pub key: Option<String>,
    pub reason: String,
    pub status: Option<u16>,
    pub attempts: u32,
    pub first: String,
    pub last: String,
    pub answer: String,
    pub position: String,
}
