//! Bulk transfers over one stream or many, and at a rate.

use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, future::try_join_all};
use libp2p::Stream;
use serde_json::{Value, json};
use tokio::{io::BufReader, time::sleep};

use crate::{
    Result,
    measure::Stopwatch,
    options::Options,
    streams::Opener,
    wire::{BULK, blocks, receive, send},
    workloads::{connect, phase},
};

const WARM_UP_BYTES: u64 = 32 * 1024 * 1024;

/// Direction of a transfer.
#[derive(Clone, Copy)]
pub enum Direction {
    Up,
    Down,
}

/// The streams share the bytes; each has a task.
pub async fn bulk(options: &Options, streams: usize, direction: Direction) -> Result<Value> {
    let opener = connect(options).await?;
    let each = (options.bytes / streams) as u64;
    transfers(&opener, streams, direction, WARM_UP_BYTES / streams as u64).await?;
    let watch = Stopwatch::start();
    transfers(&opener, streams, direction, each).await?;
    Ok(watch.stop_bulk(streams, options.bytes / streams * streams))
}

async fn transfers(opener: &Opener, streams: usize, direction: Direction, each: u64) -> Result<()> {
    let (up, down) = match direction {
        Direction::Up => (each, 0),
        Direction::Down => (0, each),
    };
    let tasks = (0..streams).map(|_| tokio::spawn(transfer(opener.clone(), up, down)));
    try_join_all(tasks).await?.into_iter().collect()
}

async fn transfer(opener: Opener, up: u64, down: u64) -> Result<()> {
    let mut stream = opener.open(BULK).await?;
    stream.write_all(&down.to_be_bytes()).await?;
    send(&mut stream, up).await?;
    end_transfer(&mut stream, up, down).await
}

/// Ends our half and verifies the answer: the count received by the server, and the wanted bytes.
async fn end_transfer(stream: &mut Stream, up: u64, down: u64) -> Result<()> {
    stream.close().await?;
    let mut came = [0; 8];
    stream.read_exact(&mut came).await?;
    let (came, received) = (u64::from_be_bytes(came), receive(stream).await?);
    if (came, received) != (up, down) {
        let text =
            format!("{came} bytes went up and {received} came back, expected {up} and {down}");
        return Err(text.into());
    }
    Ok(())
}

pub async fn paced(options: &Options) -> Result<Value> {
    let opener = connect(options).await?;
    transfer(opener.clone(), WARM_UP_BYTES, 0).await?;
    let mut lines = BufReader::new(tokio::io::stdin());
    phase(&json!({ "phase": "ready" }), &mut lines).await?;
    let bytes = (options.rate as f64 * options.seconds) as u64;
    let watch = Stopwatch::start();
    let start = Instant::now();
    let mut stream = opener.open(BULK).await?;
    stream.write_all(&0_u64.to_be_bytes()).await?;
    let mut written = 0;
    for block in blocks(bytes) {
        let due = start + Duration::from_secs_f64(written as f64 / options.rate as f64);
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            sleep(early).await;
        }
        stream.write_all(block).await?;
        written += block.len() as u64;
    }
    end_transfer(&mut stream, bytes, 0).await?;
    Ok(watch.stop_bulk(1, bytes as usize))
}
