//! One engine and the application on top of it.

use std::collections::BTreeMap;
use std::time::Duration;

use ferroswarm_proto::muxer::{
    EndError, Engine, Event, FRAME_PAYLOAD_MAX, Loan, MemoryBudget, Role, StreamKey, yamux,
    yamux_crate,
};

use crate::wire::{Far, WINDOW, pattern};

/// Choice of engine.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ours,
    Crate,
}

/// Event of a stream, apart from data.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum StreamEvent {
    Opened,
    Acked,
    Finished,
    Reset(u32),
}

/// The application's view of a stream.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) key: StreamKey,
    pub(crate) reported: Vec<StreamEvent>,
    /// Number of bytes received; each was compared.
    pub(crate) received: u64,
    pub(crate) unread: u64,
    /// Whether the unread bytes have ever reached the crate's limit on unconsumed bytes.
    pub(crate) was_full: bool,
    pub(crate) discards: bool,
    queued: u64,
    pub(crate) sent: u64,
    fin_wanted: bool,
    pub(crate) fin: bool,
    /// The stream was removed locally.
    pub(crate) removed: bool,
    /// The stream was reset locally.
    pub(crate) reset_locally: bool,
}

impl Local {
    pub(crate) fn is_finished(&self) -> bool {
        self.reported.contains(&StreamEvent::Finished)
    }

    pub(crate) fn is_reset(&self) -> bool {
        matches!(self.reported.last(), Some(StreamEvent::Reset(_)))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_reset() || (self.fin && self.is_finished())
    }

    pub(crate) const fn wants_to_send(&self) -> bool {
        !self.removed && (self.sent < self.queued || (self.fin_wanted && !self.fin))
    }
}

/// Budget that keeps windows at their initial size: growth depends on the system clock.
struct NoGrowth;

impl MemoryBudget for NoGrowth {
    fn reserve(&mut self, _bytes: u32) -> bool {
        false
    }
}

pub(crate) struct Subject {
    engine: Engine,
    pub(crate) streams: BTreeMap<u32, Local>,
    pub(crate) goaway: Option<u32>,
    pub(crate) end: Option<EndError>,
    pub(crate) far: Far,
    /// Output not yet taken by the test.
    pub(crate) output: Vec<u8>,
    now: Duration,
}

/// Limits on live inbound streams and on unaccepted ones.
pub(crate) const INBOUND_MAX: u32 = 6;
pub(crate) const BACKLOG: u32 = 4;

impl Subject {
    pub(crate) fn new(kind: Kind, role: Role) -> Self {
        let engine = match kind {
            Kind::Ours => {
                let config = yamux::Config {
                    inbound_streams_max: INBOUND_MAX,
                    accept_backlog: BACKLOG,
                    ..yamux::Config::default()
                };
                Engine::Yamux(yamux::Session::new(role, config))
            }
            Kind::Crate => {
                let config = yamux_crate::Config {
                    inbound_streams_max: INBOUND_MAX,
                    accept_backlog: BACKLOG,
                    growth_max: 0,
                    ..yamux_crate::Config::default()
                };
                Engine::YamuxCrate(Box::new(yamux_crate::Session::new(role, config)))
            }
        };
        Self {
            engine,
            streams: BTreeMap::new(),
            goaway: None,
            end: None,
            far: Far::default(),
            output: Vec::new(),
            now: Duration::from_secs(1),
        }
    }

    pub(crate) fn live(&self) -> Vec<u32> {
        let live = self.streams.iter().filter(|(_, local)| !local.removed);
        live.map(|(id, _)| *id).collect()
    }

    pub(crate) fn open(&mut self) -> bool {
        let Ok(key) = self.engine.open() else {
            return false;
        };
        let id = self.adopt(key);
        self.far.own.push(id);
        true
    }

    pub(crate) fn accept(&mut self, id: u32) {
        let key = self.streams[&id].key;
        self.engine.accept(key);
    }

    pub(crate) fn write(&mut self, id: u32, bytes: u64) {
        let local = self.streams.get_mut(&id).expect("a known stream");
        if !local.fin_wanted {
            local.queued += bytes;
        }
    }

    pub(crate) fn finish(&mut self, id: u32) {
        self.streams
            .get_mut(&id)
            .expect("a known stream")
            .fin_wanted = true;
    }

    pub(crate) fn consume(&mut self, id: u32, bytes: u64) {
        let local = self.streams.get_mut(&id).expect("a known stream");
        let bytes = bytes.min(local.unread);
        if bytes > 0 && !local.discards {
            local.unread -= bytes;
            let (key, now) = (local.key, self.now);
            // Less than a window fits 32 bits.
            self.engine.consumed(key, bytes as u32, now, &mut NoGrowth);
        }
    }

    pub(crate) fn discard(&mut self, id: u32) {
        let local = self.streams.get_mut(&id).expect("a known stream");
        local.discards = true;
        local.unread = 0;
        self.engine.discard(local.key);
    }

    pub(crate) fn reset(&mut self, id: u32, code: u32) {
        let local = self.streams.get_mut(&id).expect("a known stream");
        local.removed = true;
        local.reset_locally = true;
        self.engine.reset(local.key, code);
        self.engine.remove(local.key);
    }

    /// Removes those of `ids` that are over.
    pub(crate) fn sweep(&mut self, ids: &[u32]) {
        for id in ids {
            let local = self.streams.get_mut(id).expect("a known stream");
            if local.is_over() && !local.removed {
                local.removed = true;
                self.engine.remove(local.key);
            }
        }
    }

    pub(crate) fn go_away(&mut self, code: u32) {
        self.engine.go_away(code);
    }

    pub(crate) fn end_input(&mut self) {
        self.engine.end_input();
        self.receive(&[]);
    }

    /// Feeds bytes from the remote.
    pub(crate) fn receive(&mut self, mut input: &[u8]) {
        let mut loan = Loan::default();
        while self.end.is_none() {
            match self.engine.poll_event(&mut input, self.now, &mut loan) {
                Ok(Some(Event::Opened { key })) => {
                    let id = self.adopt(key);
                    self.record_event(id, StreamEvent::Opened);
                }
                Ok(Some(event)) => {
                    let reported = observe(event);
                    match reported {
                        Observed::Stream(key, reported) => {
                            let id = self.id_of(key);
                            self.record_event(id, reported);
                        }
                        Observed::Bytes(key, bytes) => {
                            let id = self.id_of(key);
                            self.take_bytes(id, bytes);
                        }
                        Observed::GoAway(code) => self.goaway = Some(code),
                        Observed::Nothing => {}
                    }
                }
                Ok(None) => break,
                Err(end) => {
                    self.end = Some(end);
                    self.engine.go_away(end.goaway_code());
                }
            }
        }
    }

    /// Writes all pending output, in records of `record` bytes.
    pub(crate) fn transmit(&mut self, record: usize) {
        self.now += Duration::from_millis(50);
        if self.engine.poll_deadline().is_some_and(|at| at <= self.now) {
            self.engine
                .handle_deadline(self.now)
                .expect("nothing is late");
        }
        loop {
            let mut out = Vec::new();
            let ids = self.live();
            for id in ids {
                self.serve(id, record, &mut out);
            }
            let room = record.saturating_sub(out.len());
            self.engine.poll_control(&mut out, room);
            if out.is_empty() {
                break;
            }
            self.far.read(&out);
            self.output.extend_from_slice(&out);
        }
        assert!(self.far.is_between_frames());
        // Events held back until there was room.
        self.receive(&[]);
    }

    fn serve(&mut self, id: u32, record: usize, out: &mut Vec<u8>) {
        let local = self.streams.get_mut(&id).expect("a known stream");
        if local.fin || local.is_reset() || out.len() + 12 > record {
            return;
        }
        let room = record - out.len() - 12;
        let credit = self.engine.send_credit(local.key) as usize;
        let held = local.queued - local.sent;
        let count = (held as usize).min(credit).min(room).min(FRAME_PAYLOAD_MAX);
        if count > 0 {
            let from = local.sent;
            let before = out.len();
            let taken = self.engine.write(local.key, count, out, |into| {
                for (at, byte) in into.iter_mut().enumerate() {
                    *byte = pattern(id, from + at as u64);
                }
            });
            assert!(out.len() <= before + count + 12);
            local.sent += taken as u64;
        }
        if local.fin_wanted && local.sent == local.queued && out.len() + 12 <= record {
            self.engine.finish(local.key, out);
            local.fin = true;
        }
    }

    fn adopt(&mut self, key: StreamKey) -> u32 {
        let id = self.engine.stream_id(key).expect("the stream is live");
        let local = Local {
            key,
            reported: Vec::new(),
            received: 0,
            unread: 0,
            was_full: false,
            discards: false,
            queued: 0,
            sent: 0,
            fin_wanted: false,
            fin: false,
            removed: false,
            reset_locally: false,
        };
        assert!(
            self.streams.insert(id, local).is_none(),
            "{id} is opened twice"
        );
        id
    }

    fn record_event(&mut self, id: u32, reported: StreamEvent) {
        let local = self.streams.get_mut(&id).expect("a known stream");
        assert!(!local.is_reset() && !local.removed, "{reported:?} of {id}");
        local.reported.push(reported);
    }

    fn take_bytes(&mut self, id: u32, bytes: &[u8]) {
        let local = self.streams.get_mut(&id).expect("a known stream");
        assert!(!local.is_finished() && !local.is_reset() && !local.removed);
        assert!(!local.discards, "data of a discarded stream");
        for byte in bytes {
            assert_eq!(*byte, pattern(id, local.received), "stream {id}");
            local.received += 1;
        }
        local.unread += bytes.len() as u64;
        local.was_full |= local.unread >= WINDOW;
        // The crate hands out whole frames: the last may exceed the limit on unconsumed bytes.
        assert!(local.unread <= 2 * WINDOW);
    }

    fn id_of(&self, key: StreamKey) -> u32 {
        let mut known = self.streams.iter().rev();
        let found = known.find(|(_, local)| local.key == key && !local.removed);
        *found.expect("events name live streams").0
    }
}

enum Observed<'a> {
    Stream(StreamKey, StreamEvent),
    Bytes(StreamKey, &'a [u8]),
    GoAway(u32),
    Nothing,
}

const fn observe(event: Event<'_>) -> Observed<'_> {
    match event {
        Event::Opened { key } => Observed::Stream(key, StreamEvent::Opened),
        Event::Acked { key } => Observed::Stream(key, StreamEvent::Acked),
        Event::Data { key, bytes } => Observed::Bytes(key, bytes),
        Event::Finished { key } => Observed::Stream(key, StreamEvent::Finished),
        Event::Reset { key, code } => Observed::Stream(key, StreamEvent::Reset(code)),
        Event::Writable { .. } | Event::Pong { .. } => Observed::Nothing,
        Event::GoAway { code } => Observed::GoAway(code),
    }
}
