//! Every handler of the contract; identify is a behaviour of the node, and ping is too except over QUIC.

use std::io;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, io::BufReader};
use libp2p::{Stream, StreamProtocol};

use crate::{
    options::Transport,
    wire::{BLOCK_BYTES, BULK, ECHO, MESSAGES, PING, REQUEST, RESET, read_frame, receive, send},
};

static PROTOCOLS: [StreamProtocol; 6] = [PING, BULK, REQUEST, MESSAGES, ECHO, RESET];

/// Returns the protocols that are served here over a transport.
pub fn protocols(transport: Transport) -> &'static [StreamProtocol] {
    match transport {
        // libp2p's own ping answers the first of a stream only: it does not poll for the next one
        // before the connection is woken for another reason. Over yamux every frame does that.
        Transport::Quic => &PROTOCOLS,
        _ => &PROTOCOLS[1..],
    }
}

/// Serves one stream. After a failure it is dropped without being closed, which resets it.
pub async fn serve(mut stream: Stream, protocol: StreamProtocol) {
    let served = if protocol == BULK {
        serve_bulk(&mut stream).await
    } else if protocol == REQUEST {
        serve_request(&mut stream).await
    } else if protocol == MESSAGES {
        serve_messages(&mut stream).await
    } else if protocol == ECHO || protocol == PING {
        serve_echo(&mut stream).await
    } else {
        serve_reset(&mut stream).await
    };
    if served.is_ok() {
        // The stream is gone either way.
        let _ = stream.close().await;
    }
}

async fn serve_bulk(stream: &mut Stream) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let received = receive(stream).await?;
    stream.write_all(&received.to_be_bytes()).await?;
    send(stream, u64::from_be_bytes(wanted)).await
}

async fn serve_request(stream: &mut Stream) -> io::Result<()> {
    let mut payload = Vec::new();
    if !read_frame(stream, &mut payload).await? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    stream.write_all(&payload).await
}

async fn serve_messages(stream: &mut Stream) -> io::Result<()> {
    let mut payload = Vec::new();
    let mut count = 0_u64;
    let mut reader = BufReader::with_capacity(BLOCK_BYTES, &mut *stream);
    while read_frame(&mut reader, &mut payload).await? {
        count += 1;
    }
    stream.write_all(&count.to_be_bytes()).await
}

async fn serve_echo(stream: &mut Stream) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match stream.read(&mut block).await? {
            0 => return Ok(()),
            n => {
                stream.write_all(&block[..n]).await?;
                stream.flush().await?;
            }
        }
    }
}

async fn serve_reset(stream: &mut Stream) -> io::Result<()> {
    stream.read_exact(&mut [0]).await?;
    Err(io::ErrorKind::ConnectionReset.into())
}
