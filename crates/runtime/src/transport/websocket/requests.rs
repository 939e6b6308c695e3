//! Requests to WebSocket listeners that are no upgrade, which JavaScript answers.
//!
//! One ends with its answer, or when its connection is given up, at the latest after the time of an
//! upgrade.

use ferroswarm_websocket::{Answer, PlainRequest};
use multiaddr::Multiaddr;

use crate::hub::{Hub, Ready};
use crate::pending::Pending;
use crate::sync::Arc;

/// Maximum number of requests of a listener that are being read, answered or written: 5 MiB of heads
/// and bodies, and at most 64 MiB of answers to remotes that do not read them.
pub(super) const PENDING_MAX: usize = 64;

/// A request that is no upgrade.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Its head.
    pub head: PlainRequest,
    /// Its body.
    pub body: Vec<u8>,
    /// Local address.
    pub local: Multiaddr,
    /// Address of the remote.
    pub remote: Multiaddr,
    /// Whether it came over TLS.
    pub is_secure: bool,
}

/// Pending requests of one node.
pub(crate) struct Requests {
    hub: Arc<Hub>,
    node: u32,
    pending: Pending<HttpRequest, Answer>,
}

impl Requests {
    pub(crate) fn new(hub: &Arc<Hub>, node: u32) -> Self {
        Self {
            hub: Arc::clone(hub),
            node,
            pending: Pending::default(),
        }
    }

    /// Returns the requests that wait to be taken, oldest first.
    pub(crate) fn take(&self) -> Vec<(u64, HttpRequest)> {
        self.pending.take()
    }

    /// Returns false if nobody waits for the answer any more.
    pub(crate) fn answer(&self, ticket: u64, answer: Answer) -> bool {
        self.pending.answer(ticket, answer)
    }

    /// Passes a request on; returns its answer. `None` if there is none to come.
    pub(super) async fn ask(&self, request: HttpRequest) -> Option<Answer> {
        let announce = || {
            self.hub.queue(Ready::HttpRequests { node: self.node });
            self.hub.announce();
        };
        self.pending.ask(request, announce).await
    }
}
