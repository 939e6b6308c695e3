//! Bytes that a writer may queue, and its resumption.

use crate::config::{SEND_PIPE_MAX, UNSEALED_SHARE};
use crate::live::Live;
use crate::record::Record;
use crate::slot::Proposals;

#[test]
fn a_write_is_accepted_up_to_the_send_pipe_and_resumes() {
    let mut live = Live::new();
    let (dialed, accepted) = live.stream();
    // The window takes as much again before the pipe fills up.
    let bytes = vec![7; 1 << 20];
    let first = live.dialer.write(dialed, &bytes);
    assert_eq!(first, SEND_PIPE_MAX);
    live.settle();
    assert!(matches!(
        live.dialer.take_records()[..],
        [Record::StreamWritable { .. }]
    ));
    while live.dialer.write(dialed, &bytes) > 0 {
        live.settle();
    }
    live.dialer.take_records();
    // The window less the negotiation lines, plus spare room in the last chunk.
    let held = live.listener.connection.held();
    assert!(
        held > 255 << 10 && held <= 320 << 10,
        "{held} bytes are held"
    );
    live.listener.read(accepted).1.unwrap();
    live.settle();
    let reported = live.dialer.take_records();
    let [Record::StreamWritable { stream, credit }] = reported[..] else {
        panic!("reported {reported:?}")
    };
    assert_eq!(stream, dialed);
    assert!(live.dialer.write(dialed, &bytes) >= credit as usize);
}

#[test]
fn submit_takes_everything_and_returns_the_credit_left() {
    let mut live = Live::new();
    let (dialed, _) = live.stream();
    let half = vec![7; SEND_PIPE_MAX / 2];
    let mut submit = || live.dialer.environment.submit(dialed, &half, None).unwrap();
    assert_eq!(submit(), (SEND_PIPE_MAX / 2) as i32);
    assert_eq!(submit(), 0);
    // Submitted before the credit was known.
    assert_eq!(live.dialer.environment.submit(dialed, b"more", None), Ok(0));
    live.settle();
    assert!(matches!(
        live.dialer.take_records()[..],
        [Record::StreamWritable { .. }]
    ));
}

#[test]
fn a_connection_full_of_unsealed_bytes_leaves_every_stream_its_share() {
    let mut live = Live::new();
    let bytes = vec![7; 1 << 20];
    let streams: Vec<u32> = (0..16)
        .map(|_| live.dialer.open(Proposals::Lazy(1)))
        .collect();
    for stream in streams {
        live.dialer.write(stream, &bytes);
    }
    let late = live.dialer.open(Proposals::Lazy(1));
    let accepted = live.dialer.write(late, &bytes);
    assert!(
        accepted > 0 && accepted <= UNSEALED_SHARE,
        "accepted {accepted}"
    );
}
