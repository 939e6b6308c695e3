//! Refusals by a limit, with all that an operator needs to know of them.

use std::fmt;

use ferroswarm_proto::multistream::ProtocolId;
use ferroswarm_proto::resource::{self, Error, RateRefusal, SubnetRefusal};
use ferroswarm_secure::PeerId;

use super::ScopeError;
use crate::sync::Arc;

/// A refusal by the limit of a scope.
type Denied = resource::Denied<Arc<PeerId>, ProtocolId>;

/// A refusal by a bound that is not the limit of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Name of the option that sets it, or of the bound.
    pub option: &'static str,
    /// The bound.
    pub limit: u64,
    /// Usage at the refusal.
    pub current: u64,
}

/// A refusal by a limit.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// That of a scope.
    Scope(Box<Denied>),
    /// Concurrent connections of a subnet.
    Subnet(SubnetRefusal),
    /// Rate of new connections of a subnet.
    Rate(RateRefusal),
    /// A fixed bound.
    Bound(Bound),
    /// The scope, or the manager, is closed.
    Closed,
}

impl Refusal {
    /// Returns the resource that ran out, or the name of the bound.
    pub fn resource(&self) -> &'static str {
        match self {
            Self::Scope(denied) => denied.resource.name(),
            Self::Subnet(_) => "connections",
            Self::Rate(_) => "connectionsPerSecond",
            Self::Bound(bound) => bound.option,
            Self::Closed => "closed",
        }
    }

    /// Returns the name of the scope; empty for a bound.
    pub fn scope(&self) -> String {
        match self {
            Self::Scope(denied) => denied.scope.to_string(),
            Self::Subnet(refusal) => format!("subnet:{}", refusal.network),
            Self::Rate(refusal) => format!("rate:{}", refusal.network),
            Self::Bound(_) | Self::Closed => String::new(),
        }
    }

    /// Returns the limit; that of a rate may be a fraction.
    pub fn limit(&self) -> f64 {
        match self {
            Self::Scope(denied) => denied.limit as f64,
            Self::Subnet(refusal) => refusal.limit.into(),
            Self::Rate(refusal) => refusal.per_second,
            Self::Bound(bound) => bound.limit as f64,
            Self::Closed => 0.0,
        }
    }

    /// Returns the usage at the refusal; for a rate, the connections that a burst may have.
    pub fn current(&self) -> u64 {
        match self {
            Self::Scope(denied) => denied.current,
            Self::Subnet(refusal) => refusal.current.into(),
            Self::Rate(refusal) => refusal.burst.into(),
            Self::Bound(bound) => bound.current,
            Self::Closed => 0,
        }
    }

    /// Returns what was asked for.
    pub fn requested(&self) -> u64 {
        match self {
            Self::Scope(denied) => denied.requested,
            Self::Closed => 0,
            _ => 1,
        }
    }

    /// Returns the priority of a memory reservation; that of everything else is the highest.
    pub fn priority(&self) -> u8 {
        match self {
            Self::Scope(denied) => denied.priority.0,
            _ => u8::MAX,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(denied) => write!(
                f,
                "{} has {} of {} {}, {} more requested",
                denied.scope,
                denied.current,
                denied.limit,
                denied.resource.name(),
                denied.requested
            ),
            Self::Subnet(refusal) => refusal.fmt(f),
            Self::Rate(refusal) => refusal.fmt(f),
            Self::Bound(bound) => {
                write!(
                    f,
                    "{} reached: {} of {}",
                    bound.option, bound.current, bound.limit
                )
            }
            Self::Closed => f.write_str("the resource scope is closed"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Failure to set the peer of a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerError {
    /// A limit has no room for it.
    Refused(Refusal),
    /// The scope is closed, or has a peer.
    Scope(ScopeError),
}

impl From<Refusal> for PeerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ScopeError> for PeerError {
    fn from(error: ScopeError) -> Self {
        Self::Scope(error)
    }
}

impl From<PeerError> for Refusal {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Refused(refusal) => refusal,
            PeerError::Scope(error) => error.into(),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Scope(Box::new(denied))
    }
}

impl From<SubnetRefusal> for Refusal {
    fn from(refusal: SubnetRefusal) -> Self {
        Self::Subnet(refusal)
    }
}

impl From<RateRefusal> for Refusal {
    fn from(refusal: RateRefusal) -> Self {
        Self::Rate(refusal)
    }
}

impl From<Error<Arc<PeerId>, ProtocolId>> for Refusal {
    fn from(error: Error<Arc<PeerId>, ProtocolId>) -> Self {
        match error {
            Error::Denied(denied) => denied.into(),
            Error::Closed | Error::Misuse(_) => Self::Closed,
        }
    }
}
