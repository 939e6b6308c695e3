//! Both engines with the same application and the same remote, which may violate the protocol.

use std::collections::BTreeMap;

use ferroswarm_proto::muxer::Role;

use crate::random::Random;
use crate::subject::{Kind, Subject};
use crate::tolerances::{Ends, Tolerances};
use crate::wire::{ACK, FIN, FarStream, Frame, RST, SYN, WINDOW};

/// The remote's own actions on a stream.
#[derive(Default, Debug)]
struct RemoteStream {
    sent: u64,
    fin: bool,
    rst: bool,
    acked: bool,
}

/// The command that resets a stream.
const RESET: usize = 17;

pub(crate) struct Script {
    random: Random,
    subjects: [Subject; 2],
    /// Streams known to the remote, by id.
    remote: BTreeMap<u32, RemoteStream>,
    next_id: u32,
    tolerances: Tolerances,
    pub(crate) log: Vec<String>,
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (role, next_id) = if random.chance(2) {
            (Role::Dialer, 2)
        } else {
            (Role::Listener, 1)
        };
        Self {
            random,
            subjects: [Kind::Ours, Kind::Crate].map(|kind| Subject::new(kind, role)),
            remote: BTreeMap::new(),
            next_id,
            tolerances: Tolerances::default(),
            log: vec![format!("{role:?}")],
        }
    }

    pub(crate) fn run(&mut self) {
        let steps = 5 + self.random.below(60);
        for _ in 0..steps {
            let mut due = !self.random.chance(3);
            if self.random.chance(2) {
                due |= self.command();
            } else {
                self.frames();
            }
            if due {
                self.transmit();
            }
            self.compare(Ends::Neither);
        }
        match self.random.below(5) {
            0 => self.run_until_idle(),
            1 => self.cut(),
            2 => self.send_goaway(),
            _ => self.fault(),
        }
    }

    /// Performs an application command; returns whether its output must be sent immediately: our
    /// engine counts a reset stream until its reset is written, the crate's session does not.
    fn command(&mut self) -> bool {
        let live = self.subjects[0].live();
        let id = self.random.pick(&live);
        let bytes = self.random.length(300_000) as u64;
        let code = self.random.next() as u32;
        let choice = self.random.below(20);
        self.log.push(format!("command {choice} {id:?} {bytes}"));
        let Some(id) = id.filter(|_| choice > 2) else {
            let opened = self.subjects.each_mut().map(Subject::open);
            assert_eq!(opened[0], opened[1], "result of open");
            return false;
        };
        // A stream whose end the crate holds back is kept.
        let over: Vec<u32> = live
            .into_iter()
            .filter(|id| {
                self.subjects
                    .iter()
                    .all(|subject| subject.streams[id].is_over())
            })
            .collect();
        for subject in &mut self.subjects {
            match choice {
                3..=6 => subject.write(id, bytes),
                7..=8 => subject.finish(id),
                9..=13 => subject.consume(id, bytes),
                14..=15 => subject.accept(id),
                16 => subject.discard(id),
                RESET => subject.reset(id, code),
                _ => subject.sweep(&over),
            }
            // Events held back until more was read.
            subject.receive(&[]);
        }
        choice == RESET
    }

    /// Sends frames that the remote may send, in one input.
    fn frames(&mut self) {
        let mut input = Vec::new();
        let mut ended = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let Some(frame) = self.frame() else { continue };
            if frame.flags & FIN != 0 {
                ended.push(frame.id);
            }
            if frame.flags & RST != 0 && ended.contains(&frame.id) {
                self.tolerances.fin_and_reset_together.insert(frame.id);
            }
            self.log.push(format!("{frame:?}"));
            frame.encode(&mut input);
        }
        self.deliver(&input);
    }

    fn frame(&mut self) -> Option<Frame> {
        for id in self.subjects[0].far.streams.keys() {
            self.remote.entry(*id).or_default();
        }
        let open = |stream: &RemoteStream| !stream.rst;
        let ids: Vec<u32> = self
            .remote
            .iter()
            .filter(|(_, stream)| open(stream))
            .map(|(id, _)| *id)
            .collect();
        let (choice, id) = (self.random.below(16), self.random.pick(&ids));
        let kind = self.random.chance(2);
        let Some(id) = id.filter(|id| choice > 2 && self.is_whole(*id)) else {
            return (choice < 3).then(|| self.syn());
        };
        let length = self.random.length(200_000) as u64;
        let length = length.min(self.allowance(id));
        let stream = self.remote.get_mut(&id)?;
        let end = |flags| {
            if kind {
                Frame::update(flags, id, 0)
            } else {
                Frame::data(flags, id, 0, 0)
            }
        };
        Some(match choice {
            3..=8 if !stream.fin => {
                let flags = if kind && length.is_multiple_of(7) {
                    FIN
                } else {
                    0
                };
                stream.fin |= flags != 0;
                let at = stream.sent;
                stream.sent += length;
                Frame::data(flags, id, length as u32, at)
            }
            9..=10 => Frame::update(0, id, 1 + length as u32),
            11 => {
                stream.fin = true;
                end(FIN)
            }
            12 => {
                stream.rst = true;
                end(RST)
            }
            13 => {
                stream.acked = true;
                end(ACK)
            }
            14 => Frame::of(2, SYN, 0, length as u32),
            // Without effect.
            _ => end(0),
        })
    }

    /// Opens a stream of the remote.
    fn syn(&mut self) -> Frame {
        let id = self.next_id;
        self.next_id += 2;
        let length = self.random.length(100_000) as u32;
        let fin = if self.random.chance(5) { FIN } else { 0 };
        let stream = self.remote.entry(id).or_default();
        stream.fin = fin != 0;
        if self.random.chance(2) {
            return Frame::update(SYN | fin, id, length);
        }
        stream.sent = u64::from(length);
        Frame::data(SYN | fin, id, length, 0)
    }

    /// Whether neither subject has reset the stream.
    fn is_whole(&self, id: u32) -> bool {
        self.subjects.iter().all(|subject| {
            let far = subject.far.streams.get(&id);
            far.is_none_or(|far| far.reset.is_none())
        })
    }

    /// Returns the bytes that the remote may still send on a stream, whichever engine it is
    /// connected to.
    fn allowance(&self, id: u32) -> u64 {
        let credit = |subject: &Subject| subject.far.streams.get(&id).map_or(0, |far| far.credit);
        let credit = self.subjects.iter().map(credit).min().unwrap_or(0);
        let sent = self.remote.get(&id).map_or(0, |stream| stream.sent);
        (WINDOW + credit).saturating_sub(sent)
    }

    /// Feeds `input` to both in the same random pieces.
    fn deliver(&mut self, mut input: &[u8]) {
        let long = self.random.chance(2);
        while !input.is_empty() {
            let most = if long { 1 << 20 } else { 3_000 };
            let (piece, rest) = input.split_at(input.len().min(1 + self.random.below(most)));
            for subject in &mut self.subjects {
                subject.receive(piece);
            }
            input = rest;
        }
    }

    fn transmit(&mut self) {
        let record = [64, 1_000, 16_384, 65_519][self.random.below(4)];
        self.log.push(format!("transmit {record}"));
        for subject in &mut self.subjects {
            subject.transmit(record);
        }
        self.compare_far();
    }

    /// Reads everything, and asserts that all sent data has arrived.
    fn run_until_idle(&mut self) {
        self.log.push("run until idle".to_owned());
        for _ in 0..3 {
            for subject in &mut self.subjects {
                for id in subject.live() {
                    subject.accept(id);
                    subject.consume(id, u64::MAX);
                }
            }
            self.transmit();
        }
        self.compare(Ends::Neither);
        for (id, stream) in &self.remote {
            if stream.rst || !self.is_whole(*id) {
                continue;
            }
            for subject in &self.subjects {
                let Some(local) = subject.streams.get(id) else {
                    continue;
                };
                if !local.discards && !local.removed {
                    assert_eq!(local.received, stream.sent, "stream {id}");
                    assert_eq!(local.is_finished(), stream.fin, "stream {id}");
                }
                // After everything was read, the remote has credit to continue.
                if !stream.fin && !local.removed {
                    let credit = subject.far.streams.get(id).map_or(0, |far| far.credit);
                    assert!(WINDOW + credit - stream.sent >= WINDOW / 2, "stream {id}");
                }
            }
        }
    }

    /// Sends a GoAway: streams are no longer opened or accepted, existing ones continue.
    fn send_goaway(&mut self) {
        self.log.push("goaway".to_owned());
        let code = self.random.next() as u32;
        for subject in &mut self.subjects {
            subject.go_away(code);
            assert!(!subject.open());
        }
        self.transmit();
        let mut input = Vec::new();
        self.syn().encode(&mut input);
        self.deliver(&input);
        self.run_until_idle();
        assert_eq!(self.subjects[0].far.goaway, [code]);
    }

    /// Ends the input within a frame.
    fn cut(&mut self) {
        let Some(frame) = self.frame() else { return };
        self.log.push(format!("cut {frame:?}"));
        let mut input = Vec::new();
        frame.encode(&mut input);
        let at = self.random.below(input.len());
        if frame.kind == 0 && at >= 12 {
            if frame.flags & SYN != 0 {
                // Our engine reports the stream at its header.
                return;
            }
            self.tolerances.cut_frame = Some((frame.id, at as u64 - 12));
        }
        self.deliver(&input[..at]);
        self.subjects.iter_mut().for_each(Subject::end_input);
        self.compare(Ends::Neither);
    }

    /// Makes the remote violate the protocol.
    fn fault(&mut self) {
        self.transmit();
        let (frames, ends) = self.violation();
        self.log.push(format!("fault {frames:?} {ends:?}"));
        let mut input = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut input));
        self.deliver(&input);
        self.tolerances.ends_missed = ends != Ends::Neither;
        self.transmit();
        self.compare(ends);
    }

    fn violation(&mut self) -> (Vec<Frame>, Ends) {
        let parity = self.next_id % 2;
        let fresh = self.next_id;
        let live: Vec<u32> = self.subjects[0].live();
        let live: Vec<u32> = live
            .into_iter()
            .filter(|id| self.is_open_everywhere(*id))
            .collect();
        let target = self.random.pick(&live);
        let choice = self.random.below(14);
        let stray = Frame::data(0, 9_001 - parity, 100, 0);
        match (choice, target) {
            (0, _) => (
                vec![Frame {
                    version: 1,
                    ..stray
                }],
                Ends::Both,
            ),
            (1, _) => (
                vec![Frame::of(4 + self.random.below(250) as u8, 0, 0, 0)],
                Ends::Both,
            ),
            (2, _) => (vec![Frame::update(0x10, fresh, 0)], Ends::OnlyOurs),
            (3, Some(id)) => {
                let credit = self
                    .subjects
                    .iter()
                    .filter_map(|subject| subject.far.streams.get(&id))
                    .map(|far| far.credit);
                let most = WINDOW + credit.max().unwrap_or(0) - self.remote[&id].sent;
                let at = self.remote[&id].sent;
                (vec![Frame::data(0, id, most as u32 + 1, at)], Ends::Both)
            }
            (4, _) => (
                vec![Frame::data(SYN, fresh, WINDOW as u32 + 1, 0)],
                Ends::Both,
            ),
            (5, Some(id)) => (vec![Frame::update(0, id, u32::MAX); 2], Ends::Both),
            (6, Some(id)) if id % 2 == parity => (vec![Frame::update(SYN, id, 0)], Ends::Both),
            (7, _) => (vec![Frame::update(SYN, fresh + 1, 0)], Ends::Both),
            (8, _) => (vec![Frame::data(SYN, 0, 0, 0)], Ends::Both),
            (9, _) => (vec![Frame::data(0, 0, 10, 0)], Ends::OnlyOurs),
            (10, _) => (vec![Frame::of(2, ACK, 0, 77)], Ends::OnlyTheCrate),
            (11, _) => (vec![Frame::of(2, SYN, 9_001, 7)], Ends::OnlyOurs),
            (12, _) => (
                vec![Frame::of(3, 0, 0, self.random.next() as u32)],
                Ends::Neither,
            ),
            (13, Some(id)) if self.allowance(id) > 0 => {
                self.tolerances.data_after_fin.insert(id);
                let at = self.remote[&id].sent;
                let late = Frame::data(0, id, 1, at);
                (vec![Frame::update(FIN, id, 0), late], Ends::Neither)
            }
            // For an unknown stream: dropped.
            _ => (
                vec![stray, Frame::update(RST, 9_001 - parity, 0)],
                Ends::Neither,
            ),
        }
    }

    /// Whether both halves of the stream are open, on the wire and at both subjects.
    fn is_open_everywhere(&self, id: u32) -> bool {
        let remote = self
            .remote
            .get(&id)
            .is_some_and(|stream| !stream.fin && !stream.rst);
        remote
            && self.is_whole(id)
            && self.subjects.iter().all(|subject| {
                let local = subject.streams.get(&id);
                local.is_some_and(|local| {
                    !local.removed && !local.fin && !local.is_reset() && !local.is_finished()
                })
            })
    }

    fn compare(&self, ends: Ends) {
        let [ours, theirs] = &self.subjects;
        let ended = [ours, theirs].map(|subject| subject.end.is_some());
        let expected = match ends {
            Ends::Both => [true, true],
            Ends::OnlyOurs => [true, false],
            Ends::OnlyTheCrate => [false, true],
            Ends::Neither => [false, false],
        };
        assert_eq!(
            ended, expected,
            "ended engines: {:?} {:?}",
            ours.end, theirs.end
        );
        let ids = |subject: &Subject| subject.streams.keys().copied().collect::<Vec<_>>();
        assert_eq!(ids(ours), ids(theirs), "streams");
        for (id, local) in &ours.streams {
            let remote_ended = self.remote.get(id).is_some_and(|stream| stream.fin);
            self.tolerances
                .compare(*id, local, &theirs.streams[id], remote_ended);
        }
        assert_eq!(ours.goaway, theirs.goaway);
    }

    /// Compares the output sent to the remote.
    fn compare_far(&self) {
        let [ours, theirs] = &self.subjects;
        if ours.end.is_some() || theirs.end.is_some() {
            return;
        }
        assert_eq!(ours.far.pongs, theirs.far.pongs);
        assert_eq!(ours.far.goaway, theirs.far.goaway);
        for id in ours.far.streams.keys().chain(theirs.far.streams.keys()) {
            if self.tolerances.data_after_fin.contains(id) {
                continue;
            }
            let [here, there] = [ours, theirs]
                .map(|subject| subject.far.streams.get(id).cloned().unwrap_or_default());
            // Where the crate held back the remote's FIN, the stream was not over: a reset is sent.
            let was_full = theirs.streams.get(id).is_some_and(|local| local.was_full);
            let reset = |far: &FarStream| far.reset.filter(|_| !(was_full && here.fin));
            let what = |far: &FarStream| (far.syn, far.fin, reset(far), far.received);
            assert_eq!(what(&here), what(&there), "what was sent on {id}");
            // An accepted stream is acknowledged; the crate does so on any first frame.
            assert!(
                there.ack || !here.ack || here.reset.is_some(),
                "{id} is not acknowledged"
            );
        }
    }
}
