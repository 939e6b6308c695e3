//! Handle of a running node: its threads, listeners, dials and connections.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Weak;
use std::time::{Duration, Instant};

use ferroswarm_pnet::PreSharedKey;
use ferroswarm_quic::Config as QuicConfig;
use ferroswarm_secure::{Identity, PeerId, Role, Security};
use ferroswarm_websocket::Answer as HttpAnswer;
use multiaddr::Multiaddr;
use tokio::sync::{Semaphore, watch};

use crate::attempts::Attempts;
use crate::command::{CommandError, Completion, Outcome};
use crate::config::{Limits, Muxer};
use crate::connection::{
    CloseManner, CloseRequest, Connection, Direction, Facts, Parts, StageTimes,
};
use crate::diagnostics::{Fact, Subject};
use crate::dial::DialRequest;
use crate::drive::{drive, linger};
use crate::duplex::{DuplexRequest, upgrade_duplex};
use crate::error::ConnectionFault;
use crate::gate::Gate;
use crate::handlers::Handlers;
use crate::hub::{Hub, Ready};
use crate::listen::Accepting;
use crate::resolve::{DnsOptions, Names, RecordKind};
use crate::resources::{ConnectionScope, ResourceOptions, Resources};
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering};
use crate::threads::{IoThreads, Seat, default_count, join};
use crate::transport::websocket::{
    Certificates, HttpRequest, Requests, WebSocketOptions, WebSockets,
};
use crate::transport::{Endpoints, RawConnection, Transports};
use crate::upgrade::{UpgradeConfig, Upgraded};

/// Options of a node.
pub struct NodeOptions {
    /// Identity of the node.
    pub identity: Arc<Identity>,
    /// Security protocols, in order of preference.
    pub securities: Vec<Security>,
    /// Multiplexer of its connections.
    pub muxer: Muxer,
    /// Key of the private network that the node is limited to. It protects every connection, but
    /// those of [`Stack::MuxerOnly`](crate::Stack::MuxerOnly), whose bytes the application secures;
    /// addresses whose connections it cannot protect are refused.
    pub psk: Option<PreSharedKey>,
    /// I/O threads. Defaults to one less than the machine's cores, at least 1 and at most 4.
    pub io_threads: Option<usize>,
    /// Timeouts and bounds of each connection.
    pub limits: Limits,
    /// Resource limits.
    pub resources: ResourceOptions,
    /// What refuses connections, whatever they use.
    pub gate: Arc<Gate>,
    /// Lookups of names.
    pub dns: DnsOptions,
    /// QUIC connections.
    pub quic: QuicConfig,
    /// The WebSocket transport.
    pub web_socket: WebSocketOptions,
}

/// State shared by the tasks of a node.
pub(crate) struct Shared {
    pub(crate) id: u32,
    pub(crate) hub: Arc<Hub>,
    pub(crate) upgrade: UpgradeConfig,
    pub(crate) muxer: Muxer,
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) transports: Transports,
    names: Names,
    pub(crate) threads: Mutex<IoThreads>,
    pub(crate) listeners: Mutex<HashMap<u32, Accepting>>,
    commands: Mutex<HashMap<u32, UnderWay>>,
    connections: Mutex<HashMap<u64, Weak<Connection>>>,
    /// Permits for the attempts at each peer that is being dialled.
    dialled: Mutex<HashMap<PeerId, Weak<Semaphore>>>,
    /// A permit for each attempt of a dial.
    pub(crate) attempts: Arc<Semaphore>,
    next_connection: AtomicU64,
    /// Nothing new is accepted any more.
    closing: AtomicBool,
    /// Connections are being closed, including those that a dial has yet to establish.
    ending: AtomicBool,
    epoch: Instant,
}

/// A running node. Dropping it stops its threads, which ends everything it owns.
pub struct Node {
    shared: Arc<Shared>,
}

/// Returns the maximum number of open files of this process; `None` where the system has none.
pub fn open_files_max() -> Option<u64> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit};
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        (soft != nix::libc::RLIM_INFINITY).then_some(soft)
    }
    #[cfg(not(unix))]
    None
}

/// Maximum number of concurrent attempts of all dials: sockets that may never be answered. That of
/// go-libp2p.
const ATTEMPTS_MAX: usize = 160;

/// Interval at which a closing node checks for unsent data.
const DRAIN_STEP: Duration = Duration::from_millis(5);

/// Lower bound on the time that a closing node allows for its GoAways to be sent.
const FLUSH_MIN: Duration = Duration::from_secs(1);

impl Node {
    /// Returns the state shared by its tasks.
    #[cfg(test)]
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts the threads of a node that belongs to `hub`.
    ///
    /// # Errors
    /// Errors of starting threads and their event queues.
    pub fn start(id: u32, hub: Arc<Hub>, options: NodeOptions) -> io::Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let count = options
            .io_threads
            .unwrap_or_else(|| default_count(cores()))
            .max(1);
        let epoch = Instant::now();
        let quic =
            Endpoints::new(&options.quic, &options.identity, epoch).map_err(io::Error::other)?;
        let quic = Arc::new(quic);
        let web_sockets = WebSockets::new(options.web_socket, &hub, id);
        let shared = Shared {
            id,
            hub,
            upgrade: UpgradeConfig {
                identity: options.identity,
                securities: options.securities,
                muxers: Arc::from([Box::from(options.muxer.protocol_id())]),
                psk: options.psk,
            },
            muxer: options.muxer,
            handlers: Arc::new(Handlers::default()),
            limits: Arc::new(options.limits),
            resources: Resources::new(options.resources),
            gate: options.gate,
            transports: Transports { quic, web_sockets },
            names: Names::new(options.dns),
            threads: Mutex::new(IoThreads::start(count)?),
            listeners: Mutex::default(),
            commands: Mutex::default(),
            connections: Mutex::default(),
            dialled: Mutex::default(),
            attempts: Arc::new(Semaphore::new(ATTEMPTS_MAX)),
            next_connection: AtomicU64::new(1),
            closing: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            epoch,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Returns its number within the environment.
    pub fn id(&self) -> u32 {
        self.shared.id
    }

    /// Returns its identity.
    pub fn identity(&self) -> &Identity {
        &self.shared.upgrade.identity
    }

    /// Returns its resource accounting.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.shared.resources
    }

    /// Returns the certificates of its WebSocket listeners, which may be replaced.
    pub fn certificates(&self) -> &Certificates {
        self.shared.transports.web_sockets.certificates()
    }

    /// Returns the requests to WebSocket listeners that wait to be answered, oldest first; none unless
    /// [`WebSocketOptions::passes_requests`].
    pub fn take_requests(&self) -> Vec<(u64, HttpRequest)> {
        let requests = self.shared.transports.web_sockets.requests();
        requests.map_or_else(Vec::new, Requests::take)
    }

    /// Answers a request. Returns false if nobody waits for the answer any more.
    pub fn answer_request(&self, ticket: u64, answer: HttpAnswer) -> bool {
        let requests = self.shared.transports.web_sockets.requests();
        requests.is_some_and(|requests| requests.answer(ticket, answer))
    }

    /// Returns the time since it was started, which is the clock of its rates.
    pub fn uptime(&self) -> Duration {
        self.shared.epoch.elapsed()
    }

    /// Returns the protocols it serves.
    pub fn handlers(&self) -> &Handlers {
        &self.shared.handlers
    }

    /// Binds a listener; completes with [`Outcome::Listening`].
    pub fn listen(&self, request: u32, address: Multiaddr) {
        self.listen_on(request, address, false);
    }

    /// Calls [`listen`](Self::listen) for a port that other processes may bind too. Fails where the
    /// system does not spread connections over them.
    pub fn listen_shared(&self, request: u32, address: Multiaddr) {
        self.listen_on(request, address, true);
    }

    fn listen_on(&self, request: u32, address: Multiaddr, shares_port: bool) {
        let shared = Arc::clone(&self.shared);
        self.run(request, STOPPED, async move {
            crate::listen::listen(&shared, &address, shares_port)
        });
    }

    /// Stops a listener; its connections stay open. Completes when its address is free.
    pub fn unlisten(&self, request: u32, listener: u32) {
        let accepting = self.shared.listeners.lock().remove(&listener);
        self.run(request, STOPPED, async move {
            match accepting {
                Some(accepting) => accepting.stop().await,
                None => return Outcome::Failed(CommandError::NoListener),
            }
            Outcome::Done
        });
    }

    /// Looks up the records of a name; completes with [`Outcome::Resolved`].
    pub fn resolve(&self, request: u32, name: String, kind: RecordKind) {
        let shared = Arc::clone(&self.shared);
        self.run(request, STOPPED, async move {
            match shared.names.lookup(&name, kind).await {
                Ok(records) => Outcome::Resolved(records),
                Err(error) => Outcome::Failed(error.into()),
            }
        });
    }

    /// Dials one set of concrete addresses; completes with [`Outcome::Dialled`] or
    /// [`Outcome::DialFailed`].
    pub fn dial(&self, request: u32, dial: DialRequest) {
        let shared = Arc::clone(&self.shared);
        let Some((handle, seat)) = self.shared.threads.lock().seat() else {
            return self.shared.complete(request, STOPPED);
        };
        let attempts = Arc::new(Attempts::default());
        let command = Command {
            request,
            stopped: STOPPED,
            attempts: Some(Arc::clone(&attempts)),
        };
        let task = async move { crate::dial::dial(&shared, request, dial, attempts, seat).await };
        self.run_on(&handle, command, task);
    }

    /// Upgrades a duplex of the application; completes with [`Outcome::Dialled`] or
    /// [`Outcome::UpgradeFailed`].
    pub fn upgrade(&self, request: u32, duplex: DuplexRequest) {
        let shared = Arc::clone(&self.shared);
        // Here, so that it is closed whatever becomes of the task.
        let scope = duplex
            .scope
            .map(|opened| shared.resources.take_over(opened.id, duplex.endpoint));
        let Some((handle, seat)) = self.shared.threads.lock().seat() else {
            return self.shared.complete(request, STOPPED);
        };
        let attempts = Arc::new(Attempts::default());
        let command = Command {
            request,
            stopped: STOPPED,
            attempts: Some(Arc::clone(&attempts)),
        };
        self.run_on(&handle, command, async move {
            upgrade_duplex(&shared, request, duplex, scope, attempts, seat).await
        });
    }

    /// Allows the upgrade of an accepted connection, which [`Hook::Accept`](crate::Hook::Accept) asks
    /// for, and makes it a command: it can be cancelled, its connection is announced with the
    /// request, and it completes with [`Outcome::Dialled`] or [`Outcome::UpgradeFailed`]. If the
    /// connection was given up meanwhile, it completes with [`CommandError::Aborted`].
    pub fn accept(&self, request: u32, ticket: u64) {
        let running = self.begin(Command {
            request,
            stopped: ABORTED,
            attempts: None,
        });
        self.shared.gate.questions().admit(ticket, running);
    }

    /// Returns the attempts of a dial in progress, or the one of an upgrade.
    pub fn attempts(&self, request: u32) -> Option<Arc<Attempts>> {
        let commands = self.shared.commands.lock();
        commands.get(&request)?.attempts.clone()
    }

    /// Cancels a command, which completes with [`CommandError::Aborted`] unless it has ended.
    pub fn cancel(&self, request: u32) {
        if let Some(command) = self.shared.commands.lock().get(&request) {
            command.cancel.send_replace(true);
        }
    }

    /// Stops accepting anything new: no listener is bound and none accepts, no connection being
    /// upgraded is established, dials fail, and inbound streams are reset with the code of a
    /// shutdown. Existing connections and streams continue. Idempotent.
    pub fn stop_accepting(&self) {
        self.shared.stop_accepting();
    }

    /// Waits until every written byte and stream end is sent, for at most `timeout`.
    pub fn drain(&self, request: u32, timeout: Duration) {
        let shared = Arc::clone(&self.shared);
        self.run(request, Outcome::Done, async move {
            shared.drain(timeout).await;
            Outcome::Done
        });
    }

    /// Stops accepting and closes every connection: in an orderly manner within `timeout`, which
    /// includes the delivery of bytes accepted by streams; at once if it is zero.
    pub fn close(&self, request: u32, timeout: Duration) {
        self.shared.stop_accepting();
        let shared = Arc::clone(&self.shared);
        let closing = async move {
            shared.close(timeout).await;
            Outcome::Done
        };
        // Another close may complete and stop the threads first: the node is closed then.
        self.run(request, Outcome::Done, closing);
    }

    /// Stops the threads and waits for them: everything still open ends now.
    pub fn stop(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Not under the lock: an accept loop that is about to seat a connection needs it.
        let stopping = self.shared.threads.lock().stop();
        join(stopping);
        self.shared.names.close();
    }

    /// Calls [`run_on`](Self::run_on) with the first thread.
    fn run(
        &self,
        request: u32,
        stopped: Outcome,
        task: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let command = Command {
            request,
            stopped,
            attempts: None,
        };
        let first = self.shared.threads.lock().first();
        match first {
            Some(handle) => self.run_on(&handle, command, task),
            None => self.shared.complete(request, command.stopped),
        }
    }

    /// Runs a command's task so that it can be cancelled and always completes.
    fn run_on(
        &self,
        handle: &tokio::runtime::Handle,
        command: Command,
        task: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let mut running = self.begin(command);
        handle.spawn(async move {
            let outcome = tokio::select! {
                outcome = task => outcome,
                () = running.cancelled() => ABORTED,
            };
            running.end(outcome);
        });
    }

    fn begin(&self, command: Command) -> Running {
        let (cancel, cancelled) = watch::channel(false);
        let attempts = command.attempts;
        let under_way = UnderWay { cancel, attempts };
        self.shared
            .commands
            .lock()
            .insert(command.request, under_way);
        Running {
            shared: Arc::clone(&self.shared),
            request: command.request,
            cancelled,
            outcome: Some(command.stopped),
        }
    }
}

/// Returns the close request for the connections of a closing node.
const fn close_request(manner: CloseManner) -> CloseRequest {
    CloseRequest {
        code: 0,
        fault: ConnectionFault::NodeClosed,
        manner,
    }
}

/// A command to start.
struct Command {
    request: u32,
    /// Outcome if its thread is stopped first.
    stopped: Outcome,
    /// Attempts of a dial, or the one of an upgrade.
    attempts: Option<Arc<Attempts>>,
}

/// A command in progress, as seen by JavaScript's thread.
struct UnderWay {
    cancel: watch::Sender<bool>,
    attempts: Option<Arc<Attempts>>,
}

/// Outcome of a command whose thread is stopped before it ends.
const STOPPED: Outcome = Outcome::Failed(CommandError::NodeClosed);

/// Outcome of a cancelled command.
const ABORTED: Outcome = Outcome::Failed(CommandError::Aborted);

/// A command in progress. Dropping it completes the command, whatever becomes of its task.
pub(crate) struct Running {
    shared: Arc<Shared>,
    pub(crate) request: u32,
    cancelled: watch::Receiver<bool>,
    /// Outcome on drop; until the task has ended, that of a stopped thread.
    outcome: Option<Outcome>,
}

impl Running {
    /// Returns when the command is cancelled. Cancel safe.
    pub(crate) async fn cancelled(&mut self) {
        if self.cancelled.wait_for(|cancel| *cancel).await.is_err() {
            // The sender is in the table of commands until this one has ended.
            std::future::pending::<()>().await;
        }
    }

    /// Completes with the task's outcome.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.shared.complete(self.request, outcome);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Reports a command's outcome to JavaScript.
    pub(crate) fn complete(&self, request: u32, outcome: Outcome) {
        self.commands.lock().remove(&request);
        self.hub
            .queue(Ready::Completion(Completion { request, outcome }));
        self.hub.announce();
    }

    /// Reports a fact about a remote without a connection yet, or about no remote.
    pub(crate) fn report(&self, fact: Fact, address: impl FnOnce() -> Option<Multiaddr>) {
        self.hub.report(fact, || Subject {
            node: self.id,
            connection: 0,
            address: address(),
        });
        self.hub.announce();
    }

    /// Returns the origin of the clock.
    pub(crate) const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Returns whether a remote at `host` has to prove its address before anything is charged.
    pub(crate) fn must_prove(&self, host: Option<IpAddr>) -> bool {
        let now = self.epoch.elapsed();
        host.is_some_and(|host| self.resources.must_verify(host, now))
    }

    /// Returns whether nothing new is accepted any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Creates the connection of an upgraded transport and drives it on the current thread.
    pub(crate) fn establish(
        self: &Arc<Self>,
        raw: RawConnection,
        upgraded: Upgraded,
        seat: Seat,
        origin: Origin,
    ) -> Arc<Connection> {
        let facts = Facts {
            node: self.id,
            request: origin.request,
            direction: origin.direction,
            role: origin.role,
            remote_peer: upgraded.peer,
            remote_key: upgraded.key,
            remote_address: raw.remote,
            local_address: raw.local,
            security: upgraded.security,
            muxer: upgraded.layers.is_muxed().then_some(self.muxer),
            early_muxer: upgraded.early_muxer,
            stages: StageTimes {
                connect: origin.connect_time,
                security: upgraded.security_time,
                muxer: upgraded.muxer_time,
            },
        };
        let scope = Arc::new(origin.scope);
        let connection = Connection::new(Parts {
            hub: Arc::clone(&self.hub),
            facts,
            layers: upgraded.layers,
            handlers: Arc::clone(&self.handlers),
            limits: Arc::clone(&self.limits),
            epoch: self.epoch,
            resources: Arc::clone(&self.resources),
            scope: scope.hand_over(),
            unreported: Some(Arc::clone(&scope)),
        });
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        self.connections
            .lock()
            .insert(id, Arc::downgrade(&connection));
        // Checked after the insert, as a closing node reads the list after setting the flag: one of
        // the two sees the other.
        if self.ending.load(Ordering::SeqCst) {
            connection.close(close_request(CloseManner::AtOnce));
        }
        let shared = Arc::clone(self);
        let driven = drive(Arc::clone(&connection), self.epoch, seat);
        let ended = Arc::clone(&connection);
        tokio::spawn(async move {
            driven.await;
            drop(scope);
            ended.close_unused_scope();
            linger(&ended, shared.epoch).await;
            drop(ended);
            shared.connections.lock().remove(&id);
        });
        connection
    }

    /// Returns the permits of the attempts at the peer of a dial, which all of its dials share.
    pub(crate) fn permits_of(&self, dial: &DialRequest) -> Option<Arc<Semaphore>> {
        let peer = dial.plan.first()?.peer?;
        let mut dialled = self.dialled.lock();
        if let Some(permits) = dialled.get(&peer).and_then(Weak::upgrade) {
            return Some(permits);
        }
        // Peers whose dials have ended: as many at most as are dialled at a time.
        dialled.retain(|_, permits| permits.strong_count() > 0);
        let permits = Arc::new(Semaphore::new(dial.parallel.max(1)));
        dialled.insert(peer, Arc::downgrade(&permits));
        Some(permits)
    }

    fn live(&self) -> Vec<Arc<Connection>> {
        self.connections
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    fn stop_accepting(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.handlers.close();
        self.stop_listeners();
    }

    /// Stops every listener without waiting for it.
    pub(crate) fn stop_listeners(&self) {
        for (_, accepting) in self.listeners.lock().drain() {
            drop(accepting.stop());
        }
    }

    async fn drain(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline && self.has_unsent() {
            tokio::time::sleep(DRAIN_STEP).await;
        }
    }

    /// Returns whether a connection has unsent data; wakes the drivers of those that do.
    ///
    /// Output left in the outbox by reading an end is sent at the driver's next turn, which nothing
    /// else triggers on an idle connection.
    fn has_unsent(&self) -> bool {
        let mut any = false;
        for connection in self.live() {
            if connection.has_unsent() {
                connection.kick();
                any = true;
            }
        }
        any
    }

    async fn close(&self, timeout: Duration) {
        let manner = if timeout.is_zero() {
            CloseManner::AtOnce
        } else {
            CloseManner::Orderly
        };
        self.ending.store(true, Ordering::SeqCst);
        for connection in self.live() {
            connection.close(close_request(manner));
        }
        let deadline = Instant::now() + timeout.max(FLUSH_MIN);
        while Instant::now() < deadline
            // A socket closed before the remote has read our GoAway discards the data in flight.
            && !self.connections.lock().is_empty()
        {
            tokio::time::sleep(DRAIN_STEP).await;
        }
    }
}

/// Origin of a connection: its dial, or its admission.
pub(crate) struct Origin {
    pub(crate) request: u32,
    pub(crate) direction: Direction,
    pub(crate) role: Role,
    pub(crate) connect_time: Duration,
    pub(crate) scope: ConnectionScope,
}
