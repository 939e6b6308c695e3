//! Every combination of flags that a frame may carry.

use super::support::*;
use crate::muxer::StreamErrorCode;
use crate::muxer::yamux::Session;
use crate::muxer::yamux::frame::Header;

const VIOLATION: u32 = StreamErrorCode::ProtocolViolation as u32;

/// Asserts that `frame` reports `expected`, whole and in pieces of every size.
#[track_caller]
fn assert_reports(prepare: impl Fn() -> Session, frame: &[u8], expected: &[OwnedEvent]) {
    for piece in 1..=frame.len() {
        let reported = feed_in(&mut prepare(), frame, piece).expect("the frame is legal");
        assert_eq!(reported, expected, "in pieces of {piece}");
    }
}

fn sevens(count: usize) -> Vec<u8> {
    vec![7; count]
}

// Y9, A089: a stream opens with any frame, and the same frame may end it.
#[test]
fn a_stream_opens_with_any_frame() {
    let opened = OwnedEvent::Opened(0);
    let bytes = OwnedEvent::Data(0, sevens(20));
    let finished = OwnedEvent::Finished(0);
    let table: [(Vec<u8>, Vec<OwnedEvent>); 12] = [
        (update(SYN, 1, 0), vec![opened.clone()]),
        (update(SYN, 1, 1 << 20), vec![opened.clone()]),
        (data(SYN, 1, 0), vec![opened.clone()]),
        (data(SYN, 1, 20), vec![opened.clone(), bytes.clone()]),
        (data(SYN.with(ACK), 1, 0), vec![opened.clone()]),
        (
            update(SYN.with(FIN), 1, 0),
            vec![opened.clone(), finished.clone()],
        ),
        (
            data(SYN.with(FIN), 1, 0),
            vec![opened.clone(), finished.clone()],
        ),
        (data(SYN.with(FIN), 1, 20), vec![opened, bytes, finished]),
        (update(SYN.with(RST), 1, 42), vec![]),
        (data(SYN.with(RST), 1, 0), vec![]),
        (data(SYN.with(RST), 1, 20), vec![]),
        (update(SYN.with(ACK).with(FIN).with(RST), 1, 42), vec![]),
    ];
    for (frame, expected) in table {
        assert_reports(listener, &frame, &expected);
    }
}

// Y8, Y10, A089: flags on an unacknowledged outbound stream.
#[test]
fn flags_combine_on_a_live_stream() {
    let prepare = || {
        let mut session = dialer();
        let key = session.open().unwrap();
        session.data_header(key, 10);
        session
    };
    let acked = OwnedEvent::Acked(0);
    let bytes = OwnedEvent::Data(0, sevens(20));
    let finished = OwnedEvent::Finished(0);
    let table: [(Vec<u8>, Vec<OwnedEvent>); 14] = [
        (update(ACK, 1, 0), vec![acked.clone()]),
        (update(ACK, 1, 99), vec![acked.clone()]),
        (data(ACK, 1, 0), vec![acked.clone()]),
        (data(ACK, 1, 20), vec![acked.clone(), bytes.clone()]),
        (update(FIN, 1, 0), vec![finished.clone()]),
        (data(FIN, 1, 0), vec![finished.clone()]),
        (data(FIN, 1, 20), vec![bytes.clone(), finished.clone()]),
        (data(ACK.with(FIN), 1, 20), vec![acked, bytes, finished]),
        (update(RST, 1, 42), vec![OwnedEvent::Reset(0, 42)]),
        (data(RST, 1, 0), vec![OwnedEvent::Reset(0, 0)]),
        (data(RST, 1, 20), vec![OwnedEvent::Reset(0, 0)]),
        (update(FIN.with(RST), 1, 42), vec![OwnedEvent::Reset(0, 42)]),
        (data(FIN.with(RST), 1, 20), vec![OwnedEvent::Reset(0, 0)]),
        (update(ACK.with(RST), 1, 42), vec![OwnedEvent::Reset(0, 42)]),
    ];
    for (frame, expected) in table {
        assert_reports(prepare, &frame, &expected);
    }
}

// A089
#[test]
fn ends_are_reported_once() {
    let table: [(&[Vec<u8>], &[OwnedEvent]); 4] = [
        (
            &[update(FIN, 1, 0), data(FIN, 1, 0)],
            &[OwnedEvent::Finished(0)],
        ),
        (
            &[update(RST, 1, 5), update(RST, 1, 6)],
            &[OwnedEvent::Reset(0, 5)],
        ),
        (
            &[update(FIN, 1, 0), update(RST, 1, 5)],
            &[OwnedEvent::Finished(0), OwnedEvent::Reset(0, 5)],
        ),
        (
            &[update(RST, 1, 5), update(FIN, 1, 0)],
            &[OwnedEvent::Reset(0, 5)],
        ),
    ];
    for (frames, expected) in table {
        let mut session = listener();
        feed(&mut session, &update(SYN, 1, 0)).unwrap();
        assert_eq!(feed(&mut session, &frames.concat()).unwrap(), expected);
    }
}

// A087
#[test]
fn data_after_fin_resets_the_stream_and_is_not_delivered() {
    for piece in [1, 5, 13, 100] {
        let mut session = listener();
        let frames = [
            data(SYN.with(FIN), 1, 3),
            data(NONE, 1, 30),
            update(SYN, 3, 0),
        ]
        .concat();
        let reported = feed_in(&mut session, &frames, piece).unwrap();
        assert_eq!(
            reported,
            [
                OwnedEvent::Opened(0),
                OwnedEvent::Data(0, sevens(3)),
                OwnedEvent::Finished(0),
                OwnedEvent::Reset(0, VIOLATION),
                OwnedEvent::Opened(1),
            ]
        );
        assert_eq!(
            control(&mut session)
                .iter()
                .filter_map(as_reset)
                .collect::<Vec<_>>(),
            [(1, VIOLATION)]
        );
    }
}

// A088
#[test]
fn a_reset_stream_is_not_resurrected() {
    let mut session = listener();
    feed(
        &mut session,
        &[update(SYN, 1, 0), update(RST, 1, 0)].concat(),
    )
    .unwrap();
    let late = [
        data(NONE, 1, 10),
        update(NONE, 1, 10),
        update(FIN, 1, 0),
        update(ACK, 1, 0),
    ];
    assert_eq!(feed(&mut session, &late.concat()).unwrap(), []);
}

// A091
#[test]
fn unexpected_acknowledgements_are_ignored() {
    let mut session = listener();
    let frames = [
        update(SYN, 1, 0),
        update(ACK, 1, 0),
        update(ACK, 2, 0),
        data(ACK, 2, 0),
    ];
    assert_eq!(
        feed(&mut session, &frames.concat()).unwrap(),
        [OwnedEvent::Opened(0)]
    );
    assert_eq!(session.unacked, 0);
}

// A104: control frames on data frames, as early py-libp2p sends them.
#[test]
fn control_frames_of_type_data_are_understood() {
    let mut session = listener();
    let frames = [data(SYN, 1, 0), data(NONE, 1, 4), data(FIN, 1, 0)].concat();
    assert_eq!(
        feed(&mut session, &frames).unwrap(),
        [
            OwnedEvent::Opened(0),
            OwnedEvent::Data(0, sevens(4)),
            OwnedEvent::Finished(0)
        ]
    );
}

// Y6, Y11
#[test]
fn sent_frames_carry_the_flags_that_are_due() {
    let mut session = dialer();
    let bare = session.open().unwrap();
    assert_eq!(control(&mut session), [Header::window_update(SYN, 1, 0)]);
    let header = session.fin_frame(bare);
    assert_eq!(headers(&header), [Header::window_update(FIN, 1, 0)]);

    let with_data = session.open().unwrap();
    let header = session.data_header(with_data, 9);
    assert_eq!(headers(&header), [Header::data(SYN, 3, 9)]);
    let header = session.data_header(with_data, 8);
    assert_eq!(headers(&header), [Header::data(NONE, 3, 8)]);
    // Alone: js-libp2p 3 loses payload sent in the same frame.
    let header = session.fin_frame(with_data);
    assert_eq!(headers(&header), [Header::window_update(FIN, 3, 0)]);

    let at_once = session.open().unwrap();
    let header = session.fin_frame(at_once);
    assert_eq!(
        headers(&header),
        [Header::window_update(SYN.with(FIN), 5, 0)]
    );
    assert_eq!(control(&mut session), []);
}

#[test]
fn the_first_frame_after_accept_carries_the_acknowledgement() {
    let mut session = listener();
    feed(
        &mut session,
        &[update(SYN, 1, 0), update(SYN, 3, 0)].concat(),
    )
    .unwrap();
    let [first, second] = [0, 1].map(crate::muxer::StreamKey);
    assert_eq!(
        headers(&session.data_header(first, 1)),
        [Header::data(NONE, 1, 1)]
    );
    session.accept(first);
    session.accept(first);
    assert!(!session.has_control());
    assert_eq!(
        headers(&session.data_header(first, 1)),
        [Header::data(ACK, 1, 1)]
    );
    session.accept(second);
    session.acknowledge(second);
    assert_eq!(control(&mut session), [Header::window_update(ACK, 3, 0)]);
    assert_eq!(
        headers(&session.data_header(second, 1)),
        [Header::data(NONE, 3, 1)]
    );
}
