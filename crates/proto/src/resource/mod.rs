//! Accounting of what peers cost: memory, streams, connections and file descriptors.
//!
//! A [`Manager`] holds a graph of scopes. A connection is charged to the transient scope and the
//! system, once its peer is known to the peer in place of the transient scope; a stream likewise
//! to its connection, its peer, its protocol and its service. Each scope has a limit, and an
//! operation that would exceed one has no effect. The graph is that of go-libp2p, except that a
//! stream is charged to its connection too.
//!
//! Beside the scopes, [`Subnets`] bounds the connections of each subnet and [`Rates`] the rate of its
//! inbound ones. [`NetworkLists`] refuses hosts, whatever they use.
//!
//! Plain state without a lock or a clock: the caller has both.

mod error;
mod limit;
mod lists;
mod manager;
mod network;
mod rates;
mod scope;
mod subnets;
mod table;

#[cfg(test)]
mod tests;

pub use self::error::{Denied, Error, Name};
pub use self::limit::{Direction, Limit, Priority, Resource, Usage};
pub use self::lists::{ListRule, NetworkLists, NetworkSet};
pub use self::manager::Manager;
pub use self::network::{Exemptions, Network, NetworkError};
pub use self::rates::{Rate, RateLimits, RateRefusal, Rates, VerifySource};
pub use self::scope::ScopeId;
pub use self::subnets::{SubnetLimits, SubnetRefusal, Subnets, UNLIMITED};
pub use self::table::LimitTable;
