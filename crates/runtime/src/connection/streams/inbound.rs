//! Input from the wire to the slots: streams opened, bytes, FINs and resets.

use std::time::Duration;

use ferroswarm_proto::muxer::{Event, StreamErrorCode, StreamKey};

use crate::connection::link::StreamLink;
use crate::connection::{Connection, Direction};
use crate::diagnostics::Fact;
use crate::handlers::Handler;
use crate::resources::{Refusal, StreamScope};
use crate::slot::{ResetReport, StreamSlot};
use crate::sync::Arc;

use super::negotiation::{Negotiation, Progress};
use super::{Entry, Streams};

/// Share (1/n) of the memory of unread bytes that compaction must free to avoid a reset: with less,
/// the next frame would trigger compaction again.
const SHED_SHARE: usize = 8;

impl Streams {
    /// Handles an event of a stream.
    pub(in crate::connection) fn handle_event(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Arc<Connection>,
        event: Event<'_>,
        now: Duration,
    ) {
        match event {
            Event::Opened { key } => self.opened(link, connection, key, now),
            Event::Acked { key } => self.acked(connection, key),
            Event::Data { key, bytes } => {
                connection.traffic.bytes_in.add(bytes.len() as u64);
                self.received(link, connection, key, bytes);
            }
            Event::Finished { key } => self.finished(link, connection, key),
            Event::Reset { key, code } => self.was_reset(link, connection, key, code),
            Event::Writable { key } => self.writable(key),
            // Events of the connection.
            Event::GoAway { .. } | Event::Pong { .. } => {}
        }
    }

    /// Handles a new inbound stream, which is negotiated here or passed to JavaScript raw.
    fn opened(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Arc<Connection>,
        key: StreamKey,
        now: Duration,
    ) {
        if !connection.has_backlog_room() {
            link.turn_away(key, StreamErrorCode::ResourceLimitExceeded);
            let limit = connection.limits.accept_backlog;
            connection.refused("acceptBacklog", limit, limit);
            return;
        }
        let Some(scope) = self.inbound_scope(link, connection, key) else {
            return;
        };
        connection.admit_stream();
        let slot = StreamSlot::inbound(connection, scope, key);
        let negotiation = Negotiation::listener(connection).map(Box::new);
        let serial = self.serial();
        match &negotiation {
            Some(_) => {
                let at = now + connection.limits.stream_negotiation_timeout;
                self.set_negotiation_deadline(key, serial, at);
            }
            None => {
                slot.announce(0);
            }
        }
        self.insert(key, Entry::inbound(slot, negotiation, serial));
    }

    /// Opens the scope of a new inbound stream; a stream that does not fit is reset.
    fn inbound_scope(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Connection,
        key: StreamKey,
    ) -> Option<StreamScope> {
        let open = || {
            let resources = connection.resources();
            resources.open_stream(connection.scope(), Direction::Inbound)
        };
        let opened = match open() {
            Err(Refusal::Scope(_)) if self.remove_read_out(link, connection) => open(),
            opened => opened,
        };
        opened
            .inspect_err(|refusal| {
                link.turn_away(key, StreamErrorCode::ResourceLimitExceeded);
                connection.report(Fact::StreamRefused(refusal.clone()));
            })
            .ok()
    }

    fn acked(&mut self, connection: &Connection, key: StreamKey) {
        let Some(entry) = self.entry(key) else { return };
        if !std::mem::replace(&mut entry.acked, true) {
            connection.acknowledged();
            self.reopen();
        }
    }

    pub(super) fn received(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Arc<Connection>,
        key: StreamKey,
        bytes: &[u8],
    ) {
        let Some(entry) = self.entry(key) else { return };
        let rest = match &mut entry.negotiation {
            None => bytes,
            Some(negotiation) => {
                let slot = Arc::clone(&entry.slot);
                match negotiation.handle_input(&slot, bytes) {
                    Progress::Open { consumed } => {
                        self.requeue(&slot);
                        slot.consume_lines(consumed);
                        // The rest stays in the stream's pipe until JavaScript answers.
                        &bytes[consumed..]
                    }
                    Progress::Negotiated { consumed } => {
                        let handler = negotiation.handler();
                        entry.negotiation = None;
                        slot.consume_lines(consumed);
                        // Delivered before JavaScript is notified of the stream: its end may
                        // already be known, and would be read first.
                        slot.deliver(&bytes[consumed..]);
                        if let Some(handler) = handler {
                            self.dispatch(link, connection, &slot, handler);
                        }
                        self.requeue(&slot);
                        &[]
                    }
                    Progress::Failed => {
                        entry.negotiation = None;
                        slot.release_unannounced();
                        self.requeue(&slot);
                        return;
                    }
                }
            }
        };
        if !rest.is_empty()
            && let Some(entry) = self.entry(key)
        {
            entry.slot.deliver(rest);
        }
        if let Err(refusal) = connection.charge_received() {
            self.shed(connection, refusal);
        }
    }

    /// Passes an inbound stream to its handler, unless the protocol has reached `maxInbound`.
    fn dispatch(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Connection,
        slot: &Arc<StreamSlot>,
        handler: Handler,
    ) {
        let is_full = |streams: &Self| {
            let count = streams.inbound_of.get(&handler.protocol);
            count.copied().unwrap_or(0) >= handler.inbound_max
        };
        if is_full(self) {
            self.remove_read_out(link, connection);
        }
        if connection.handlers.is_closed() {
            slot.reset(StreamErrorCode::Shutdown as u32);
        } else if is_full(self) {
            slot.reset(StreamErrorCode::ResourceLimitExceeded as u32);
            connection.refused("maxInbound", handler.inbound_max, handler.inbound_max);
        } else if let Err(refusal) = charge_to_handler(connection, slot, handler) {
            slot.reset(StreamErrorCode::ResourceLimitExceeded as u32);
            connection.report(Fact::StreamRefused(refusal));
        } else if slot.announce(handler.protocol) {
            *self.inbound_of.entry(handler.protocol).or_default() += 1;
        }
    }

    /// Removes finished streams that are still queued: those whose end JavaScript has read last,
    /// for which the driver is not woken. Returns whether there were any.
    fn remove_read_out(&mut self, link: &mut dyn StreamLink, connection: &Connection) -> bool {
        let done: Vec<_> = {
            let outbox = connection.outbox.lock();
            let waiting = outbox.streams().chain(&self.ring);
            waiting.filter_map(|slot| slot.finished_key()).collect()
        };
        for &key in &done {
            self.remove_if_done(link, connection, key);
        }
        !done.is_empty()
    }

    fn finished(&mut self, link: &mut dyn StreamLink, connection: &Connection, key: StreamKey) {
        let Some(entry) = self.entry(key) else { return };
        entry.remote_done = true;
        let slot = Arc::clone(&entry.slot);
        self.end_negotiation(key);
        slot.deliver_end();
        self.remove_if_done(link, connection, key);
    }

    fn was_reset(
        &mut self,
        link: &mut dyn StreamLink,
        connection: &Connection,
        key: StreamKey,
        code: u32,
    ) {
        let Some(entry) = self.entry(key) else { return };
        // Ended before it is removed: a drain in between then sees it as finished and frees its
        // place in the backlog.
        entry.slot.end(ResetReport {
            code,
            remote: true,
            ..ResetReport::default()
        });
        self.remove(link, connection, key);
    }

    fn writable(&mut self, key: StreamKey) {
        if let Some(entry) = self.entry(key) {
            let slot = Arc::clone(&entry.slot);
            self.requeue(&slot);
        }
    }

    /// Handles a connection that may hold no more memory: compacts partly read pipes and, if that
    /// frees too little, resets the stream that holds most.
    fn shed(&mut self, connection: &Connection, refusal: Refusal) {
        let before = connection.held();
        let worst = self
            .entries
            .iter()
            .flatten()
            .map(|entry| (entry.slot.compact(), &entry.slot))
            .filter(|(held, _)| *held > 0)
            .max_by_key(|(held, _)| *held)
            .map(|(_, slot)| Arc::clone(slot));
        let freed = before.saturating_sub(connection.held());
        if freed >= before / SHED_SHARE && connection.charge().is_ok() {
            return;
        }
        let Some(slot) = worst else { return };
        connection.hub.stats.memory_resets.add(1);
        connection.report(Fact::MemoryShed(refusal));
        slot.abandon(StreamErrorCode::ResourceLimitExceeded as u32);
    }
}

/// Charges an inbound stream to its protocol and service.
fn charge_to_handler(
    connection: &Connection,
    slot: &StreamSlot,
    handler: Handler,
) -> Result<(), Refusal> {
    let names = connection.hub.names();
    // A predicate has accepted a name that is not in the table.
    let protocol = names.name(handler.protocol).or_else(|| slot.queried());
    let service = match handler.service {
        0 => None,
        service => names.name(service),
    };
    protocol.map_or(Ok(()), |protocol| {
        slot.charge_to(&protocol, service.as_ref())
    })
}
