//! Threads and their wakeups: drivers, doorbells, signals.

use std::sync::PoisonError;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use shuttle::sync::Condvar;
use shuttle::thread::{self, JoinHandle};

use crate::config::{AwaitingBounds, Limits, Muxer};
use crate::connection::{Connection, Scratch};
use crate::error::ConnectionFault;
use crate::event_queue::{EventQueue, LendablePipe};
use crate::hub::{Doorbell, Hub};
use crate::loop_sockets::{LoopSockets, LoopTerms};
use crate::sync::{Arc, Instant, MutexGuard};
use crate::testing::{End, EndLimits, Streams, connect, pipe};

/// A signal that stays raised until taken.
#[derive(Default)]
pub(crate) struct Signal {
    set: shuttle::sync::Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn raise(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    /// Waits until it is raised, and takes it.
    pub(crate) fn take(&self) {
        let mut set = self.lock();
        while !*set {
            set = self
                .changed
                .wait(set)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *set = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.raise();
    }
}

/// The doorbell of an environment.
struct Bell(Arc<Signal>);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.raise();
    }
}

/// Creates a hub and the signal of its doorbell.
pub(crate) fn hub(bounds: AwaitingBounds) -> (Arc<Hub>, Arc<Signal>) {
    let bell = Arc::new(Signal::default());
    (
        Hub::with_bounds(Box::new(Bell(Arc::clone(&bell))), bounds),
        bell,
    )
}

/// Creates a hub whose event loop takes loop sockets, after a single turn with little traffic.
pub(crate) fn hub_with_loop() -> (Arc<Hub>, Arc<Signal>) {
    let (hub, bell) = hub(AwaitingBounds::default());
    let terms = LoopTerms {
        turns: 1,
        rest: Duration::ZERO,
    };
    hub.enable_loop_sockets(LoopSockets::new(EventQueue::of(&bell), terms));
    (hub, bell)
}

/// Returns limits under which time has no effect and windows do not grow.
pub(crate) fn limits() -> Limits {
    Limits {
        window_bytes_max: 256 << 10,
        stream_negotiation_timeout: Duration::from_secs(10_000),
        ..Limits::default()
    }
}

/// Connects `near` to `far` over a pipe of `capacity` bytes, and starts both drivers.
pub(crate) fn link(near: &Arc<Hub>, far: &Arc<Hub>, capacity: usize, limits: [Limits; 2]) -> Link {
    let [near_limits, far_limits] = limits;
    let end = |hub, limits| End {
        hub: Arc::clone(hub),
        limits: EndLimits::from(limits),
        muxer: Muxer::Yamux,
        streams: Streams::Queried,
    };
    let ends = [end(near, near_limits), end(far, far_limits)];
    let (one, other) = pipe(capacity);
    let pipes = (LendablePipe::new(one), LendablePipe::new(other));
    let connections = connect(ends, pipes);
    let drivers = connections
        .each_ref()
        .map(|connection| drive(Arc::clone(connection)));
    Link {
        connections,
        drivers,
    }
}

/// A connection's two ends and their drivers.
pub(crate) struct Link {
    pub(crate) connections: [Arc<Connection>; 2],
    drivers: [JoinHandle<ConnectionFault>; 2],
}

impl Link {
    /// Waits for the drivers, and asserts that nothing is left of the connection.
    pub(crate) fn expect_gone(self) {
        let weak = self.connections.each_ref().map(Arc::downgrade);
        for driver in self.drivers {
            let fault = driver.join().expect("a driver that does not panic");
            assert_ne!(fault, ConnectionFault::Internal);
        }
        for connection in &self.connections {
            assert_eq!(connection.stream_count(), 0, "live streams");
            assert_eq!(connection.held(), 0, "bytes held");
            assert_eq!(connection.unsealed(), 0, "bytes unsealed");
            expect_settled(connection);
        }
        drop(self.connections);
        for connection in weak {
            assert!(
                connection.upgrade().is_none(),
                "a connection outlives its end"
            );
        }
    }
}

/// Asserts that no stream and no memory is charged to an ended connection, and nothing at all
/// once its scope is closed, as it is already where nothing was left to read.
fn expect_settled(connection: &Connection) {
    let (resources, scope) = (connection.resources(), connection.scope());
    if let Ok((usage, _)) = resources.stat(scope) {
        let streams = usage.streams_inbound + usage.streams_outbound;
        assert_eq!(streams, 0, "streams charged");
        assert_eq!(usage.memory, 0, "memory charged");
    }
    resources.done(scope);
    for (name, usage, _) in resources.report() {
        assert!(usage.is_none(), "{name} still uses {usage:?}");
    }
}

/// Runs a connection as `src/drive.rs` does.
fn drive(connection: Arc<Connection>) -> JoinHandle<ConnectionFault> {
    thread::spawn(move || {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        let mut cx = Context::from_waker(&waker);
        let mut scratch = Scratch::default();
        let fault = loop {
            match connection.poll_drive(&mut cx, &mut scratch) {
                Err(fault) => break fault,
                Ok(drive) if drive.again => thread::yield_now(),
                Ok(drive) if drive.deadline.is_some_and(|at| at <= Instant.elapsed()) => {}
                Ok(_) => signal.take(),
            }
        };
        connection.finish(fault);
        connection
            .pipe()
            .shutdown()
            .expect("a pipe that can be shut");
        fault
    })
}
