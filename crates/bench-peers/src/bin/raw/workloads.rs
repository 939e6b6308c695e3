//! The client side of each workload.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ferroswarm_bench_peers::bulk::{WARM_UP_BYTES, blocks, expect_count};
use ferroswarm_bench_peers::echo::{PING_BYTES, SPIN, echoed, expect_echo};
use ferroswarm_bench_peers::measure::{Latencies, Stopwatch, print_line, resident_kib};
use ferroswarm_bench_peers::options::Options;
use ferroswarm_bench_peers::{Error, Result, frame};
use serde_json::{Value, json};

use crate::{BULK, MESSAGES, PING, REQUEST, receive, send};

/// Delay for the server to accept every connection.
const IDLE_DELAY: Duration = Duration::from_secs(1);

pub(crate) fn run(options: &Options) -> Result<()> {
    let server = server(&options.addr)?;
    if options.workload == "idle" {
        return Client { server, options }.idle();
    }
    if let Some(options) = &options.warm_up_options() {
        Client { server, options }.measure()?;
    }
    print_line(&Client { server, options }.measure()?);
    Ok(())
}

/// Parses `/ip4|ip6/…/tcp/…`.
fn server(addr: &str) -> Result<SocketAddr> {
    let parts: Vec<_> = addr.split('/').collect();
    let ["", "ip4" | "ip6", host, "tcp", port] = parts[..] else {
        return Err(format!("expected /ip4/…/tcp/…, received {addr}").into());
    };
    Ok(SocketAddr::new(host.parse()?, port.parse()?))
}

struct Client<'a> {
    server: SocketAddr,
    options: &'a Options,
}

impl Client<'_> {
    /// Runs a workload and returns its result line.
    fn measure(&self) -> Result<Value> {
        match self.options.workload.as_str() {
            "upload" => self.bulk(1, 0),
            "download" => self.bulk(0, 1),
            "paced" => self.paced(),
            "ping" => self.ping(),
            "ping-open" => self.ping_open(),
            "rr-seq" => self.requests(1),
            "rr-32" => self.requests(32),
            "rr-100" => self.requests(100),
            "msgs" => self.messages(),
            "first-byte" => self.first_byte(),
            other => Err(format!("there is no workload named {other:?} over tcp").into()),
        }
    }

    fn open(&self, purpose: u8, head: &[u8]) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.server)?;
        stream.set_nodelay(true)?;
        stream.write_all(&[&[purpose], head].concat())?;
        Ok(stream)
    }

    fn bulk(&self, up: u64, down: u64) -> Result<Value> {
        self.transfer(up * WARM_UP_BYTES, down * WARM_UP_BYTES)?;
        let watch = Stopwatch::start()?;
        self.transfer(up * self.options.bytes, down * self.options.bytes)?;
        watch.stop_bulk(1, self.options.bytes)
    }

    fn transfer(&self, up: u64, down: u64) -> Result<()> {
        let mut stream = self.open(BULK, &down.to_be_bytes())?;
        send(&mut stream, up)?;
        expect_transfer(&mut stream, up, down)
    }

    fn paced(&self) -> Result<Value> {
        self.transfer(WARM_UP_BYTES, 0)?;
        phase(json!({ "phase": "ready" }))?;
        let bytes = self.options.paced_bytes();
        let watch = Stopwatch::start()?;
        let start = Instant::now();
        let mut stream = self.open(BULK, &0_u64.to_be_bytes())?;
        let mut written = 0;
        for block in blocks(bytes) {
            let due = start + Duration::from_secs_f64(written as f64 / self.options.rate as f64);
            sleep(due.saturating_duration_since(Instant::now()));
            stream.write_all(block)?;
            written += block.len() as u64;
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        expect_transfer(&mut stream, bytes, 0)?;
        watch.stop_bulk(1, bytes)
    }

    fn ping(&self) -> Result<Value> {
        let mut stream = self.open(PING, &[])?;
        echo_once(&mut stream, 0)?;
        let mut latencies = Vec::with_capacity(self.options.n);
        let watch = Stopwatch::start()?;
        for turn in 0..self.options.n {
            let start = Instant::now();
            echo_once(&mut stream, turn)?;
            latencies.push(start.elapsed());
        }
        self.stop_pings(&watch, Latencies::of(latencies))
    }

    fn stop_pings(&self, watch: &Stopwatch, latencies: Latencies) -> Result<Value> {
        watch.stop(
            self.options.n,
            (self.options.n * PING_BYTES) as u64,
            latencies,
        )
    }

    /// Sends each ping when it is due, whether or not earlier ones have been answered.
    fn ping_open(&self) -> Result<Value> {
        let mut stream = self.open(PING, &[])?;
        echo_once(&mut stream, 0)?;
        let n = self.options.n;
        let mut sender = stream.try_clone()?;
        let watch = Stopwatch::start()?;
        let start = Instant::now();
        let due =
            |turn: usize| start + Duration::from_secs_f64(turn as f64 / self.options.rate as f64);
        let mut latencies = Vec::with_capacity(n);
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || {
                for turn in 0..n {
                    let early = due(turn).saturating_duration_since(Instant::now());
                    sleep(early.saturating_sub(SPIN));
                    while Instant::now() < due(turn) {
                        std::hint::spin_loop();
                    }
                    sender.write_all(echoed(turn))?;
                }
                Ok::<_, std::io::Error>(())
            });
            let mut answer = [0; PING_BYTES];
            for turn in 0..n {
                stream.read_exact(&mut answer)?;
                latencies.push(due(turn).elapsed());
                expect_echo(turn, &answer)?;
            }
            sending.join().map_err(|_| "the sender panicked")??;
            Ok::<_, Error>(())
        })?;
        self.stop_pings(&watch, Latencies::of(latencies).with_p999())
    }

    fn requests(&self, workers: usize) -> Result<Value> {
        let payload: Vec<u8> = blocks(self.options.bytes).flatten().copied().collect();
        let request = frame(&payload);
        let watch = Stopwatch::start()?;
        let latencies = self.each_of(workers, || {
            let mut stream = self.open(REQUEST, &request)?;
            let mut answer = Vec::with_capacity(request.len());
            stream.read_to_end(&mut answer)?;
            if answer != request[4..] {
                return Err("an answer differs from its request".into());
            }
            Ok(())
        })?;
        watch.stop(
            self.options.n,
            self.options.n as u64 * self.options.bytes,
            latencies,
        )
    }

    fn messages(&self) -> Result<Value> {
        let message = frame(&vec![0; self.options.bytes as usize]);
        let mut stream = self.open(MESSAGES, &[])?;
        let watch = Stopwatch::start()?;
        for _ in 0..self.options.n {
            stream.write_all(&message)?;
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut counted = [0; 8];
        stream.read_exact(&mut counted)?;
        let bytes = self.options.n as u64 * self.options.bytes;
        let line = watch.stop(self.options.n, bytes, Latencies::default())?;
        expect_count(self.options.n as u64, u64::from_be_bytes(counted))?;
        Ok(line)
    }

    fn first_byte(&self) -> Result<Value> {
        let watch = Stopwatch::start()?;
        let latencies = self.each_of(1, || echo_once(&mut self.open(PING, &[])?, 0))?;
        self.stop_pings(&watch, latencies)
    }

    fn idle(&self) -> Result<()> {
        idle_phase("base")?;
        let mut streams = Vec::with_capacity(self.options.n);
        for _ in 0..self.options.n {
            streams.push(TcpStream::connect(self.server)?);
        }
        idle_phase("full")?;
        drop(streams);
        idle_phase("gone")
    }

    /// Runs `operation` n times over concurrent threads; returns the latencies.
    fn each_of(
        &self,
        workers: usize,
        operation: impl Fn() -> Result<()> + Sync,
    ) -> Result<Latencies> {
        let started = AtomicUsize::new(0);
        let latencies = Mutex::new(Vec::with_capacity(self.options.n));
        let work = || {
            let mut own = Vec::new();
            while started.fetch_add(1, Ordering::Relaxed) < self.options.n {
                let start = Instant::now();
                operation()?;
                own.push(start.elapsed());
            }
            latencies
                .lock()
                .map_err(|_| "a worker panicked")?
                .extend(own);
            Ok::<_, Error>(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let mut ended = workers.into_iter().map(|worker| worker.join());
            ended.try_for_each(|ended| ended.map_err(|_| "a worker panicked")?)
        })?;
        Ok(Latencies::of(
            latencies.into_inner().map_err(|_| "a worker panicked")?,
        ))
    }
}

/// Reads the answer to a transfer: the uploaded byte count, then the download.
fn expect_transfer(stream: &mut TcpStream, up: u64, down: u64) -> Result<()> {
    let mut uploaded = [0; 8];
    stream.read_exact(&mut uploaded)?;
    expect_count(up, u64::from_be_bytes(uploaded))?;
    expect_count(down, receive(stream)?)
}

fn echo_once(stream: &mut TcpStream, turn: usize) -> Result<()> {
    let mut answer = [0; PING_BYTES];
    stream.write_all(echoed(turn))?;
    stream.read_exact(&mut answer)?;
    expect_echo(turn, &answer)
}

fn idle_phase(name: &str) -> Result<()> {
    sleep(IDLE_DELAY);
    phase(json!({ "phase": name, "rss_kb": resident_kib()? }))
}

fn phase(line: Value) -> Result<()> {
    print_line(&line);
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
