//! Resource scopes: calls on them, and their options in [`config`]. Scopes cross as numbers; limits as lists in the order of
//! `Resource::ALL`, where infinity is unlimited.

pub mod config;

use std::net::IpAddr;
use std::sync::Arc;

use ferroswarm_runtime::resource::{Error, Limit, Name, Priority, Resource, Usage};
use ferroswarm_runtime::{
    Direction, Node, PeerError, PeerId, ProtocolId, Refusal, Resources, ScopeError, ScopeId,
    ScopeName,
};
use napi_derive::napi;

use crate::keys::{Failure, invalid};
use crate::number::whole;

use self::config::{amount, limit};

/// A refusal by a limit.
#[napi(object)]
pub struct RefusalFacts {
    /// Name of the scope.
    pub scope: String,
    /// Name of the resource.
    pub resource: String,
    /// The limit.
    pub limit: f64,
    /// Usage.
    pub current: f64,
    /// What was asked for.
    pub requested: f64,
    /// Priority of a memory reservation.
    pub priority: u32,
}

/// A refusal by a rate.
#[napi(object)]
pub struct RateFacts {
    /// The refusal.
    pub refusal: RefusalFacts,
    /// Points that are left.
    pub left: u32,
}

/// Result of a call on a scope: success if nothing but `scope` is set.
#[napi(object)]
#[derive(Default)]
pub struct ScopeAnswer {
    /// The scope that was opened.
    pub scope: Option<f64>,
    /// The refusal of a limit.
    pub refusal: Option<RefusalFacts>,
    /// The scope was closed before.
    pub closed: Option<bool>,
    /// The call is not allowed in the scope's state.
    pub misuse: Option<String>,
}

/// Usage and limits of a scope.
#[napi(object)]
pub struct ScopeFigures {
    /// Its name.
    pub scope: String,
    /// Usage by resource.
    pub usage: Vec<f64>,
    /// Limits by resource.
    pub limits: Vec<f64>,
}

/// A scope that uses a resource.
#[napi(object)]
pub struct HolderFigures {
    /// Its name.
    pub scope: String,
    /// What it uses.
    pub used: f64,
}

/// The accounting of one node, also after the node is closed.
#[napi]
pub struct NativeResources {
    resources: Arc<Resources>,
    node: Arc<Node>,
}

impl NativeResources {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Self {
            resources: Arc::clone(node.resources()),
            node: Arc::clone(node),
        }
    }
}

#[napi]
impl NativeResources {
    /// Opens the scope of a connection; 1 is inbound, 2 outbound.
    #[napi(catch_unwind)]
    pub fn open_connection(
        &self,
        direction: f64,
        fds: f64,
        endpoint: Option<String>,
    ) -> Result<ScopeAnswer, Failure> {
        let (direction, fds) = (direction_of(direction)?, whole(fds)?);
        let endpoint = endpoint.map(|text| host(&text)).transpose()?;
        let now = self.node.uptime();
        let opened = self
            .resources
            .open_connection(direction, fds, endpoint, now);
        Ok(match opened {
            Ok(scope) => ScopeAnswer {
                scope: Some(bits(scope)),
                ..ScopeAnswer::default()
            },
            Err(error) => refused(&error),
        })
    }

    /// Sets the peer of a connection.
    #[napi(catch_unwind)]
    pub fn set_peer(
        &self,
        scope: f64,
        peer: String,
        endpoint: Option<String>,
    ) -> Result<ScopeAnswer, Failure> {
        let endpoint = endpoint.map(|text| host(&text)).transpose()?;
        let (scope, peer) = (scope_id(scope), peer_id(&peer)?);
        Ok(match self.resources.set_peer(scope, peer, endpoint) {
            Ok(()) => ScopeAnswer::default(),
            Err(PeerError::Refused(error)) => refused(&error),
            Err(PeerError::Scope(error)) => failed(error),
        })
    }

    /// Opens the scope of a stream with a peer.
    #[napi(catch_unwind)]
    pub fn open_stream(&self, peer: String, direction: f64) -> Result<ScopeAnswer, Failure> {
        let (peer, direction) = (peer_id(&peer)?, direction_of(direction)?);
        Ok(opened(self.resources.open_stream_of(peer, direction)))
    }

    /// Sets the protocol of a stream.
    #[napi(catch_unwind)]
    pub fn set_protocol(&self, scope: f64, protocol: String) -> Result<ScopeAnswer, Failure> {
        Ok(done(
            self.resources
                .set_protocol(scope_id(scope), &name(&protocol)?),
        ))
    }

    /// Sets the service of a stream.
    #[napi(catch_unwind)]
    pub fn set_service(&self, scope: f64, service: String) -> Result<ScopeAnswer, Failure> {
        Ok(done(
            self.resources
                .set_service(scope_id(scope), &name(&service)?),
        ))
    }

    /// Reserves memory.
    #[napi(catch_unwind)]
    pub fn reserve_memory(
        &self,
        scope: f64,
        bytes: f64,
        priority: f64,
    ) -> Result<ScopeAnswer, Failure> {
        let priority = u8::try_from(whole(priority)?)
            .map_err(|_| invalid("priority is not within 0 to 255"))?;
        let reserved =
            self.resources
                .reserve_memory(scope_id(scope), amount(bytes)?, Priority(priority));
        Ok(done(reserved))
    }

    /// Releases memory.
    #[napi(catch_unwind)]
    pub fn release_memory(&self, scope: f64, bytes: f64) -> Result<ScopeAnswer, Failure> {
        Ok(
            match self
                .resources
                .release_memory(scope_id(scope), amount(bytes)?)
            {
                Ok(true) => ScopeAnswer::default(),
                Ok(false) => ScopeAnswer {
                    misuse: Some("more memory was released than is reserved".to_owned()),
                    ..ScopeAnswer::default()
                },
                Err(error) => failed(error),
            },
        )
    }

    /// Opens a span.
    #[napi(catch_unwind)]
    pub fn begin_span(&self, scope: f64) -> ScopeAnswer {
        opened(self.resources.begin_span(scope_id(scope)))
    }

    /// Closes the scope of a connection, a stream or a span.
    #[napi(catch_unwind)]
    pub fn done(&self, scope: f64) {
        self.resources.done(scope_id(scope));
    }

    /// Returns a scope by name, which stays until `unhold`.
    #[napi(catch_unwind)]
    pub fn hold(
        &self,
        kind: String,
        label: Option<String>,
        peer: Option<String>,
    ) -> Result<f64, Failure> {
        let name = scope_name(&kind, label.as_deref(), peer.as_deref())?;
        let scope = self
            .resources
            .hold(&name)
            .ok_or_else(|| invalid("no such scope"))?;
        Ok(bits(scope))
    }

    /// Ends a `hold`.
    #[napi(catch_unwind)]
    pub fn unhold(&self, scope: f64) {
        self.resources.unhold(scope_id(scope));
    }

    /// Returns name, usage and limits of a scope; null for a closed one.
    #[napi(catch_unwind)]
    pub fn stat(&self, scope: f64) -> Option<ScopeFigures> {
        let scope = scope_id(scope);
        let (usage, limit) = self.resources.stat(scope).ok()?;
        let name = self.resources.name(scope)?;
        Some(figures(&name, &usage, &limit))
    }

    /// Sets the limits of one scope.
    #[napi(catch_unwind)]
    pub fn set_limit(&self, scope: f64, limits: Vec<f64>) -> Result<ScopeAnswer, Failure> {
        Ok(done(
            self.resources.set_limit(scope_id(scope), limit(&limits)?),
        ))
    }

    /// Returns the largest users of a resource within a scope; none for what names no scope, as
    /// errors of the application may.
    #[napi(catch_unwind)]
    pub fn holders(
        &self,
        kind: String,
        label: Option<String>,
        peer: Option<String>,
        resource: String,
        count: f64,
    ) -> Result<Vec<HolderFigures>, Failure> {
        let Ok(name) = scope_name(&kind, label.as_deref(), peer.as_deref()) else {
            return Ok(Vec::new());
        };
        let mut all = Resource::ALL.into_iter();
        let resource = all
            .find(|of| of.name() == resource)
            .ok_or_else(|| invalid("no such resource"))?;
        let holders = self
            .resources
            .holders(&name, resource, whole(count)? as usize);
        let figures = holders.into_iter().map(|(scope, used)| HolderFigures {
            scope: scope.to_string(),
            used: used as f64,
        });
        Ok(figures.collect())
    }

    /// Returns all scopes but those of single connections, streams and spans.
    #[napi(catch_unwind)]
    pub fn report(&self) -> Vec<ScopeFigures> {
        let report = self.resources.report();
        let rows = report
            .iter()
            .map(|(name, usage, limit)| figures(name, usage, limit));
        rows.collect()
    }

    /// Returns the number of refusals so far.
    #[napi(catch_unwind)]
    pub fn refused(&self) -> f64 {
        self.resources.refused() as f64
    }

    /// Returns the next refusal that a dry run has let pass.
    #[napi(catch_unwind)]
    pub fn take_passed(&self) -> Option<RefusalFacts> {
        self.resources.take_passed().as_ref().map(refusal)
    }

    /// Takes points from the rates of inbound connections of an address; returns the refusal, if there is one.
    #[napi(catch_unwind)]
    pub fn consume(&self, address: String, points: f64) -> Result<Option<RateFacts>, Failure> {
        let (host, points) = (host(&address)?, whole(points)?);
        let consumed = self.resources.consume(host, points, self.node.uptime());
        Ok(consumed.err().map(|error| RateFacts {
            left: error.left,
            refusal: refusal(&error.into()),
        }))
    }

    /// Fills the buckets of the rates of an address, or all.
    #[napi(catch_unwind)]
    pub fn reset_rates(&self, address: Option<String>) -> Result<(), Failure> {
        let host = address.as_deref().map(host).transpose()?;
        self.resources.reset_rates(host);
        Ok(())
    }

    /// Returns whether an address must be verified before a handshake with it.
    #[napi(catch_unwind)]
    pub fn must_verify(&self, address: String) -> Result<bool, Failure> {
        Ok(self
            .resources
            .must_verify(host(&address)?, self.node.uptime()))
    }

    /// Opens no more connections.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.resources.close();
    }
}

/// Converts a refusal for JavaScript.
pub(crate) fn refusal(refusal: &Refusal) -> RefusalFacts {
    RefusalFacts {
        scope: refusal.scope(),
        resource: refusal.resource().to_owned(),
        limit: refusal.limit(),
        current: refusal.current() as f64,
        requested: refusal.requested() as f64,
        priority: refusal.priority().into(),
    }
}

/// Converts a scope to the number by which JavaScript knows it; exact, as it has 53 bits.
pub(crate) fn bits(scope: ScopeId) -> f64 {
    scope.to_bits() as f64
}

pub(crate) fn scope_id(number: f64) -> ScopeId {
    let is_id = (0.0..=9_007_199_254_740_991.0).contains(&number) && number.fract() == 0.0;
    // The maximum denotes no scope.
    ScopeId::from_bits(if is_id { number as u64 } else { u64::MAX })
}

fn opened(result: Result<ScopeId, ScopeError>) -> ScopeAnswer {
    match result {
        Ok(scope) => ScopeAnswer {
            scope: Some(bits(scope)),
            ..ScopeAnswer::default()
        },
        Err(error) => failed(error),
    }
}

fn done(result: Result<(), ScopeError>) -> ScopeAnswer {
    result.map_or_else(failed, |()| ScopeAnswer::default())
}

fn refused(error: &Refusal) -> ScopeAnswer {
    if matches!(error, Refusal::Closed) {
        return failed(Error::Closed);
    }
    ScopeAnswer {
        refusal: Some(refusal(error)),
        ..ScopeAnswer::default()
    }
}

fn failed(error: ScopeError) -> ScopeAnswer {
    match error {
        Error::Denied(denied) => ScopeAnswer {
            refusal: Some(refusal(&denied.into())),
            ..ScopeAnswer::default()
        },
        Error::Closed => ScopeAnswer {
            closed: Some(true),
            ..ScopeAnswer::default()
        },
        Error::Misuse(reason) => ScopeAnswer {
            misuse: Some(reason.to_owned()),
            ..ScopeAnswer::default()
        },
    }
}

fn figures(name: &ScopeName, usage: &Usage, limit: &Limit) -> ScopeFigures {
    ScopeFigures {
        scope: name.to_string(),
        usage: Resource::ALL
            .map(|resource| usage.of(resource) as f64)
            .to_vec(),
        limits: Resource::ALL
            .map(|resource| number(limit.of(resource)))
            .to_vec(),
    }
}

fn number(limit: u64) -> f64 {
    if limit == u64::MAX {
        f64::INFINITY
    } else {
        limit as f64
    }
}

fn scope_name(kind: &str, label: Option<&str>, peer: Option<&str>) -> Result<ScopeName, Failure> {
    let label = || name(label.ok_or_else(|| invalid("the scope requires a name"))?);
    let peer = || peer_id(peer.ok_or_else(|| invalid("the scope requires a peer"))?).map(Arc::new);
    Ok(match kind {
        "system" => Name::System,
        "transient" => Name::Transient,
        "allowlistedSystem" => Name::AllowlistedSystem,
        "allowlistedTransient" => Name::AllowlistedTransient,
        "service" => Name::Service(label()?),
        "protocol" => Name::Protocol(label()?),
        "peer" => Name::Peer(peer()?),
        "servicePeer" => Name::ServicePeer(label()?, peer()?),
        "protocolPeer" => Name::ProtocolPeer(label()?, peer()?),
        _ => return Err(invalid("no such kind of scope")),
    })
}

pub(crate) fn direction_of(number: f64) -> Result<Direction, Failure> {
    match whole(number)? {
        1 => Ok(Direction::Inbound),
        2 => Ok(Direction::Outbound),
        _ => Err(invalid("the direction is neither 1 nor 2")),
    }
}

pub(crate) fn host(text: &str) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| invalid("not an IP address"))
}

fn peer_id(text: &str) -> Result<PeerId, Failure> {
    text.parse().map_err(|_| invalid("not a peer id"))
}

fn name(text: &str) -> Result<ProtocolId, Failure> {
    ProtocolId::new(text).map_err(invalid)
}

/// Returns the maximum number of open files of this process; infinity where there is none.
#[napi(catch_unwind)]
pub fn open_files_max() -> f64 {
    number(ferroswarm_runtime::open_files_max().unwrap_or(u64::MAX))
}
