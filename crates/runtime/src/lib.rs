//! Sockets and threads of ferroswarm: nodes, connections, and the hub drained by JavaScript.
//!
//! A [`Node`] owns I/O threads, listeners and dials. A connection is sans-io state and a socket
//! behind one lock, driven by an I/O thread or, at a flush, by JavaScript's own. Notifications for
//! JavaScript queue in the [`Hub`] of its environment, which an [`Environment`] drains. Nothing
//! here depends on JavaScript; the addon exposes this crate through Node-API.
#![forbid(unsafe_code)]

pub use attempts::{Attempt, AttemptUnderWay, Attempts, AttemptsSoFar};
pub use command::{AddressError, CommandError, Completion, ConnectError, Outcome, Stage};
pub use config::{Limits, Muxer};
pub use connection::{
    CloseManner, CloseRequest, Connection, Direction, EndReport, Facts, StageTimes,
};
pub use diagnostics::{Diagnostic, Fact, Level, Stall, causes};
pub use dial::{DialRequest, PlannedAttempt};
pub use duplex::{DuplexRequest, OpenedScope, Stack};
pub use environment::{End, Environment, RECORDS_PER_ENTRY};
pub use error::{CallError, ConnectionFault, OsError, StreamFault, TransportFault};
pub use fed::{FedPipe, Feed, FeedError};
pub use gate::{Gate, Hook, LIST_MAX, List, Question};
pub use handlers::{Handler, Handlers, ProtocolNames};
pub use hub::{Doorbell, Hub};
pub use muxer_session::{MuxerEvent, MuxerSession, MuxerSessionError, MuxerSessionOptions};
pub use node::{Node, NodeOptions, open_files_max};
pub use record::Record;
pub use registry::{HANDLE_PENDING, HANDLES_MAX};
pub use resolve::{DnsOptions, RecordKind, Records, ResolveError};
pub use resources::{
    Allowed, Bound, PeerError, Refusal, ResourceOptions, Resources, ScopeError, ScopeId, ScopeName,
};
pub use secure_session::{
    MultiplexError, SecureSession, SecureSessionOptions, SessionError, SessionPeer,
};
pub use slot::{Proposals, ResetReport, StreamSlot, Taken};
pub use stats::{Counter, HubStats};
pub use store::CommandStore;
pub use transport::websocket::{
    CertificatePem, Certificates, CertificatesError, HttpRequest, Roots, Trust, WebSocketOptions,
};

pub use ferroswarm_pnet::{Fingerprint, KeyError as PskError, PreSharedKey};
pub use ferroswarm_proto::framing::Framing;
pub use ferroswarm_proto::multistream::{Others, ProtocolId, ProtocolTable};
pub use ferroswarm_proto::muxer::{OpenError, Role as MuxerRole, StreamKey};
pub use ferroswarm_proto::resource;
pub use ferroswarm_proto::stream::State;
pub use ferroswarm_quic::{CloseReason, Config as QuicConfig};
pub use ferroswarm_secure::{
    HandshakeError, Identity, KeyType, Keypair, PeerId, PublicKey, Role, Security,
};
pub use ferroswarm_store::StoreError;
pub use ferroswarm_websocket::{ANSWER_BODY_BYTES_MAX, Answer as HttpAnswer};
pub use multiaddr::Multiaddr;

mod attempts;
mod command;
mod config;
mod connection;
mod diagnostics;
mod dial;
mod drive;
mod duplex;
mod environment;
mod error;
mod event_queue;
mod fed;
mod gate;
mod handlers;
mod hub;
mod listen;
mod loop_sockets;
mod memory_pipe;
mod messages;
mod muxer_session;
mod node;
mod outlet;
mod pending;
mod pipe;
mod record;
mod registry;
mod resolve;
mod resources;
mod secure_session;
mod slot;
mod socket;
mod stats;
mod store;
mod sync;
mod threads;
mod tick;
mod transport;
mod upgrade;

// Declared here and not next to the code under test: the model compiles those files by path.
#[cfg(test)]
#[path = "connection/closing_tests.rs"]
mod connection_closing_tests;
#[cfg(test)]
#[path = "connection/memory_tests.rs"]
mod connection_memory_tests;
#[cfg(test)]
#[path = "connection/query_tests.rs"]
mod connection_query_tests;
#[cfg(test)]
#[path = "connection/scope_tests.rs"]
mod connection_scope_tests;
#[cfg(test)]
#[path = "connection/tests.rs"]
mod connection_tests;
#[cfg(test)]
#[path = "connection/wire_tests.rs"]
mod connection_wire_tests;
#[cfg(test)]
mod diagnostics_tests;
#[cfg(test)]
#[path = "fed/tests.rs"]
mod fed_tests;
#[cfg(test)]
#[path = "slot/foreign_tests.rs"]
mod foreign_tests;
#[cfg(test)]
mod handlers_tests;
#[cfg(test)]
#[path = "testing/live.rs"]
mod live;
#[cfg(test)]
#[path = "resources/tests/mod.rs"]
mod resources_tests;
#[cfg(test)]
#[path = "testing/single_node.rs"]
mod single_node;
#[cfg(test)]
#[path = "slot/tests/mod.rs"]
mod slot_tests;
#[cfg(test)]
mod testing;
