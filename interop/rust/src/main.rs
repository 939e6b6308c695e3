//! rust-libp2p as a foreign peer of ferroswarm; see `../contract.md`.

mod measure;
mod node;
mod options;
mod pong;
mod server;
mod streams;
mod wire;
mod workloads;

use std::process::ExitCode;

use futures::StreamExt as _;
use libp2p::swarm::SwarmEvent;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::{
    measure::print_line,
    options::{Mode, Options},
};

/// Every failure ends as one line of text.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> ExitCode {
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
    let mut swarm = node::new_swarm(options.stack)?;
    swarm.listen_on(options.listen.clone())?;
    let peer = *swarm.local_peer_id();
    let node = tokio::spawn(async move {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                print_line(&json!({ "addr": address.with_p2p(peer).expect("no /p2p yet") }));
            }
        }
    });
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    node.abort();
    Ok(())
}
