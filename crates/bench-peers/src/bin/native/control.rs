//! Commands of the reactor: nodes, dials, and connections until they end.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use ferroswarm_bench_peers::Result;
use ferroswarm_runtime::{
    CloseManner, DialRequest, Handler, Identity, Multiaddr, Node, NodeOptions, Outcome, PeerId,
    PlannedAttempt, ProtocolId, ProtocolTable, Role,
};

use crate::reactor::{Reactor, World};
use crate::server;

/// For a dial; the machine may be small and busy.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that is open.
pub(crate) struct Open {
    /// Local identity.
    pub(crate) identity: Arc<Identity>,
    /// Result of the identify exchange.
    pub(crate) identified: Option<Result<()>>,
    /// Task waiting for that result or for the end.
    pub(crate) waiter: Option<Waker>,
}

impl Reactor {
    /// Starts a node and returns its number. It serves identify and the protocols that the contract requires.
    pub(crate) fn add_node(&self, options: NodeOptions) -> Result<usize> {
        let mut world = self.world.borrow_mut();
        let hub = Arc::clone(world.environment.hub());
        let index = world.nodes.len();
        let identity = Arc::clone(&options.identity);
        let node = Node::start(index as u32, hub, options)?;
        let mut table = ProtocolTable::default();
        for name in server::protocols(world.serves) {
            let protocol = world.protocol(name)?;
            let handler = Handler {
                protocol,
                inbound_max: u32::MAX,
                service: 0,
            };
            table.insert(ProtocolId::new(name)?, handler);
        }
        node.handlers().set(table);
        world.nodes.push((node, identity));
        Ok(index)
    }

    /// Makes nodes added from now on serve the whole contract.
    pub(crate) fn serve(&self) {
        self.world.borrow_mut().serves = true;
    }

    pub(crate) fn serves(&self) -> bool {
        self.world.borrow().serves
    }

    /// Listens and returns the bound address with `/p2p`.
    pub(crate) async fn listen(&self, node: usize, address: Multiaddr) -> Result<String> {
        let outcome = self.command(|world, request| world.nodes[node].0.listen(request, address));
        match outcome.await {
            Outcome::Listening { addresses, .. } => {
                let world = self.world.borrow();
                let peer = world.nodes[node].1.peer_id();
                Ok(format!("{}/p2p/{peer}", addresses[0]))
            }
            Outcome::Failed(error) => Err(error.into()),
            _ => Err("no listener".into()),
        }
    }

    /// Dials an address with `/p2p` from `node`, as `identity` if given.
    pub(crate) async fn dial(
        &self,
        node: usize,
        identity: Option<Arc<Identity>>,
        address: &str,
    ) -> Result<u32> {
        let (address, peer) = address
            .split_once("/p2p/")
            .ok_or_else(|| format!("{address} does not end with /p2p"))?;
        let dial = DialRequest {
            plan: vec![PlannedAttempt {
                peer: Some(peer.parse::<PeerId>()?),
                host: None,
                address: address.parse()?,
                delay: Duration::ZERO,
                timeout: DIAL_TIMEOUT,
                hold: Duration::ZERO,
            }],
            identity: identity.clone(),
            securities: None,
            parallel: 1,
            role: Role::Dialer,
        };
        let dialled = self.command(|world, request| {
            if let Some(identity) = identity {
                world.identities.insert(request, identity);
            }
            world.nodes[node].0.dial(request, dial);
        });
        match dialled.await {
            Outcome::Dialled(connection) => Ok(connection.handle()),
            Outcome::DialFailed(attempts) => {
                let causes: Vec<_> = attempts.iter().map(|a| a.error.to_string()).collect();
                Err(format!("the dial failed: {}", causes.join(", ")).into())
            }
            Outcome::Failed(error) => Err(error.into()),
            _ => Err("a dial without a connection".into()),
        }
    }

    async fn command(&self, send: impl FnOnce(&mut World, u32)) -> Outcome {
        let request = {
            let mut world = self.world.borrow_mut();
            world.requests += 1;
            let request = world.requests;
            world.commands.insert(request, None);
            send(&mut world, request);
            request
        };
        poll_fn(|cx| {
            let mut world = self.world.borrow_mut();
            if let Some(outcome) = world.environment.take_outcome(request) {
                world.commands.remove(&request);
                return Poll::Ready(outcome);
            }
            world.commands.insert(request, Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Closes a connection and waits until it has closed.
    pub(crate) async fn close_connection(&self, connection: u32) -> Result<()> {
        self.world.borrow_mut().environment.close_connection(
            connection,
            0,
            CloseManner::Orderly,
        )?;
        poll_fn(
            |cx| match self.world.borrow_mut().connections.get_mut(&connection) {
                Some(open) => {
                    open.waiter = Some(cx.waker().clone());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            },
        )
        .await;
        Ok(())
    }

    /// Reports the result of a connection's identify exchange.
    pub(crate) fn identified(&self, connection: u32, result: Result<()>) {
        // The connection may have ended meanwhile, which is not a failure.
        if let Some(open) = self.world.borrow_mut().connections.get_mut(&connection) {
            open.identified = Some(result);
            if let Some(waker) = open.waiter.take() {
                waker.wake();
            }
        }
    }

    /// Waits for the identify exchange.
    pub(crate) async fn identify(&self, connection: u32) -> Result<()> {
        poll_fn(
            |cx| match self.world.borrow_mut().connections.get_mut(&connection) {
                None => Poll::Ready(Err("the connection has ended".into())),
                Some(open) => match open.identified.take() {
                    Some(result) => Poll::Ready(result),
                    None => {
                        open.waiter = Some(cx.waker().clone());
                        Poll::Pending
                    }
                },
            },
        )
        .await
    }

    /// Returns the local identity of an open connection.
    pub(crate) fn identity(&self, connection: u32) -> Option<Arc<Identity>> {
        let world = self.world.borrow();
        Some(Arc::clone(&world.connections.get(&connection)?.identity))
    }

    /// Returns all open connections.
    pub(crate) fn connections(&self) -> Vec<u32> {
        self.world.borrow().connections.keys().copied().collect()
    }
}
