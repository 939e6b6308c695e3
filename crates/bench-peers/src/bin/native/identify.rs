//! `/ipfs/id/1.0.0`: queries every connection, and answers every query.

use std::sync::Arc;

use ferroswarm_bench_peers::Result;

use crate::reactor::Reactor;
use crate::server;
use crate::stream::Stream;

pub(crate) const PROTOCOL: &str = "/ipfs/id/1.0.0";

/// Maximum message size, as in the product.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// Fields of the message.
const PUBLIC_KEY: u8 = 1;
const PROTOCOLS: u8 = 3;
const OBSERVED_ADDRESS: u8 = 4;
const PROTOCOL_VERSION: u8 = 5;
const AGENT_VERSION: u8 = 6;

/// Queries the remote of a connection, as the product does on every new one.
pub(crate) async fn query(reactor: Reactor, connection: u32) {
    let result = exchange(&reactor, connection).await;
    reactor.identified(connection, result);
}

async fn exchange(reactor: &Reactor, connection: u32) -> Result<()> {
    let stream = Stream::open(reactor, connection, PROTOCOL).await?;
    // Nothing is written: the read sends the negotiation header.
    let mut message = vec![0; MESSAGE_BYTES_MAX];
    let mut filled = 0;
    loop {
        match stream.read(&mut message[filled..]).await? {
            0 => break,
            count => filled += count,
        }
        if filled == message.len() {
            return Err("the identify message is too large".into());
        }
    }
    stream.close_write()?;
    if filled == 0 {
        return Err("the identify message is empty".into());
    }
    Ok(())
}

/// Answers a query.
pub(crate) async fn answer(reactor: &Reactor, stream: &Stream, connection: u32) -> Result<()> {
    let Some(identity) = reactor.identity(connection) else {
        return Ok(());
    };
    let observed = {
        let world = reactor.world.borrow();
        let connection = Arc::clone(world.environment.connection(connection)?);
        connection.facts().remote_address.to_vec()
    };
    let mut message = Vec::new();
    let key = identity.keypair().public().to_protobuf();
    field(&mut message, PUBLIC_KEY, &key);
    for name in server::protocols(reactor.serves()) {
        field(&mut message, PROTOCOLS, name.as_bytes());
    }
    field(&mut message, OBSERVED_ADDRESS, &observed);
    field(&mut message, PROTOCOL_VERSION, b"ipfs/0.1.0");
    let agent = concat!("ferroswarm/", env!("CARGO_PKG_VERSION"));
    field(&mut message, AGENT_VERSION, agent.as_bytes());
    let mut framed = Vec::new();
    varint(&mut framed, message.len());
    framed.extend_from_slice(&message);
    stream.write(&framed).await?;
    stream.close()
}

/// Appends a length-delimited field.
fn field(message: &mut Vec<u8>, number: u8, value: &[u8]) {
    const LENGTH_DELIMITED: u8 = 2;
    message.push(number << 3 | LENGTH_DELIMITED);
    varint(message, value.len());
    message.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
