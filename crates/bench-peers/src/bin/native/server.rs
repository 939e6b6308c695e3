//! The server: its protocols, and its commands.

use ferroswarm_bench_peers::bulk::{BLOCK_BYTES, Received, blocks};
use ferroswarm_bench_peers::echo::PING_BYTES;
use ferroswarm_bench_peers::measure::{print_line, stats};
use ferroswarm_bench_peers::{Error, FRAME_BYTES_MAX, Result};
use ferroswarm_runtime::{Multiaddr, NodeOptions};
use serde_json::json;

use crate::identify;
use crate::reactor::Reactor;
use crate::stream::Stream;

pub(crate) const PING: &str = "/ipfs/ping/1.0.0";
pub(crate) const BULK: &str = "/bench/bulk/1.0.0";
pub(crate) const REQUEST: &str = "/bench/rr/1.0.0";
pub(crate) const MESSAGES: &str = "/bench/msgs/1.0.0";

/// Maximum bytes of one read: the capacity of a stream's pipe.
const READ_BYTES: usize = 256 << 10;

/// Protocols that a node serves; one that is not a server has only identify and ping.
pub(crate) fn protocols(serves: bool) -> &'static [&'static str] {
    let all: &[&str] = &[identify::PROTOCOL, PING, BULK, REQUEST, MESSAGES];
    if serves { all } else { &all[..2] }
}

/// Serves until the input ends.
pub(crate) async fn run(reactor: Reactor, node: NodeOptions, address: Multiaddr) -> Result<()> {
    reactor.serve();
    let node = reactor.add_node(node)?;
    print_line(&json!({ "addr": reactor.listen(node, address).await? }));
    reactor.open_input();
    while let Some(line) = reactor.line().await {
        match line.as_str() {
            // There is no event loop to watch, so both return the same.
            "stats" | "watch" => {
                let mut report = stats()?;
                report["counters"] = reactor.counters();
                print_line(&report);
            }
            other => return Err(format!("there is no command {other:?}").into()),
        }
    }
    Ok(())
}

/// Serves one stream; one that fails is reset.
pub(crate) async fn serve(reactor: Reactor, handle: u32, protocol: u32, connection: u32) {
    let name = reactor.world.borrow().protocol_name(protocol);
    let stream = Stream::new(reactor.clone(), handle);
    let served = match name.as_ref().map_or("", |name| name.as_str()) {
        identify::PROTOCOL => identify::answer(&reactor, &stream, connection).await,
        PING => answer_pings(&stream).await,
        BULK => answer_bulk(&stream).await,
        REQUEST => answer_request(&stream).await,
        MESSAGES => count_messages(&stream).await,
        other => Err(Error::from(format!("{other} is not served"))),
    };
    // A stream that the remote abandons ends with its reset or its connection.
    drop(served);
}

async fn answer_pings(stream: &Stream) -> Result<()> {
    let mut block = [0; 64 * PING_BYTES];
    loop {
        match stream.read(&mut block).await? {
            0 => return stream.close_write(),
            count => stream.write(&block[..count]).await?,
        }
    }
}

async fn answer_bulk(stream: &Stream) -> Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let uploaded = receive(stream).await?;
    stream.write(&uploaded.to_be_bytes()).await?;
    send(stream, u64::from_be_bytes(wanted)).await
}

/// Reads to the end and returns the number of bytes.
pub(crate) async fn receive(stream: &Stream) -> Result<u64> {
    let mut memory = vec![0; READ_BYTES];
    let mut received = Received::default();
    loop {
        match stream.read(&mut memory).await? {
            0 => return Ok(received.bytes),
            count => received.take(&memory[..count])?,
        }
    }
}

/// Writes this many bytes and ends the write half.
pub(crate) async fn send(stream: &Stream, bytes: u64) -> Result<()> {
    for block in blocks(bytes) {
        stream.write(block).await?;
    }
    stream.close_write()
}

async fn answer_request(stream: &Stream) -> Result<()> {
    let mut request = Vec::new();
    stream.read_to_end(&mut request).await?;
    let (length, payload) = request
        .split_first_chunk()
        .ok_or("a request without a length")?;
    if u32::from_be_bytes(*length) as usize != payload.len() {
        return Err("a request of another length".into());
    }
    if !payload.is_empty() {
        stream.write(payload).await?;
    }
    stream.close_write()
}

async fn count_messages(stream: &Stream) -> Result<()> {
    let mut memory = vec![0; READ_BYTES.max(BLOCK_BYTES)];
    let mut messages = MessageCounter::default();
    loop {
        match stream.read(&mut memory).await? {
            0 => break,
            count => messages.push(&memory[..count])?,
        }
    }
    stream.write(&messages.finish()?.to_be_bytes()).await?;
    stream.close_write()
}

/// Counts messages: a u32 length, then as many bytes.
#[derive(Default)]
struct MessageCounter {
    count: u64,
    length: u32,
    length_bytes: usize,
    payload_left: usize,
}

impl MessageCounter {
    fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let taken = self.payload_left.min(bytes.len());
                self.payload_left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            self.length = self.length << 8 | u32::from(bytes[0]);
            bytes = &bytes[1..];
            self.length_bytes += 1;
            if self.length_bytes == 4 {
                self.payload_left = self.length as usize;
                if self.payload_left > FRAME_BYTES_MAX {
                    return Err("a message that is too long".into());
                }
                self.count += 1;
                (self.length, self.length_bytes) = (0, 0);
            }
        }
        Ok(())
    }

    fn finish(&self) -> Result<u64> {
        if self.payload_left + self.length_bytes > 0 {
            return Err("the stream ended inside a message".into());
        }
        Ok(self.count)
    }
}
