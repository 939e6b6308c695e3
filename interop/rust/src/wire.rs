//! Protocol names, and what both roles read and write alike.

use std::io;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::StreamProtocol;

pub const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
pub const REQUEST: StreamProtocol = StreamProtocol::new("/bench/rr/1.0.0");
pub const MESSAGES: StreamProtocol = StreamProtocol::new("/bench/msgs/1.0.0");
pub const ECHO: StreamProtocol = StreamProtocol::new("/bench/echo/1.0.0");
pub const RESET: StreamProtocol = StreamProtocol::new("/bench/reset/1.0.0");

/// Size of the writes in every bulk transfer.
pub const BLOCK_BYTES: usize = 64 * 1024;
/// What a length prefix may make the server allocate.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reads one u32 length and its payload into `payload`. `false` means the stream ended between frames.
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

/// A u32 length followed by its payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads are far below 4 GiB");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads to the end of the stream and returns the number of bytes.
pub async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut total = 0;
    loop {
        match stream.read(&mut block).await? {
            0 => return Ok(total),
            n => total += n,
        }
    }
}

pub async fn write_zeros(stream: &mut (impl AsyncWrite + Unpin), count: usize) -> io::Result<()> {
    let block = vec![0; BLOCK_BYTES];
    let mut left = count;
    while left > 0 {
        let size = left.min(BLOCK_BYTES);
        stream.write_all(&block[..size]).await?;
        left -= size;
    }
    stream.flush().await
}
