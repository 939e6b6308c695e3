//! ferroswarm with a Rust thread in place of JavaScript: the same hub, I/O threads, pipes and engine as
//! in the addon. See interop/contract.md.

mod bell;
mod control;
mod identify;
mod micro;
mod reactor;
mod server;
mod stream;
mod workloads;

use std::process::ExitCode;
use std::sync::Arc;

use ferroswarm_bench_peers::Result;
use ferroswarm_bench_peers::options::{Mode, Options};
use ferroswarm_runtime::resource::LimitTable;
use ferroswarm_runtime::{
    DnsOptions, Identity, KeyType, Keypair, Limits, Multiaddr, Muxer, NodeOptions, QuicConfig,
    ResourceOptions, Security, WebSocketOptions,
};

use crate::reactor::Reactor;

fn main() -> ExitCode {
    ferroswarm_bench_peers::main(run)
}

fn run(options: &Options) -> Result<()> {
    let reactor = Reactor::new();
    let outcome = match options.mode {
        Mode::Server => reactor.run(server::run(
            reactor.clone(),
            node_options(options)?,
            address(options)?,
        )),
        Mode::Client => reactor.run(workloads::run(reactor.clone(), options)),
    };
    reactor.close();
    outcome
}

/// The stack whose addresses are those of QUIC.
const QUIC: &str = "quic";

/// Returns the address on which a server listens.
fn address(options: &Options) -> Result<Multiaddr> {
    let (host, port) = (options.listen.ip(), options.listen.port());
    let family = if host.is_ipv4() { "ip4" } else { "ip6" };
    let transport = match options.stack.as_str() {
        QUIC => format!("udp/{port}/quic-v1"),
        _ => format!("tcp/{port}"),
    };
    Ok(format!("/{family}/{host}/{transport}").parse()?)
}

/// Options of a node of one stack, with a new key and every limit at its maximum.
fn node_options(options: &Options) -> Result<NodeOptions> {
    let security = match options.stack.as_str() {
        "tcp-noise-yamux" => Security::Noise,
        "tcp-tls-yamux" => Security::Tls,
        // Has a security of its own.
        QUIC => Security::Tls,
        other => return Err(format!("there is no stack named {other}").into()),
    };
    Ok(NodeOptions {
        identity: new_identity()?,
        securities: vec![security],
        muxer: Muxer::Yamux,
        psk: None,
        io_threads: None,
        limits: Limits {
            accept_backlog: 65_535,
            ..Limits::default()
        },
        gate: Arc::default(),
        resources: ResourceOptions {
            limits: LimitTable::unlimited(),
            ..ResourceOptions::default()
        },
        dns: DnsOptions::default(),
        quic: QuicConfig::default(),
        web_socket: WebSocketOptions::default(),
    })
}

fn new_identity() -> Result<Arc<Identity>> {
    Ok(Arc::new(Identity::new(Keypair::generate(
        KeyType::Ed25519,
    )?)?))
}
