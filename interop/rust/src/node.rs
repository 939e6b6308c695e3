//! A swarm with one stack, no limits and a fresh Ed25519 key.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, identify, identity,
    multiaddr::Protocol,
    swarm::{
        self, ConnectionId, NetworkBehaviour, SwarmEvent,
        behaviour::toggle::Toggle,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    Result,
    options::{Options, Transport},
    pong, server, streams,
    transports::new_transport,
    wire::PING,
};

/// The default of SwarmBuilder.
pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// No workload leaves a connection idle for so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum of yamux: each stream may have 256 KiB of the connection's 1 GiB.
pub const STREAMS_MAX: usize = 4096;

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub identify: identify::Behaviour,
    pong: Toggle<pong::Behaviour>,
    pub streams: streams::Behaviour,
}

/// Creates a swarm whose transport is that of `addr`.
pub fn new_swarm(options: &Options, addr: &Multiaddr) -> Result<Swarm<Behaviour>> {
    let key = identity::Keypair::generate_ed25519();
    let served = server::protocols(Transport::of(addr));
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(
            identify::Config::new("ipfs/0.1.0".to_owned(), key.public())
                .with_agent_version("rust-libp2p/0.57.1".to_owned()),
        ),
        pong: Toggle::from((!served.contains(&PING)).then(pong::Behaviour::default)),
        streams: streams::Behaviour::new(served),
    };
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_max_negotiating_inbound_streams(STREAMS_MAX);
    let peer = key.public().to_peer_id();
    Ok(Swarm::new(
        new_transport(options, addr, &key)?,
        behaviour,
        peer,
        config,
    ))
}

/// Opens one more connection to `addr`, regardless of existing ones.
pub async fn dial(swarm: &mut Swarm<Behaviour>, addr: &Multiaddr) -> Result<ConnectionId> {
    let Some(Protocol::P2p(peer)) = addr.iter().last() else {
        return Err(format!("{addr} does not end with /p2p").into());
    };
    let opts = DialOpts::peer_id(peer)
        .addresses(vec![addr.clone()])
        .condition(PeerCondition::Always)
        .build();
    let dialed = opts.connection_id();
    swarm.dial(opts)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { connection_id, .. } if connection_id == dialed => {
                return Ok(dialed);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } if connection_id == dialed => return Err(error.into()),
            _ => {}
        }
    }
}

/// Closes a connection and waits for its end.
pub async fn hang_up(swarm: &mut Swarm<Behaviour>, connection: ConnectionId) {
    if !swarm.close_connection(connection) {
        return;
    }
    loop {
        if let SwarmEvent::ConnectionClosed { connection_id, .. } = swarm.select_next_some().await
            && connection_id == connection
        {
            return;
        }
    }
}

/// A swarm that runs by itself.
pub struct Driven {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Swarm<Behaviour>>,
}

impl Driven {
    /// Stops the task and returns the swarm.
    pub async fn stop(self) -> Result<Swarm<Behaviour>> {
        // Fails only if the task has panicked, which the join reports.
        let _ = self.stop.send(());
        Ok(self.task.await?)
    }
}

/// Runs the swarm until it is stopped.
pub fn drive_until_stopped(mut swarm: Swarm<Behaviour>) -> Driven {
    let (stop, mut stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = &mut stopped => return swarm,
                _ = swarm.select_next_some() => {}
            }
        }
    });
    Driven { stop, task }
}

/// Runs the swarm for the rest of the process.
pub fn drive(mut swarm: Swarm<Behaviour>) {
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
}
