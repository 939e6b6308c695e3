//! Every interleaving of local and remote actions on one stream.
//!
//! States are explored breadth first, with every step from each state; a state is everything in the
//! session and the model except totals that only grow. In each transition the session must match
//! the model: report the same events and no end twice, write no frame after a reset or a FIN, and
//! keep both windows exact to the byte.

use std::collections::{HashSet, VecDeque};

use super::lockstep::{Lockstep, Step, StepResult};
use super::model::{Ending, Stream, WINDOW};
use super::support::*;
use crate::muxer::Role;
use crate::muxer::yamux::frame::{Header, Kind};

/// Windows move in halves, so each is empty, half full or full.
const HALF: u64 = WINDOW / 2;

/// The only key.
const KEY: u32 = 0;

/// Returns the identity of a state: its observable part and the session's internal state.
fn shape(both: &Lockstep) -> String {
    let streams: Vec<_> = both
        .model
        .streams
        .values()
        .map(|stream| {
            let halves = (stream.their_fin, stream.our_fin, stream.discards);
            let theirs = (stream.allowed(), stream.held(), stream.owed());
            let ends = (stream.opening, stream.ending, stream.removed);
            (halves, theirs, stream.credit(), ends)
        })
        .collect();
    format!("{streams:?} {:?}", both.session.streams)
}

/// Returns every possible step for a stream with this id.
fn steps(id: u32) -> Vec<Step> {
    let half = HALF as u32;
    let frames = [
        Header::data(NONE, id, half),
        Header::data(NONE, id, 0),
        Header::data(FIN, id, 0),
        Header::data(FIN, id, half),
        Header::data(RST, id, half),
        Header::data(ACK, id, half),
        Header::data(SYN, id, half),
        Header::data(SYN.with(FIN), id, half),
        Header::window_update(NONE, id, half),
        Header::window_update(ACK, id, 0),
        Header::window_update(FIN, id, 0),
        Header::window_update(ACK.with(FIN), id, half),
        Header::window_update(RST, id, 9),
        Header::window_update(SYN, id, 0),
        Header::window_update(SYN.with(FIN), id, 0),
        Header::window_update(SYN.with(RST), id, 0),
    ];
    let calls = [
        Step::Accept(KEY),
        Step::Acknowledge(KEY),
        Step::Send(KEY, HALF),
        Step::Finish(KEY),
        Step::Consume(KEY, HALF),
        Step::Discard(KEY),
        Step::Reset(KEY, 7),
        Step::Remove(KEY),
        Step::Poll(usize::MAX),
    ];
    calls.into_iter().chain(frames.map(Step::Frame)).collect()
}

/// Whether a step stays within bounds: more than one and a half windows of credit add no new
/// states, nor does a second stream.
fn is_bounded(both: &Lockstep, step: Step) -> bool {
    match step {
        Step::Frame(frame) if frame.length > 0 && frame.flags.has(ACK) | (frame.flags == NONE) => {
            let credit = both
                .model
                .streams
                .get(&KEY)
                .map_or(0, |stream| stream.credit());
            frame.kind == Kind::Data || credit <= WINDOW
        }
        // An id reused while its first entry exists would be a second stream.
        Step::Frame(frame) if frame.flags.has(SYN) => both
            .model
            .streams
            .get(&KEY)
            .is_none_or(|stream| stream.ending != Ending::Over),
        _ => true,
    }
}

#[derive(PartialEq, Eq, Debug, Default)]
struct Explored {
    states: usize,
    transitions: usize,
    violations: usize,
    /// States in which the stream was over.
    over: usize,
}

fn explore(role: Role, id: u32, first: Step) -> Explored {
    let steps = steps(id);
    let mut explored = Explored::default();
    let mut start = Lockstep::new(role, usize::MAX);
    start.perform(first);
    let mut seen = HashSet::from([shape(&start)]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        explored.states += 1;
        let is_over = |stream: &Stream| stream.ending == Ending::Over;
        explored.over += usize::from(state.model.streams.values().all(is_over));
        for step in steps.iter().filter(|step| is_bounded(&state, **step)) {
            let mut next = state.clone();
            match next.perform(*step) {
                StepResult::Skipped => continue,
                StepResult::Violation(_) => explored.violations += 1,
                StepResult::Done => {
                    if seen.insert(shape(&next)) {
                        queue.push_back(next);
                    }
                }
            }
            explored.transitions += 1;
        }
    }
    explored
}

// Exact counts, so that a step that no longer applies anywhere is noticed.
fn explore_inbound(role: Role, id: u32) {
    let expected = Explored {
        states: 10_465,
        transitions: 196_297,
        violations: 46_097,
        over: 3_556,
    };
    let syn = Step::Frame(Header::window_update(SYN, id, 0));
    assert_eq!(explore(role, id, syn), expected);
}

fn explore_outbound(role: Role, id: u32) {
    let expected = Explored {
        states: 5_570,
        transitions: 103_658,
        violations: 24_538,
        over: 2_018,
    };
    assert_eq!(explore(role, id, Step::Open), expected);
}

// Y3, Y4, Y6, Y8, Y9, Y10, A085, A087, A088, A089, A091, go 146, go 147, go 152, go 161
#[test]
fn every_interleaving_of_a_listeners_inbound_stream_matches_the_model() {
    explore_inbound(Role::Listener, 1);
}

#[test]
fn every_interleaving_of_a_dialers_inbound_stream_matches_the_model() {
    explore_inbound(Role::Dialer, 2);
}

#[test]
fn every_interleaving_of_a_dialers_outbound_stream_matches_the_model() {
    explore_outbound(Role::Dialer, 1);
}

#[test]
fn every_interleaving_of_a_listeners_outbound_stream_matches_the_model() {
    explore_outbound(Role::Listener, 2);
}
