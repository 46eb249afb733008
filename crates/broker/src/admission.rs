//! How much may be under way, for drivers whose client queues without a bound: handed to the client and not acknowledged.
//! It stands before the client's own queue, which so is never full.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::{Batch, Outcome, Receipt, Record, Refusal, RefusalKind};

/// Records under way at the most.
const RECORDS_MAX: u64 = 50_000;
/// Their bytes at the most. A record's are its body and [`RECORD_BYTES`].
const BYTES_MAX: u64 = 64 << 20;

/// What a record takes beside its body: headers, key, and what the client keeps of it.
const RECORD_BYTES: u64 = 512;

/// Room for publishes: 50,000 records and 64 MiB.
#[derive(Debug, Default)]
pub struct Admission {
    records: AtomicU64,
    bytes: AtomicU64,
}

/// What a call has taken, to be given back when all its records are answered.
#[derive(Debug)]
#[must_use = "what is taken is to be released"]
pub struct Permit {
    records: u64,
    bytes: u64,
}

impl Admission {
    /// The opening of a publish: takes room for a call, or answers it where nothing of it is to be handed to the client.
    /// `down` tells why the broker cannot be reached: what is with the client already goes on, and what is not would wait
    /// there only to be told that it may yet land.
    pub fn open(&self, batch: &Batch, down: impl FnOnce() -> Option<String>) -> Result<Permit, Receipt> {
        let count = batch.records.len();
        if count == 0 {
            return Err(Receipt::ready(Vec::new()));
        }
        let refused = |kind, message| Err(Receipt::alike(count, Outcome::refused_for_now(kind, message)));
        if Instant::now() >= batch.deadline {
            return refused(RefusalKind::Unavailable, Refusal::LATE.to_owned());
        }
        if let Some(reason) = down() {
            return refused(RefusalKind::Unavailable, reason);
        }
        let too_much = || {
            format!(
                "more is being published than the broker acknowledges: {} are under way",
                self.under_way()
            )
        };
        self.admit(&batch.records).map_or_else(|| refused(RefusalKind::Overloaded, too_much()), Ok)
    }

    /// Takes room for a call. A call that is larger than all the room there is has it when nothing else is under way: it
    /// is bounded by whoever made it, and would else never be taken.
    fn admit(&self, records: &[Record]) -> Option<Permit> {
        let permit = Permit { records: records.len() as u64, bytes: records.iter().map(bytes).sum() };
        let before = self.records.fetch_add(permit.records, Ordering::Relaxed);
        let bytes_before = self.bytes.fetch_add(permit.bytes, Ordering::Relaxed);
        let fits = before + permit.records <= RECORDS_MAX && bytes_before + permit.bytes <= BYTES_MAX;
        if fits || before == 0 {
            return Some(permit);
        }
        self.release(permit);
        None
    }

    /// Gives back what a call had taken.
    pub fn release(&self, Permit { records, bytes }: Permit) {
        self.records.fetch_sub(records, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// For a sentence: how much is under way.
    fn under_way(&self) -> String {
        let (records, bytes) = (self.records.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        format!("{records} records of {} KiB", bytes / 1024)
    }
}

fn bytes(record: &Record) -> u64 {
    record.body.size() as u64 + RECORD_BYTES
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::{Body, Hop};

    fn records(count: usize, bytes: usize) -> Vec<Record> {
        let body = Body::Foreign { bytes: Bytes::from(vec![0; bytes]), reason: String::new() };
        vec![Record { key: None, body, hop: Hop::default(), letter: None }; count]
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_was_released_fits_again() {
        let admission = Admission::default();
        let half = admission.admit(&records(30_000, 0)).expect("30,000 of 50,000");
        assert!(admission.admit(&records(30_000, 0)).is_none(), "60,000 of 50,000");
        let rest = admission.admit(&records(20_000, 0)).expect("exactly all");
        assert!(admission.admit(&records(1, 0)).is_none());
        admission.release(rest);
        admission.release(half);
        assert_eq!(admission.under_way(), "0 records of 0 KiB");
        assert!(admission.admit(&records(2, 20 << 20)).is_some());
        assert!(admission.admit(&records(2, 20 << 20)).is_none(), "80 MiB of 64");
    }

    #[tokio::test]
    async fn what_is_not_to_be_handed_over_is_answered_with_why() {
        let admission = Admission::default();
        let later = Instant::now() + Duration::from_secs(60);
        let batch = |count, deadline| Batch { topic: "t".into(), records: records(count, 0), deadline };
        let answer = async |batch: Batch, down: Option<&str>| {
            let receipt = admission.open(&batch, || down.map(str::to_owned)).expect_err("it is answered");
            receipt.await
        };
        assert_eq!(answer(batch(0, later), None).await, [], "nothing is answered with nothing");
        let refused = Outcome::refused_for_now;
        let late = refused(RefusalKind::Unavailable, Refusal::LATE);
        assert_eq!(answer(batch(2, Instant::now()), Some("away")).await, [late.clone(), late]);
        let down = refused(RefusalKind::Unavailable, "away");
        assert_eq!(answer(batch(1, later), Some("away")).await, [down]);
        assert_eq!(admission.under_way(), "0 records of 0 KiB", "what is answered takes no room");
        let permit = admission.open(&batch(50_000, later), || None).expect("there is room");
        let full =
            "more is being published than the broker acknowledges: 50000 records of 25000 KiB are under way";
        assert_eq!(answer(batch(1, later), None).await, [refused(RefusalKind::Overloaded, full)]);
        admission.release(permit);
    }

    #[test]
    fn a_call_beyond_all_room_has_it_alone() {
        let admission = Admission::default();
        let all = admission.admit(&records(60_000, 0)).expect("nothing else is under way");
        assert!(admission.admit(&records(1, 0)).is_none());
        admission.release(all);
        let one = admission.admit(&records(1, 0)).expect("it is empty again");
        assert!(admission.admit(&records(60_000, 0)).is_none(), "not beside another");
        admission.release(one);
    }
}
