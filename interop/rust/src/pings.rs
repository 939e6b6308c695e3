//! Echoes of 32 bytes: one after the other, at a rate, and as the first bytes of a connection.

use std::{
    hint, thread,
    time::{Duration, Instant},
};

use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _,
    executor::block_on,
};
use libp2p::{Multiaddr, Stream, Swarm, ping};
use serde_json::{Value, json};

use crate::{
    Error, Result,
    measure::{Stopwatch, print_line},
    node::{self, Behaviour},
    options::Options,
    wire::{BLOCK, BLOCK_BYTES},
    workloads::{connect, each_of, new_swarms, server_addr},
};

const PING_BYTES: usize = 32;
/// Time before a ping is due that is spent spinning, not sleeping: a thread wakes late.
const SPIN: Duration = Duration::from_micros(100);

pub async fn ping(options: &Options) -> Result<Value> {
    let mut stream = open(options).await?;
    let mut latencies = Vec::with_capacity(options.n);
    let watch = Stopwatch::start();
    for turn in 0..options.n {
        let start = Instant::now();
        echo_once(&mut stream, turn).await?;
        latencies.push(start.elapsed());
    }
    Ok(watch.stop(options.n, options.n * PING_BYTES, latencies))
}

/// Sends each ping when it is due, regardless of earlier ones. The sender is a thread, as tokio
/// sleeps to the millisecond.
pub async fn ping_open(options: &Options) -> Result<Value> {
    let (mut read_half, mut write_half) = open(options).await?.split();
    let (n, rate) = (options.n, options.rate as f64);
    let watch = Stopwatch::start();
    let start = Instant::now();
    let due = move |turn: usize| start + Duration::from_secs_f64(turn as f64 / rate);
    let sender = thread::spawn(move || {
        for turn in 0..n {
            let early = due(turn).saturating_duration_since(Instant::now());
            thread::sleep(early.saturating_sub(SPIN));
            while Instant::now() < due(turn) {
                hint::spin_loop();
            }
            block_on(write_echo(&mut write_half, turn))?;
        }
        Ok::<_, Error>(write_half)
    });
    let mut latencies = Vec::with_capacity(n);
    for turn in 0..n {
        read_echo(&mut read_half, turn).await?;
        latencies.push(due(turn).elapsed());
    }
    sender.join().map_err(|_| "the sender panicked")??;
    Ok(watch.stop_with_tail(n, n * PING_BYTES, latencies))
}

pub async fn first_byte(options: &Options) -> Result<Value> {
    let swarms = new_swarms(options, 1)?;
    let addr = server_addr(options)?;
    let watch = Stopwatch::start();
    let latencies = each_of(options.n, swarms, move |mut swarm| {
        let addr = addr.clone();
        async move {
            let echoed = async {
                let connection = node::dial(&mut swarm, &addr).await?;
                echo_on_latest(&mut swarm).await?;
                node::hang_up(&mut swarm, connection).await;
                Ok(())
            }
            .await;
            (swarm, echoed)
        }
    })
    .await?;
    Ok(watch.stop(options.n, options.n * PING_BYTES, latencies))
}

/// Connects to a peer, echoes a ping on a new stream, and prints the answer to the server's command.
pub async fn dial(swarm: &mut Swarm<Behaviour>, addr: Multiaddr) {
    let echoed = async {
        node::dial(swarm, &addr).await?;
        echo_on_latest(swarm).await
    };
    print_line(&match echoed.await {
        Ok(()) => json!({ "dialled": addr.to_string() }),
        Err(error) => json!({ "error": error.to_string() }),
    });
}

/// Echoes a ping on a new stream of the latest connection; polls the swarm, which opens the stream.
async fn echo_on_latest(swarm: &mut Swarm<Behaviour>) -> Result<()> {
    let opener = swarm.behaviour().streams.opener();
    let opener = opener.expect("a connection is established");
    let echo = async {
        let mut stream = opener.open(ping::PROTOCOL_NAME).await?;
        echo_once(&mut stream, 0).await
    };
    tokio::pin!(echo);
    loop {
        tokio::select! {
            echoed = &mut echo => return echoed,
            _ = swarm.select_next_some() => {}
        }
    }
}

/// Opens a stream and completes its negotiation.
async fn open(options: &Options) -> Result<Stream> {
    let mut stream = connect(options).await?.open(ping::PROTOCOL_NAME).await?;
    echo_once(&mut stream, 0).await?;
    Ok(stream)
}

async fn echo_once(stream: &mut Stream, turn: usize) -> Result<()> {
    write_echo(stream, turn).await?;
    read_echo(stream, turn).await
}

async fn write_echo(stream: &mut (impl AsyncWrite + Unpin), turn: usize) -> Result<()> {
    stream.write_all(echoed(turn)).await?;
    Ok(stream.flush().await?)
}

async fn read_echo(stream: &mut (impl AsyncRead + Unpin), turn: usize) -> Result<()> {
    let mut answer = [0; PING_BYTES];
    stream.read_exact(&mut answer).await?;
    if answer != *echoed(turn) {
        return Err("ping answer differs from what was sent".into());
    }
    Ok(())
}

/// Returns the payload of a ping in this turn; it differs from the next turn's.
fn echoed(turn: usize) -> &'static [u8] {
    let at = turn % (BLOCK_BYTES - PING_BYTES);
    &BLOCK[at..at + PING_BYTES]
}
