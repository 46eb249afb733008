//! Latencies, counted in buckets whose width grows with the value: 3 % precise from nanoseconds to hours, 15 KiB.

use serde::{Deserialize, Serialize};

/// Buckets in each doubling.
const STEPS: u32 = 32;
const BUCKETS: usize = (64 * STEPS) as usize;

#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// What is told of a histogram, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }

    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The value below which this share of the values lies, as its bucket's upper end.
    fn quantile(&self, share: f64) -> u64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return upper_end(bucket).min(self.max);
            }
        }
        self.max
    }

    /// `None` where nothing was recorded.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        (self.total > 0).then(|| Latency {
            p50_ms: ms(self.quantile(0.5)),
            p99_ms: ms(self.quantile(0.99)),
            max_ms: ms(self.max),
        })
    }
}

/// Values below [`STEPS`] have a bucket each; above, the leading bit and the five after it choose one.
fn bucket(value: u64) -> usize {
    let exponent = value.checked_ilog2().unwrap_or(0);
    let Some(doubling) = exponent.checked_sub(STEPS.ilog2()) else { return value as usize };
    let step = (value >> doubling) as usize - STEPS as usize;
    (doubling as usize + 1) * STEPS as usize + step
}

fn upper_end(bucket: usize) -> u64 {
    let steps = STEPS as usize;
    match bucket / steps {
        0 => bucket as u64,
        doubling => (((bucket % steps + steps + 1) as u64) << (doubling - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_within_4_percent_of_it() {
        let mut last = 0;
        for value in (0..2_000).chain((0..40).map(|n| 3_u64.pow(n) + 7)) {
            let bucket = bucket(value);
            let end = upper_end(bucket);
            assert!(end >= value, "{value} lies above the end of its bucket, {end}");
            assert!(end - value <= value / 25 + 1, "{value} is told as {end}");
            last = last.max(bucket);
        }
        assert!(last < BUCKETS);
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.latency(), None);
        (1..=100).for_each(|ms| histogram.record(ms * 1_000_000));
        let told = histogram.latency().unwrap();
        assert!((told.p50_ms - 50.0).abs() < 2.0, "{told:?}");
        assert!((told.p99_ms - 99.0).abs() < 4.0, "{told:?}");
        assert_eq!(told.max_ms, 100.0);
    }
}
