//! Listening: one accept loop per listener, each connection upgraded on the thread it will live on.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ferroswarm_secure::Role;
use multiaddr::Multiaddr;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admission::{Place, Ticket};
use crate::command::{CommandError, ConnectError, Outcome, Stage};
use crate::connection::Direction;
use crate::diagnostics::Fact;
use crate::error::OsError;
use crate::hub::Ready;
use crate::node::{Origin, Shared};
use crate::sync::{Arc, Mutex};
use crate::transport::tcp;
use crate::upgrade::{Purpose, upgrade};

/// Pause after an accept that failed for want of descriptors or memory: the loop does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Listeners of all nodes count together: a JavaScript environment tells those of its nodes apart by number alone.
static LISTENERS_MADE: AtomicU32 = AtomicU32::new(1);

/// Binds `address` and accepts on it until it is told to stop.
pub(crate) fn listen(shared: &Arc<Shared>, address: &Multiaddr) -> Outcome {
    if shared.is_closing() {
        return Outcome::Failed(CommandError::NodeClosed);
    }
    let socket_address = match tcp::socket_address(address) {
        Ok(socket_address) => socket_address,
        Err(error) => return Outcome::Failed(error.into()),
    };
    let bound = tcp::listen(socket_address)
        .and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    let (listener, address) = match bound {
        Ok(bound) => bound,
        Err(error) => return Outcome::Failed(CommandError::Io(error.into())),
    };
    let id = LISTENERS_MADE.fetch_add(1, Ordering::Relaxed);
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(accept_loop(Arc::clone(shared), listener, stopped, id));
    shared
        .listeners
        .lock()
        .insert(id, Accepting { stop, accepting });
    // Behind the list, which a closing node empties behind this flag: one of the two sees the other.
    if shared.is_closing() {
        shared.stop_listeners();
        return Outcome::Failed(CommandError::NodeClosed);
    }
    Outcome::Listening {
        listener: id,
        addresses: vec![tcp::multiaddr(address)],
    }
}

/// A listener that accepts.
pub(crate) struct Accepting {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Accepting {
    /// Ends it. When the returned future has, its address is free for others.
    pub(crate) fn stop(self) -> impl Future<Output = ()> + Send {
        self.stop.send_replace(true);
        // One that panicked accepts no more either.
        async move { drop(self.accepting.await) }
    }
}

async fn accept_loop(
    shared: Arc<Shared>,
    listener: TcpListener,
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
            Ok((socket, address)) => admit(&shared, socket, address),
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

/// Accepts that fail one after the other; told of once a second, not at every try.
#[derive(Default)]
struct Outage {
    told_at: Option<Instant>,
    untold: u32,
}

impl Outage {
    const STEP: Duration = Duration::from_secs(1);

    fn report(&mut self, shared: &Shared, listener: &TcpListener, error: OsError) {
        self.untold = self.untold.saturating_add(1);
        if self.told_at.is_some_and(|at| at.elapsed() < Self::STEP) {
            return;
        }
        self.told_at = Some(Instant::now());
        let failures = std::mem::take(&mut self.untold);
        shared.report(Fact::AcceptFailed { error, failures }, || {
            listener.local_addr().map(tcp::multiaddr).ok()
        });
    }
}

/// A descriptor that is given up when there are no others: a remote that waits in the backlog is
/// then told no at once, instead of hanging until there are.
fn reserve_descriptor() -> Option<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, None).ok()
}

/// Accepts one connection with the reserve and closes it.
async fn refuse_one(listener: &TcpListener, reserve: &mut Option<Socket>) {
    if reserve.take().is_some() {
        let refused = tokio::time::timeout(ACCEPT_BACKOFF, listener.accept()).await;
        drop(refused);
    }
    *reserve = reserve_descriptor();
}

/// The connection that was to be accepted failed, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// What an accepted connection has of the limits.
struct Admitted {
    place: Place,
    ticket: Ticket,
}

/// Refuses, or hands the socket to the thread that will drive it.
fn admit(shared: &Arc<Shared>, socket: TcpStream, address: SocketAddr) {
    if shared.is_closing() {
        return;
    }
    let admission = &shared.admission;
    let admitted = admission.place(&shared.limits).and_then(|place| {
        let ticket = admission.admit(address.ip(), &shared.limits)?;
        Ok(Admitted { place, ticket })
    });
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            shared.hub.stats.admissions_refused.add(1);
            let fact = Fact::ConnectionRefused(refusal);
            return shared.report(fact, || Some(tcp::multiaddr(address)));
        }
    };
    let Some((handle, seat)) = shared.threads.lock().seat() else {
        return;
    };
    // The socket leaves this thread's event queue and joins that thread's.
    let Ok(socket) = socket.into_std() else {
        return;
    };
    let shared = Arc::clone(shared);
    handle.spawn(async move {
        let upgraded = accept(&shared, socket, address, admitted, seat).await;
        if let Err((stage, error)) = upgraded {
            shared.hub.stats.upgrades_failed.add(1);
            let fact = Fact::upgrade(stage, error);
            shared.report(fact, || Some(tcp::multiaddr(address)));
        }
    });
}

/// Upgrades an accepted socket. What fails, and why, nobody waits for: it is reported.
async fn accept(
    shared: &Arc<Shared>,
    socket: std::net::TcpStream,
    address: SocketAddr,
    admitted: Admitted,
    seat: crate::threads::Seat,
) -> Result<(), (Stage, ConnectError)> {
    let at_socket = |error: io::Error| (Stage::Dial, ConnectError::Io(error.into()));
    let socket = TcpStream::from_std(socket).map_err(at_socket)?;
    socket.set_nodelay(true).map_err(at_socket)?;
    let local = socket.local_addr().map_err(at_socket)?;
    let stage = Mutex::new(Stage::Security);
    let purpose = Purpose {
        role: Role::Listener,
        identity: &shared.upgrade.identity,
        expected_peer: None,
        securities: None,
        stage: &stage,
    };
    let upgrading = upgrade(&socket, &shared.upgrade, &purpose);
    let upgraded = tokio::time::timeout(shared.limits.upgrade_timeout, upgrading)
        .await
        .unwrap_or(Err(ConnectError::Timeout))
        .map_err(|error| (*stage.lock(), error))?;
    if shared.is_closing() {
        return Ok(());
    }
    let origin = Origin {
        request: 0,
        direction: Direction::Inbound,
        remote_address: tcp::multiaddr(address),
        local_address: tcp::multiaddr(local),
        dial_time: Duration::ZERO,
        place: admitted.place,
        ticket: Some(admitted.ticket),
    };
    shared.establish(socket, upgraded, seat, origin);
    Ok(())
}
