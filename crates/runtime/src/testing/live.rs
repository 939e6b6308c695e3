//! Two environments with a live connection between them, on one thread: nothing happens until
//! [`Live::settle`], which runs until both are idle.

use std::cell::Cell;
use std::task::{Context, Waker};

use crate::connection::{Connection, Scratch};
use crate::environment::Environment;
use crate::error::{CallError, ConnectionFault};
use crate::hub::{Doorbell, Hub};
use crate::pipe::BytePipe;
use crate::record::Record;
use crate::slot::Proposals;
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::{Muxer, State, StreamSlot};

use crate::testing::{End, EndLimits, Streams, connect, pipe};

/// Bytes that the pipe holds in each direction.
const PIPE_BYTES: usize = 64 << 10;

/// Rounds after which a pair that is not idle is stuck in a loop.
const ROUNDS_MAX: usize = 10_000;

/// Records that it was rung: only then does JavaScript drain.
pub(crate) struct Bell(pub(crate) Arc<AtomicBool>);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One environment and its end of the connection.
pub(crate) struct Side {
    pub(crate) environment: Environment,
    pub(crate) connection: Arc<Connection>,
    /// The connection's handle.
    pub(crate) handle: u32,
    /// Records since the last [`Side::take_records`].
    records: Vec<Record>,
    /// Reported traffic figures of its connection.
    pub(crate) carried: Vec<(u32, u64)>,
    scratch: Scratch,
    rung: Arc<AtomicBool>,
    /// Reason the connection ended.
    pub(crate) ended: Option<ConnectionFault>,
    /// Whether it drains.
    pub(crate) drains: bool,
}

impl Side {
    pub(crate) fn new(connection: Arc<Connection>, rung: Arc<AtomicBool>) -> Self {
        let environment = Environment::new(Arc::clone(&connection.hub));
        Self {
            environment,
            connection,
            handle: 0,
            records: Vec::new(),
            carried: Vec::new(),
            scratch: Scratch::default(),
            rung,
            ended: None,
            drains: true,
        }
    }

    /// Takes the records since the last call, without traffic figures.
    pub(crate) fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    pub(crate) fn open(&mut self, proposals: Proposals) -> u32 {
        self.environment.open(self.handle, proposals).unwrap() & !crate::HANDLE_PENDING
    }

    /// Reads all available bytes; returns them and the final result.
    pub(crate) fn read(&mut self, stream: u32) -> (Vec<u8>, Result<(), CallError>) {
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        loop {
            match self.environment.read(stream, &mut chunk) {
                Ok(0) => return (bytes, Ok(())),
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                Err(error) => return (bytes, Err(error)),
            }
        }
    }

    /// Returns the code reported here when the remote sends `code`: the `yamux` crate reports none.
    pub(crate) fn heard(&self, code: u32) -> u32 {
        match self.connection.facts().muxer.unwrap_or_default() {
            Muxer::Yamux => code,
            Muxer::YamuxCrate => 0,
        }
    }

    pub(crate) fn write(&mut self, stream: u32, bytes: &[u8]) -> usize {
        self.environment.write(stream, bytes).unwrap()
    }

    pub(crate) fn change(
        &mut self,
        stream: u32,
        change: impl FnOnce(&Arc<StreamSlot>) -> Result<State, CallError>,
    ) -> Result<State, CallError> {
        self.environment.change(stream, change)
    }

    pub(crate) fn close_write(&mut self, stream: u32) {
        self.change(stream, StreamSlot::close_write).unwrap();
    }

    pub(crate) fn reset(&mut self, stream: u32, code: u32) {
        self.change(stream, |slot| Ok(slot.reset(code))).unwrap();
    }

    /// Runs one round of JavaScript's tick and the driver. Returns whether there was any activity.
    pub(crate) fn round(&mut self) -> bool {
        let before = self.activity();
        self.environment.flush();
        if self.ended.is_none() {
            let mut cx = Context::from_waker(Waker::noop());
            if let Err(fault) = self.connection.poll_drive(&mut cx, &mut self.scratch) {
                self.connection.finish(fault);
                // The last steps of a driver and of its owner.
                self.connection.socket().close();
                let connection = &self.connection;
                connection.resources().end_connection(connection.scope());
                self.ended = Some(fault);
                return true;
            }
        }
        if self.drains && self.rung.swap(false, Ordering::Relaxed) {
            let records = &mut self.records;
            let carried = &mut self.carried;
            self.environment.drain(1_024, |record| match record {
                Record::ConnectionCarried { figure, value, .. } => carried.push((figure, value)),
                other => records.push(other),
            });
        }
        before != self.activity()
    }

    fn activity(&self) -> [u64; 3] {
        let stats = &self.connection.hub.stats;
        [
            stats.socket_bytes_in.get(),
            stats.socket_bytes_out.get(),
            stats.records.get(),
        ]
    }
}

thread_local! {
    static MUXERS: Cell<[Muxer; 2]> = const { Cell::new([Muxer::Yamux; 2]) };
}

/// Runs a test with connections whose dialer and listener have these engines.
pub(crate) fn over(muxers: [Muxer; 2], test: fn()) {
    MUXERS.set(muxers);
    test();
}

/// Both sides of a connection.
pub(crate) struct Live {
    pub(crate) dialer: Side,
    pub(crate) listener: Side,
    /// Carries bytes between pipes that do not do so themselves; returns whether there were any.
    wire: Box<dyn FnMut() -> bool>,
}

impl Live {
    /// Creates a live connection with default limits.
    pub(crate) fn new() -> Self {
        Self::with(EndLimits::default(), EndLimits::default())
    }

    /// Creates a live connection without negotiation of streams.
    pub(crate) fn raw() -> Self {
        Self::build([EndLimits::default(), EndLimits::default()], Streams::Raw)
    }

    /// Creates a live connection over other pipes, which may use the hubs of their ends, and the
    /// carrier of bytes between them.
    pub(crate) fn through<P: BytePipe + 'static>(
        pipes: impl FnOnce([&Arc<Hub>; 2]) -> ((P, P), Box<dyn FnMut() -> bool>),
    ) -> Self {
        Self::assemble(Default::default(), Streams::Negotiated, pipes)
    }

    pub(crate) fn with(dialer: impl Into<EndLimits>, listener: impl Into<EndLimits>) -> Self {
        Self::build([dialer.into(), listener.into()], Streams::Negotiated)
    }

    /// Creates a live connection whose listener queries JavaScript about unknown protocols.
    pub(crate) fn asking(listener: impl Into<EndLimits>) -> Self {
        Self::build([EndLimits::default(), listener.into()], Streams::Queried)
    }

    fn build(limits: [EndLimits; 2], streams: Streams) -> Self {
        Self::assemble(limits, streams, |_| (pipe(PIPE_BYTES), Box::new(|| false)))
    }

    fn assemble<P: BytePipe + 'static>(
        limits: [EndLimits; 2],
        streams: Streams,
        pipes: impl FnOnce([&Arc<Hub>; 2]) -> ((P, P), Box<dyn FnMut() -> bool>),
    ) -> Self {
        let bells = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let end = |limits, muxer, bell: &Arc<AtomicBool>| End {
            hub: Hub::new(Box::new(Bell(Arc::clone(bell)))),
            limits,
            muxer,
            streams,
        };
        let ([near, far], [dialing, listening]) = (limits, MUXERS.get());
        let ends = [
            end(near, dialing, &bells[0]),
            end(far, listening, &bells[1]),
        ];
        let (pipes, wire) = pipes([&ends[0].hub, &ends[1].hub]);
        let [dialer, listener] = connect(ends, pipes);
        let [near, far] = bells;
        let (dialer, listener) = (Side::new(dialer, near), Side::new(listener, far));
        let mut live = Self {
            dialer,
            listener,
            wire,
        };
        live.settle();
        for side in [&mut live.dialer, &mut live.listener] {
            let reported = side.take_records();
            let [Record::ConnectionOpened { connection, .. }] = reported[..] else {
                panic!("expected a connection, reported {reported:?}");
            };
            side.handle = connection;
        }
        live
    }

    /// Runs both sides until they are idle.
    pub(crate) fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            let busy = self.dialer.round() | (self.wire)() | self.listener.round();
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet == 2 {
                return;
            }
        }
        panic!("not idle after {ROUNDS_MAX} rounds");
    }

    /// Opens a stream; returns its handles on both sides.
    pub(crate) fn stream(&mut self) -> (u32, u32) {
        self.stream_of(Proposals::Lazy(1))
    }

    pub(crate) fn stream_of(&mut self, proposals: Proposals) -> (u32, u32) {
        let dialed = self.dialer.open(proposals);
        self.settle();
        let reported = self.listener.take_records();
        let [Record::StreamOpened { stream, .. }] = reported[..] else {
            panic!("expected a stream, reported {reported:?}");
        };
        (dialed, stream)
    }
}

/// Returns the records of an orderly close of `stream`.
pub(crate) fn closed(stream: u32) -> Vec<Record> {
    vec![Record::StreamClosed {
        stream,
        left: 0,
        unsent: false,
    }]
}
