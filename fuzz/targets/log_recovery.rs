//! Opening a data directory that was damaged: segments, their indexes, settle logs, in any way that disks know.
//!
//! Damage is of a disk's making, so it forges no checksum: bytes are flipped, zeroed, cut, repeated from elsewhere.

#![no_main]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use log::{Cursor, Damage, Item, OpenError, Store};
use postrider_fuzz::store::{
    END, Files, LOG, RECORDS_A_ROUND, SUBSCRIPTION, options, payload, scratch, settled, template,
};

fuzz_target!(|input: &[u8]| {
    let mut files = template().clone();
    let mut done = Vec::new();
    for edit in input.chunks_exact(6).take(8) {
        done.extend(damage(&mut files, edit));
    }
    let directory = scratch();
    files.write(directory.path());
    let Some(first) = opened(directory.path()) else { return };
    judge(&first, &done);
    let second = opened(directory.path()).expect("what opened once opens again");
    assert_eq!(first.records, second.records, "a second start finds what the first one did");
    assert_eq!(first.end, second.end, "no sequence is given out twice");
    if first.settled.is_some() {
        assert_eq!(first.settled, second.settled);
    }
});

/// One place that was damaged.
#[derive(Debug)]
struct Done {
    file: PathBuf,
    /// A single byte was changed.
    flipped: bool,
}

/// Damages a file as six bytes say: which, how, where (two bytes), and two bytes of whatever that takes.
fn damage(files: &mut Files, edit: &[u8]) -> Option<Done> {
    let names: Vec<PathBuf> = files.files.keys().cloned().collect();
    let file = names[usize::from(edit[0]) % names.len()].clone();
    // Whether this is a data directory at all is not the question.
    if matches!(file.to_str(), Some("FORMAT" | "LOCK" | "reserve")) {
        return None;
    }
    let bytes = files.files.get_mut(&file)?;
    let before = bytes.clone();
    let at = usize::from(u16::from_le_bytes([edit[2], edit[3]])) % (bytes.len() + 1);
    let length = usize::from(edit[4]).min(bytes.len() - at);
    match edit[1] % 7 {
        0 | 1 => *bytes.get_mut(at)? ^= edit[4],
        2 => bytes.truncate(at),
        3 => bytes[at..at + length].fill(0),
        4 => {
            let from = usize::from(edit[5]) % (bytes.len() - length + 1);
            bytes.copy_within(from..from + length, at);
        }
        5 => bytes.extend(std::iter::repeat_n(0, usize::from(edit[4]))),
        _ => {
            // Its name is gone, not only what it held. An index is made again.
            if file.extension().is_some_and(|extension| extension == "index") {
                files.files.remove(&file);
            }
            return None;
        }
    }
    let same_length = bytes.len() == before.len();
    let changed = before.iter().zip(&*bytes).filter(|(before, after)| before != after).count();
    if same_length && changed == 0 {
        return None;
    }
    Some(Done { file, flipped: same_length && changed == 1 })
}

/// What a start finds.
struct Found {
    damage: Vec<Damage>,
    /// Sequences that can be read.
    records: BTreeSet<u64>,
    /// Sequences that are told to be lost.
    lost: BTreeSet<u64>,
    end: u64,
    /// What the subscription has settled, unless it is unknown.
    settled: Option<BTreeSet<u64>>,
}

/// Opens, reads all, and closes. `None`: it was refused, with a reason that an operator can act on.
fn opened(directory: &Path) -> Option<Found> {
    let (store, damage) = match Store::open(directory, options()) {
        Ok(opened) => opened,
        Err(OpenError::NewerFormat { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let log = store.log(LOG).expect("its directory is there");
    let mut found =
        Found { damage, records: BTreeSet::new(), lost: BTreeSet::new(), end: log.end(), settled: None };
    let mut cursor = Cursor::new(log.clone(), 1);
    let mut next = 1;
    while let Some(item) = cursor.next().expect("memory does not fail") {
        match item {
            Item::Record(record) => {
                assert_eq!(record.sequence, next, "one after another");
                assert_eq!(record.bytes, payload(next), "record {next} is what was acknowledged");
                let again = log.read(next, record.offset).expect("memory does not fail");
                assert_eq!(again.map(|again| again.bytes), Some(record.bytes), "it is found by its offset");
                found.records.insert(next);
                next += 1;
            }
            Item::Hole { from, to } => {
                assert!(from == next && to > from, "a hole {from}..{to} after {next}");
                found.lost.extend(from..to.min(END));
                next = to;
            }
        }
    }
    assert_eq!(next, found.end, "everything up to the end is a record or a hole");
    if let Some(settles) = store.settle_log(SUBSCRIPTION) {
        assert_eq!(settles.meta(), b"meta");
        found.settled = Some((1..END).filter(|sequence| settles.is_settled(*sequence)).collect());
    }
    store.close();
    Some(found)
}

fn judge(found: &Found, done: &[Done]) {
    let touched = |extension: &str| {
        done.iter().any(|done| done.file.extension().is_some_and(|found| found == extension))
    };
    if !touched("segment") {
        let all: BTreeSet<u64> = (1..END).collect();
        assert_eq!(found.records, all, "an index can be made again from its segment");
    }
    // A flipped bit is found wherever a later round's mark says that what stands there was durable.
    if let [Done { flipped: true, file }] = done
        && file.extension().is_some_and(|extension| extension == "segment")
    {
        let last_round = END - RECORDS_A_ROUND;
        for sequence in (1..last_round).filter(|sequence| !found.records.contains(sequence)) {
            assert!(found.lost.contains(&sequence), "record {sequence} is gone without a word");
        }
    }
    let told = found.damage.iter().any(|damage| matches!(damage, Damage::Subscription { .. }));
    let Some(now) = &found.settled else {
        assert!(told, "the subscription is gone without a word");
        return;
    };
    let before: BTreeSet<u64> = (1..END).filter(|sequence| settled(*sequence)).collect();
    // Settles of records that the log lost go with them: their sequences will be given to others.
    assert!(now.is_subset(&before), "what was never settled counts as settled: {now:?}");
    if !touched("settle") && found.end == END {
        assert_eq!(*now, before, "the settle log was left alone");
    }
}
