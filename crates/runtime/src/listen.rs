//! Listening: one accept loop per listener, each connection upgraded on the thread that drives it.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ferroswarm_secure::{Agreement, Role};
use multiaddr::Multiaddr;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::attempts::Attempt;
use crate::command::{CommandError, ConnectError, Outcome, Stage};
use crate::connection::Direction;
use crate::diagnostics::Fact;
use crate::error::OsError;
use crate::gate::Asker;
use crate::hub::Ready;
use crate::node::{Origin, Shared};
use crate::resources::ConnectionScope;
use crate::sync::{Arc, Mutex};
use crate::threads::Seat;
use crate::transport::{Arrival, Listener, RawConnection};
use crate::upgrade::{Purpose, farewell, upgrade};

/// Pause after an accept that failed for lack of descriptors or memory, so that the loop does not
/// spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Shared by all nodes: a JavaScript environment identifies the listeners of its nodes by number
/// alone.
static NEXT_LISTENER: AtomicU32 = AtomicU32::new(1);

/// Binds `address` and accepts on it until stopped.
pub(crate) fn listen(shared: &Arc<Shared>, address: &Multiaddr, shares_port: bool) -> Outcome {
    if shared.is_closing() {
        return Outcome::Failed(CommandError::NodeClosed);
    }
    let endpoint = match shared.upgrade.endpoint(address) {
        Ok(endpoint) => endpoint,
        Err(error) => return Outcome::Failed(error.into()),
    };
    let bound = endpoint
        .listen(&shared.transports, shares_port)
        .and_then(|listener| listener.local_address().map(|address| (listener, address)));
    let (listener, address) = match bound {
        Ok(bound) => bound,
        Err(error) => return Outcome::Failed(CommandError::Io(error.into())),
    };
    let id = NEXT_LISTENER.fetch_add(1, Ordering::Relaxed);
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(accept_loop(Arc::clone(shared), listener, stopped, id));
    shared
        .listeners
        .lock()
        .insert(id, Accepting { stop, accepting });
    // Checked after the insert, as a closing node empties the list after setting the flag: one of
    // the two sees the other.
    if shared.is_closing() {
        shared.stop_listeners();
        return Outcome::Failed(CommandError::NodeClosed);
    }
    Outcome::Listening {
        listener: id,
        addresses: vec![address],
    }
}

/// An active listener.
pub(crate) struct Accepting {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Accepting {
    /// Stops it. Its address is free once the returned future has resolved.
    pub(crate) fn stop(self) -> impl Future<Output = ()> + Send {
        self.stop.send_replace(true);
        // An accept loop that panicked has stopped too.
        async move { drop(self.accepting.await) }
    }
}

async fn accept_loop(
    shared: Arc<Shared>,
    listener: Listener,
    mut stopped: watch::Receiver<bool>,
    id: u32,
) {
    let mut reserve = reserve_descriptor();
    let mut outage = Outage::default();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(arrival) => admit(&shared, arrival, id),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                outage.report(&shared, &listener, error.into());
                refuse_one(&listener, &mut reserve).await;
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    listener.close().await;
    shared.hub.queue(Ready::ListenerClosed { listener: id });
    shared.hub.announce();
}

/// Accept failures, reported at most once a second.
#[derive(Default)]
struct Outage {
    reported_at: Option<Instant>,
    unreported: u32,
}

impl Outage {
    const STEP: Duration = Duration::from_secs(1);

    fn report(&mut self, shared: &Shared, listener: &Listener, error: OsError) {
        self.unreported = self.unreported.saturating_add(1);
        if self.reported_at.is_some_and(|at| at.elapsed() < Self::STEP) {
            return;
        }
        self.reported_at = Some(Instant::now());
        let failures = std::mem::take(&mut self.unreported);
        shared.report(Fact::AcceptFailed { error, failures }, || {
            listener.local_address().ok()
        });
    }
}

/// Opens a spare descriptor, to be closed when no other is left: a remote waiting in the backlog is
/// then refused at once instead of hanging until one is free.
fn reserve_descriptor() -> Option<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, None).ok()
}

/// Accepts one connection with the reserved descriptor and closes it.
async fn refuse_one(listener: &Listener, reserve: &mut Option<Socket>) {
    if reserve.take().is_some() {
        let refused = tokio::time::timeout(ACCEPT_BACKOFF, listener.accept()).await;
        drop(refused);
    }
    *reserve = reserve_descriptor();
}

/// Returns whether the connection being accepted failed, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Refuses the connection or hands it to the thread that will drive it.
fn admit(shared: &Arc<Shared>, arrival: Arrival, listener: u32) {
    if shared.is_closing() {
        return;
    }
    if let Some(rule) = shared.gate.rule_of(arrival.host()) {
        shared.hub.stats.admissions_refused.add(1);
        return shared.report(Fact::ConnectionGated(rule), || {
            Some(arrival.remote_address())
        });
    }
    if arrival.is_unproven() && shared.must_prove(arrival.host()) {
        return arrival.demand_proof();
    }
    let now = shared.epoch().elapsed();
    let accepted = shared
        .resources
        .accept(arrival.host(), arrival.descriptors(), now);
    let scope = match accepted {
        Ok(scope) => scope,
        Err(refusal) => {
            shared.hub.stats.admissions_refused.add(1);
            let fact = Fact::ConnectionRefused(refusal);
            return shared.report(fact, || Some(arrival.remote_address()));
        }
    };
    let Some((handle, seat)) = shared.threads.lock().seat() else {
        return;
    };
    let shared = Arc::clone(shared);
    handle.spawn(async move {
        let address = arrival.remote_address();
        let upgraded = accept(&shared, arrival, listener, scope, seat).await;
        if let Err((stage, error)) = upgraded {
            let fact = match error {
                // By the limit of its peer, which is known since the handshake.
                ConnectError::Refused(refusal) => {
                    shared.hub.stats.admissions_refused.add(1);
                    Fact::ConnectionRefused(refusal)
                }
                // By a hook of JavaScript, which reports it.
                ConnectError::Gated(_) => {
                    shared.hub.stats.admissions_refused.add(1);
                    return;
                }
                // No upgrade was asked for.
                ConnectError::Answered => return,
                error => {
                    shared.hub.stats.upgrades_failed.add(1);
                    Fact::upgrade(stage, error)
                }
            };
            shared.report(fact, || Some(address));
        }
    });
}

/// Upgrades an accepted connection. No caller waits for the result; failures are reported.
async fn accept(
    shared: &Arc<Shared>,
    arrival: Arrival,
    listener: u32,
    scope: ConnectionScope,
    seat: Seat,
) -> Result<(), (Stage, ConnectError)> {
    let deadline = tokio::time::Instant::now() + shared.limits.inbound_upgrade_timeout;
    let stage = Mutex::new(Stage::Connect);
    let raw = open(arrival, shared, deadline, &stage).await?;
    let hooks = Asker {
        questions: shared.gate.questions(),
        hub: &shared.hub,
        node: shared.id,
        request: 0,
        listener,
        direction: Direction::Inbound,
        raw: &raw,
    };
    let purpose = Purpose {
        role: Role::Listener,
        identity: &shared.upgrade.identity,
        expected_peer: None,
        securities: None,
        agreement: Agreement::Lazy,
        admit: &|peer| scope.set_peer(peer),
        hooks: Some(&hooks),
        stage: &stage,
    };
    let mut command = None;
    let started = Instant::now();
    let upgrading = async {
        command = hooks.accept().await?;
        let upgrading = upgrade(&raw.carrier, &shared.upgrade, &purpose);
        match &mut command {
            Some(command) => tokio::select! {
                upgraded = upgrading => upgraded.map(Some),
                () = command.cancelled() => Ok(None),
            },
            None => upgrading.await.map(Some),
        }
    };
    let outcome = tokio::time::timeout_at(deadline, upgrading)
        .await
        .unwrap_or(Err(ConnectError::Timeout));
    let stage = *stage.lock();
    let upgraded = match outcome {
        Ok(Some(upgraded)) => upgraded,
        // Cancelled.
        Ok(None) => return Ok(()),
        Err(error) => {
            if let Some(command) = command {
                command.end(failed(stage, error.clone(), started));
            }
            // The remote has received bytes, and is to read their end.
            if matches!(error, ConnectError::Gated(_)) && stage != Stage::Connect {
                farewell(&raw.carrier).await;
            }
            return Err((stage, error));
        }
    };
    if shared.is_closing() {
        return Ok(());
    }
    let origin = Origin {
        request: command.as_ref().map_or(0, |command| command.request),
        direction: Direction::Inbound,
        role: Role::Listener,
        connect_time: Duration::ZERO,
        scope,
    };
    let connection = shared.establish(raw, upgraded, seat, origin);
    if let Some(command) = command {
        command.end(Outcome::Dialled(connection));
    }
    Ok(())
}

/// Opens an accepted connection until the deadline.
async fn open(
    arrival: Arrival,
    shared: &Shared,
    deadline: tokio::time::Instant,
    stage: &Mutex<Stage>,
) -> Result<RawConnection, (Stage, ConnectError)> {
    tokio::time::timeout_at(deadline, arrival.open(&shared.transports, stage))
        .await
        .unwrap_or(Err(ConnectError::Timeout))
        .map_err(|error| (*stage.lock(), error))
}

/// Returns the outcome of the command of an upgrade that failed.
fn failed(stage: Stage, error: ConnectError, started: Instant) -> Outcome {
    Outcome::UpgradeFailed(Box::new(Attempt {
        index: 0,
        stage,
        error,
        elapsed: started.elapsed(),
    }))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};

    use super::*;
    use crate::dial::{DialRequest, PlannedAttempt};
    use crate::hub::Hub;
    use crate::live::Bell;
    use crate::single_node::{gated_node, single_node};
    use crate::{Gate, Hook, Node, Question};

    /// A node that asks before it accepts, its listener, and the address of that.
    struct Asking {
        node: Node,
        listener: u32,
        address: Multiaddr,
    }

    impl Asking {
        fn new() -> Self {
            let hub = Hub::new(Box::new(Bell(Arc::default())));
            let node = gated_node(hub, Gate::new(Hook::Accept as u32));
            node.listen(1, "/ip4/127.0.0.1/tcp/0".parse().expect("an address"));
            let Outcome::Listening {
                listener,
                mut addresses,
            } = outcome(&node, 1)
            else {
                panic!("expected a listener");
            };
            let address = addresses.remove(0);
            Self {
                node,
                listener,
                address,
            }
        }

        fn connect(&self) -> TcpStream {
            let port = self.address.to_string().rsplit('/').next().map(str::parse);
            let port = port.and_then(Result::ok).expect("a port");
            TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("a listener")
        }

        fn question(&self) -> (u64, Question) {
            loop {
                match self.node.shared().gate.take_questions().pop() {
                    Some(question) => return question,
                    None => std::thread::yield_now(),
                }
            }
        }
    }

    /// Waits for the outcome of a command.
    fn outcome(node: &Node, request: u32) -> Outcome {
        loop {
            match node.shared().hub.take() {
                Some(Ready::Completion(completion)) if completion.request == request => {
                    return completion.outcome;
                }
                Some(_) => {}
                None => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn the_upgrade_of_an_accepted_connection_completes_as_a_command() {
        let asking = Asking::new();
        let dialer = single_node(Hub::new(Box::new(Bell(Arc::default()))));
        let plan = PlannedAttempt {
            address: asking.address.clone(),
            peer: None,
            host: None,
            delay: Duration::ZERO,
            timeout: Duration::from_secs(60),
            hold: Duration::ZERO,
        };
        dialer.dial(
            1,
            DialRequest {
                plan: vec![plan],
                identity: None,
                securities: None,
                parallel: 1,
                role: Role::Dialer,
            },
        );
        let (ticket, question) = asking.question();
        assert_eq!(question.listener, asking.listener);
        asking.node.accept(7, ticket);
        let Outcome::Dialled(connection) = outcome(&asking.node, 7) else {
            panic!("expected a connection");
        };
        let facts = connection.facts();
        assert_eq!((facts.request, facts.direction), (7, Direction::Inbound));
        assert!(matches!(outcome(&dialer, 1), Outcome::Dialled(_)));
    }

    #[test]
    fn a_remote_that_leaves_fails_the_command_of_its_upgrade() {
        let asking = Asking::new();
        let remote = asking.connect();
        asking.node.accept(7, asking.question().0);
        drop(remote);
        let Outcome::UpgradeFailed(attempt) = outcome(&asking.node, 7) else {
            panic!("expected a failed upgrade");
        };
        assert_eq!(attempt.stage, Stage::Security);
        assert!(attempt.error.is_departure());
    }

    #[test]
    fn the_command_of_an_upgrade_can_be_cancelled_and_ends_without_a_connection() {
        let asking = Asking::new();
        let _silent = asking.connect();
        asking.node.accept(7, asking.question().0);
        asking.node.cancel(7);
        let cancelled = outcome(&asking.node, 7);
        assert!(matches!(cancelled, Outcome::Failed(CommandError::Aborted)));
        // Nobody waits for the answer to this one.
        asking.node.accept(8, 1_000);
        let unknown = outcome(&asking.node, 8);
        assert!(matches!(unknown, Outcome::Failed(CommandError::Aborted)));
        let _late = asking.connect();
        let (ticket, _) = asking.question();
        asking.node.stop();
        asking.node.accept(9, ticket);
        let stopped = outcome(&asking.node, 9);
        assert!(matches!(stopped, Outcome::Failed(CommandError::Aborted)));
    }
}
