//! Stream lifecycle between two sessions.

use super::support::*;
use crate::muxer::yamux::frame::Header;
use crate::muxer::yamux::{Config, OpenError, Session};
use crate::muxer::{Role, StreamKey};

/// Fragment sizes: single bytes, within headers, across frames, everything at once.
const PIECES: [usize; 6] = [1, 5, 12, 13, 4_099, 1 << 20];

// Y1, A083
#[test]
fn ids_are_odd_at_the_dialer_and_even_at_the_listener() {
    let mut pair = Pair::new(&Config::default(), 12);
    assert_eq!([pair.open(DIALER), pair.open(DIALER)], [1, 3]);
    assert_eq!([pair.open(LISTENER), pair.open(LISTENER)], [2, 4]);
    pair.run_until_idle();
    for end in &pair.ends {
        assert_eq!(
            end.streams.keys().copied().collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
    }
}

// Y2, Y7, go 143: streams do not mix, whatever the fragments.
#[test]
fn streams_carry_their_own_bytes_both_ways() {
    for piece in PIECES {
        let mut pair = Pair::new(&Config::default(), piece);
        let ids: Vec<u32> = (0..12).map(|turn| pair.open(turn % 2)).collect();
        pair.run_until_idle();
        for end in &mut pair.ends {
            for (turn, id) in ids.iter().enumerate() {
                end.entry(*id).queued = 1_000 * turn as u32 + 1;
                end.entry(*id).fin = FinState::Queued;
            }
        }
        pair.run_until_idle();
        for end in &mut pair.ends {
            for (turn, id) in ids.iter().enumerate() {
                assert_eq!(end.entry(*id).received, 1_000 * turn as u32 + 1);
                assert!(end.entry(*id).is_finished);
            }
        }
    }
}

// Y3, A101, go 152: a closed half does not affect the other.
#[test]
fn a_half_closed_stream_continues_in_the_other_direction() {
    let mut pair = Pair::new(&Config::default(), 10_007);
    let id = pair.open(DIALER);
    pair.ends[DIALER].entry(id).fin = FinState::Queued;
    pair.run_until_idle();
    assert!(pair.ends[LISTENER].entry(id).is_finished);
    pair.ends[LISTENER].entry(id).queued = 8 << 20;
    pair.ends[LISTENER].entry(id).fin = FinState::Queued;
    pair.run_until_idle();
    assert_eq!(pair.ends[DIALER].entry(id).received, 8 << 20);
    assert!(pair.ends[DIALER].entry(id).is_finished);
    for end in &mut pair.ends {
        end.sweep();
        assert_eq!(end.session.inbound_live() + end.session.outbound_live(), 0);
    }
}

// Y4, go 147, go 162
#[test]
fn a_reset_carries_its_code_and_ends_both_directions() {
    let mut pair = Pair::new(&Config::default(), 7);
    let id = pair.open(DIALER);
    pair.ends[DIALER].entry(id).queued = 100;
    pair.run_until_idle();
    pair.ends[LISTENER].entry(id).queued = 50;
    pair.ends[DIALER].reset(id, 42);
    pair.run_until_idle();
    assert_eq!(
        pair.ends[LISTENER].reported.last(),
        Some(&OwnedEvent::Reset(0, 42))
    );
    assert!(pair.ends[LISTENER].streams.is_empty());
    let session = &pair.ends[LISTENER].session;
    let resets = session.stats().resets_received;
    assert_eq!((session.inbound_live(), resets), (0, 1));
}

// A102
#[test]
fn a_stream_removed_while_open_is_reset() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0)).unwrap();
    session.remove(StreamKey(0));
    assert_eq!(control(&mut session), [Header::window_update(RST, 1, 0)]);
    assert_eq!(session.inbound_live(), 0);
}

#[test]
fn a_stream_reset_before_its_syn_is_sent_leaves_no_trace() {
    let mut session = dialer();
    let key = session.open().unwrap();
    session.reset(key, 9);
    session.remove(key);
    assert_eq!(control(&mut session), []);
    assert_eq!(session.open(), Ok(key));
    assert_eq!(control(&mut session), [Header::window_update(SYN, 3, 0)]);
}

#[test]
fn a_removed_key_gets_no_events_from_the_rest_of_its_frame() {
    let mut session = listener();
    let mut reported = feed(&mut session, &data(SYN.with(FIN), 1, 100)[..50]).unwrap();
    assert_eq!(reported.remove(0), OwnedEvent::Opened(0));
    session.remove(StreamKey(0));
    let mut out = Vec::new();
    session.poll_control(&mut out, 1_000);
    // The key is reused for another stream while the old stream's frame is still arriving.
    let reused = session.open().unwrap();
    assert_eq!(reused, StreamKey(0));
    assert_eq!(feed(&mut session, &[7; 62]).unwrap(), []);
    session.data_header(reused, 1);
    assert_eq!(
        feed(&mut session, &data(ACK, 2, 3)).unwrap(),
        [OwnedEvent::Acked(0), OwnedEvent::Data(0, vec![7; 3])]
    );
}

#[test]
fn nothing_is_reported_after_a_local_reset() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0)).unwrap();
    session.reset(StreamKey(0), 1);
    let late = [
        data(NONE, 1, 10),
        update(NONE, 1, 5),
        data(FIN, 1, 3),
        update(RST, 1, 2),
    ];
    assert_eq!(feed(&mut session, &late.concat()).unwrap(), []);
    // The remote reset it too, so our reset is no longer needed.
    assert_eq!(control(&mut session), []);
    assert_eq!(session.send_credit(StreamKey(0)), 0);
}

// A085
#[test]
fn an_id_reused_after_its_stream_ended_is_a_new_stream() {
    let mut session = listener();
    let first = [data(SYN, 1, 100), update(RST, 1, 0)].concat();
    feed(&mut session, &first).unwrap();
    // The old entry is still there: the caller has not removed it.
    let reported = feed(&mut session, &data(SYN, 1, 5)).unwrap();
    assert_eq!(
        reported,
        [OwnedEvent::Opened(1), OwnedEvent::Data(1, vec![7; 5])]
    );
    assert_eq!(
        session
            .streams
            .get(StreamKey(1))
            .unwrap()
            .window
            .remaining(),
        (256 << 10) - 5
    );
}

// A086
#[test]
fn ids_may_arrive_in_any_order() {
    let mut session = listener();
    let frames = [u32::MAX, 5, 3, 1].map(|id| update(SYN, id, 0)).concat();
    assert_eq!(feed(&mut session, &frames).unwrap().len(), 4);
}

// A098, Y5, go 149, go 151
#[test]
fn a_goaway_lets_streams_finish_and_new_ones_fail() {
    let mut pair = Pair::new(&Config::default(), 100);
    let ids: Vec<u32> = (0..50).map(|_| pair.open(DIALER)).collect();
    pair.run_until_idle();
    for id in &ids {
        pair.ends[LISTENER].entry(*id).queued = 1_000;
        pair.ends[LISTENER].entry(*id).fin = FinState::Queued;
    }
    pair.ends[LISTENER].session.go_away(0);
    pair.run_until_idle();
    for id in &ids {
        assert_eq!(pair.ends[DIALER].entry(*id).received, 1_000);
        assert!(pair.ends[DIALER].entry(*id).is_finished);
    }
    assert!(pair.ends[DIALER].reported.contains(&OwnedEvent::GoAway(0)));
    assert_eq!(pair.ends[DIALER].session.open(), Err(OpenError::GoingAway));
    assert_eq!(
        pair.ends[LISTENER].session.open(),
        Err(OpenError::GoingAway)
    );
}

// A099
#[test]
fn a_goaway_of_any_code_is_reported() {
    let mut session = dialer();
    let frame = Header::go_away(0xDEAD_BEEF).encode();
    assert_eq!(
        feed(&mut session, &frame).unwrap(),
        [OwnedEvent::GoAway(0xDEAD_BEEF)]
    );
}

#[test]
fn streams_opened_after_the_remotes_goaway_are_refused() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0)).unwrap();
    feed(&mut session, &Header::go_away(0).encode()).unwrap();
    assert_eq!(feed(&mut session, &update(SYN, 3, 0)).unwrap(), []);
    let frames = control(&mut session);
    assert_eq!(as_reset(&frames[0]), Some((3, 0x1007)));
    // The existing stream continues.
    let reported = feed(&mut session, &update(FIN, 1, 0)).unwrap();
    assert_eq!(reported, [OwnedEvent::Finished(0)]);
}

#[test]
fn a_goaway_is_sent_after_everything_else() {
    let mut session = listener();
    session.go_away(3);
    session.ping(NOW);
    // Streams opened after our GoAway are refused.
    assert_eq!(feed(&mut session, &update(SYN, 1, 0)).unwrap(), []);
    let frames = control(&mut session);
    assert_eq!(as_reset(&frames[1]), Some((1, 0x1007)));
    assert_eq!(frames[2], Header::go_away(3));
}

// Y17, A078, go 145
#[test]
fn ten_thousand_streams_in_sequence_leave_nothing_behind() {
    let mut pair = Pair::new(&Config::default(), 1_000);
    for turn in 0..10_000_u32 {
        let id = pair.open((turn % 2) as usize);
        for side in [DIALER, LISTENER] {
            pair.pump((side + turn as usize) % 2);
        }
        for end in &mut pair.ends {
            let entry = end.entry(id);
            entry.queued = turn % 50;
            entry.fin = FinState::Queued;
            let key = entry.key;
            end.session.accept(key);
        }
        pair.run_until_idle();
        pair.ends.iter_mut().for_each(End::sweep);
    }
    for end in &mut pair.ends {
        let stats = *end.session.stats();
        let live = (end.session.inbound_live(), end.session.outbound_live());
        assert_eq!(live, (0, 0));
        assert_eq!(
            (stats.inbound_opened, stats.outbound_opened),
            (5_000, 5_000)
        );
        assert_eq!((end.session.unacked, end.session.unaccepted), (0, 0));
        // All of them used the same slot of the slab.
        assert_eq!(end.session.open(), Ok(StreamKey(0)));
    }
}

// A097
#[test]
fn both_sides_write_without_reading_and_continue_when_they_read() {
    let mut pair = Pair::new(&Config::default(), 65_536);
    let id = pair.open(DIALER);
    pair.pump(DIALER);
    for end in &mut pair.ends {
        end.entry(id).queued = 8 << 20;
    }
    while pair.pump(DIALER) | pair.pump(LISTENER) {}
    for end in &mut pair.ends {
        assert_eq!(end.entry(id).received, 256 << 10);
    }
    pair.run_until_idle();
    for end in &mut pair.ends {
        assert_eq!(end.entry(id).received, 8 << 20);
    }
}

// A096, A093
#[test]
fn an_unread_stream_does_not_block_others() {
    let mut pair = Pair::new(&Config::default(), 65_536);
    let ids: Vec<u32> = (0..101).map(|_| pair.open(DIALER)).collect();
    pair.run_until_idle();
    for id in &ids {
        pair.ends[DIALER].entry(*id).queued = 1 << 20;
    }
    loop {
        for id in &ids[1..] {
            pair.ends[LISTENER].read(*id, u32::MAX, NOW);
        }
        if !(pair.pump(DIALER) | pair.pump(LISTENER)) {
            break;
        }
    }
    assert_eq!(pair.ends[LISTENER].entry(ids[0]).received, 256 << 10);
    for id in &ids[1..] {
        assert_eq!(pair.ends[LISTENER].entry(*id).received, 1 << 20);
    }
}

#[test]
fn a_discarded_stream_accepts_everything_and_delivers_only_its_end() {
    let mut pair = Pair::new(&Config::default(), 9_001);
    let id = pair.open(DIALER);
    pair.ends[DIALER].entry(id).queued = 100_000;
    pair.pump(DIALER);
    assert_eq!(pair.ends[LISTENER].entry(id).received, 100_000);
    pair.ends[LISTENER].discard(id);
    pair.ends[DIALER].entry(id).queued = 5 << 20;
    pair.ends[DIALER].entry(id).fin = FinState::Queued;
    pair.run_until_idle();
    assert_eq!(pair.ends[DIALER].entry(id).sent, 5 << 20);
    assert_eq!(pair.ends[LISTENER].entry(id).received, 100_000);
    assert!(pair.ends[LISTENER].entry(id).is_finished);
}

#[test]
fn discarding_in_the_middle_of_a_frame_stops_its_delivery() {
    let mut session = listener();
    feed(&mut session, &data(SYN, 1, 200_000)[..100]).unwrap();
    session.discard(StreamKey(0));
    assert_eq!(feed(&mut session, &vec![7; 199_912]).unwrap(), []);
    let frames = control(&mut session);
    assert_eq!(frames, [Header::window_update(NONE, 1, 200_000)]);
}

#[test]
fn stream_ids_run_out() {
    let config = Config {
        unacked_max: u32::MAX,
        ..Config::default()
    };
    let mut session = Session::new(Role::Dialer, config);
    session.skip_to_id(u32::MAX - 2);
    for id in [u32::MAX - 2, u32::MAX] {
        let key = session.open().unwrap();
        assert_eq!(session.stream_id(key), Some(id));
    }
    assert_eq!(session.open(), Err(OpenError::IdsExhausted));
}
