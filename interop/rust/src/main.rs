//! rust-libp2p as a foreign peer of ferroswarm; see `../contract.md`.

mod measure;
mod node;
mod options;
mod pings;
mod pong;
mod server;
mod streams;
mod transfers;
mod transports;
mod wire;
mod workloads;

use std::process::ExitCode;

use futures::StreamExt as _;
use libp2p::{Multiaddr, swarm::SwarmEvent};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::mpsc,
};

use crate::{
    measure::{print_line, raise_descriptor_limit, stats},
    options::{Mode, Options},
};

/// Every failure ends as one line of text.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> ExitCode {
    raise_descriptor_limit();
    let outcome = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => match options.mode {
            Mode::Server => run_server(&options).await,
            Mode::Client => workloads::run(&options).await,
        },
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

async fn run_server(options: &Options) -> Result<()> {
    let mut swarm = node::new_swarm(options, &options.listen)?;
    swarm.listen_on(options.listen.clone())?;
    let peer = *swarm.local_peer_id();
    let (dials, mut addresses) = mpsc::unbounded_channel::<Multiaddr>();
    let node = tokio::spawn(async move {
        loop {
            tokio::select! {
                event = swarm.select_next_some() => {
                    if let SwarmEvent::NewListenAddr { address, .. } = event {
                        print_line(&json!({ "addr": address.with_p2p(peer).expect("no /p2p yet") }));
                    }
                }
                Some(address) = addresses.recv() => pings::dial(&mut swarm, address).await,
            }
        }
    });
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.as_str() {
            // There is no event loop to watch.
            "stats" | "watch" => print_line(&stats()),
            other => match other.strip_prefix("dial ") {
                Some(address) => dials.send(address.parse()?)?,
                None => return Err(format!("there is no command {other:?}").into()),
            },
        }
    }
    node.abort();
    Ok(())
}
