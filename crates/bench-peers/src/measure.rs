//! Measurements for the result lines.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, Usage, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeVal;
use serde_json::{Value, json};

use crate::Result;

/// Prints one line of the contract.
pub fn print_line(line: &Value) {
    let mut out = std::io::stdout().lock();
    // A failure means that the reader has exited; standard input ends as well.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A running stopwatch.
pub struct Stopwatch {
    start: Instant,
    usage: Usage,
}

impl Stopwatch {
    /// Starts a stopwatch.
    ///
    /// # Errors
    /// If the CPU time cannot be read.
    pub fn start() -> Result<Self> {
        Ok(Self {
            usage: getrusage(UsageWho::RUSAGE_SELF)?,
            start: Instant::now(),
        })
    }

    /// Returns the result line of a workload counted in operations.
    ///
    /// # Errors
    /// Those of [`Stopwatch::start`].
    pub fn stop(&self, ops: usize, bytes: u64, latencies: Latencies) -> Result<Value> {
        let (seconds, mut line) = self.read(ops, bytes)?;
        line["perSec"] = json!(ops as f64 / seconds);
        latencies.write_to(&mut line);
        Ok(line)
    }

    /// Returns the result line of a transfer.
    ///
    /// # Errors
    /// Those of [`Stopwatch::start`].
    pub fn stop_bulk(&self, ops: usize, bytes: u64) -> Result<Value> {
        let (seconds, mut line) = self.read(ops, bytes)?;
        line["MBps"] = json!(bytes as f64 / 1e6 / seconds);
        Ok(line)
    }

    fn read(&self, ops: usize, bytes: u64) -> Result<(f64, Value)> {
        let seconds = self.start.elapsed().as_secs_f64();
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let line = json!({
            "ops": ops,
            "bytes": bytes,
            "seconds": seconds,
            "cpu_user_s": as_seconds(usage.user_time()) - as_seconds(self.usage.user_time()),
            "cpu_sys_s": as_seconds(usage.system_time()) - as_seconds(self.usage.system_time()),
            "rss_kb": resident_kib()?,
        });
        Ok((seconds, line))
    }
}

/// Returns a server's answer to `stats`.
///
/// # Errors
/// If memory use or CPU time cannot be read.
pub fn stats() -> Result<Value> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(json!({
        "rss_kb": resident_kib()?,
        "cpu_user_s": as_seconds(usage.user_time()),
        "cpu_sys_s": as_seconds(usage.system_time()),
    }))
}

/// Durations of operations.
#[derive(Debug, Default)]
pub struct Latencies {
    times: Vec<Duration>,
    /// Whether to report the 99.9th percentile.
    with_p999: bool,
}

impl Latencies {
    /// Wraps these durations.
    pub const fn of(times: Vec<Duration>) -> Self {
        Self {
            times,
            with_p999: false,
        }
    }

    /// Reports the 99.9th percentile as well.
    pub const fn with_p999(mut self) -> Self {
        self.with_p999 = true;
        self
    }

    fn write_to(mut self, line: &mut Value) {
        if self.times.is_empty() {
            return;
        }
        self.times.sort_unstable();
        let at = |permille: usize| {
            let index = (self.times.len() - 1) * permille / 1_000;
            json!(self.times[index].as_nanos() as f64 / 1e3)
        };
        line["p50_us"] = at(500);
        line["p99_us"] = at(990);
        if self.with_p999 {
            line["p999_us"] = at(999);
        }
    }
}

fn as_seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// Returns the resident set size in KiB; its peak on systems without /proc.
///
/// # Errors
/// If it cannot be read.
pub fn resident_kib() -> Result<i64> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse().ok());
    if let Some(kib) = resident {
        return Ok(kib);
    }
    let peak = getrusage(UsageWho::RUSAGE_SELF)?.max_rss();
    // Bytes on macOS, KiB elsewhere.
    Ok(if cfg!(target_os = "macos") {
        peak / 1_024
    } else {
        peak
    })
}

/// Raises the file descriptor limit to the hard limit, as Node and Go do on their own.
///
/// # Errors
/// If the system refuses.
pub fn raise_descriptor_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}
