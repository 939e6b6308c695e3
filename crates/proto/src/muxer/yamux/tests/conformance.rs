//! Cases from other implementations' suites that no other file here covers.

use super::support::*;
use crate::muxer::yamux::ProtocolError;
use crate::muxer::yamux::frame::Header;
use crate::muxer::{ConnectionErrorCode, StreamKey};

const KEY: StreamKey = StreamKey(0);

// go 150: the first stream reveals two ends of the same role.
#[test]
fn two_ends_of_one_role_cannot_communicate() {
    for (mut one, mut other) in [(dialer(), dialer()), (listener(), listener())] {
        one.open().unwrap();
        let mut wire = Vec::new();
        one.poll_control(&mut wire, usize::MAX);
        let error = feed(&mut other, &wire).unwrap_err();
        assert!(matches!(error, ProtocolError::InvalidStreamId { .. }));
        assert_eq!(error.goaway_code(), 1);
    }
}

// go 156: a remote may have a larger window than ours, and we use all of it.
#[test]
fn windows_of_both_ends_may_differ() {
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 16 << 20)).unwrap();
    let window = (256 << 10) + (16 << 20);
    assert_eq!(session.send_credit(KEY), window);
    let mut left = window;
    while left > 0 {
        let length = left.min(16_372);
        session.data_header(KEY, length);
        left -= length;
    }
    assert_eq!(session.send_credit(KEY), 0);
    // Our receive window still has its initial size.
    let error = feed(&mut session, &Header::data(NONE, 1, 262_145).encode());
    let window = 262_144;
    assert_eq!(
        error,
        Err(ProtocolError::WindowExceeded {
            id: 1,
            length: 262_145,
            window
        })
    );
}

// go 159: byte counts beyond 32 bits, in both directions.
#[test]
fn a_stream_carries_more_than_4_gib_each_way() {
    const FRAME: u32 = 256 << 10;
    static BODY: [u8; FRAME as usize] = [7; FRAME as usize];
    let mut session = listener();
    feed(&mut session, &update(SYN, 1, 0)).unwrap();
    session.accept(KEY);
    let header = Header::data(NONE, 1, FRAME).encode();
    let (mut received, mut announced, mut out) = (0_u64, 0_u64, Vec::new());
    let frames = (5_u64 << 30) / u64::from(FRAME);
    for _ in 0..frames {
        for mut input in [&header[..], &BODY[..]] {
            while session.poll_event(&mut input, NOW).unwrap().is_some() {}
        }
        received += u64::from(FRAME);
        session.consumed(KEY, FRAME, NOW, &mut LimitedBudget::of(0));
        // Send the same amount, and receive as much credit for it.
        let mut left = FRAME;
        while left > 0 {
            let length = left.min(16_372);
            session.data_header(KEY, length);
            left -= length;
        }
        feed(&mut session, &update(NONE, 1, FRAME)).unwrap();
        out.clear();
        session.poll_control(&mut out, usize::MAX);
        announced += headers(&out)
            .iter()
            .filter(|header| header.id == 1)
            .map(|header| u64::from(header.length))
            .sum::<u64>();
    }
    assert_eq!((received, announced), (5 << 30, 5 << 30));
    let stats = session.stats();
    assert_eq!(
        (stats.payload_received, stats.payload_sent),
        (5 << 30, 5 << 30)
    );
    assert_eq!(session.send_credit(KEY), 256 << 10);
}

// Y14: calls by the application after a failure have no effect.
#[test]
fn a_failed_session_accepts_every_call_and_reports_nothing() {
    let mut session = listener();
    feed(&mut session, &data(SYN, 1, 262_144)).unwrap();
    let error = feed(&mut session, &Header::data(NONE, 1, 1).encode()).unwrap_err();
    session.consumed(KEY, 262_144, NOW, &mut LimitedBudget::of(0));
    session.acknowledge(KEY);
    session.discard(KEY);
    session.remove(KEY);
    assert_eq!(feed(&mut session, &update(FIN, 1, 0)), Err(error));
    // The GoAway is sent after the frames that were due.
    session.go_away(error.goaway_code());
    let frames = control(&mut session);
    assert_eq!(frames.last(), Some(&Header::go_away(1)));
}

// go 162: a reset and a GoAway carry any code, in both directions.
#[test]
fn codes_pass_unchanged() {
    for code in [0, 1, 0x1002, u32::MAX] {
        let mut session = listener();
        feed(&mut session, &update(SYN, 1, 0)).unwrap();
        session.accept(KEY);
        session.reset(KEY, code);
        session.go_away(code);
        assert_eq!(
            control(&mut session),
            [Header::window_update(RST, 1, code), Header::go_away(code)]
        );
        let frames = [update(SYN, 3, 0), update(RST, 3, code)].concat();
        let mut session = listener();
        assert_eq!(
            feed(&mut session, &frames).unwrap(),
            [OwnedEvent::Opened(0), OwnedEvent::Reset(0, code)]
        );
        assert_eq!(
            feed(&mut session, &Header::go_away(code).encode()).unwrap(),
            [OwnedEvent::GoAway(code)]
        );
    }
}

// go 162: the code distinguishes violations of yamux from those of our budgets.
#[test]
fn floods_have_a_code_of_their_own() {
    for error in [
        ProtocolError::IdleFlood,
        ProtocolError::WindowUpdateFlood,
        ProtocolError::RapidReset,
        ProtocolError::RefusalFlood,
        ProtocolError::ResetBacklog { limit: 1 },
    ] {
        assert_eq!(error.goaway_code(), ConnectionErrorCode::RateLimited as u32);
    }
}
