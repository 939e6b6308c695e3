//! TCP with blocking calls and a thread per connection: the machine's baseline without libp2p. See the
//! stack `tcp` in interop/contract.md.

mod server;
mod workloads;

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;

use ferroswarm_bench_peers::Result;
use ferroswarm_bench_peers::bulk::{BLOCK_BYTES, Received, blocks};
use ferroswarm_bench_peers::options::{Mode, Options};

/// Purposes of a connection: its first byte.
const BULK: u8 = b'B';
const PING: u8 = b'P';
const REQUEST: u8 = b'R';
const MESSAGES: u8 = b'M';

fn main() -> ExitCode {
    ferroswarm_bench_peers::main(run)
}

fn run(options: &Options) -> Result<()> {
    if options.stack != "tcp" {
        return Err(format!("there is no stack named {}", options.stack).into());
    }
    match options.mode {
        Mode::Server => server::run(options.listen),
        Mode::Client => workloads::run(options),
    }
}

/// Reads to the end and returns the number of bytes.
fn receive(stream: &mut TcpStream) -> Result<u64> {
    let mut memory = vec![0; BLOCK_BYTES];
    let mut received = Received::default();
    loop {
        match stream.read(&mut memory)? {
            0 => return Ok(received.bytes),
            count => received.take(&memory[..count])?,
        }
    }
}

/// Writes this many bytes and ends the write half.
fn send(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    for block in blocks(bytes) {
        stream.write_all(block)?;
    }
    Ok(stream.shutdown(std::net::Shutdown::Write)?)
}

/// Reads a u32 length and its payload into `payload`; returns `false` at the end.
fn read_frame(from: &mut impl Read, payload: &mut Vec<u8>) -> Result<bool> {
    let mut prefix = [0; 4];
    let first = from.read(&mut prefix)?;
    if first == 0 {
        return Ok(false);
    }
    from.read_exact(&mut prefix[first..])?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > ferroswarm_bench_peers::FRAME_BYTES_MAX {
        return Err("a message that is too long".into());
    }
    payload.resize(length, 0);
    from.read_exact(payload)?;
    Ok(true)
}
