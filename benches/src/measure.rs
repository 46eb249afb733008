//! What the kernel tells of a process and of the machine, read from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The CPU that a process has used so far, user and system, of all its threads, those that have ended included.
///
/// The kernel counts it by the nanosecond and tells it in ticks, usually of 10 ms: rounds are long enough for that to be
/// a percent.
pub(crate) fn cpu(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))
        .with_context(|| format!("process {process} has ended, or this system has no /proc"))?;
    let ticks = ticks(&stat).with_context(|| format!("/proc/{process}/stat is not as expected: {stat:?}"))?;
    let second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / second as f64))
}

/// Fields 14 and 15, utime and stime (proc(5)). The second field, the program's name, may hold anything, so that fields
/// are counted from its closing parenthesis.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// A process's resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// The most it ever had.
    pub(crate) peak: u64,
}

pub(crate) fn memory(process: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let of = |name| bytes(&status, name).with_context(|| format!("/proc/{process}/status tells no {name}"));
    Ok(Memory { resident: of("VmRSS:")?, peak: of("VmHWM:")? })
}

fn bytes(status: &str, name: &str) -> Option<u64> {
    let kib = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = kib.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How many processes ran or waited for a processor, on average over the last minute. 0 where the system does not tell.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// The time on a clock that all processes of this machine share and nobody sets.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_does_not_confuse_the_count_of_fields() {
        let stat = "12 (a) 7 (b) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 3 4 20 0 5 0 100 1000 200 0";
        assert_eq!(ticks(stat), Some(300));
    }

    #[test]
    fn this_process_has_memory_and_has_used_some_time() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.resident, "{memory:?}");
        cpu(std::process::id()).unwrap();
    }
}
