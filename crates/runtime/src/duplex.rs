//! Connections over a duplex of the application: JavaScript carries the bytes between it and a
//! [`FedPipe`].

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use ferroswarm_secure::{Agreement, Channel, Identity, PeerId, Role, Security};
use multiaddr::Multiaddr;

use crate::attempts::{Attempt, AttemptProgress, Attempts};
use crate::command::{CommandError, ConnectError, Outcome, Stage};
use crate::connection::{Direction, Layers};
use crate::fed::FedPipe;
use crate::gate::Asker;
use crate::hub::Hub;
use crate::node::{Origin, Shared};
use crate::pipe::BytePipe;
use crate::resources::{ConnectionScope, Refusal, ScopeId};
use crate::sync::{Arc, Mutex};
use crate::threads::Seat;
use crate::transport::{Carrier, RawConnection};
use crate::upgrade::{Purpose, Upgraded, upgrade};

/// Parameters of an upgrade.
pub struct DuplexRequest {
    /// The connection's end of a pipe.
    pub pipe: FedPipe,
    /// Which side has opened the duplex: the dialer starts the handshake.
    pub direction: Direction,
    /// Address of the remote; empty if it has none.
    pub remote: Multiaddr,
    /// Local address; empty if there is none.
    pub local: Multiaddr,
    /// Host of the remote, for the limits on networks.
    pub endpoint: Option<IpAddr>,
    /// Scope of the connection, if the application has opened one: it is closed with the connection
    /// or the failure.
    pub scope: Option<OpenedScope>,
    /// Expected peer; any if `None`.
    pub peer: Option<PeerId>,
    /// What runs over the duplex.
    pub stack: Stack,
}

/// Protocols of an upgrade.
#[derive(Debug, Clone)]
pub enum Stack {
    /// Negotiated security and muxer; offers the node's security protocols unless others are given.
    Secured(Option<Vec<Security>>),
    /// A security protocol that was agreed on before, and a negotiated muxer.
    Agreed(Security),
    /// The muxer alone, without negotiation. The remote has no identity; the node's own takes its
    /// place.
    MuxerOnly,
}

/// A connection's scope that the application has opened.
#[derive(Debug, Clone, Copy)]
pub struct OpenedScope {
    /// The scope.
    pub id: ScopeId,
    /// It is charged to the expected peer already.
    pub has_peer: bool,
}

/// Upgrades within `scope`, if the application has opened one; the connection keeps the seat.
pub(crate) async fn upgrade_duplex(
    shared: &Arc<Shared>,
    request: u32,
    duplex: DuplexRequest,
    scope: Option<ConnectionScope>,
    attempts: Arc<Attempts>,
    seat: Seat,
) -> Outcome {
    if shared.is_closing() {
        return Outcome::Failed(CommandError::NodeClosed);
    }
    let started = Instant::now();
    let progress = Arc::new(AttemptProgress::at(Stage::Security));
    attempts.start(0, Arc::clone(&progress));
    let direction = duplex.direction;
    match connect(shared, request, duplex, scope, &progress.stage).await {
        Ok(_) if shared.is_closing() => Outcome::Failed(CommandError::NodeClosed),
        Ok((raw, upgraded, scope)) => {
            let origin = Origin {
                request,
                direction,
                role: role_of(direction),
                connect_time: Duration::ZERO,
                scope,
            };
            Outcome::Dialled(shared.establish(raw, upgraded, seat, origin))
        }
        Err(error) => {
            if direction == Direction::Inbound {
                match &error {
                    ConnectError::Refused(_) | ConnectError::Gated(_) => {
                        shared.hub.stats.admissions_refused.add(1)
                    }
                    _ => shared.hub.stats.upgrades_failed.add(1),
                }
            }
            Outcome::UpgradeFailed(Box::new(Attempt {
                index: 0,
                stage: progress.stage(),
                error,
                elapsed: started.elapsed(),
            }))
        }
    }
}

async fn connect(
    shared: &Shared,
    request: u32,
    duplex: DuplexRequest,
    scope: Option<ConnectionScope>,
    stage: &Mutex<Stage>,
) -> Result<(RawConnection, Upgraded, ConnectionScope), ConnectError> {
    let scope = match scope {
        Some(scope) => scope,
        None => open_scope(shared, &duplex).map_err(ConnectError::Refused)?,
    };
    let has_peer = duplex.scope.is_some_and(|opened| opened.has_peer);
    if let Some(peer) = duplex.peer.filter(|_| !has_peer) {
        scope.set_peer(peer).map_err(ConnectError::Refused)?;
    }
    let pipe: Arc<dyn BytePipe> = Arc::new(duplex.pipe);
    let raw = RawConnection {
        carrier: Carrier::Pipe(Arc::clone(&pipe)),
        local: duplex.local,
        remote: duplex.remote,
    };
    let (securities, agreement) = match duplex.stack {
        Stack::Secured(securities) => (securities, Agreement::Lazy),
        Stack::Agreed(security) => (Some(vec![security]), Agreement::Assumed),
        Stack::MuxerOnly => {
            let upgraded = muxed_only(&pipe, &shared.upgrade.identity);
            // Streams are opened in the scopes of a peer.
            scope
                .set_peer(upgraded.peer)
                .map_err(ConnectError::Refused)?;
            return Ok((raw, upgraded, scope));
        }
    };
    let hooks = Asker {
        questions: shared.gate.questions(),
        hub: &shared.hub,
        node: shared.id,
        request,
        listener: 0,
        direction: duplex.direction,
        raw: &raw,
    };
    let purpose = Purpose {
        role: role_of(duplex.direction),
        identity: &shared.upgrade.identity,
        expected_peer: duplex.peer,
        securities: securities.as_deref(),
        agreement,
        admit: &|peer| match duplex.peer {
            Some(_) => Ok(()),
            None => scope.set_peer(peer),
        },
        hooks: Some(&hooks),
        stage,
    };
    // Without a timeout: JavaScript, which carries the bytes, cancels the command.
    let upgrading = async {
        hooks.accept().await?;
        upgrade(&raw.carrier, &shared.upgrade, &purpose).await
    };
    let upgraded = announcing(&shared.hub, upgrading).await?;
    Ok((raw, upgraded, scope))
}

const fn role_of(direction: Direction) -> Role {
    match direction {
        Direction::Inbound => Role::Listener,
        Direction::Outbound => Role::Dialer,
    }
}

/// Returns the result of an upgrade that negotiates nothing.
fn muxed_only(pipe: &Arc<dyn BytePipe>, identity: &Identity) -> Upgraded {
    Upgraded {
        layers: Layers::Muxed {
            pipe: Arc::clone(pipe),
            channel: Channel::plain(),
            leftover: Vec::new(),
            plaintext: Vec::new(),
        },
        peer: *identity.peer_id(),
        key: identity.keypair().public().clone(),
        security: None,
        early_muxer: false,
        security_time: Duration::ZERO,
        muxer_time: Duration::ZERO,
    }
}

/// Opens a scope. It takes no descriptor: that of the duplex, if any, is the application's.
fn open_scope(shared: &Shared, duplex: &DuplexRequest) -> Result<ConnectionScope, Refusal> {
    let resources = &shared.resources;
    match (duplex.direction, duplex.endpoint) {
        (Direction::Inbound, host) => resources.accept(host, 0, shared.epoch().elapsed()),
        (Direction::Outbound, host) => resources.dial(host, 0),
    }
}

/// Announces the notifications that each poll of `task` has queued: it uses a pipe whose other end
/// is JavaScript's.
async fn announcing<T>(hub: &Hub, task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    poll_fn(|cx| {
        let polled = task.as_mut().poll(cx);
        hub.announce();
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;
    use crate::fed::Feed;
    use crate::hub::Ready;
    use crate::live::Bell;
    use crate::single_node::single_node;

    fn node() -> Node {
        single_node(Hub::new(Box::new(Bell(Arc::default()))))
    }

    /// An outbound request in a scope that was opened before, and the other end of its pipe.
    fn request(node: &Node) -> (DuplexRequest, ScopeId, Feed) {
        let (pipe, feed) = FedPipe::new(&node.shared().hub, 64);
        let opened = node
            .resources()
            .open_connection(Direction::Outbound, 1, None, Duration::ZERO);
        let id = opened.expect("no limit");
        let request = DuplexRequest {
            pipe,
            direction: Direction::Outbound,
            remote: Multiaddr::empty(),
            local: Multiaddr::empty(),
            endpoint: None,
            scope: Some(OpenedScope {
                id,
                has_peer: false,
            }),
            peer: None,
            stack: Stack::Secured(None),
        };
        (request, id, feed)
    }

    /// Waits for the outcome of the only command.
    fn outcome(node: &Node) -> Outcome {
        loop {
            match node.shared().hub.take() {
                Some(Ready::Completion(completion)) => return completion.outcome,
                Some(_) => {}
                None => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn a_pipe_that_ends_fails_the_upgrade_and_closes_the_scope() {
        let node = node();
        let (request, scope, feed) = request(&node);
        assert!(node.resources().stat(scope).is_ok());
        node.upgrade(1, request);
        feed.end();
        let Outcome::UpgradeFailed(attempt) = outcome(&node) else {
            panic!("expected a failed upgrade");
        };
        assert_eq!(attempt.stage, Stage::Security);
        assert!(matches!(attempt.error, ConnectError::Ended));
        assert!(node.resources().stat(scope).is_err());
    }

    #[test]
    fn a_cancelled_upgrade_and_one_of_a_stopped_node_close_their_scopes() {
        let node = node();
        let (silent, first, _feed) = request(&node);
        node.upgrade(1, silent);
        node.cancel(1);
        let cancelled = outcome(&node);
        assert!(matches!(cancelled, Outcome::Failed(CommandError::Aborted)));
        let (late, second, _feed) = request(&node);
        node.stop();
        node.upgrade(2, late);
        let stopped = outcome(&node);
        assert!(matches!(stopped, Outcome::Failed(CommandError::NodeClosed)));
        for scope in [first, second] {
            assert!(node.resources().stat(scope).is_err());
        }
    }
}
