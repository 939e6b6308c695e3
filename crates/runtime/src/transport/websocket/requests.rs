//! Requests to WebSocket listeners that are no upgrade, which JavaScript answers.
//!
//! JavaScript is notified once until it takes them, however many there are. One ends with its answer,
//! or when its connection is given up, at the latest after the time of an upgrade.

use std::collections::{BTreeMap, HashMap};

use ferroswarm_websocket::{Answer, PlainRequest};
use multiaddr::Multiaddr;
use tokio::sync::oneshot;

use crate::hub::{Hub, Ready};
use crate::sync::{Arc, Mutex};

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

#[derive(Default)]
struct State {
    /// Number of the next request.
    next: u64,
    /// Those that JavaScript has not taken, oldest first.
    untaken: BTreeMap<u64, HttpRequest>,
    /// Those that are not answered.
    open: HashMap<u64, oneshot::Sender<Answer>>,
    /// JavaScript is notified, and has not taken any since.
    is_announced: bool,
}

/// Pending requests of one node.
pub(crate) struct Requests {
    hub: Arc<Hub>,
    node: u32,
    /// Held for a change of the lists: a leaf.
    state: Mutex<State>,
}

impl Requests {
    pub(crate) fn new(hub: &Arc<Hub>, node: u32) -> Self {
        Self {
            hub: Arc::clone(hub),
            node,
            state: Mutex::default(),
        }
    }

    /// Returns the requests that wait to be taken, oldest first.
    pub(crate) fn take(&self) -> Vec<(u64, HttpRequest)> {
        let mut state = self.state.lock();
        state.is_announced = false;
        std::mem::take(&mut state.untaken).into_iter().collect()
    }

    /// Returns false if nobody waits for the answer any more.
    pub(crate) fn answer(&self, ticket: u64, answer: Answer) -> bool {
        let answered = self.state.lock().open.remove(&ticket);
        answered.is_some_and(|answered| answered.send(answer).is_ok())
    }

    /// Passes a request on; returns its answer. `None` if there is none to come.
    pub(super) async fn ask(&self, request: HttpRequest) -> Option<Answer> {
        let (mut ticket, is_first) = self.open(request);
        if is_first {
            self.hub.queue(Ready::HttpRequests { node: self.node });
            self.hub.announce();
        }
        (&mut ticket.answer).await.ok()
    }

    /// Adds a request; the second value is whether JavaScript is to be notified.
    fn open(&self, request: HttpRequest) -> (Ticket<'_>, bool) {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.untaken.insert(number, request);
        state.open.insert(number, sender);
        let is_first = !std::mem::replace(&mut state.is_announced, true);
        let ticket = Ticket {
            requests: self,
            number,
            answer,
        };
        (ticket, is_first)
    }
}

/// The wait for an answer. Dropping it ends the request.
struct Ticket<'a> {
    requests: &'a Requests,
    number: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.requests.state.lock();
        state.untaken.remove(&self.number);
        state.open.remove(&self.number);
    }
}
