use std::collections::HashSet;
use std::time::Duration;

use broker::{Batch, Key, Outcome, Position, Receipt, Record, Refusal, RefusalKind};
use log::{AppendError, Appended};

use crate::codec;
use crate::driver::{Embedded, RECORD_BYTES_MAX};

/// What publishers are asked to wait before they send again to a queue that was full.
const OVERLOADED_RETRY: Duration = Duration::from_millis(200);
/// … and to a topic or disk that was, which drains as subscriptions settle, or where file descriptors ran out.
const FULL_RETRY: Duration = Duration::from_secs(5);

impl Embedded {
    pub(crate) fn append(&self, batch: Batch) -> Receipt {
        let count = batch.records.len();
        let Some(log) = self.store.log(&batch.topic) else {
            let message =
                format!("the embedded broker has no topic {}; it is created by ensuring it", batch.topic);
            return Receipt::alike(count, Outcome::refused(RefusalKind::UnknownTopic, message));
        };
        let refused = refused(&batch.records);
        let bytes = batch.records.iter().map(codec::encoded_len).sum();
        let mut frames = log::Batch::with_capacity(count, bytes);
        for (at, record) in batch.records.iter().enumerate() {
            if refused.get(at).is_none_or(Option::is_none) {
                frames.push(|into| codec::encode(record, into));
            }
        }
        let (promise, receipt) = Receipt::new(count);
        self.store.append(&log, frames, Some(batch.deadline), move |answer| {
            promise.answer(outcomes(count, refused, &answer));
        });
        receipt
    }
}

/// What is refused before it is handed to the log: oversized records, and what follows them in their keys. Empty where
/// nothing is, which is nearly always.
fn refused(records: &[Record]) -> Vec<Option<Outcome>> {
    if records.iter().all(|record| codec::encoded_len(record) <= RECORD_BYTES_MAX) {
        return Vec::new();
    }
    let mut failed: HashSet<&Key> = HashSet::new();
    let mut judge = |record| {
        let bytes = codec::encoded_len(record);
        let Record { key, .. } = record;
        if bytes > RECORD_BYTES_MAX {
            failed.extend(key);
            let message =
                format!("the record takes {bytes} bytes, and at most {RECORD_BYTES_MAX} are taken in");
            return Some(Outcome::refused(RefusalKind::TooLarge, message));
        }
        let follows = key.as_ref().is_some_and(|key| failed.contains(key));
        let message = "an earlier record of the same key was refused";
        follows.then(|| Outcome::refused(RefusalKind::AfterFailure, message))
    };
    records.iter().map(&mut judge).collect()
}

/// One outcome a record. The log takes a batch as a whole or not at all.
fn outcomes(
    count: usize,
    refused: Vec<Option<Outcome>>,
    answer: &Result<Appended, AppendError>,
) -> Vec<Outcome> {
    let mut next = answer.as_ref().map_or(0, |appended| appended.first);
    let mut judged = refused.into_iter();
    let one = |_| {
        judged.next().flatten().unwrap_or_else(|| match answer {
            Ok(_) => {
                next += 1;
                Outcome::Durable(Position::Number(next - 1))
            }
            Err(error) => outcome(error),
        })
    };
    (0..count).map(one).collect()
}

fn outcome(error: &AppendError) -> Outcome {
    let (kind, message, retry_after) = match error {
        AppendError::Unknown(reason) => return Outcome::Unknown(reason.to_string()),
        AppendError::Overloaded => (
            RefusalKind::Overloaded,
            "more is being published than the disk takes in: slow down".to_owned(),
            Some(OVERLOADED_RETRY),
        ),
        AppendError::Expired => (
            RefusalKind::Overloaded,
            "the deadline passed while the record waited for the disk; it was not written".to_owned(),
            Some(OVERLOADED_RETRY),
        ),
        AppendError::DiskFull => (
            RefusalKind::Full,
            "the disk of the data directory is full: free space on it, or let subscriptions catch up"
                .to_owned(),
            Some(FULL_RETRY),
        ),
        AppendError::LogFull { bound_bytes, held_by } => (
            RefusalKind::Full,
            format!(
                "the topic's backlog is at its bound of {bound_bytes} bytes, held back by subscription {held_by}: let it catch up, purge or delete it, or raise max_bytes_per_topic"
            ),
            Some(FULL_RETRY),
        ),
        AppendError::NoDescriptors => (RefusalKind::Unavailable, error.to_string(), Some(FULL_RETRY)),
        AppendError::TooLarge => (RefusalKind::TooLarge, "the batch takes more than 1 GiB".to_owned(), None),
        AppendError::Poisoned(reason) => (RefusalKind::Unavailable, reason.to_string(), None),
        AppendError::Closed => (RefusalKind::Unavailable, "the embedded broker is closed".to_owned(), None),
    };
    Outcome::Refused(Refusal { kind, message, retry_after })
}
