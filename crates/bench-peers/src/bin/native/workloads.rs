//! The client side of each workload. See interop/contract.md for the operations and the timed part.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ferroswarm_bench_peers::bulk::{WARM_UP_BYTES, blocks, expect_count};
use ferroswarm_bench_peers::echo::{PING_BYTES, SPIN, echoed, expect_echo};
use ferroswarm_bench_peers::measure::{Latencies, Stopwatch, print_line, resident_kib};
use ferroswarm_bench_peers::options::Options;
use ferroswarm_bench_peers::{Error, Result, frame};
use futures::future::{join, try_join_all};
use serde_json::{Value, json};

use crate::micro;
use crate::reactor::Reactor;
use crate::server::{BULK, MESSAGES, PING, REQUEST, receive, send};
use crate::stream::Stream;
use crate::{new_identity, node_options};

/// Delay for both sides to complete identify before memory is measured.
const IDLE_DELAY: Duration = Duration::from_secs(1);

/// Direction of a transfer.
#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// State of a workload run.
struct Client<'a> {
    reactor: Reactor,
    options: &'a Options,
}

/// Runs the requested workload.
pub(crate) fn run(
    reactor: Reactor,
    options: &Options,
) -> impl Future<Output = Result<()>> + 'static {
    let options = options.clone();
    async move {
        let warm_up = options.warm_up_options();
        let client = |options| Client {
            reactor: reactor.clone(),
            options,
        };
        if options.workload == "idle" {
            return client(&options).idle().await;
        }
        if let Some(warm_up) = &warm_up {
            client(warm_up).measure().await?;
        }
        print_line(&client(&options).measure().await?);
        Ok(())
    }
}

impl Client<'_> {
    /// Runs a workload and returns its result line.
    async fn measure(&self) -> Result<Value> {
        match self.options.workload.as_str() {
            "upload" => self.bulk(1, Direction::Up).await,
            "download" => self.bulk(1, Direction::Down).await,
            "upload-32" => self.bulk(32, Direction::Up).await,
            "download-32" => self.bulk(32, Direction::Down).await,
            "paced" => self.paced().await,
            "ping" => self.ping().await,
            "ping-open" => self.ping_open().await,
            "rr-seq" => self.requests(1).await,
            "rr-32" => self.requests(32).await,
            "rr-100" => self.requests(100).await,
            "msgs" => self.messages().await,
            "handshake-seq" => self.handshakes(1).await,
            "handshake-16" => self.handshakes(16).await,
            "first-byte" => self.first_byte().await,
            "frames" => micro::frames(self.options),
            "negotiations" => micro::negotiations(self.options),
            other => Err(format!("there is no workload named {other:?}").into()),
        }
    }

    fn add_node(&self) -> Result<usize> {
        self.reactor.add_node(node_options(self.options)?)
    }

    /// Connects from a new node.
    async fn connect(&self) -> Result<u32> {
        let node = self.add_node()?;
        self.reactor.dial(node, None, &self.options.addr).await
    }

    fn watch(&self) -> Result<Watch<'_>> {
        Ok(Watch {
            reactor: &self.reactor,
            before: self.reactor.counters(),
            clock: Stopwatch::start()?,
        })
    }

    /// Transfers `options.bytes` in total over concurrent streams.
    async fn bulk(&self, streams: u64, direction: Direction) -> Result<Value> {
        let connection = self.connect().await?;
        let transfers = |bytes: u64| {
            let each = (0..streams).map(|_| self.transfer(connection, direction, bytes / streams));
            try_join_all(each)
        };
        transfers(WARM_UP_BYTES).await?;
        let watch = self.watch()?;
        transfers(self.options.bytes).await?;
        let bytes = self.options.bytes / streams * streams;
        watch.stop_bulk(streams as usize, bytes)
    }

    async fn transfer(&self, connection: u32, direction: Direction, bytes: u64) -> Result<()> {
        let (up, down) = match direction {
            Direction::Up => (bytes, 0),
            Direction::Down => (0, bytes),
        };
        let stream = Stream::open(&self.reactor, connection, BULK).await?;
        stream.write(&down.to_be_bytes()).await?;
        send(&stream, up).await?;
        expect_transfer(&stream, up, down).await
    }

    async fn paced(&self) -> Result<Value> {
        let connection = self.connect().await?;
        self.transfer(connection, Direction::Up, WARM_UP_BYTES)
            .await?;
        self.reactor.open_input();
        self.phase("ready").await;
        let bytes = self.options.paced_bytes();
        let watch = self.watch()?;
        let start = Instant::now();
        let stream = Stream::open(&self.reactor, connection, BULK).await?;
        stream.write(&0_u64.to_be_bytes()).await?;
        let mut written = 0;
        for block in blocks(bytes) {
            let due = start + Duration::from_secs_f64(written as f64 / self.options.rate as f64);
            self.reactor.sleep_until(due).await;
            stream.write(block).await?;
            written += block.len() as u64;
        }
        stream.close_write()?;
        expect_transfer(&stream, bytes, 0).await?;
        watch.stop_bulk(1, bytes)
    }

    async fn ping(&self) -> Result<Value> {
        let connection = self.connect().await?;
        let stream = Stream::open(&self.reactor, connection, PING).await?;
        // The protocol is negotiated with the first write.
        echo_once(&stream, 0).await?;
        let mut latencies = Vec::with_capacity(self.options.n);
        let watch = self.watch()?;
        for turn in 0..self.options.n {
            let start = Instant::now();
            echo_once(&stream, turn).await?;
            latencies.push(start.elapsed());
        }
        self.stop_pings(&watch, Latencies::of(latencies))
    }

    fn stop_pings(&self, watch: &Watch<'_>, latencies: Latencies) -> Result<Value> {
        let bytes = self.options.n * PING_BYTES;
        watch.stop(self.options.n, bytes as u64, latencies)
    }

    /// Sends each ping when it is due, whether or not earlier ones have been answered.
    async fn ping_open(&self) -> Result<Value> {
        let connection = self.connect().await?;
        let stream = Stream::open(&self.reactor, connection, PING).await?;
        echo_once(&stream, 0).await?;
        let n = self.options.n;
        let watch = self.watch()?;
        let start = Instant::now();
        let due =
            |turn: usize| start + Duration::from_secs_f64(turn as f64 / self.options.rate as f64);
        let sending = async {
            for turn in 0..n {
                self.reactor.sleep_until(due(turn) - SPIN).await;
                while Instant::now() < due(turn) {
                    self.reactor.next_turn().await;
                }
                stream.write(echoed(turn)).await?;
                // The flush at the end of the tick could be as late as the next due ping.
                self.reactor.flush();
            }
            Ok(())
        };
        let receiving = async {
            let mut latencies = Vec::with_capacity(n);
            let mut answer = [0; PING_BYTES];
            for turn in 0..n {
                stream.read_exact(&mut answer).await?;
                latencies.push(due(turn).elapsed());
                expect_echo(turn, &answer)?;
            }
            Ok(latencies)
        };
        let (sent, received): (Result<()>, Result<_>) = join(sending, receiving).await;
        sent?;
        self.stop_pings(&watch, Latencies::of(received?).with_p999())
    }

    async fn requests(&self, workers: usize) -> Result<Value> {
        let connection = self.connect().await?;
        let payload: Vec<u8> = blocks(self.options.bytes).flatten().copied().collect();
        let request = frame(&payload);
        let watch = self.watch()?;
        let latencies = self
            .each_of(workers, async |_| self.request(connection, &request).await)
            .await?;
        let bytes = self.options.n as u64 * self.options.bytes;
        watch.stop(self.options.n, bytes, latencies)
    }

    async fn request(&self, connection: u32, request: &[u8]) -> Result<()> {
        let stream = Stream::open(&self.reactor, connection, REQUEST).await?;
        stream.write(request).await?;
        stream.close_write()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        if answer != request[4..] {
            return Err("an answer differs from its request".into());
        }
        Ok(())
    }

    async fn messages(&self) -> Result<Value> {
        let connection = self.connect().await?;
        let message = frame(&vec![0; self.options.bytes as usize]);
        let stream = Stream::open(&self.reactor, connection, MESSAGES).await?;
        let watch = self.watch()?;
        for _ in 0..self.options.n {
            stream.write(&message).await?;
        }
        stream.close_write()?;
        let mut counted = [0; 8];
        stream.read_exact(&mut counted).await?;
        let bytes = self.options.n as u64 * self.options.bytes;
        let line = watch.stop(self.options.n, bytes, Latencies::default())?;
        expect_count(self.options.n as u64, u64::from_be_bytes(counted))?;
        Ok(line)
    }

    async fn handshakes(&self, workers: usize) -> Result<Value> {
        let nodes = (0..workers)
            .map(|_| self.add_node())
            .collect::<Result<Vec<_>>>()?;
        let watch = self.watch()?;
        let latencies = self
            .each_of(workers, async |worker: usize| {
                let dial = self.reactor.dial(nodes[worker], None, &self.options.addr);
                self.reactor.close_connection(dial.await?).await
            })
            .await?;
        watch.stop(self.options.n, 0, latencies)
    }

    async fn first_byte(&self) -> Result<Value> {
        let node = self.add_node()?;
        let watch = self.watch()?;
        let latencies = self
            .each_of(1, async |_| {
                let connection = self.reactor.dial(node, None, &self.options.addr).await?;
                let stream = Stream::open(&self.reactor, connection, PING).await?;
                echo_once(&stream, 0).await?;
                drop(stream);
                self.reactor.close_connection(connection).await
            })
            .await?;
        self.stop_pings(&watch, latencies)
    }

    /// One node dials as a different peer per connection: with a node each, their threads would exceed the
    /// limit of a process.
    async fn idle(&self) -> Result<()> {
        let node = self.add_node()?;
        let identities = (0..self.options.n)
            .map(|_| new_identity())
            .collect::<Result<_>>()?;
        let identities: RefCell<VecDeque<_>> = RefCell::new(identities);
        self.reactor.open_input();
        self.idle_phase("base").await?;
        self.each_of(self.options.concurrency, async |_| {
            let identity = identities.borrow_mut().pop_front();
            let connection = self
                .reactor
                .dial(node, identity, &self.options.addr)
                .await?;
            self.reactor.identify(connection).await
        })
        .await?;
        self.idle_phase("full").await?;
        for connection in self.reactor.connections() {
            self.reactor.close_connection(connection).await?;
        }
        self.idle_phase("gone").await
    }

    async fn idle_phase(&self, name: &str) -> Result<()> {
        self.reactor.sleep(IDLE_DELAY).await;
        print_line(&json!({ "phase": name, "rss_kb": resident_kib()? }));
        self.reactor.line().await;
        Ok(())
    }

    async fn phase(&self, name: &str) {
        print_line(&json!({ "phase": name }));
        self.reactor.line().await;
    }

    /// Runs `operation(worker)` n times over concurrent workers; returns the latencies.
    async fn each_of(
        &self,
        workers: usize,
        operation: impl AsyncFn(usize) -> Result<()>,
    ) -> Result<Latencies> {
        let started = Rc::new(Cell::new(0));
        let latencies = RefCell::new(Vec::with_capacity(self.options.n));
        let work = async |worker| {
            while started.get() < self.options.n {
                started.set(started.get() + 1);
                let start = Instant::now();
                operation(worker).await?;
                latencies.borrow_mut().push(start.elapsed());
            }
            Ok::<_, Error>(())
        };
        try_join_all((0..workers).map(work)).await?;
        Ok(Latencies::of(latencies.into_inner()))
    }
}

/// A stopwatch that also reports the change of the hub's counters.
struct Watch<'a> {
    reactor: &'a Reactor,
    before: Value,
    clock: Stopwatch,
}

impl Watch<'_> {
    fn stop(&self, ops: usize, bytes: u64, latencies: Latencies) -> Result<Value> {
        Ok(self.counted(self.clock.stop(ops, bytes, latencies)?))
    }

    fn stop_bulk(&self, ops: usize, bytes: u64) -> Result<Value> {
        Ok(self.counted(self.clock.stop_bulk(ops, bytes)?))
    }

    fn counted(&self, mut line: Value) -> Value {
        let mut counters = self.reactor.counters();
        for (name, count) in counters.as_object_mut().into_iter().flatten() {
            let of = |value: &Value| value.as_i64().unwrap_or_default();
            *count = json!(of(count) - of(&self.before[name]));
        }
        line["counters"] = counters;
        line
    }
}

/// Reads the answer to a transfer: the uploaded byte count, then the download.
async fn expect_transfer(stream: &Stream, up: u64, down: u64) -> Result<()> {
    let mut uploaded = [0; 8];
    stream.read_exact(&mut uploaded).await?;
    expect_count(up, u64::from_be_bytes(uploaded))?;
    expect_count(down, receive(stream).await?)
}

async fn echo_once(stream: &Stream, turn: usize) -> Result<()> {
    let mut answer = [0; PING_BYTES];
    stream.write(echoed(turn)).await?;
    stream.read_exact(&mut answer).await?;
    expect_echo(turn, &answer)
}
