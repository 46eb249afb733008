//! How much may be under way, for drivers whose client queues without a bound: handed to the client and not acknowledged.
//! It stands before the client's own queue, which so is never full.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Body, Record};

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
    /// Takes room for a call. A call that is larger than all the room there is has it when nothing else is under way: it
    /// is bounded by whoever made it, and would else never be taken.
    pub fn admit(&self, records: &[Record]) -> Option<Permit> {
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
    pub fn under_way(&self) -> String {
        let (records, bytes) = (self.records.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        format!("{records} records of {} KiB", bytes / 1024)
    }
}

fn bytes(record: &Record) -> u64 {
    let body = match &record.body {
        Body::Event(event) => event.size(),
        Body::Foreign { bytes, .. } => bytes.len(),
    };
    body as u64 + RECORD_BYTES
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Hop;

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
