use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Body, Key, Record};

/// A topic's log. A record's position is its index.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) entries: Vec<Entry>,
    /// What stands before it has been taken away by retention.
    pub(super) first: u64,
    keys: BTreeMap<Key, u32>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) at_ms: u64,
    pub(super) bytes: u32,
    /// The key's number within the topic.
    pub(super) key: Option<u32>,
}

impl Topic {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, entries: Vec::new(), first: 0, keys: BTreeMap::new() }
    }

    pub(super) fn end(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn entry(&self, position: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(position).ok()?)
    }

    pub(super) fn key(&self, position: u64) -> Option<u32> {
        self.entry(position)?.key
    }

    pub(super) fn append(&mut self, record: Record, at_ms: u64) -> u64 {
        let next = self.keys.len() as u32;
        let key = record.key.as_ref().map(|k| *self.keys.entry(k.clone()).or_insert(next));
        let bytes = u32::try_from(size(&record)).unwrap_or(u32::MAX);
        self.entries.push(Entry { record, at_ms, bytes, key });
        self.end() - 1
    }

    /// The first position taken in at this time or later.
    pub(super) fn since(&self, at_ms: u64) -> u64 {
        self.entries.partition_point(|e| e.at_ms < at_ms) as u64
    }
}

/// A record's size on the model: its body and its key; headers count nothing.
pub(super) fn size(record: &Record) -> usize {
    let body = match &record.body {
        Body::Event(event) => event.encoded_len(),
        Body::Foreign { bytes, .. } => bytes.len(),
    };
    body + record.key.as_ref().map_or(0, |k| k.as_bytes().len())
}
