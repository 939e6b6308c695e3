//! JavaScript's side of the hub: the only consumer of the ready list, and the owner of handles.
//!
//! Everything here runs on the JavaScript thread, so nothing here is locked; shared state is in
//! the [`Hub`], the slots and the connections.

use std::collections::HashMap;
use std::time::Duration;

use crate::attempts::Attempts;
use crate::command::{Completion, Outcome};
use crate::connection::{CloseManner, CloseRequest, Connection};
use crate::error::{CallError, ConnectionFault};
use crate::event_queue::EventQueue;
use crate::fed::Port;
use crate::hub::{Hub, Ready};
use crate::loop_sockets::{LoopSockets, LoopTerms};
use crate::record::Record;
use crate::registry::{HANDLE_PENDING, Handle, Registry};
use crate::resources::{Refusal, ScopeId};
use crate::slot::{Proposals, StreamSlot};
use crate::sync::Arc;
use crate::tick::Tick;

mod pipes;
mod streams;

/// Maximum number of records per ready entry.
pub const RECORDS_PER_ENTRY: usize = 6;

/// Halves to close after the submitted bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The writing half.
    Write,
    /// Both halves.
    Both,
}

enum Object {
    Stream(Arc<StreamSlot>),
    Connection(Arc<Connection>),
    /// Boxed: rare, and larger than the others.
    Pipe(Box<Port>),
}

/// Native side of one JavaScript environment.
pub struct Environment {
    hub: Arc<Hub>,
    objects: Registry<Object>,
    /// Handles reported closed by the last drain.
    reported_closed: Vec<Handle>,
    /// Commands that it reported as ended with nothing to take.
    reported_empty: Vec<u32>,
    outcomes: HashMap<u32, Outcome>,
    /// Attempts of dials with reported failures, until the outcome is taken.
    attempts: HashMap<u32, Arc<Attempts>>,
    tick: Tick,
}

impl Environment {
    /// Creates the consumer of `hub`.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            objects: Registry::default(),
            reported_closed: Vec::new(),
            reported_empty: Vec::new(),
            outcomes: HashMap::new(),
            attempts: HashMap::new(),
            tick: Tick::default(),
        }
    }

    /// Enables loop sockets if JavaScript's event loop can `wait` for a descriptor: while that is
    /// readable, [`read_ready`](Self::read_ready) has something to do. It lives as long as the hub.
    /// Does nothing if already enabled.
    pub fn enable_loop_polling(&self, wait: impl FnOnce(i32) -> bool) {
        if self.hub.loop_sockets().is_some() {
            return;
        }
        // On systems without such a queue, every socket stays with the I/O threads.
        let Ok(queue) = EventQueue::new() else { return };
        if wait(queue.descriptor()) {
            self.hub
                .enable_loop_sockets(LoopSockets::new(queue, LoopTerms::DEFAULT));
        }
    }

    /// Reads the sockets reported ready by the event loop. If that leaves records to drain, returns
    /// how long the loop may busy-poll afterwards: the longest
    /// [`Limits::busy_poll`](crate::Limits::busy_poll) of the connections read. The connections'
    /// own frames go out with the next [`flush`](Self::flush).
    pub fn read_ready(&mut self) -> Option<Duration> {
        let limit = match self.hub.loop_sockets() {
            Some(loop_sockets) => self.tick.read(loop_sockets),
            None => Duration::ZERO,
        };
        (!self.hub.is_quiet()).then_some(limit)
    }

    /// Returns the hub.
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Emits up to `max` records in order, and frees the handles that the last call reported
    /// closed, and the outcomes that need not be taken. Returns the number of records.
    pub fn drain(&mut self, max: usize, mut emit: impl FnMut(Record)) -> usize {
        for handle in std::mem::take(&mut self.reported_closed) {
            self.objects.remove(handle);
        }
        for request in std::mem::take(&mut self.reported_empty) {
            self.outcomes.remove(&request);
        }
        self.hub.stats.drains.add(1);
        self.hub.answer();
        let mut count = 0;
        while count + RECORDS_PER_ENTRY <= max {
            let Some(ready) = self.hub.take() else { break };
            self.expand(ready, &mut |record| {
                count += 1;
                emit(record);
            });
        }
        self.hub.stats.records.add(count as u64);
        count
    }

    fn expand(&mut self, ready: Ready, emit: &mut dyn FnMut(Record)) {
        match ready {
            Ready::Stream(slot) => self.expand_stream(&slot, emit),
            Ready::Outgoing(slot) => {
                if let Some(handle) = slot.handle() {
                    emit(Record::StreamOutgoing {
                        stream: handle.raw(),
                    });
                }
            }
            Ready::Opened(connection) => {
                let (node, request) = (connection.facts().node, connection.facts().request);
                let Some(handle) = self
                    .objects
                    .insert(Object::Connection(Arc::clone(&connection)))
                else {
                    return refuse(&connection);
                };
                connection.set_handle(handle.raw());
                emit(Record::ConnectionOpened {
                    connection: handle.raw(),
                    node,
                    request,
                });
            }
            Ready::GoingAway(connection, code) => {
                let handle = connection.handle();
                // If it has ended since, only its end is reported.
                if handle != 0 && connection.end_report().is_none() {
                    emit(Record::ConnectionGoingAway {
                        connection: handle,
                        code,
                    });
                }
            }
            Ready::Closed(connection) => self.expand_closed(&connection, emit),
            Ready::Pipe(events) => self.expand_pipe(&events, emit),
            Ready::AttemptsFailed {
                node,
                request,
                attempts,
            } => {
                // The outcome, or a query of the dial, may have taken them all.
                if attempts.has_failed() {
                    self.attempts.insert(request, attempts);
                    emit(Record::AttemptsFailed { request, node });
                }
            }
            Ready::Raced { request, attempts } => {
                self.attempts.insert(request, attempts);
            }
            Ready::Completion(Completion { request, outcome }) => {
                let is_empty =
                    matches!(outcome, Outcome::Dialled(_)) && !self.attempts.contains_key(&request);
                if is_empty {
                    self.reported_empty.push(request);
                }
                self.outcomes.insert(request, outcome);
                emit(Record::Completion { request, is_empty });
            }
            Ready::GateQuestions { node } => emit(Record::GateQuestions { node }),
            Ready::HttpRequests { node } => emit(Record::HttpRequests { node }),
            Ready::ListenerClosed { listener } => emit(Record::ListenerClosed { listener }),
            Ready::Diagnostics => {
                let (waiting, dropped) = self.hub.pending_diagnostics();
                emit(Record::Diagnostics { waiting, dropped });
            }
        }
    }

    fn expand_closed(&mut self, connection: &Connection, emit: &mut dyn FnMut(Record)) {
        let handle = connection.handle();
        if let (true, Some(report)) = (handle != 0, connection.end_report()) {
            self.reported_closed.push(Handle::from_raw(handle));
            for (figure, value) in (0..).zip(connection.traffic.figures()) {
                if value != 0 {
                    emit(Record::ConnectionCarried {
                        connection: handle,
                        figure,
                        value,
                    });
                }
            }
            emit(Record::ConnectionClosed {
                connection: handle,
                report,
            });
        }
    }

    fn expand_stream(&mut self, slot: &Arc<StreamSlot>, emit: &mut dyn FnMut(Record)) {
        let objects = &mut self.objects;
        let register = |slot: &Arc<StreamSlot>| objects.insert(Object::Stream(Arc::clone(slot)));
        let drained = slot.drain_records(register, emit);
        self.reported_closed.extend(drained.closed);
        if drained.owes_acknowledgement {
            self.touch(slot, 0);
        }
    }

    /// Takes the outcome of a completed command.
    pub fn take_outcome(&mut self, request: u32) -> Option<Outcome> {
        self.attempts.remove(&request);
        self.outcomes.remove(&request)
    }

    /// Returns the attempts of a dial reported by [`Record::AttemptsFailed`], and those that were
    /// tried besides the one that succeeded, until its outcome is taken.
    pub fn attempts(&self, request: u32) -> Option<&Arc<Attempts>> {
        self.attempts.get(&request)
    }

    /// Returns a live connection.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn connection(&self, handle: u32) -> Result<&Arc<Connection>, CallError> {
        match self.objects.get(Handle::from_raw(handle)) {
            Some(Object::Connection(connection)) => Ok(connection),
            _ => Err(CallError::StaleHandle),
        }
    }

    fn stream(&self, handle: u32) -> Result<&Arc<StreamSlot>, CallError> {
        match self.objects.get(Handle::from_raw(handle)) {
            Some(Object::Stream(slot)) => Ok(slot),
            _ => Err(CallError::StaleHandle),
        }
    }

    /// Opens a stream; the handle carries [`HANDLE_PENDING`] if it is not usable yet.
    ///
    /// # Errors
    /// Errors of [`Connection::open`], and [`CallError::HandleLimit`].
    pub fn open(&mut self, connection: u32, proposals: Proposals) -> Result<u32, CallError> {
        let connection = Arc::clone(self.connection(connection)?);
        if self.objects.is_full() {
            return Err(CallError::HandleLimit);
        }
        let (slot, usable) = connection.open(proposals)?;
        // Notifications that the driver has queued by now wait for the next drain, on this thread.
        let Some(handle) = self.objects.insert(Object::Stream(Arc::clone(&slot))) else {
            slot.reset(0);
            return Err(CallError::HandleLimit);
        };
        slot.set_handle(handle);
        self.touch(&slot, 0);
        Ok(if usable {
            handle.raw()
        } else {
            handle.raw() | HANDLE_PENDING
        })
    }

    /// Returns the figures of a live stream: bytes received, sent, received but unread, written but
    /// unsent; or of a connection: bytes received, sent, frames received, sent, round-trip time in
    /// microseconds, 0 if unknown.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn measure(&self, handle: u32) -> Result<[u64; 5], CallError> {
        match self.objects.get(Handle::from_raw(handle)) {
            Some(Object::Stream(slot)) => {
                let [received, sent, unread, unsent] = slot.figures();
                Ok([received, sent, unread, unsent, 0])
            }
            Some(Object::Connection(connection)) => Ok(connection.traffic.figures()),
            Some(Object::Pipe(_)) | None => Err(CallError::StaleHandle),
        }
    }

    /// Returns the scope of a live connection, or of a stream that is not over.
    pub fn scope_of(&self, handle: u32) -> Option<ScopeId> {
        match self.objects.get(Handle::from_raw(handle))? {
            Object::Connection(connection) => Some(connection.scope()),
            Object::Stream(slot) => slot.scope(),
            Object::Pipe(_) => None,
        }
    }

    /// Returns what the transport of a connection that has ended said of it: see
    /// [`Connection::end_text`].
    pub fn end_text(&self, connection: u32) -> Option<String> {
        let connection = self.connection(connection).ok()?;
        connection.end_text().map(str::to_owned)
    }

    /// Takes the refusal by which a stream has failed after its negotiation.
    pub fn take_refusal(&self, stream: u32) -> Option<Refusal> {
        self.stream(stream).ok()?.take_refusal()
    }

    /// See [`Connection::close`]; takes effect at the next flush.
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn close_connection(
        &mut self,
        connection: u32,
        code: u32,
        manner: CloseManner,
    ) -> Result<(), CallError> {
        let connection = Arc::clone(self.connection(connection)?);
        connection.request_close(CloseRequest {
            code,
            fault: ConnectionFault::Local,
            manner,
        });
        self.tick.touch(&connection, 0);
        Ok(())
    }

    /// See [`Connection::allow_early_fin`].
    ///
    /// # Errors
    /// [`CallError::StaleHandle`].
    pub fn allow_early_fin(&self, connection: u32) -> Result<(), CallError> {
        self.connection(connection)?.allow_early_fin();
        Ok(())
    }

    /// Marks the stream's connection for the next flush. A foreign stream's muxer is notified by a
    /// record.
    fn touch(&mut self, slot: &StreamSlot, bytes: usize) {
        if let Some(connection) = slot.carrier.connection() {
            self.tick.touch(connection, bytes);
        }
    }

    /// Sends this tick's output: inline if there is little of it, else on the I/O threads.
    pub fn flush(&mut self) {
        self.tick.flush();
        // The calls of the tick and their sending may have queued notifications; a driver that has
        // ended no longer rings.
        self.hub.announce();
    }

    /// The same for a caller that can drain: it must do so at once if this returns true, which it does
    /// if a connection has ended.
    pub fn flush_before_drain(&mut self) -> bool {
        let has_ended = self.tick.flush();
        if has_ended {
            self.hub.claim();
        } else {
            self.hub.announce();
        }
        has_ended
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // A close that was requested in this tick, above all.
        self.tick.hand_over();
        self.hub.close();
    }
}

/// Closes a connection for which no handle is left.
fn refuse(connection: &Connection) {
    let code = ferroswarm_proto::muxer::ConnectionErrorCode::ResourceLimitExceeded as u32;
    connection.close(CloseRequest {
        code,
        fault: ConnectionFault::Local,
        manner: CloseManner::AtOnce,
    });
}
