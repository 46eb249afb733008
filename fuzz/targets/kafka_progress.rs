//! A commit's metadata, which may be anybody's.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use postrider_fuzz::bounded;
use progress::{Progress, Received};

// The module alone: the crate around it takes librdkafka and OpenSSL to build.
#[path = "../../crates/kafka/src/progress/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "its own crate judges it")]
mod progress;

/// What a broker keeps by default (`offset.metadata.max.bytes`).
const CHARS_MAX: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((base, rest)) = input.split_first_chunk::<8>() else { return };
    let base = u64::from_le_bytes(*base) >> 1;
    // As it comes, and with version and checksum put right.
    if let Ok(text) = std::str::from_utf8(rest) {
        read(base, text);
    }
    read(base, &sealed(base, rest));
});

fn read(base: u64, text: &str) {
    let restored = bounded(text.len(), 512, || Progress::restore(base, text));
    let (mut progress, refused) = restored;
    let (end, next) = (progress.told_end().unwrap_or(base), progress.next());
    assert!(next >= base, "nothing below what was committed is read again");
    if refused.is_some() {
        assert_eq!((next, progress.told_end()), (base, None), "what is refused says nothing");
        return;
    }
    // A second commit by whoever takes over, before anything is read, tells the same.
    let Encoded { text: again, told_below } = encode(&progress, usize::MAX);
    assert_eq!(told_below, None);
    let (twice, refused) = Progress::restore(progress.base(), &again);
    assert_eq!(refused, None, "what is written is read");
    let probes = (next..end.min(next + 600)).chain(end.saturating_sub(600).max(next)..end);
    for offset in probes {
        assert_eq!(twice.is_settled(offset), progress.is_settled(offset), "offset {offset}");
        assert_eq!(twice.note_of(offset), progress.note_of(offset), "offset {offset}");
        assert!(progress.note_of(offset).is_none() || !progress.is_settled(offset));
    }
    assert!(encode(&progress, CHARS_MAX).text.len() <= CHARS_MAX);
    // Reading goes on: what was settled is skipped, what was not is handed out.
    for offset in next..next.saturating_add(300).min(i64::MAX as u64 - 1) {
        let settled = progress.is_settled(offset);
        let (received, _) = progress.receive(offset);
        assert_eq!(received == Received::Settled, settled, "offset {offset}");
    }
    assert!(encode(&progress, CHARS_MAX).text.len() <= CHARS_MAX);
}

struct Encoded {
    text: String,
    told_below: Option<u64>,
}

fn encode(progress: &Progress, max_chars: usize) -> Encoded {
    let progress::Encoded { text, told_below, .. } = progress.encode(max_chars);
    Encoded { text, told_below }
}

/// The form that `progress/codec.rs` tells.
fn sealed(base: u64, body: &[u8]) -> String {
    const VERSION: u8 = 1;
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&crc24(&[&base.to_le_bytes()[..], &[VERSION], body].concat()).to_be_bytes()[1..]);
    bytes.extend_from_slice(body);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// CRC-24 of OpenPGP (RFC 9580, section 6.1), bit by bit.
fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x00b7_04ce, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 16, |crc, _| {
            let next = crc << 1;
            (if next & 0x0100_0000 == 0 { next } else { next ^ 0x0186_4cfb }) & 0x00ff_ffff
        })
    })
}
