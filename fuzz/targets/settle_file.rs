//! Settle logs whose checksums are right, whatever they say: another version's, or a bug's.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use log::{OpenError, Store, Version};
use postrider_fuzz::bounded;
use postrider_fuzz::store::{END, LOG, SUBSCRIPTION, options, scratch, template};

const EPOCH: u64 = 7;
/// What an open store holds anyway, a 64th of it: its committer's buffer, above all.
const STORE_BYTES: usize = (2 << 20) / 64;

fuzz_target!(|input: &[u8]| {
    let mut files = template().clone();
    let place = Path::new("subscriptions").join(format!("{SUBSCRIPTION}.settle"));
    assert!(files.files.contains_key(&place), "it is kept where it always was");
    files.files.insert(place, sealed(input));
    let directory = scratch();
    files.write(directory.path());
    let mut state = None;
    // Opening twice: what was repaired the first time stays repaired.
    for _ in 0..2 {
        let opened = bounded(STORE_BYTES + input.len(), 64, || Store::open(directory.path(), options()));
        let (store, _) = match opened {
            Ok(opened) => opened,
            Err(OpenError::NewerFormat { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        let Some(settles) = store.settle_log(SUBSCRIPTION) else { return };
        let end = settles.log().end();
        if &**settles.log().name() == LOG {
            assert_eq!(end, END, "a settle log does no harm to its log");
        }
        assert!(settles.floor() <= end, "no record that is to come counts as settled");
        let settled: Vec<bool> = (0..end + 2).map(|sequence| settles.is_settled(sequence)).collect();
        let unsettled = (settles.floor()..end).filter(|sequence| !settled[*sequence as usize]).count();
        assert_eq!(settles.unsettled_below(end), unsettled as u64);
        let (next, _) = settles.next_unsettled(0, Version::default()).expect("nobody moved it");
        assert!(settled.get(next as usize).is_none_or(|settled| !settled), "{next} is settled");
        assert!(!settled[end as usize], "no record that is to come counts as settled");
        let now = (settles.floor(), settled);
        assert!(
            state.as_ref().is_none_or(|before| *before == now),
            "a second start finds what the first one did"
        );
        state = Some(now);
        store.close();
    }
});

/// A file of frames, each of which the input gives
/// with its length (one byte) in front. The form is that of `settle_file.rs`.
fn sealed(input: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend_from_slice(b"prsettle");
    file.extend_from_slice(&1u32.to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&EPOCH.to_le_bytes());
    file.extend_from_slice(&crc32c::crc32c(&file).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    let mut rest = input;
    // One input in two has a sound beginning, so that what follows it is read.
    if let Some((first, after)) = rest.split_first()
        && first % 2 == 0
    {
        rest = after;
        let mut snapshot = Vec::new();
        for text in [LOG.as_bytes(), b"meta"] {
            snapshot.extend_from_slice(&(text.len() as u32).to_le_bytes());
            snapshot.extend_from_slice(text);
        }
        frame(&mut file, &snapshot);
    }
    while let Some((length, after)) = rest.split_first() {
        let (body, after) = after.split_at(usize::from(*length).min(after.len()));
        frame(&mut file, body);
        rest = after;
    }
    file
}

fn frame(file: &mut Vec<u8>, body: &[u8]) {
    let length = (body.len() as u32).to_le_bytes();
    let seed = crc32c::crc32c(&EPOCH.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c_append(seed, &length), body);
    file.extend_from_slice(&length);
    file.extend_from_slice(&checksum.to_le_bytes());
    file.extend_from_slice(body);
}
