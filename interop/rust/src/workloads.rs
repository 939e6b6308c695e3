use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, future::try_join_all};
use libp2p::{Multiaddr, identify, swarm::SwarmEvent};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Stdin},
    time::{sleep, timeout},
};

use crate::{
    Error, Result,
    measure::{Stopwatch, print_line, resident_kib},
    node::{self, BehaviourEvent},
    options::Options,
    pings,
    streams::Opener,
    transfers::{self, Direction},
    wire::{BLOCK_BYTES, ECHO, MESSAGES, REQUEST, RESET, frame},
};

/// The initial yamux window: the echo never waits for a client that does not read yet.
const HALF_CLOSE_BYTES_MAX: usize = 256 * 1024;
/// Gives identify time to end at both sides before memory is read.
const IDLE_SETTLE: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A reset is visible only to writes, as soon as its frame has arrived.
const RESET_TIMEOUT: Duration = Duration::from_secs(5);

pub async fn run(options: &Options) -> Result<()> {
    if options.workload == "idle" {
        return idle(options).await;
    }
    if options.warm_up > 0 {
        let warm_up = Options {
            n: options.warm_up,
            ..options.clone()
        };
        measure(&warm_up).await?;
    }
    print_line(&measure(options).await?);
    Ok(())
}

/// Runs a workload that prints one line, and returns that line.
async fn measure(options: &Options) -> Result<Value> {
    Ok(match options.workload.as_str() {
        "upload" => transfers::bulk(options, 1, Direction::Up).await?,
        "download" => transfers::bulk(options, 1, Direction::Down).await?,
        "upload-32" => transfers::bulk(options, 32, Direction::Up).await?,
        "download-32" => transfers::bulk(options, 32, Direction::Down).await?,
        "paced" => transfers::paced(options).await?,
        "ping" => pings::ping(options).await?,
        "ping-open" => pings::ping_open(options).await?,
        "first-byte" => pings::first_byte(options).await?,
        "rr-seq" => requests(options, 1).await?,
        "rr-32" => requests(options, 32).await?,
        "rr-100" => requests(options, 100).await?,
        "msgs" => messages(options).await?,
        "handshake-seq" => handshakes(options, 1).await?,
        "handshake-16" => handshakes(options, 16).await?,
        "echo" => echo(options).await?,
        "half-close" => half_close(options).await?,
        "reset" => reset(options).await?,
        "identify" => identify(options).await?,
        other => return Err(format!("unknown workload {other:?}").into()),
    })
}

async fn requests(options: &Options, concurrency: usize) -> Result<Value> {
    let opener = connect(options).await?;
    let mut payload = vec![0; options.bytes];
    Random::new(0).fill(&mut payload);
    let request: Arc<[u8]> = frame(&payload).into();
    let watch = Stopwatch::start();
    let workers = (0..concurrency).map(|_| opener.clone()).collect();
    let latencies = each_of(options.n, workers, move |opener| {
        let request = Arc::clone(&request);
        async move {
            let answered = request_once(&opener, &request).await;
            (opener, answered)
        }
    })
    .await?;
    Ok(watch.stop(options.n, options.n * options.bytes, latencies))
}

async fn request_once(opener: &Opener, request: &[u8]) -> Result<()> {
    let mut stream = opener.open(REQUEST).await?;
    stream.write_all(request).await?;
    stream.close().await?;
    let mut answer = Vec::with_capacity(request.len());
    stream.read_to_end(&mut answer).await?;
    if answer != request[4..] {
        return Err("answer differs from the request".into());
    }
    Ok(())
}

async fn messages(options: &Options) -> Result<Value> {
    let mut stream = connect(options).await?.open(MESSAGES).await?;
    let message = frame(&vec![0; options.bytes]);
    let watch = Stopwatch::start();
    for _ in 0..options.n {
        stream.write_all(&message).await?;
    }
    stream.close().await?;
    let mut counted = [0; 8];
    stream.read_exact(&mut counted).await?;
    let line = watch.stop(options.n, options.n * options.bytes, Vec::new());
    let counted = u64::from_be_bytes(counted);
    if counted != options.n as u64 {
        let expected = options.n;
        return Err(format!("server counted {counted} messages, expected {expected}").into());
    }
    Ok(line)
}

async fn handshakes(options: &Options, concurrency: usize) -> Result<Value> {
    let swarms = new_swarms(options, concurrency)?;
    let addr = server_addr(options)?;
    let watch = Stopwatch::start();
    let latencies = each_of(options.n, swarms, move |mut swarm| {
        let addr = addr.clone();
        async move {
            match node::dial(&mut swarm, &addr).await {
                Ok(connection) => {
                    node::hang_up(&mut swarm, connection).await;
                    (swarm, Ok(()))
                }
                Err(error) => (swarm, Err(error)),
            }
        }
    })
    .await?;
    Ok(watch.stop(options.n, 0, latencies))
}

/// Standard input.
pub type Lines = BufReader<Stdin>;

async fn idle(options: &Options) -> Result<()> {
    let swarms = new_swarms(options, options.n)?;
    let addr = server_addr(options)?;
    let mut lines = BufReader::new(tokio::io::stdin());
    settled_phase("base", &mut lines).await?;
    let mut dials = futures::stream::iter(swarms)
        .map(|mut swarm| {
            let addr = addr.clone();
            async move {
                let connection = node::dial(&mut swarm, &addr).await?;
                Ok::<_, Error>((connection, node::drive_until_stopped(swarm)))
            }
        })
        .buffer_unordered(options.concurrency);
    let mut driven = Vec::with_capacity(options.n);
    while let Some(dialed) = dials.next().await {
        driven.push(dialed?);
    }
    settled_phase("full", &mut lines).await?;
    // Disconnected nodes stay, as they existed before they connected.
    let mut left = Vec::with_capacity(options.n);
    for (connection, driven) in driven {
        let mut swarm = driven.stop().await?;
        node::hang_up(&mut swarm, connection).await;
        left.push(swarm);
    }
    settled_phase("gone", &mut lines).await
}

async fn settled_phase(name: &str, lines: &mut Lines) -> Result<()> {
    sleep(IDLE_SETTLE).await;
    phase(&json!({ "phase": name, "rss_kb": resident_kib() }), lines).await
}

/// Prints a line in the middle of a run and waits for one of input.
pub async fn phase(line: &Value, lines: &mut Lines) -> Result<()> {
    print_line(line);
    lines.read_line(&mut String::new()).await?;
    Ok(())
}

async fn echo(options: &Options) -> Result<Value> {
    let opener = connect(options).await?;
    let watch = Stopwatch::start();
    let streams = (0..options.concurrency)
        .map(|seed| tokio::spawn(echo_once(opener.clone(), seed as u64, options.bytes)));
    for echoed in try_join_all(streams).await? {
        echoed?;
    }
    let bytes = options.concurrency * options.bytes;
    Ok(watch.stop_bulk(options.concurrency, bytes))
}

async fn echo_once(opener: Opener, seed: u64, bytes: usize) -> Result<()> {
    let (mut read_half, mut write_half) = opener.open(ECHO).await?.split();
    let sending = async {
        let mut hash = Sha256::new();
        let mut pattern = Pattern::new(seed, bytes);
        while let Some(block) = pattern.next_block() {
            hash.update(block);
            write_half.write_all(block).await?;
        }
        write_half.close().await?;
        Ok::<_, Error>(hash.finalize())
    };
    let receiving = async {
        let mut hash = Sha256::new();
        let mut block = vec![0; BLOCK_BYTES];
        let mut total = 0;
        loop {
            match read_half.read(&mut block).await? {
                0 => return Ok::<_, Error>((hash.finalize(), total)),
                n => {
                    hash.update(&block[..n]);
                    total += n;
                }
            }
        }
    };
    let (sent, (received, total)) = futures::try_join!(sending, receiving)?;
    if total != bytes || sent != received {
        return Err(format!("echo of {bytes} bytes differs: {total} bytes came back").into());
    }
    Ok(())
}

async fn half_close(options: &Options) -> Result<Value> {
    let bytes = options.bytes;
    if bytes > HALF_CLOSE_BYTES_MAX {
        let limit = HALF_CLOSE_BYTES_MAX;
        return Err(format!("half-close of {bytes} bytes exceeds the limit of {limit}").into());
    }
    let mut stream = connect(options).await?.open(ECHO).await?;
    let mut sent = Vec::with_capacity(bytes);
    let mut pattern = Pattern::new(0, bytes);
    while let Some(block) = pattern.next_block() {
        sent.extend_from_slice(block);
        stream.write_all(block).await?;
    }
    stream.close().await?;
    let mut received = Vec::with_capacity(bytes);
    stream.read_to_end(&mut received).await?;
    if sent != received {
        let total = received.len();
        return Err(format!("echo of {bytes} bytes differs: {total} bytes came back").into());
    }
    Ok(json!({ "ops": 1, "bytes": bytes }))
}

/// rust-yamux reads a reset as the end of the stream, and over QUIC rust-libp2p ends its half instead.
/// Only writes reveal either, as a closed read half would still allow them.
async fn reset(options: &Options) -> Result<Value> {
    let mut stream = connect(options).await?.open(RESET).await?;
    stream.write_all(&[1]).await?;
    stream.flush().await?;
    match stream.read(&mut [0]).await {
        Ok(0) => {}
        Ok(_) => return Err("expected a reset, the stream gave a byte".into()),
        Err(_) => return Ok(json!({ "ops": 1, "errorCode": null })),
    }
    let refused = async {
        while stream.write_all(&[1]).await.is_ok() && stream.flush().await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(RESET_TIMEOUT, refused)
        .await
        .map_err(|_| "expected a reset, the stream ended")?;
    Ok(json!({ "ops": 1, "errorCode": null }))
}

async fn identify(options: &Options) -> Result<Value> {
    let addr = server_addr(options)?;
    let mut swarm = node::new_swarm(options, &addr)?;
    node::dial(&mut swarm, &addr).await?;
    let received = async {
        loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                info,
                ..
            })) = swarm.select_next_some().await
            {
                return info;
            }
        }
    };
    let info = timeout(CONNECT_TIMEOUT, received)
        .await
        .map_err(|_| "identify did not complete")?;
    let protocols: Vec<_> = info.protocols.iter().map(AsRef::<str>::as_ref).collect();
    Ok(json!({
        "agentVersion": info.agent_version,
        "protocolVersion": info.protocol_version,
        "protocols": protocols,
        "listenAddrs": info.listen_addrs,
        "observedAddr": info.observed_addr,
    }))
}

pub async fn connect(options: &Options) -> Result<Opener> {
    let addr = server_addr(options)?;
    let mut swarm = node::new_swarm(options, &addr)?;
    node::dial(&mut swarm, &addr).await?;
    let opener = swarm.behaviour().streams.opener();
    node::drive(swarm);
    Ok(opener.expect("a connection is established"))
}

pub fn new_swarms(options: &Options, count: usize) -> Result<Vec<libp2p::Swarm<node::Behaviour>>> {
    let addr = server_addr(options)?;
    (0..count)
        .map(|_| node::new_swarm(options, &addr))
        .collect()
}

pub fn server_addr(options: &Options) -> Result<Multiaddr> {
    options
        .addr
        .clone()
        .ok_or_else(|| "--addr is missing".into())
}

/// Runs `operation` n times, a task for each worker, and returns the latencies.
///
/// The operation takes its worker's state and returns it.
pub async fn each_of<W, O, F>(n: usize, workers: Vec<W>, operation: O) -> Result<Vec<Duration>>
where
    W: Send + 'static,
    O: Fn(W) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = (W, Result<()>)> + Send,
{
    let started = Arc::new(AtomicUsize::new(0));
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(n)));
    let tasks = workers.into_iter().map(|mut worker| {
        let (started, latencies) = (Arc::clone(&started), Arc::clone(&latencies));
        let operation = operation.clone();
        tokio::spawn(async move {
            let mut own = Vec::new();
            while started.fetch_add(1, Ordering::Relaxed) < n {
                let start = Instant::now();
                let (returned, outcome) = operation(worker).await;
                outcome?;
                worker = returned;
                own.push(start.elapsed());
            }
            latencies.lock().expect("no holder panics").extend(own);
            Ok::<_, Error>(())
        })
    });
    for outcome in try_join_all(tasks).await? {
        outcome?;
    }
    let latencies = std::mem::take(&mut *latencies.lock().expect("no holder panics"));
    Ok(latencies)
}

/// Pseudo-random bytes, the same for the same seed, in blocks of 64 KiB.
struct Pattern {
    random: Random,
    block: Vec<u8>,
    left: usize,
}

impl Pattern {
    fn new(seed: u64, bytes: usize) -> Self {
        Self {
            random: Random::new(seed),
            block: vec![0; BLOCK_BYTES],
            left: bytes,
        }
    }

    fn next_block(&mut self) -> Option<&[u8]> {
        let size = self.left.min(BLOCK_BYTES);
        self.left -= size;
        let block = &mut self.block[..size];
        self.random.fill(block);
        (size > 0).then_some(block)
    }
}

/// xorshift64; quality does not matter here, repeatability does.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}
