//! JavaScript's thread: an environment, streams that send and expect known bytes, and checks on
//! every record.

use std::collections::{BTreeMap, BTreeSet};

use shuttle::rand::{Rng, thread_rng};

use crate::connection::{CloseManner, EndReport};
use crate::environment::Environment;
use crate::error::{CallError, ConnectionFault};
use crate::handlers::Handler;
use crate::hub::Hub;
use crate::record::Record;
use crate::registry::HANDLE_PENDING;
use crate::slot::{Proposals, ResetReport, StreamSlot};
use crate::sync::Arc;
use crate::world::Signal;
use ferroswarm_proto::stream::State;

/// Bytes per write: several small ones to an inline flush.
const WRITE_BYTES: usize = 6_000;

/// Bytes of a request and of its response.
const MESSAGE_BYTES: usize = 10;

/// Records per drain: few, so that full arrays occur.
const RECORDS: usize = 16;

/// The protocol that is in no table and served by a predicate.
pub(crate) const PREDICATE: u32 = 11;

/// Free records below which a drain stops.
const RECORDS_PER_ENTRY: usize = 6;

/// Behaviour of one end of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Bytes to send before the end.
    pub(crate) bytes: usize,
    /// Whether it reads.
    pub(crate) reads: bool,
    pub(crate) talk: Talk,
}

/// Condition under which one end of a stream writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    Freely,
    /// One message, then another when as much has come back.
    Requests,
    /// As much as was received.
    Responds,
}

/// One end of a stream.
struct App {
    plan: Plan,
    /// Selects the bytes: both ends of a stream know it from its protocol.
    label: u32,
    sent: usize,
    received: usize,
    negotiated: bool,
    blocked: bool,
    closed_write: bool,
    /// A read found nothing: a record will follow.
    armed: bool,
    /// The remote's end was read.
    ended: bool,
    /// Disturbed by chaos: its bytes need not arrive whole.
    disturbed: bool,
    reset: Option<ResetReport>,
    closed: bool,
}

/// State of a connection.
#[derive(Default)]
struct Link {
    closed: Option<EndReport>,
}

/// JavaScript's thread.
pub(crate) struct Peer {
    pub(crate) environment: Environment,
    bell: Arc<Signal>,
    streams: BTreeMap<u32, App>,
    links: BTreeMap<u32, Link>,
    /// Streams whose protocol was queried and that have not closed.
    queried: BTreeSet<u32>,
    /// The environment has output to send.
    unflushed: bool,
    /// Behaviour of an inbound stream, by protocol.
    plan: fn(u32) -> Plan,
    /// Whether streams are read at all.
    pub(crate) reads: bool,
    /// Whether it misbehaves at random.
    pub(crate) chaos: bool,
}

impl Peer {
    pub(crate) fn new((hub, bell): (Arc<Hub>, Arc<Signal>), plan: fn(u32) -> Plan) -> Self {
        Self {
            environment: Environment::new(hub),
            bell,
            streams: BTreeMap::new(),
            links: BTreeMap::new(),
            queried: BTreeSet::new(),
            unflushed: false,
            plan,
            reads: true,
            chaos: false,
        }
    }

    /// Runs turns until `done`.
    pub(crate) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        loop {
            let more = self.turn();
            if done(self) {
                return;
            }
            if !more {
                self.bell.take();
            }
        }
    }

    /// Runs one turn of the event loop: records, possible actions, and a flush. Returns whether
    /// there is more to do without a notification.
    pub(crate) fn turn(&mut self) -> bool {
        // As in the addon: loop sockets, then records, then output.
        self.environment.read_ready();
        self.unflushed = true;
        loop {
            let mut records = Vec::new();
            let count = self
                .environment
                .drain(RECORDS, |record| records.push(record));
            for record in records {
                self.on_record(record);
            }
            let more = self.act();
            // Reading produces no output.
            if std::mem::take(&mut self.unflushed) {
                self.environment.flush();
            }
            // A full array means that more may be pending.
            if count + RECORDS_PER_ENTRY <= RECORDS {
                return more;
            }
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Returns whether every connection has closed, and there was one.
    pub(crate) fn is_disconnected(&self) -> bool {
        !self.links.is_empty() && self.links.values().all(|link| link.closed.is_some())
    }

    /// Returns whether every stream that reads has closed.
    pub(crate) fn is_done(&self) -> bool {
        self.streams
            .values()
            .all(|app| app.closed || !app.plan.reads)
    }

    /// Returns whether no stream can be written to for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.streams
            .values()
            .all(|app| app.blocked || app.closed_write)
    }

    /// Returns whether every stream waits for something to read.
    pub(crate) fn is_armed(&self) -> bool {
        self.streams.values().all(|app| app.armed)
    }

    /// Opens a stream with `proposals` on every connection.
    pub(crate) fn open(&mut self, proposals: Proposals, plan: Plan) {
        let label = match &proposals {
            Proposals::Lazy(label) => *label,
            Proposals::AnyOf(labels) => labels[labels.len() - 1],
            Proposals::Raw => 0,
        };
        self.unflushed = true;
        let links: Vec<u32> = self.links.keys().copied().collect();
        for link in links {
            match self.environment.open(link, proposals.clone()) {
                Ok(answer) => {
                    let negotiated = answer & HANDLE_PENDING == 0;
                    let app = App::new(plan, label, negotiated);
                    self.streams.insert(answer & !HANDLE_PENDING, app);
                }
                Err(
                    CallError::ConnectionClosed | CallError::GoingAway | CallError::StaleHandle,
                ) => {}
                Err(error) => panic!("a stream that cannot be opened: {error}"),
            }
        }
    }

    /// Returns the number of closed streams.
    pub(crate) fn closed(&self) -> usize {
        self.streams.values().filter(|app| app.closed).count()
    }

    /// Returns the number of bytes that the stream of protocol `label` has delivered, to its end.
    pub(crate) fn whole(&self, label: u32) -> usize {
        let app = self.streams.values().find(|app| app.label == label);
        let app = app.expect("a stream of this protocol");
        assert!(app.ended && !app.disturbed);
        app.received
    }

    /// Makes every stream send `bytes` before its end; 0 means that it does not end for now.
    pub(crate) fn expect_more(&mut self, bytes: usize) {
        for app in self.streams.values_mut() {
            app.plan.bytes = bytes;
            app.blocked = bytes == 0;
        }
    }

    /// Accepts incomplete streams if the connection was closed early, under its streams.
    pub(crate) fn allow_incomplete_if(&mut self, early: bool) {
        self.chaos |= early;
        for app in self.streams.values_mut() {
            app.disturbed |= early;
        }
    }

    /// Requests the close of every connection.
    pub(crate) fn close_all(&mut self) {
        for link in self.links.keys() {
            let answer = self
                .environment
                .close_connection(*link, 0, CloseManner::Orderly);
            assert!(matches!(answer, Ok(()) | Err(CallError::StaleHandle)));
        }
    }

    /// Asserts that everything has ended and every handle is stale.
    pub(crate) fn expect_nothing(mut self) {
        let left = self
            .environment
            .drain(RECORDS, |record| panic!("unexpected record: {record:?}"));
        assert_eq!((left, self.environment.hub().awaiting()), (0, 0));
        for (stream, app) in &self.streams {
            assert!(app.closed, "stream {stream} never closed");
            let read = self.environment.read(*stream, &mut [0]);
            assert_eq!(read, Err(CallError::StaleHandle));
        }
        for link in self.links.keys() {
            assert!(self.environment.connection(*link).is_err());
        }
    }

    fn on_record(&mut self, record: Record) {
        match record {
            Record::ConnectionOpened { connection, .. } => {
                let known = self.links.insert(connection, Link::default());
                assert!(known.is_none());
            }
            Record::ConnectionGoingAway { connection, .. } => {
                assert!(self.links[&connection].closed.is_none());
            }
            Record::ConnectionCarried { connection, .. } => {
                assert!(self.links[&connection].closed.is_none());
            }
            Record::ConnectionClosed { connection, report } => {
                assert_ne!(report.fault, ConnectionFault::Internal);
                let link = self.links.get_mut(&connection).expect("a known connection");
                assert!(link.closed.replace(report).is_none(), "closed twice");
                if self.links.len() == 1 {
                    let open = self.streams.values().filter(|app| !app.closed).count();
                    assert_eq!(open, 0, "streams that outlive their connection");
                }
            }
            Record::StreamOpened {
                stream,
                connection,
                protocol,
            } => {
                assert!(self.links[&connection].closed.is_none());
                let app = App::new((self.plan)(protocol), protocol, true);
                assert!(self.streams.insert(stream, app).is_none(), "opened twice");
            }
            Record::ProtocolQuery { stream, .. } => self.answer(stream),
            Record::StreamNegotiated {
                stream,
                protocol,
                fault,
            } => {
                let app = self.live(stream);
                assert_eq!((protocol, fault), (app.label, None));
                app.negotiated = true;
            }
            Record::StreamReadable { stream, .. } => self.live(stream).armed = false,
            Record::StreamWritable { stream, .. } => self.live(stream).blocked = false,
            Record::StreamReset { stream, report } => {
                let app = self.live(stream);
                app.disturbed = true;
                app.reset = Some(report);
            }
            Record::StreamClosed { stream, left, .. } => self.on_closed(stream, left as usize),
            Record::StreamOutgoing { .. }
            | Record::Completion { .. }
            | Record::GateQuestions { .. }
            | Record::HttpRequests { .. }
            | Record::ListenerClosed { .. }
            | Record::AttemptsFailed { .. }
            | Record::PipeReady { .. }
            | Record::Diagnostics { .. } => unreachable!(),
        }
    }

    /// Serves [`PREDICATE`] only, of the protocols that are in no table.
    fn answer(&mut self, stream: u32) {
        let name = self.environment.queried_protocol(stream).expect("a query");
        let served = name.as_str() == format!("/label/{PREDICATE}");
        let handler = Handler {
            protocol: PREDICATE,
            inbound_max: u32::MAX,
            service: 0,
        };
        let answer = served.then_some(handler);
        assert_eq!(self.environment.answer(stream, answer), Ok(()));
        self.unflushed = true;
        self.queried.insert(stream);
    }

    fn on_closed(&mut self, stream: u32, left: usize) {
        if self.queried.remove(&stream) && !self.streams.contains_key(&stream) {
            return assert_eq!(left, 0, "bytes of a stream that nobody serves");
        }
        let app = self.live(stream);
        let before = app.received;
        if left > 0 || app.plan.reads {
            // The remaining bytes, and the end after them.
            app.armed = false;
            self.read(stream);
        }
        let taken = self.live(stream).received - before;
        assert_eq!(taken, left, "bytes left");
        self.live(stream).closed = true;
    }

    fn live(&mut self, stream: u32) -> &mut App {
        let app = self
            .streams
            .get_mut(&stream)
            .expect("a stream that was opened");
        assert!(!app.closed, "stream {stream} was reported after its end");
        app
    }

    /// Performs the possible actions of every stream; returns whether there are more.
    fn act(&mut self) -> bool {
        let streams: Vec<u32> = self.streams.keys().copied().collect();
        let mut more = false;
        for stream in streams {
            let app = &self.streams[&stream];
            if app.closed || !app.negotiated {
                continue;
            }
            if self.chaos && thread_rng().gen_ratio(1, 12) {
                self.disturb(stream);
                more = true;
                continue;
            }
            if self.reads && self.streams[&stream].plan.reads {
                self.read(stream);
            }
            more |= self.write(stream);
        }
        more
    }

    /// Ends the stream, or a half of it, at an arbitrary point.
    fn disturb(&mut self, stream: u32) {
        self.unflushed = true;
        let kind = thread_rng().gen_range(0..5);
        let change = |slot: &Arc<StreamSlot>| match kind {
            0 => Ok(slot.reset(7)),
            1 => Ok(slot.close()),
            2 => slot.close_read(),
            3 => slot.close_write(),
            // Removed without a reset, a stream would leave the other side waiting for its
            // deadline.
            _ => {
                slot.reset(7);
                Ok(slot.remove())
            }
        };
        let state = self.environment.change(stream, change);
        let app = self.live(stream);
        app.disturbed = true;
        if let Ok(State::CloseWrite | State::CloseBoth) = state {
            app.closed_write = true;
        }
    }

    /// Writes once, or ends the stream; returns whether another write may follow.
    fn write(&mut self, stream: u32) -> bool {
        let app = app_of(&mut self.streams, stream);
        if app.blocked || app.closed_write || app.is_waiting() {
            return false;
        }
        self.unflushed = true;
        if app.sent == app.plan.bytes {
            app.closed_write = true;
            // A reset that has not been reported yet refuses it.
            let state = self.environment.change(stream, StreamSlot::close_write);
            assert!(matches!(state, Ok(_) | Err(CallError::Reset)), "{state:?}");
            return false;
        }
        let most = match app.plan.talk {
            Talk::Freely => WRITE_BYTES,
            Talk::Requests | Talk::Responds => MESSAGE_BYTES,
        };
        let size = most.min(app.plan.bytes - app.sent);
        let bytes: Vec<u8> = (0..size).map(|at| byte(app.label, app.sent + at)).collect();
        let written = self.environment.write(stream, &bytes);
        if let Ok(count) = written {
            app.sent += count;
        }
        // An error is reported by a pending record.
        app.blocked = written != Ok(size);
        !app.blocked
    }

    fn read(&mut self, stream: u32) {
        let mut chunk = [0; 10_000];
        loop {
            let app = app_of(&mut self.streams, stream);
            if app.armed || app.ended {
                return;
            }
            match self.environment.read(stream, &mut chunk) {
                Ok(0) => app.armed = true,
                Ok(count) => {
                    for (at, found) in chunk[..count].iter().enumerate() {
                        let expected = byte(app.label, app.received + at);
                        assert_eq!(*found, expected, "byte {}", app.received + at);
                    }
                    app.received += count;
                }
                Err(CallError::EndOfStream) => app.ended = true,
                Err(_) => return,
            }
        }
    }

    /// Asserts that every stream undisturbed at both ends has delivered all that `other` sent.
    pub(crate) fn expect_all_of(&self, other: &Self) {
        for app in self.streams.values().filter(|app| app.plan.reads) {
            let sender = other
                .streams
                .values()
                .find(|sender| sender.label == app.label);
            let Some(sender) = sender else { continue };
            if app.disturbed || sender.disturbed {
                assert!(
                    self.chaos || other.chaos,
                    "a stream was reset: {:?} {:?}",
                    app.reset,
                    sender.reset
                );
                continue;
            }
            assert_eq!((app.received, app.ended), (sender.plan.bytes, true));
        }
    }
}

fn app_of(streams: &mut BTreeMap<u32, App>, stream: u32) -> &mut App {
    streams.get_mut(&stream).expect("a known stream")
}

impl App {
    /// Returns whether it is the other end's turn.
    const fn is_waiting(&self) -> bool {
        match self.plan.talk {
            Talk::Freely => false,
            Talk::Requests => self.sent > self.received,
            Talk::Responds => self.sent == self.received && !self.ended,
        }
    }

    const fn new(plan: Plan, label: u32, negotiated: bool) -> Self {
        Self {
            plan,
            label,
            sent: 0,
            received: 0,
            negotiated,
            blocked: false,
            closed_write: false,
            armed: false,
            ended: false,
            disturbed: false,
            reset: None,
            closed: false,
        }
    }
}

/// Returns the byte at `at` of every stream of protocol `label`.
const fn byte(label: u32, at: usize) -> u8 {
    (at as u32)
        .wrapping_mul(0x9E37_79B1)
        .wrapping_add(label << 24)
        .to_be_bytes()[0]
}
