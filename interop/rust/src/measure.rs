use std::{
    fs, mem,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub fn print_line(line: &Value) {
    println!("{line}");
}

/// A stopwatch that is running from its making.
pub struct Stopwatch {
    start: Instant,
    user: Duration,
    system: Duration,
}

impl Stopwatch {
    pub fn start() -> Self {
        let (user, system) = cpu_times();
        Self {
            start: Instant::now(),
            user,
            system,
        }
    }

    /// The result line with a rate over operations.
    pub fn stop(&self, ops: usize, bytes: usize, mut latencies: Vec<Duration>) -> Value {
        let (seconds, mut line) = self.read(ops, bytes);
        line["perSec"] = json!(ops as f64 / seconds);
        if !latencies.is_empty() {
            latencies.sort_unstable();
            line["p50_us"] = json!(percentile_us(&latencies, 50));
            line["p99_us"] = json!(percentile_us(&latencies, 99));
        }
        line
    }

    /// The result line with a rate over bytes.
    pub fn stop_bulk(&self, ops: usize, bytes: usize) -> Value {
        let (seconds, mut line) = self.read(ops, bytes);
        line["MBps"] = json!(bytes as f64 / 1e6 / seconds);
        line
    }

    fn read(&self, ops: usize, bytes: usize) -> (f64, Value) {
        let seconds = self.start.elapsed().as_secs_f64();
        let (user, system) = cpu_times();
        let line = json!({
            "ops": ops,
            "bytes": bytes,
            "seconds": seconds,
            "cpu_user_s": (user - self.user).as_secs_f64(),
            "cpu_sys_s": (system - self.system).as_secs_f64(),
            "rss_kb": resident_kib(),
        });
        (seconds, line)
    }
}

fn percentile_us(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_nanos() as f64 / 1e3
}

fn cpu_times() -> (Duration, Duration) {
    let usage = resource_usage();
    (duration_of(usage.ru_utime), duration_of(usage.ru_stime))
}

fn duration_of(time: libc::timeval) -> Duration {
    Duration::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64)
}

/// The resident set; where the system has no /proc, its highest value.
pub fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse().ok());
    resident.unwrap_or_else(|| {
        let highest = resource_usage().ru_maxrss as u64;
        // Bytes there, kibibytes elsewhere.
        if cfg!(target_os = "macos") {
            highest / 1024
        } else {
            highest
        }
    })
}

fn resource_usage() -> libc::rusage {
    // SAFETY: rusage is plain integers, for which zeros are a value, and getrusage only writes into it.
    unsafe {
        let mut usage = mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    }
}
