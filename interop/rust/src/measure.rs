use std::{
    fs, mem,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub fn print_line(line: &Value) {
    println!("{line}");
}

/// A stopwatch that runs from its creation.
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

    /// Returns the result line with a rate over operations.
    pub fn stop(&self, ops: usize, bytes: usize, latencies: Vec<Duration>) -> Value {
        self.stop_with(ops, bytes, latencies, &[("p50_us", 500), ("p99_us", 990)])
    }

    /// Like `stop`, with the slowest of a thousand.
    pub fn stop_with_tail(&self, ops: usize, bytes: usize, latencies: Vec<Duration>) -> Value {
        let percentiles = [("p50_us", 500), ("p99_us", 990), ("p999_us", 999)];
        self.stop_with(ops, bytes, latencies, &percentiles)
    }

    fn stop_with(
        &self,
        ops: usize,
        bytes: usize,
        mut latencies: Vec<Duration>,
        percentiles: &[(&str, usize)],
    ) -> Value {
        let (seconds, mut line) = self.read(ops, bytes);
        line["perSec"] = json!(ops as f64 / seconds);
        if !latencies.is_empty() {
            latencies.sort_unstable();
            for (name, permille) in percentiles {
                line[*name] = json!(percentile_us(&latencies, *permille));
            }
        }
        line
    }

    /// Returns the result line with a rate over bytes.
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

fn percentile_us(sorted: &[Duration], permille: usize) -> f64 {
    sorted[(sorted.len() - 1) * permille / 1_000].as_nanos() as f64 / 1e3
}

/// Returns the CPU time of the process since its start, and its memory.
pub fn stats() -> Value {
    let (user, system) = cpu_times();
    json!({
        "rss_kb": resident_kib(),
        "cpu_user_s": user.as_secs_f64(),
        "cpu_sys_s": system.as_secs_f64(),
    })
}

fn cpu_times() -> (Duration, Duration) {
    let usage = resource_usage();
    (duration_of(usage.ru_utime), duration_of(usage.ru_stime))
}

fn duration_of(time: libc::timeval) -> Duration {
    Duration::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64)
}

/// Returns the resident set size; its peak where the system has no /proc.
pub fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse().ok());
    resident.unwrap_or_else(|| {
        let highest = resource_usage().ru_maxrss as u64;
        // Bytes on macOS, kibibytes elsewhere.
        if cfg!(target_os = "macos") {
            highest / 1024
        } else {
            highest
        }
    })
}

/// Raises the descriptor limit of this process to its maximum; Node and Go do so by themselves.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls take a pointer to a live local. If they fail, the limit is unchanged.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

fn resource_usage() -> libc::rusage {
    // SAFETY: rusage is plain integers, for which zeros are a value, and getrusage only writes into it.
    unsafe {
        let mut usage = mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    }
}
