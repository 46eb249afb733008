//! Appending to a disk: by the log, or by itself as the yardstick: the same bytes with a sync after as many of them.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Instant;

use anyhow::{Context, Result};
use log::{Batch, Options, Store};
use serde::{Deserialize, Serialize};

use super::load::Done;
use super::{asked, say};
use crate::amount::{Amount, Share};

/// What the log writes beside a record's bytes.
const RECORD_HEADER: usize = 24;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Where; it is empty.
    pub(crate) directory: PathBuf,
    /// Records of a kilobyte that are appended and synced together.
    pub(crate) records: u64,
    pub(crate) by: By,
    pub(crate) amount: Amount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    Log,
    /// `write`, then `fdatasync`, on one file.
    File,
}

pub(super) fn play(spec: &Spec) -> Result<()> {
    say(&())?;
    while asked()?.is_some() {
        say(&match spec.by {
            By::Log => by_log(spec)?,
            By::File => by_file(spec)?,
        })?;
    }
    Ok(())
}

fn batch(records: u64) -> Batch {
    let mut batch = Batch::with_capacity(records as usize, records as usize * 1024);
    for _ in 0..records {
        batch.push(|bytes| bytes.resize(bytes.len() + 1024, 7));
    }
    batch
}

fn by_log(spec: &Spec) -> Result<Done> {
    // There is no subscription, so that what is beyond this goes.
    let options = Options { reserve_bytes: 0, retention_bytes: 256 << 20, ..Options::default() };
    let (store, _) = Store::open(&spec.directory, options).context("the store does not open")?;
    let log = store.ensure_log("bench")?;
    let (done, answers) = channel();
    let (began, share, mut events) = (Instant::now(), Share::begin(spec.amount), 0);
    while share.take().is_some() {
        let done = done.clone();
        store.append(&log, batch(spec.records), None, move |appended| drop(done.send(appended)));
        answers.recv()?.map_err(|error| anyhow::anyhow!("an append failed: {error:?}"))?;
        events += spec.records;
    }
    let seconds = began.elapsed().as_secs_f64();
    store.close();
    Ok(Done { events, seconds, latency: None })
}

fn by_file(spec: &Spec) -> Result<Done> {
    let mut file = File::create(spec.directory.join("raw"))?;
    let bytes = vec![7; spec.records as usize * (1024 + RECORD_HEADER)];
    let (began, share, mut events) = (Instant::now(), Share::begin(spec.amount), 0);
    while share.take().is_some() {
        file.write_all(&bytes)?;
        file.sync_data()?;
        events += spec.records;
    }
    Ok(Done { events, seconds: began.elapsed().as_secs_f64(), latency: None })
}
