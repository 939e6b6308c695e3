//! Dials one set of concrete addresses by a plan; the first to be upgraded wins.

use std::time::{Duration, Instant};

use ferroswarm_secure::{Agreement, Identity, PeerId, Role, Security};
use multiaddr::Multiaddr;

use crate::attempts::{AttemptProgress, Attempts};
use crate::command::{CommandError, ConnectError, Outcome};
use crate::connection::Direction;
use crate::diagnostics::Fact;
use crate::gate::Asker;
use crate::hub::Ready;
use crate::node::{Origin, Shared};
use crate::resources::ConnectionScope;
use crate::sync::Arc;
use crate::threads::Seat;
use crate::transport::{Dialling, Endpoint, RawConnection};
use crate::upgrade::{Purpose, Upgraded, farewell, upgrade};

use race::{Bounds, Race};

mod race;

/// Parameters of a dial.
pub struct DialRequest {
    /// The attempts, in the order of their starts.
    pub plan: Vec<PlannedAttempt>,
    /// Identity to dial with. Defaults to the node's. Lets one process be many peers without a
    /// thread for each.
    pub identity: Option<Arc<Identity>>,
    /// Security protocols to offer. Defaults to the node's.
    pub securities: Option<Vec<Security>>,
    /// Maximum number of concurrent attempts: of this dial, and of all dials of the same peer that
    /// overlap.
    pub parallel: usize,
    /// Our role in the upgrade: `Listener` if the remote dials us at the same time, and has agreed
    /// to be the dialer.
    pub role: Role,
}

/// One attempt of a dial.
#[derive(Debug, Clone)]
pub struct PlannedAttempt {
    /// A concrete address.
    pub address: Multiaddr,
    /// Expected peer; any if `None`.
    pub peer: Option<PeerId>,
    /// The name that the address was resolved from, for the request of a WebSocket whose address has
    /// none.
    pub host: Option<Box<str>>,
    /// Delay from the start of the dial. The attempt starts when its predecessor fails, if that is
    /// earlier, and the later ones are then brought forward by as much.
    pub delay: Duration,
    /// Timeout of the attempt, including its upgrade.
    pub timeout: Duration,
    /// Time from its connection during which no other attempt of this dial starts, as it may be about to
    /// win.
    pub hold: Duration,
}

impl PlannedAttempt {
    /// Returns whether it takes a file descriptor, and so a place among the attempts of the node.
    fn takes_descriptor(&self) -> bool {
        // What cannot be parsed fails without one.
        Endpoint::parse(&self.address).is_ok_and(|endpoint| endpoint.descriptors() > 0)
    }
}

/// An attempt that succeeded.
struct Won {
    raw: RawConnection,
    upgraded: Upgraded,
    connect_time: Duration,
    scope: ConnectionScope,
}

/// Dials; the connection keeps the seat.
pub(crate) async fn dial(
    shared: &Arc<Shared>,
    request: u32,
    dial: DialRequest,
    attempts: Arc<Attempts>,
    seat: Seat,
) -> Outcome {
    if shared.is_closing() {
        return Outcome::Failed(CommandError::NodeClosed);
    }
    let dial = Arc::new(dial);
    let bounds = Bounds {
        parallel: dial.parallel,
        of_peer: shared.permits_of(&dial),
        of_node: Some(&shared.attempts),
    };
    let race = Race::new(&dial.plan, bounds, &attempts, |index, progress| {
        let (shared, dial) = (Arc::clone(shared), Arc::clone(&dial));
        async move { connect(&shared, request, &dial, &dial.plan[index], &progress).await }
    });
    let announced = Announced {
        shared,
        request,
        attempts: &attempts,
    };
    let Some(won) = announced.run(&dial.plan, race).await else {
        return Outcome::DialFailed(attempts.take().failed);
    };
    if attempts.any() {
        shared.hub.queue(Ready::Raced { request, attempts });
    }
    let origin = Origin {
        request,
        direction: Direction::Outbound,
        role: dial.role,
        connect_time: won.connect_time,
        scope: won.scope,
    };
    Outcome::Dialled(shared.establish(won.raw, won.upgraded, seat, origin))
}

/// A race whose failures are announced to JavaScript as they happen.
struct Announced<'a> {
    shared: &'a Shared,
    request: u32,
    attempts: &'a Arc<Attempts>,
}

impl Announced<'_> {
    /// Returns the result of the first attempt to succeed; `None` when all have failed.
    async fn run<W, C, F>(&self, plan: &[PlannedAttempt], mut race: Race<'_, W, C>) -> Option<W>
    where
        W: Send + 'static,
        C: FnMut(usize, Arc<AttemptProgress>) -> F,
        F: Future<Output = Result<W, ConnectError>> + Send + 'static,
    {
        loop {
            match race.next().await? {
                Ok(won) => return Some(won),
                Err(attempt) => {
                    if matches!(attempt.error, ConnectError::Internal) {
                        let address = || Some(plan[attempt.index].address.clone());
                        self.shared.report(Fact::Internal, address);
                    }
                    // The outcome contains the last failures, and follows at once.
                    if self.attempts.fail(attempt) && !race.is_over() {
                        self.announce();
                    }
                }
            }
        }
    }

    fn announce(&self) {
        self.shared.hub.queue(Ready::AttemptsFailed {
            node: self.shared.id,
            request: self.request,
            attempts: Arc::clone(self.attempts),
        });
        self.shared.hub.announce();
    }
}

async fn connect(
    shared: &Shared,
    request: u32,
    dial: &DialRequest,
    attempt: &PlannedAttempt,
    progress: &AttemptProgress,
) -> Result<Won, ConnectError> {
    let started = Instant::now();
    let endpoint = shared.upgrade.endpoint(&attempt.address)?;
    // The lists may have changed since the dial was planned.
    if let Some(rule) = shared.gate.rule_of(endpoint.host()) {
        return Err(ConnectError::Gated(rule.to_string().into()));
    }
    let refused = ConnectError::Refused;
    let scope = shared
        .resources
        .dial(endpoint.host(), endpoint.descriptors())
        .map_err(refused)?;
    if let Some(peer) = attempt.peer {
        scope.set_peer(peer).map_err(refused)?;
    }
    let identity = dial.identity.as_ref().unwrap_or(&shared.upgrade.identity);
    let dialling = Dialling {
        identity,
        peer: attempt.peer,
        host: attempt.host.as_deref(),
        stage: &progress.stage,
        connected: &progress.connected,
        upgrade_timeout: shared.limits.outbound_upgrade_timeout,
    };
    let raw = endpoint.dial(&shared.transports, &dialling).await?;
    let connect_time = started.elapsed();
    let hooks = Asker {
        questions: shared.gate.questions(),
        hub: &shared.hub,
        node: shared.id,
        request,
        listener: 0,
        direction: Direction::Outbound,
        raw: &raw,
    };
    let purpose = Purpose {
        role: dial.role,
        identity,
        expected_peer: attempt.peer,
        securities: dial.securities.as_deref(),
        agreement: Agreement::Lazy,
        // A known peer has been charged before the socket was opened.
        admit: &|peer| match attempt.peer {
            Some(_) => Ok(()),
            None => scope.set_peer(peer),
        },
        hooks: Some(&hooks),
        stage: &progress.stage,
    };
    let upgrading = upgrade(&raw.carrier, &shared.upgrade, &purpose);
    let upgraded = match dialling.upgrading(upgrading).await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            if matches!(error, ConnectError::Gated(_)) {
                // The attempt has failed; its place is free when the remote has read the end.
                tokio::spawn(async move {
                    farewell(&raw.carrier).await;
                    drop(scope);
                });
            }
            return Err(error);
        }
    };
    Ok(Won {
        raw,
        upgraded,
        connect_time,
        scope,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::sync::{OnceLock, Weak};

    use super::*;
    use crate::Node;
    use crate::command::Stage;
    use crate::diagnostics::Level;
    use crate::hub::{Doorbell, Hub, Ready};
    use crate::single_node::single_node;

    /// Takes the ready entries as soon as it rings.
    struct Taker {
        hub: Arc<OnceLock<Weak<Hub>>>,
        taken: Sender<Vec<Ready>>,
    }

    impl Doorbell for Taker {
        fn ring(&self) {
            let hub = self.hub.get().and_then(Weak::upgrade).expect("a hub");
            hub.answer();
            let ready = std::iter::from_fn(|| hub.take()).collect();
            drop(self.taken.send(ready));
        }
    }

    fn node() -> (Node, Receiver<Vec<Ready>>) {
        let cell = Arc::new(OnceLock::new());
        let (taken, rings) = mpsc::channel();
        let hub = Hub::new(Box::new(Taker {
            hub: Arc::clone(&cell),
            taken,
        }));
        cell.set(std::sync::Arc::downgrade(&hub)).expect("one hub");
        (single_node(hub), rings)
    }

    fn planned(address: Multiaddr) -> PlannedAttempt {
        PlannedAttempt {
            address,
            peer: None,
            host: None,
            delay: Duration::ZERO,
            timeout: Duration::from_secs(10),
            hold: Duration::ZERO,
        }
    }

    fn request(addresses: Vec<Multiaddr>) -> DialRequest {
        DialRequest {
            plan: addresses.into_iter().map(planned).collect(),
            identity: None,
            securities: None,
            parallel: 1,
            role: Role::Dialer,
        }
    }

    #[test]
    fn an_attempt_that_panics_is_reported_as_an_internal_error() {
        let (node, _rings) = node();
        let hub = Arc::clone(&node.shared().hub);
        hub.listen_to(Level::Error as u32);
        let plan = [planned("/ip4/192.0.2.1/tcp/1".parse().expect("an address"))];
        let attempts = Arc::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let announced = Announced {
                shared: node.shared(),
                request: 1,
                attempts: &attempts,
            };
            let race = Race::new(&plan, Bounds::of_dial(1), &attempts, |_, progress| {
                *progress.stage.lock() = Stage::Security;
                async { panic!("deliberate panic") }
            });
            let won: Option<()> = announced.run(&plan, race).await;
            assert!(won.is_none());
        });
        let failed = attempts.take().failed;
        let [attempt] = &failed[..] else {
            panic!("expected one attempt");
        };
        assert_eq!(attempt.stage, Stage::Security);
        assert!(matches!(attempt.error, ConnectError::Internal));
        let reported = hub.take_diagnostic().expect("a fact");
        assert!(matches!(reported.fact, Fact::Internal), "{reported:?}");
    }

    // go 21
    #[test]
    fn an_attempt_tells_that_its_connection_is_up_before_it_is_upgraded() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = silent.local_addr().expect("an address").port();
        let address = format!("/ip4/127.0.0.1/tcp/{port}");
        let (node, _rings) = node();
        let dial = request(vec![address.parse().expect("an address")]);
        let progress = AttemptProgress::at(Stage::Connect);
        let is_up = async {
            while progress.connected.get().is_none() {
                tokio::task::yield_now().await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            tokio::select! {
                _ = connect(node.shared(), 1, &dial, &dial.plan[0], &progress) => {
                    panic!("nobody answers");
                }
                up = tokio::time::timeout(Duration::from_secs(60), is_up) => {
                    up.expect("a connection");
                }
            }
        });
    }

    #[test]
    fn a_dial_and_its_connection_are_announced_together() {
        let (listener, bound) = node();
        listener.listen(1, "/ip4/127.0.0.1/tcp/0".parse().expect("an address"));
        let [Ready::Completion(completion)] = &bound.recv().expect("a ring")[..] else {
            panic!("expected the completion alone");
        };
        let Outcome::Listening { addresses, .. } = &completion.outcome else {
            panic!("expected a listener");
        };
        let (dialer, rings) = node();
        dialer.dial(7, request(addresses.clone()));
        let reported = rings.recv().expect("a ring");
        let [Ready::Opened(connection), Ready::Completion(completion)] = &reported[..] else {
            panic!("expected a connection and a completion in one ring");
        };
        assert_eq!((connection.facts().request, completion.request), (7, 7));
    }
}
