//! Refusals, and the names of scopes in them.

use std::fmt;

use super::limit::{Priority, Resource};

/// Name of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name<P, N> {
    /// The whole node.
    System,
    /// Connections without a peer, and streams without a protocol.
    Transient,
    /// Allowlisted connections that did not fit into the system's scope.
    AllowlistedSystem,
    /// Those of them without a peer.
    AllowlistedTransient,
    /// One service.
    Service(N),
    /// One protocol.
    Protocol(N),
    /// One peer.
    Peer(P),
    /// One service for one peer.
    ServicePeer(N, P),
    /// One protocol for one peer.
    ProtocolPeer(N, P),
    /// One connection, by number.
    Connection(u32),
    /// One stream, by number.
    Stream(u32),
    /// A part of another scope, by number.
    Span(u32),
}

impl<P: fmt::Display, N: fmt::Display> fmt::Display for Name<P, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Transient => f.write_str("transient"),
            Self::AllowlistedSystem => f.write_str("allowlistedSystem"),
            Self::AllowlistedTransient => f.write_str("allowlistedTransient"),
            Self::Service(service) => write!(f, "service:{service}"),
            Self::Protocol(protocol) => write!(f, "protocol:{protocol}"),
            Self::Peer(peer) => write!(f, "peer:{peer}"),
            Self::ServicePeer(service, peer) => write!(f, "service:{service}.peer:{peer}"),
            Self::ProtocolPeer(protocol, peer) => write!(f, "protocol:{protocol}.peer:{peer}"),
            Self::Connection(number) => write!(f, "connection-{number}"),
            Self::Stream(number) => write!(f, "stream-{number}"),
            Self::Span(number) => write!(f, "span-{number}"),
        }
    }
}

/// A refusal: the first limit that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied<P, N> {
    /// The scope that refused.
    pub scope: Name<P, N>,
    /// What it has no more of.
    pub resource: Resource,
    /// Its limit.
    pub limit: u64,
    /// What it used.
    pub current: u64,
    /// What was asked for.
    pub requested: u64,
    /// Priority of a memory reservation, which determines the share of the limit that it may use.
    pub priority: Priority,
}

/// Failure of an operation, which then had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error<P, N> {
    /// A limit was reached.
    Denied(Denied<P, N>),
    /// The scope, its owner or the manager is closed.
    Closed,
    /// The scope is not in the state that the operation requires.
    Misuse(&'static str),
}
