//! Random traffic of two ends, whose scopes are compared with what is open.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::HANDLE_PENDING;

#[derive(Debug, Clone, Copy)]
enum Step {
    Open(u32),
    OpenAnyOf(u32),
    Write(bool, usize, usize),
    Read(bool, usize),
    CloseWrite(bool, usize),
    Close(bool, usize),
    Reset(bool, usize),
    /// Lets JavaScript's calls wait for the next step.
    Hurry,
}

fn steps() -> impl Strategy<Value = Step> {
    let side = any::<bool>;
    let stream = || 0_usize..12;
    // From 9 on not served.
    prop_oneof![
        3 => (1_u32..=9).prop_map(Step::Open),
        1 => (1_u32..=9).prop_map(Step::OpenAnyOf),
        4 => (side(), stream(), 1_usize..200_000).prop_map(|(side, at, bytes)| Step::Write(side, at, bytes)),
        2 => (side(), stream()).prop_map(|(side, at)| Step::Read(side, at)),
        1 => (side(), stream()).prop_map(|(side, at)| Step::CloseWrite(side, at)),
        1 => (side(), stream()).prop_map(|(side, at)| Step::Close(side, at)),
        1 => (side(), stream()).prop_map(|(side, at)| Step::Reset(side, at)),
        2 => Just(Step::Hurry),
    ]
}

/// One end's streams by handle, with their protocols where they are known.
#[derive(Default)]
struct Open(BTreeMap<u32, u32>);

impl Open {
    fn at(&self, index: usize) -> Option<u32> {
        let count = self.0.len().max(1);
        self.0.keys().copied().nth(index % count)
    }

    /// Follows the records of a side; asserts that refusals have their code.
    fn follow(&mut self, side: &mut Side) {
        for record in side.take_records() {
            match record {
                Record::StreamOpened {
                    stream, protocol, ..
                }
                | Record::StreamNegotiated {
                    stream, protocol, ..
                } => {
                    self.0.insert(stream, protocol);
                }
                Record::StreamClosed { stream, .. } => {
                    self.0.remove(&stream);
                }
                _ => {}
            }
        }
    }
}

fn bounded() -> EndLimits {
    let mut limits = EndLimits::of_scopes(|table| {
        table.connection.streams_inbound = 7;
        table.connection.streams_outbound = 9;
        table.connection.memory = 512 << 10;
        table.protocol_default.streams = 3;
        table.service_default.streams_inbound = 2;
    });
    limits.bounds = Limits {
        // Memory is that of bytes alone.
        window_bytes_max: 256 << 10,
        ..Limits::default()
    };
    limits
}

/// Does a step; returns whether the connection is then idle.
fn take(live: &mut Live, streams: &mut [Open; 2], step: Step) -> bool {
    match step {
        Step::Hurry => return false,
        Step::Open(protocol) => open(live, &mut streams[0], Proposals::Lazy(protocol), protocol),
        Step::OpenAnyOf(last) => {
            let proposals = Proposals::AnyOf(Box::from([10, last]));
            open(live, &mut streams[0], proposals, 0);
        }
        Step::Write(by_dialer, index, bytes) => {
            if let Some((side, stream)) = stream_at(live, streams, by_dialer, index) {
                side.environment.write(stream, &vec![7; bytes]).ok();
            }
        }
        Step::Read(by_dialer, index) => {
            if let Some((side, stream)) = stream_at(live, streams, by_dialer, index) {
                side.read(stream).1.ok();
            }
        }
        Step::CloseWrite(by_dialer, index) => {
            if let Some((side, stream)) = stream_at(live, streams, by_dialer, index) {
                side.change(stream, |slot| slot.close_write()).ok();
            }
        }
        Step::Close(by_dialer, index) => {
            if let Some((side, stream)) = stream_at(live, streams, by_dialer, index) {
                side.change(stream, |slot| Ok(slot.close())).ok();
            }
        }
        Step::Reset(by_dialer, index) => {
            if let Some((side, stream)) = stream_at(live, streams, by_dialer, index) {
                side.change(stream, |slot| Ok(slot.reset(3))).ok();
            }
        }
    }
    true
}

fn stream_at<'a>(
    live: &'a mut Live,
    streams: &[Open; 2],
    by_dialer: bool,
    index: usize,
) -> Option<(&'a mut Side, u32)> {
    let (side, open) = if by_dialer {
        (&mut live.dialer, &streams[0])
    } else {
        (&mut live.listener, &streams[1])
    };
    open.at(index).map(|stream| (side, stream))
}

fn open(live: &mut Live, dialed: &mut Open, proposals: Proposals, protocol: u32) {
    let dialer = &mut live.dialer;
    match dialer.environment.open(dialer.handle, proposals) {
        Ok(answer) => {
            dialed.0.insert(answer & !HANDLE_PENDING, protocol);
        }
        Err(error) => {
            assert_eq!(error, CallError::StreamLimit);
            assert!(dialer.connection.hub.take_refusal().is_some());
        }
    }
}

/// Compares the scopes of a side with what is open.
fn check(side: &Side) {
    let [inbound, outbound] = side.connection.counted_streams();
    let system = usage(side, &ScopeName::System);
    assert_eq!(
        (system.streams_inbound, system.streams_outbound),
        (inbound, outbound)
    );
    assert_eq!(of_connection(side), system);
    assert_eq!(usage(side, &ScopeName::Peer(peer_of(side))), system);
    let used = (side.connection.held() + side.connection.unsealed()) as u64;
    assert_eq!(system.memory % QUANTUM, 0);
    if used <= 16 << 10 {
        assert_eq!(system.memory, 0, "for {used} bytes");
    } else if system.memory < used {
        // Refused: all of the memory that there is has been charged.
        assert!(system.memory + 8 * QUANTUM > used, "{used} bytes");
    } else {
        let most = used + 4 * QUANTUM;
        assert!(system.memory <= most.max(used.next_multiple_of(QUANTUM)));
    }
    expect_sums(side, &system);
}

/// Asserts that every stream is transient or has a protocol.
fn expect_sums(side: &Side, system: &Usage) {
    let total = |usage: &Usage| usage.streams_inbound + usage.streams_outbound;
    let (mut of_protocols, mut of_pairs) = (0, 0);
    for (scope, usage, limit) in side.connection.resources().report() {
        assert!(total(&usage) <= limit.streams, "{scope}");
        match scope {
            ScopeName::Protocol(_) => of_protocols += total(&usage),
            ScopeName::ProtocolPeer(..) => of_pairs += total(&usage),
            _ => {}
        }
    }
    let transient = total(&usage(side, &ScopeName::Transient));
    assert_eq!(of_protocols + transient, total(system));
    assert_eq!(of_pairs, of_protocols);
}

/// Asserts that what the application has of each protocol is what is charged to it.
fn expect_protocols(side: &Side, open: &Open) {
    for number in 1..=8 {
        let count = open
            .0
            .values()
            .filter(|protocol| **protocol == number)
            .count();
        let (_, outbound) = streams(side, &ScopeName::Protocol(label(number)));
        assert_eq!(outbound as usize, count, "/label/{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    // go 127, go 129, R12, R13
    #[test]
    fn the_scopes_of_random_traffic_use_what_is_open(
        list in prop::collection::vec(steps(), 1..80), by_dialer: bool,
    ) {
        let mut live = Live::with(bounded(), bounded());
        let mut open = <[Open; 2]>::default();
        for step in list {
            if take(&mut live, &mut open, step) {
                live.settle();
                open[0].follow(&mut live.dialer);
                open[1].follow(&mut live.listener);
                check(&live.dialer);
                check(&live.listener);
                expect_protocols(&live.dialer, &open[0]);
            }
        }
        let side = if by_dialer { &mut live.dialer } else { &mut live.listener };
        side.environment.close_connection(side.handle, 0, CloseManner::AtOnce).unwrap();
        live.settle();
        let resources = [&live.dialer, &live.listener].map(|side| {
            assert!(side.ended.is_some());
            for (scope, usage, _) in side.connection.resources().report() {
                // Bytes that may still be read.
                let bytes = Usage::memory(if side.connection.held() > 0 { usage.memory } else { 0 });
                assert_eq!(usage, bytes, "{scope}");
            }
            Arc::clone(side.connection.resources())
        });
        drop(live);
        for (scope, usage, _) in resources.iter().flat_map(|resources| resources.report()) {
            assert!(usage.is_none(), "{scope} still uses {usage:?}");
        }
    }
}
