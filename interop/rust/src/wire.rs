//! Protocol names, and the reads and writes that both roles share.

use std::{io, iter};

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::{StreamProtocol, ping};

pub const PING: StreamProtocol = ping::PROTOCOL_NAME;
pub const BULK: StreamProtocol = StreamProtocol::new("/bench/bulk/1.0.0");
pub const REQUEST: StreamProtocol = StreamProtocol::new("/bench/rr/1.0.0");
pub const MESSAGES: StreamProtocol = StreamProtocol::new("/bench/msgs/1.0.0");
pub const ECHO: StreamProtocol = StreamProtocol::new("/bench/echo/1.0.0");
pub const RESET: StreamProtocol = StreamProtocol::new("/bench/reset/1.0.0");

/// Size of the writes in every bulk transfer.
pub const BLOCK_BYTES: usize = 64 * 1024;
/// Maximum allocation of the server for a length prefix.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reads one u32 length and its payload into `payload`. Returns `false` at an end between frames.
pub async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    payload: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut prefix = [0; 4];
    let first = stream.read(&mut prefix).await?;
    if first == 0 {
        return Ok(false);
    }
    stream.read_exact(&mut prefix[first..]).await?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    payload.resize(length, 0);
    stream.read_exact(payload).await?;
    Ok(true)
}

/// Returns a u32 length followed by its payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads are far below 4 GiB");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// Content of every write of a transfer; a byte distinguishes most offsets from their neighbours.
pub static BLOCK: [u8; BLOCK_BYTES] = {
    let mut bytes = [0; BLOCK_BYTES];
    let mut at = 0;
    while at < BLOCK_BYTES {
        bytes[at] = ((at * 31) ^ (at >> 8)) as u8;
        at += 1;
    }
    bytes
};

/// Reads to the end of the stream, compares the first and last byte of each chunk with the expected
/// ones, and returns the number of bytes.
pub async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut received = 0;
    let place = |at: u64| BLOCK[at as usize % BLOCK_BYTES];
    loop {
        let n = stream.read(&mut block).await?;
        if n == 0 {
            return Ok(received);
        }
        let end = received + n as u64;
        if block[0] != place(received) || block[n - 1] != place(end - 1) {
            return Err(io::Error::other(format!(
                "other bytes than were sent before byte {end}"
            )));
        }
        received = end;
    }
}

/// Returns the writes of a transfer of `count` bytes.
pub fn blocks(count: u64) -> impl Iterator<Item = &'static [u8]> {
    let mut left = count;
    iter::from_fn(move || {
        let size = left.min(BLOCK_BYTES as u64);
        left -= size;
        (size > 0).then_some(&BLOCK[..size as usize])
    })
}

pub async fn send(stream: &mut (impl AsyncWrite + Unpin), count: u64) -> io::Result<()> {
    for block in blocks(count) {
        stream.write_all(block).await?;
    }
    stream.flush().await
}
