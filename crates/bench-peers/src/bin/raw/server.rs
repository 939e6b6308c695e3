//! The server side.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::Builder;

use ferroswarm_bench_peers::Result;
use ferroswarm_bench_peers::bulk::BLOCK_BYTES;
use ferroswarm_bench_peers::echo::PING_BYTES;
use ferroswarm_bench_peers::measure::{print_line, stats};
use serde_json::json;

use crate::{BULK, MESSAGES, PING, REQUEST, read_frame, receive, send};

/// Stack size of a connection's thread, whose buffers are on the heap.
const STACK_BYTES: usize = 64 << 10;

/// Serves until the input ends.
pub(crate) fn run(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen)?;
    let bound = listener.local_addr()?;
    let family = if bound.is_ipv4() { "ip4" } else { "ip6" };
    print_line(&json!({ "addr": format!("/{family}/{}/tcp/{}", bound.ip(), bound.port()) }));
    std::thread::spawn(move || accept(&listener));
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            // There is no event loop to watch, so both return the same.
            "stats" | "watch" => print_line(&stats()?),
            other => return Err(format!("there is no command {other:?}").into()),
        }
    }
    Ok(())
}

fn accept(listener: &TcpListener) {
    for stream in listener.incoming() {
        let served = stream.and_then(|stream| {
            let thread = Builder::new().stack_size(STACK_BYTES);
            // A failed connection is closed, which its client reports.
            thread.spawn(move || drop(serve(stream)))
        });
        if let Err(error) = served {
            eprintln!("a connection is not served: {error}");
        }
    }
}

fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut purpose = [0];
    stream.read_exact(&mut purpose)?;
    match purpose[0] {
        BULK => answer_bulk(&mut stream),
        PING => answer_pings(&mut stream),
        REQUEST => answer_request(&mut stream),
        MESSAGES => count_messages(&mut stream),
        other => Err(format!("nothing is named {other}").into()),
    }
}

fn answer_bulk(stream: &mut TcpStream) -> Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted)?;
    let uploaded = receive(stream)?;
    stream.write_all(&uploaded.to_be_bytes())?;
    send(stream, u64::from_be_bytes(wanted))
}

fn answer_pings(stream: &mut TcpStream) -> Result<()> {
    let mut block = [0; 64 * PING_BYTES];
    loop {
        match stream.read(&mut block)? {
            0 => return Ok(()),
            count => stream.write_all(&block[..count])?,
        }
    }
}

/// Closes first, so that no client port stays in TIME_WAIT.
fn answer_request(stream: &mut TcpStream) -> Result<()> {
    let mut payload = Vec::new();
    if !read_frame(
        &mut BufReader::with_capacity(BLOCK_BYTES, &mut *stream),
        &mut payload,
    )? {
        return Err("a request without a length".into());
    }
    Ok(stream.write_all(&payload)?)
}

fn count_messages(stream: &mut TcpStream) -> Result<()> {
    let mut payload = Vec::new();
    let mut count = 0_u64;
    let mut reader = BufReader::with_capacity(BLOCK_BYTES, &mut *stream);
    while read_frame(&mut reader, &mut payload)? {
        count += 1;
    }
    Ok(stream.write_all(&count.to_be_bytes())?)
}
