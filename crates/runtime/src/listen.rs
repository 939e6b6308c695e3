//! Listening: one accept loop per listener, each connection upgraded on the thread that drives it.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ferroswarm_secure::Role;
use multiaddr::Multiaddr;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;
use tokio::task::JoinHandle;

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
use crate::transport::{Arrival, Endpoint, Listener};
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
    let endpoint = match Endpoint::parse(address) {
        Ok(endpoint) => endpoint,
        Err(error) => return Outcome::Failed(error.into()),
    };
    let bound = endpoint
        .listen(shares_port)
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
            Ok(arrival) => admit(&shared, arrival),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                outage.report(&shared, &listener, error.into());
                refuse_one(&listener, &mut reserve).await;
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
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
fn admit(shared: &Arc<Shared>, arrival: Arrival) {
    if shared.is_closing() {
        return;
    }
    if let Some(rule) = shared.gate.rule_of(Some(arrival.host())) {
        shared.hub.stats.admissions_refused.add(1);
        return shared.report(Fact::ConnectionGated(rule), || {
            Some(arrival.remote_address())
        });
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
        let upgraded = accept(&shared, arrival, scope, seat).await;
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
    scope: ConnectionScope,
    seat: Seat,
) -> Result<(), (Stage, ConnectError)> {
    let raw = arrival
        .register()
        .map_err(|error| (Stage::Connect, ConnectError::Io(error.into())))?;
    let stage = Mutex::new(Stage::Connect);
    let hooks = Asker {
        questions: shared.gate.questions(),
        hub: &shared.hub,
        node: shared.id,
        request: 0,
        direction: Direction::Inbound,
        raw: &raw,
    };
    let purpose = Purpose {
        role: Role::Listener,
        identity: &shared.upgrade.identity,
        expected_peer: None,
        securities: None,
        admit: &|peer| scope.set_peer(peer),
        hooks: Some(&hooks),
        stage: &stage,
    };
    let upgrading = async {
        hooks.accept().await?;
        upgrade(&*raw.pipe, &shared.upgrade, &purpose).await
    };
    let outcome = tokio::time::timeout(shared.limits.inbound_upgrade_timeout, upgrading)
        .await
        .unwrap_or(Err(ConnectError::Timeout));
    let stage = *stage.lock();
    let upgraded = match outcome {
        Ok(upgraded) => upgraded,
        Err(error) => {
            // The remote has received bytes, and is to read their end.
            if matches!(error, ConnectError::Gated(_)) && stage != Stage::Connect {
                farewell(&*raw.pipe).await;
            }
            return Err((stage, error));
        }
    };
    if shared.is_closing() {
        return Ok(());
    }
    let origin = Origin {
        request: 0,
        direction: Direction::Inbound,
        role: Role::Listener,
        connect_time: Duration::ZERO,
        scope,
    };
    shared.establish(raw, upgraded, seat, origin);
    Ok(())
}
