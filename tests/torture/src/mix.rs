//! Everything at once: writers that do not wait for one another, and subscriptions that settle out of order.

use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::layout::SUBSCRIPTIONS;
use crate::worker::{Answers, House};

/// Writers of each topic.
const WRITERS: u8 = 2;
/// Appends that a writer has open.
const OPEN_MAX: usize = 6;
/// Unsettled records at which a writer waits.
const BACKLOG_MAX: u64 = 4_000;
/// Records that a subscription looks at together.
const WINDOW: u64 = 300;

/// Works until something fails, which is all that it returns.
pub(crate) fn run(house: &House, seed: u64) -> Result<()> {
    let (failed, failure) = channel();
    std::thread::scope(|scope| {
        for (topic, &subscriptions) in (0..).zip(&SUBSCRIPTIONS) {
            for writer in 0..WRITERS {
                let (failed, random) = (failed.clone(), random(seed, topic, writer));
                scope.spawn(move || failed.send(write(house, topic, writer, random)));
            }
            for subscription in 0..subscriptions {
                let (failed, random) = (failed.clone(), random(seed, topic, 100 + subscription));
                scope.spawn(move || failed.send(settle(house, topic, subscription, random)));
            }
        }
        // The others do not end by themselves: the process is about to.
        match failure.recv()? {
            Ok(()) => Err(anyhow!("a worker's thread ended")),
            Err(error) => {
                crate::say_aside(&format!("{error:#}"));
                std::process::abort()
            }
        }
    })
}

fn random(seed: u64, topic: u8, thread: u8) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed ^ u64::from(topic) << 32 ^ u64::from(thread) << 40)
}

fn write(house: &House, topic: u8, writer: u8, mut random: fastrand::Rng) -> Result<()> {
    let answers = Answers::new();
    let (mut open, mut count) = (0, 0);
    loop {
        while backlog(house, topic) > BACKLOG_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
        let bodies: Vec<usize> = (0..random.usize(1..6)).map(|_| body(&mut random)).collect();
        house.submit(topic, writer, count, &bodies, &answers);
        count += bodies.len() as u32;
        open += 1;
        while open >= random.usize(1..=OPEN_MAX) {
            answers.wait()?;
            open -= 1;
        }
    }
}

/// Mostly small, sometimes larger than what the log copies together, or than a segment.
fn body(random: &mut fastrand::Rng) -> usize {
    match random.u32(..1000) {
        0 => random.usize(100_000..200_000),
        1..=20 => random.usize(2_000..20_000),
        _ => random.usize(0..400),
    }
}

fn backlog(house: &House, topic: u8) -> u64 {
    let end = house.log(topic).end();
    let subscriptions = 0..SUBSCRIPTIONS[usize::from(topic)];
    subscriptions.map(|s| house.settles(topic, s).unsettled_below(end)).max().unwrap_or_default()
}

fn settle(house: &House, topic: u8, subscription: u8, mut random: fastrand::Rng) -> Result<()> {
    let settles = house.settles(topic, subscription);
    let mut attempts = house.attempts();
    loop {
        let (floor, end) = (settles.floor(), house.log(topic).end());
        if floor >= end {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        let window = floor..end.min(floor + WINDOW);
        for _ in 0..random.usize(1..40) {
            let from = random.u64(window.clone());
            if random.u32(..3) == 0 {
                attempts += 1;
                house.note(topic, subscription, from, from + 1, attempts)?;
            } else {
                let to = (from + random.u64(1..8)).min(end);
                house.settle(topic, subscription, from, to)?;
            }
        }
        if random.bool() {
            house.settle(topic, subscription, floor, window.end - (window.end - floor) / 4)?;
        }
        if random.u32(..3) == 0 {
            house.flush(topic, subscription)?;
        }
    }
}
