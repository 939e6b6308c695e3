//! A node of one thread, with an identity of its own and defaults for the rest.

use ferroswarm_secure::{Identity, KeyType, Keypair, Security};

use crate::hub::Hub;
use crate::sync::Arc;
use crate::{
    DnsOptions, Gate, Limits, Muxer, Node, NodeOptions, QuicConfig, ResourceOptions,
    WebSocketOptions,
};

/// Starts a node on this hub.
pub(crate) fn single_node(hub: Arc<Hub>) -> Node {
    gated_node(hub, Gate::default())
}

/// Starts a node with a gate on this hub.
pub(crate) fn gated_node(hub: Arc<Hub>, gate: Gate) -> Node {
    let mut options = options();
    options.gate = Arc::new(gate);
    Node::start(1, hub, options).expect("threads")
}

/// Returns the options of a node on its own.
pub(crate) fn options() -> NodeOptions {
    let keypair = Keypair::generate(KeyType::Ed25519).expect("randomness");
    NodeOptions {
        identity: Arc::new(Identity::new(keypair).expect("a key of ours")),
        securities: vec![Security::Noise],
        muxer: Muxer::default(),
        psk: None,
        io_threads: Some(1),
        limits: Limits::default(),
        resources: ResourceOptions::default(),
        gate: Arc::default(),
        dns: DnsOptions::default(),
        quic: QuicConfig::default(),
        web_socket: WebSocketOptions::default(),
    }
}
