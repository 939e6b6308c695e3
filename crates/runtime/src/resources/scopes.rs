//! Owners of scopes: each closes its scope when it is dropped.

use std::net::IpAddr;

use ferroswarm_proto::multistream::ProtocolId;
use ferroswarm_proto::resource::{Error, Priority};
use ferroswarm_secure::PeerId;

use crate::sync::{Arc, AtomicBool, Ordering};

use super::{Refusal, Resources, ScopeId};

/// Scope of a connection: its places are given back when this is dropped. Closes the scope too,
/// unless a connection has taken it over.
pub(crate) struct ConnectionScope {
    pub(super) resources: Arc<Resources>,
    pub(super) id: ScopeId,
    pub(super) endpoint: Option<IpAddr>,
    /// The limits on subnets were skipped, as its endpoint is allowlisted.
    pub(super) skipped_subnets: bool,
    /// It is counted in the subnets of its endpoint.
    pub(super) entered: AtomicBool,
    /// A connection closes the scope.
    pub(super) handed_over: AtomicBool,
}

impl ConnectionScope {
    #[cfg(test)]
    pub(crate) const fn id(&self) -> ScopeId {
        self.id
    }

    /// Returns the scope to the connection that closes it from here on.
    pub(crate) fn hand_over(&self) -> ScopeId {
        self.handed_over.store(true, Ordering::Relaxed);
        self.id
    }

    /// Charges the connection to its peer; it is no longer transient. If only another peer is
    /// allowlisted at its address, the limits on subnets apply from here on.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn set_peer(&self, peer: PeerId) -> Result<(), Refusal> {
        if let Some(host) = self.endpoint.filter(|_| self.skipped_subnets)
            && !self.entered.load(Ordering::Relaxed)
            && !self.resources.is_allowlisted(host, Some(&peer))
        {
            let entered = self.resources.state.lock().enter(host)?;
            self.entered.store(entered, Ordering::Relaxed);
        }
        self.resources
            .set_peer(self.id, peer, self.endpoint)
            .map_err(Refusal::from)
    }
}

impl Drop for ConnectionScope {
    fn drop(&mut self) {
        let mut state = self.resources.state.lock();
        if self.handed_over.load(Ordering::Relaxed) {
            state.manager.end_connection(self.id);
        } else {
            state.manager.done(self.id);
        }
        if self.entered.load(Ordering::Relaxed)
            && let Some(host) = self.endpoint
        {
            state.subnets.leave(host);
        }
    }
}

/// Scope of a stream, closed when dropped.
pub(crate) struct StreamScope {
    pub(super) resources: Arc<Resources>,
    pub(super) id: ScopeId,
    /// Growth of the receive window.
    pub(super) window_growth: usize,
}

impl StreamScope {
    pub(crate) const fn id(&self) -> ScopeId {
        self.id
    }

    /// Charges the stream to its protocol, unless it has one, and to its service, if there is one;
    /// it is no longer transient.
    ///
    /// # Errors
    /// The refusal; if the service's, the stream stays charged to its protocol.
    pub(crate) fn set_protocol(
        &self,
        protocol: &ProtocolId,
        service: Option<&ProtocolId>,
    ) -> Result<(), Refusal> {
        let mut state = self.resources.state.lock();
        match state.manager.set_protocol(self.id, protocol) {
            Err(Error::Denied(denied)) => return Err(denied.into()),
            // Its connection has ended, or the protocol was set when it was opened.
            Ok(()) | Err(Error::Closed | Error::Misuse(_)) => {}
        }
        match service.map(|service| state.manager.set_service(self.id, service)) {
            Some(Err(Error::Denied(denied))) => Err(denied.into()),
            _ => Ok(()),
        }
    }

    /// Reserves memory for the growth of the receive window; returns whether there was room.
    pub(crate) fn reserve_window(&mut self, bytes: u32) -> bool {
        let reserved = self
            .resources
            .reserve_memory(self.id, bytes.into(), Priority::WINDOW);
        if reserved.is_ok() {
            self.window_growth += bytes as usize;
        }
        reserved.is_ok()
    }

    /// Growth of the receive window, whose memory is reserved while the scope exists.
    pub(crate) const fn window_growth(&self) -> usize {
        self.window_growth
    }
}

impl Drop for StreamScope {
    fn drop(&mut self) {
        self.resources.done(self.id);
    }
}
