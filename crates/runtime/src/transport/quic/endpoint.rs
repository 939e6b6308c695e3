//! An endpoint: a UDP socket, the connections over it, and the task that receives for them.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ferroswarm_quic::{
    self as quic, ConnectionEvent, ConnectionHandle, ConnectionId, DatagramEvent, EndpointEvent,
    Incoming, Session, Settings, Target, Transmit,
};
use ferroswarm_secure::QuicDialer;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};

use super::socket::{Batch, Socket};
use crate::command::ConnectError;
use crate::connection::Scratch;
use crate::error::OsError;
use crate::socket::{Arrived, Route};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// Refused connections that are remembered.
const REFUSED_MAX: usize = 256;

/// Memory of datagrams that wait for a connection, and as much again in its hands; more are dropped, and
/// sent again by the remote. At 1 GB/s it is reached when the connection's thread is late by 16 ms.
const INBOX_BYTES_MAX: usize = 16 << 20;

/// Memory that a datagram takes besides its bytes.
const EVENT_BYTES: usize = 256;

/// Failures to receive before the endpoint is given up, and the pause after each.
const FAILURES_MAX: u32 = 20;
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

/// Dialled connections that wait to be accepted; more are refused. That of a TCP socket.
const BACKLOG: usize = 1_024;

/// Receive calls before other tasks of the thread have their turn.
const RECEIVES_MAX: usize = 2;

thread_local! {
    /// The thread's receive buffer.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// An endpoint. Its task ends, and its port is free, when the last reference is dropped: a listener
/// and every connection hold one.
pub(super) struct Endpoint {
    shared: Arc<Shared>,
    /// Closed when the port is free.
    released: watch::Receiver<()>,
}

struct Shared {
    socket: Socket,
    proto: Mutex<quic::Endpoint>,
    /// By connection.
    inboxes: Mutex<HashMap<ConnectionHandle, Arc<Inbox>>>,
    /// Connections that wait for room in the socket.
    blocked: Mutex<HashMap<ConnectionHandle, Waker>>,
    /// A connection has begun to wait for room.
    blocks: Notify,
    /// No reference is left.
    over: Notify,
    accepted: Mutex<Option<mpsc::Sender<Incoming>>>,
    /// Why it receives no more.
    failure: Mutex<Option<OsError>>,
    /// Refused connections, oldest first: the rest of a first flight that was refused is no dial of its
    /// own.
    refused: Mutex<VecDeque<ConnectionId>>,
}

/// Received events of one connection.
#[derive(Default)]
struct Inbox(Mutex<Received>);

#[derive(Default)]
struct Received {
    events: VecDeque<ConnectionEvent>,
    arrived: Arrived,
    /// Local address that the last datagram was sent to, if the system tells it.
    local: Option<IpAddr>,
    waker: Option<Waker>,
}

impl Endpoint {
    /// Binds, and receives on the current I/O thread.
    pub(super) fn bind(
        address: SocketAddr,
        shares_port: bool,
        settings: &Settings,
    ) -> io::Result<Arc<Self>> {
        let socket = Socket::bind(address, shares_port)?;
        let proto = quic::Endpoint::new(settings.endpoint(), None, socket.discovers_mtu(), None);
        let shared = Arc::new(Shared {
            socket,
            proto: Mutex::new(proto),
            inboxes: Mutex::default(),
            blocked: Mutex::default(),
            blocks: Notify::new(),
            over: Notify::new(),
            accepted: Mutex::default(),
            failure: Mutex::default(),
            refused: Mutex::default(),
        });
        let (holder, released) = watch::channel(());
        let receiving = receive(Arc::clone(&shared));
        tokio::spawn(async move {
            receiving.await;
            drop(holder);
        });
        Ok(Arc::new(Self { shared, released }))
    }

    /// Drops a reference; if it is the last one, waits until the port is free.
    pub(super) async fn release(self: Arc<Self>) {
        let mut released = self.released.clone();
        let endpoint = Arc::downgrade(&self);
        drop(self);
        if endpoint.strong_count() == 0 {
            // Nothing is ever sent.
            let _ = released.changed().await;
        }
    }

    /// Returns why it receives no more.
    pub(super) fn failure(&self) -> Option<OsError> {
        *self.shared.failure.lock()
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.shared.socket.local_address()
    }

    /// Accepts connections from now on; they are taken from the returned queue.
    pub(super) fn accept(&self, settings: &Settings) -> mpsc::Receiver<Incoming> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        *self.shared.accepted.lock() = Some(sender);
        self.shared
            .proto
            .lock()
            .set_server_config(Some(settings.listener()));
        if self.failure().is_some() {
            *self.shared.accepted.lock() = None;
        }
        receiver
    }

    /// Returns whether it accepts connections.
    pub(super) fn accepts(&self) -> bool {
        self.shared.accepted.lock().is_some()
    }

    /// Accepts no more connections: they are refused.
    pub(super) fn stop_accepting(&self) {
        *self.shared.accepted.lock() = None;
    }

    /// Refuses a connection.
    pub(super) fn refuse(&self, incoming: Incoming) {
        self.shared.refuse(&mut self.shared.proto.lock(), incoming);
    }

    /// Asks a remote that has not proved its address to do so.
    pub(super) fn retry(&self, incoming: Incoming) {
        let mut bytes = Vec::new();
        let transmit = self.shared.proto.lock().retry(incoming, &mut bytes);
        match transmit {
            Ok(transmit) => {
                // A lost answer is asked for again.
                self.shared.socket.try_send(&transmit, &bytes).ok();
            }
            // It has.
            Err(error) => self.refuse(error.into_incoming()),
        }
    }

    /// Opens a connection that was accepted.
    ///
    /// # Errors
    /// The first packet is not authentic, or too late.
    pub(super) fn open(
        self: &Arc<Self>,
        incoming: Incoming,
        settings: &Settings,
        epoch: Instant,
    ) -> Result<(Session, Arc<EndpointRoute>), ConnectError> {
        let config = settings.accepting(incoming.remote_address().ip());
        let mut bytes = Vec::new();
        let mut proto = self.shared.proto.lock();
        let accepted = proto.accept(incoming, Instant::now(), &mut bytes, Some(config));
        match accepted {
            Ok((handle, connection)) => {
                let route = self.route(handle);
                drop(proto);
                Ok((Session::new(connection, settings, epoch), route))
            }
            Err(error) => {
                drop(proto);
                if let Some(transmit) = error.response {
                    self.shared.socket.try_send(&transmit, &bytes).ok();
                }
                Err(ConnectError::Quic(error.cause.into()))
            }
        }
    }

    /// Opens a connection to a remote.
    ///
    /// # Errors
    /// An address that cannot be dialled.
    pub(super) fn connect(
        self: &Arc<Self>,
        target: &Target<'_>,
        settings: &Settings,
        epoch: Instant,
    ) -> Result<(Session, Arc<EndpointRoute>, QuicDialer), ConnectError> {
        let dialling = settings.dialling(target);
        // The credentials have been used for QUIC when the node was created.
        let (config, dialer) = dialling.map_err(|_| ConnectError::Internal)?;
        let mut proto = self.shared.proto.lock();
        let (handle, connection) = proto
            .connect(Instant::now(), config, target.remote, SERVER_NAME)
            .map_err(|error| match error {
                // Port 0, or the unspecified host.
                quic::ConnectError::InvalidRemoteAddress(_) => {
                    ConnectError::from(io::Error::from(io::ErrorKind::InvalidInput))
                }
                _ => ConnectError::Internal,
            })?;
        let route = self.route(handle);
        drop(proto);
        Ok((Session::new(connection, settings, epoch), route, dialer))
    }

    /// Registers a new connection, before the endpoint can receive for it.
    fn route(self: &Arc<Self>, handle: ConnectionHandle) -> Arc<EndpointRoute> {
        let inbox = Arc::new(Inbox::default());
        self.shared
            .inboxes
            .lock()
            .insert(handle, Arc::clone(&inbox));
        if let Some(error) = self.failure() {
            inbox.fail(error);
        }
        Arc::new(EndpointRoute {
            endpoint: Arc::clone(self),
            handle,
            inbox,
            is_closed: AtomicBool::new(false),
        })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.over.notify_one();
    }
}

impl Shared {
    /// Ends its connections, and fails its listener.
    fn fail(&self, error: OsError) {
        *self.failure.lock() = Some(error);
        *self.accepted.lock() = None;
        let inboxes: Vec<_> = self.inboxes.lock().values().cloned().collect();
        for inbox in inboxes {
            inbox.fail(error);
        }
    }

    fn refuse(&self, proto: &mut quic::Endpoint, incoming: Incoming) {
        let id = *incoming.orig_dst_cid();
        let mut refused = self.refused.lock();
        if !refused.contains(&id) {
            if refused.len() == REFUSED_MAX {
                refused.pop_front();
            }
            refused.push_back(id);
        }
        drop(refused);
        let mut bytes = Vec::new();
        let transmit = proto.refuse(incoming, &mut bytes);
        // A remote that does not learn of it gives up by itself.
        self.socket.try_send(&transmit, &bytes).ok();
    }

    /// Receives until the socket is empty; returns whether it may have more.
    fn receive(&self, buffer: &mut [u8], answer: &mut Vec<u8>) -> io::Result<bool> {
        let now = Instant::now();
        for _ in 0..RECEIVES_MAX {
            let received = self
                .socket
                .try_receive(buffer, |batch| self.pass(now, &batch, answer));
            match received {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // ICMP errors of some remote, which each system reports differently.
                Err(error) if is_of_one_remote(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Passes datagrams to their connections.
    fn pass(&self, now: Instant, batch: &Batch<'_>, answer: &mut Vec<u8>) {
        let mut bytes = BytesMut::from(batch.bytes);
        let mut proto = self.proto.lock();
        let inboxes = self.inboxes.lock();
        while !bytes.is_empty() {
            let datagram = bytes.split_to(batch.stride.min(bytes.len()));
            let length = datagram.len();
            answer.clear();
            let event = proto.handle(now, batch.remote, batch.local, batch.ecn, datagram, answer);
            match event {
                Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                    if let Some(inbox) = inboxes.get(&handle) {
                        inbox.push(event, length, batch.local);
                    }
                }
                Some(DatagramEvent::NewConnection(incoming))
                    if self.refused.lock().contains(incoming.orig_dst_cid()) =>
                {
                    self.refuse(&mut proto, incoming);
                }
                Some(DatagramEvent::NewConnection(incoming)) => {
                    let refused = match &*self.accepted.lock() {
                        Some(sender) => sender.try_send(incoming).err(),
                        None => Some(TrySendError::Closed(incoming)),
                    };
                    if let Some(incoming) = refused.map(TrySendError::into_inner) {
                        self.refuse(&mut proto, incoming);
                    }
                }
                Some(DatagramEvent::Response(transmit)) => {
                    self.socket.try_send(&transmit, answer).ok();
                }
                None => {}
            }
        }
    }

    fn wake_blocked(&self) {
        let blocked = std::mem::take(&mut *self.blocked.lock());
        for waker in blocked.into_values() {
            waker.wake();
        }
    }
}

/// The name in the ClientHello, which libp2p does not use; that of rust-libp2p.
const SERVER_NAME: &str = "l";

/// Receives for all connections of an endpoint until it is dropped.
async fn receive(shared: Arc<Shared>) {
    let mut over = pin!(shared.over.notified());
    let mut answer = Vec::new();
    let mut failures = 0;
    loop {
        let receiving = poll_fn(|cx| {
            loop {
                match shared.socket.poll_readable(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(error),
                    Poll::Pending => return Poll::Pending,
                }
                let more =
                    SCRATCH.with_borrow_mut(|scratch| shared.receive(scratch.read(), &mut answer));
                match more {
                    Ok(false) => failures = 0,
                    Ok(true) => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Err(error) => return Poll::Ready(error),
                }
            }
        });
        let sending = async {
            loop {
                shared.blocks.notified().await;
                // An error surfaces in the next send.
                let _ = shared.socket.writable().await;
                shared.wake_blocked();
            }
        };
        let error = tokio::select! {
            () = &mut over => return,
            error = receiving => error,
            never = sending => never,
        };
        failures += 1;
        if failures == FAILURES_MAX {
            shared.fail(error.into());
            over.await;
            return;
        }
        // The system may be short of memory.
        tokio::time::sleep(FAILURE_PAUSE).await;
        // The wait for room has been given up with the receiving.
        shared.wake_blocked();
    }
}

fn is_of_one_remote(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}

impl Inbox {
    /// Tells the connection that nothing more is received.
    fn fail(&self, error: OsError) {
        let mut received = self.0.lock();
        received.arrived.failure = Some(error);
        if let Some(waker) = received.waker.take() {
            drop(received);
            waker.wake();
        }
    }

    /// Adds an event, unless too much is waiting.
    fn push(&self, event: ConnectionEvent, bytes: usize, local: Option<IpAddr>) {
        let mut received = self.0.lock();
        received.local = local.or(received.local);
        if received.arrived.bytes + received.events.len() * EVENT_BYTES > INBOX_BYTES_MAX {
            received.arrived.dropped += 1;
            return;
        }
        received.arrived.bytes += bytes;
        received.events.push_back(event);
        if let Some(waker) = received.waker.take() {
            drop(received);
            waker.wake();
        }
    }
}

/// The way of one connection through its endpoint.
pub(super) struct EndpointRoute {
    endpoint: Arc<Endpoint>,
    handle: ConnectionHandle,
    inbox: Arc<Inbox>,
    is_closed: AtomicBool,
}

impl EndpointRoute {
    /// Returns the local address that the remote uses, as far as the system tells it.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        let mut address = self.endpoint.local_address()?;
        if let Some(ip) = self.inbox.0.lock().local {
            address.set_ip(ip);
        }
        Ok(address)
    }
}

impl Route for EndpointRoute {
    fn take_received(&self, into: &mut VecDeque<ConnectionEvent>) -> Arrived {
        let mut received = self.inbox.0.lock();
        into.append(&mut received.events);
        std::mem::take(&mut received.arrived)
    }

    fn pass(&self, event: EndpointEvent) -> Option<ConnectionEvent> {
        if event.is_drained() {
            self.close();
            return None;
        }
        if self.is_closed.load(Ordering::Relaxed) {
            return None;
        }
        let mut proto = self.endpoint.shared.proto.lock();
        proto.handle_event(self.handle, event)
    }

    fn try_send(&self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        self.endpoint.shared.socket.try_send(transmit, bytes)
    }

    fn datagrams_max(&self) -> usize {
        self.endpoint.shared.socket.datagrams_max()
    }

    fn poll_received(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut received = self.inbox.0.lock();
        if !received.events.is_empty() || received.arrived.failure.is_some() {
            return Poll::Ready(());
        }
        if !received
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            received.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn poll_sendable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &self.endpoint.shared;
        let waker = cx.waker().clone();
        shared.blocked.lock().insert(self.handle, waker);
        shared.blocks.notify_one();
        Poll::Pending
    }

    fn close(&self) {
        if self.is_closed.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = &self.endpoint.shared;
        shared.inboxes.lock().remove(&self.handle);
        let drained = EndpointEvent::drained();
        shared.proto.lock().handle_event(self.handle, drained);
    }
}

impl Drop for EndpointRoute {
    fn drop(&mut self) {
        self.close();
    }
}
