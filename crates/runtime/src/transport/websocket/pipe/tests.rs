use std::task::Waker;

use ferroswarm_websocket::MaskKeys;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::TransportFault;
use crate::testing::pipe;

/// Both ends of a connection whose socket holds `capacity` bytes in each direction.
fn connected(capacity: usize) -> [FramePipe; 2] {
    let (one, other) = pipe(capacity);
    [
        FramePipe::new(
            Arc::new(one),
            Session::dialer(MaskKeys::random()),
            Vec::new(),
        ),
        FramePipe::new(Arc::new(other), Session::listener(), Vec::new()),
    ]
}

/// A listener's end, and the socket of its remote.
fn accepted(capacity: usize, early: &[u8]) -> (FramePipe, impl BytePipe) {
    let (one, other) = pipe(capacity);
    let ours = FramePipe::new(Arc::new(one), Session::listener(), early.to_vec());
    (ours, other)
}

/// A frame of a dialer, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn read(pipe: &impl BytePipe) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1 << 16];
    let count = pipe.try_read(&mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

fn kind(outcome: io::Result<impl Sized>) -> Option<io::ErrorKind> {
    outcome.err().map(|error| error.kind())
}

fn is_readable(pipe: &impl BytePipe) -> bool {
    pipe.poll_readable(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However little the socket holds, and however little is read at once.
    #[test]
    fn prop_bytes_arrive_in_order_in_both_directions(
        capacity in 1_usize..300,
        bytes in vec(any::<u8>(), 0..2_000),
        reads in vec(1_usize..100, 1..5),
    ) {
        for ends in [connected(capacity), { let [a, b] = connected(capacity); [b, a] }] {
            let [writer, reader] = ends;
            let (mut sent, mut received) = (0, Vec::new());
            let mut reads = reads.iter().copied().cycle();
            while received.len() < bytes.len() {
                match writer.try_write(&bytes[sent..]) {
                    Ok(count) => sent += count,
                    Err(error) => prop_assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
                let mut piece = vec![0; reads.next().unwrap()];
                match reader.try_read(&mut piece) {
                    Ok(count) => received.extend_from_slice(&piece[..count]),
                    Err(error) => prop_assert!(matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    )),
                }
            }
            prop_assert_eq!(sent, bytes.len());
            prop_assert_eq!(&received, &bytes);
            prop_assert_eq!(writer.unaccepted(), Some(0));
        }
    }
}

#[test]
fn the_writer_is_told_of_bytes_as_the_socket_takes_them() {
    let (ours, socket) = accepted(10, &[]);
    // The header of two bytes, and eight of the payload.
    assert_eq!(ours.try_write(&[7; 20]).unwrap(), 8);
    assert_eq!(
        kind(ours.try_write(&[7; 12])),
        Some(io::ErrorKind::WouldBlock)
    );
    assert_eq!(ours.unaccepted(), Some(8));
    assert_eq!(read(&socket).unwrap(), [&[0x82, 20][..], &[7; 8]].concat());
    assert_eq!(ours.try_write(&[7; 12]).unwrap(), 10);
    assert_eq!(read(&socket).unwrap(), [7; 10]);
    // The rest of the frame; the next has its own.
    assert_eq!(ours.try_write(&[7; 3]).unwrap(), 2);
    assert_eq!(ours.try_write(&[7; 1]).unwrap(), 1);
    assert_eq!(read(&socket).unwrap(), [7, 7, 0x82, 1, 7]);
}

#[test]
fn the_last_frame_counts_without_its_header_and_the_control_frames_behind_it() {
    let (ours, socket) = accepted(1 << 10, &[]);
    ours.try_write(&[7; 500]).unwrap();
    assert_eq!(ours.unaccepted(), Some(500));
    ours.try_write(&[7; 28]).unwrap();
    // The header of the first frame is counted: 4 bytes.
    assert_eq!(ours.unaccepted(), Some(532));
    let mut data = [0; 504];
    assert_eq!(socket.try_read(&mut data).unwrap(), 504);
    assert_eq!(ours.unaccepted(), Some(28));
    socket.try_write(&frame(0x89, b"ping")).unwrap();
    assert_eq!(kind(read(&ours)), Some(io::ErrorKind::WouldBlock));
    assert_eq!(ours.unaccepted(), Some(28));
    assert_eq!(read(&socket).unwrap().len(), 30 + 6);
    assert_eq!(ours.unaccepted(), Some(0));
}

#[test]
fn a_ping_is_answered_once_the_socket_takes_the_answer() {
    let (ours, socket) = accepted(40, &[]);
    assert_eq!(ours.try_write(&[0; 60]).unwrap(), 38);
    socket.try_write(&frame(0x89, b"one")).unwrap();
    socket.try_write(&frame(0x89, b"two")).unwrap();
    assert_eq!(kind(read(&ours)), Some(io::ErrorKind::WouldBlock));
    assert!(!is_readable(&ours));
    assert_eq!(read(&socket).unwrap().len(), 40);
    // Not in the middle of a frame.
    assert_eq!(ours.try_write(&[0; 22]).unwrap(), 22);
    assert_eq!(read(&socket).unwrap(), [0; 22]);
    // Whoever waits for input sends it.
    assert!(!is_readable(&ours));
    assert_eq!(read(&socket).unwrap(), b"\x8A\x03two");
}

#[test]
fn control_frames_alone_do_not_keep_the_thread() {
    let (ours, socket) = accepted(1 << 16, &[]);
    let pings = frame(0x89, b"").repeat(10_000);
    socket.try_write(&pings).unwrap();
    let mut piece = [0; 1_000];
    let mut calls = 0;
    while kind(ours.try_read(&mut piece)) == Some(io::ErrorKind::Interrupted) {
        calls += 1;
    }
    assert_eq!(calls, 60_000 / (READS_MAX * piece.len()));
    // A pong for each read, not for each ping.
    assert!(read(&socket).unwrap().len() <= 2 * 60);
}

#[test]
fn our_end_is_a_close_frame_and_its_echo_ends_the_remote() {
    let [dialer, listener] = connected(1 << 10);
    dialer.try_write(b"last").unwrap();
    dialer.shutdown().unwrap();
    assert_eq!(
        kind(dialer.try_write(b"late")),
        Some(io::ErrorKind::BrokenPipe)
    );
    // It still reads.
    listener.try_write(b"reply").unwrap();
    assert_eq!(read(&dialer).unwrap(), b"reply");
    assert_eq!(read(&listener).unwrap(), b"last");
    assert_eq!(read(&listener).unwrap(), b"");
    assert!(is_readable(&listener));
    assert_eq!(
        kind(listener.try_write(b"late")),
        Some(io::ErrorKind::BrokenPipe)
    );
    assert_eq!(read(&dialer).unwrap(), b"");
}

#[test]
fn a_close_with_another_code_is_not_the_end_of_the_stream() {
    let (ours, socket) = accepted(1 << 10, &[]);
    let bytes = [frame(0x82, b"half"), frame(0x88, b"\x03\xF3failed")].concat();
    socket.try_write(&bytes).unwrap();
    assert_eq!(read(&ours).unwrap(), b"half");
    let aborted = Some(io::ErrorKind::ConnectionAborted);
    assert_eq!(kind(read(&ours)), aborted);
    assert_eq!(kind(read(&ours)), aborted);
    assert_eq!(read(&socket).unwrap(), b"\x88\x02\x03\xF3");
    let (fault, reason) = TransportFault::within(&read(&ours).unwrap_err()).unwrap();
    assert_eq!((fault, &*reason), (TransportFault::Closed(1011), "failed"));
}

#[test]
fn a_violation_comes_after_the_bytes_before_it_and_is_answered() {
    let (ours, socket) = accepted(1 << 10, &[]);
    let bytes = [frame(0x82, b"fine"), frame(0xC2, b"reserved")].concat();
    socket.try_write(&bytes).unwrap();
    assert_eq!(read(&ours).unwrap(), b"fine");
    assert!(is_readable(&ours));
    assert_eq!(kind(read(&ours)), Some(io::ErrorKind::InvalidData));
    assert_eq!(read(&socket).unwrap(), b"\x88\x02\x03\xEA");
    let (fault, _) = TransportFault::within(&read(&ours).unwrap_err()).unwrap();
    assert_eq!(fault, TransportFault::Frame(FrameError::ReservedBit));
    // From our end on, the socket is read until the remote has closed it.
    ours.shutdown().unwrap();
    socket.try_write(b"whatever comes").unwrap();
    assert_eq!(kind(read(&ours)), Some(io::ErrorKind::Interrupted));
    assert_eq!(kind(read(&ours)), Some(io::ErrorKind::WouldBlock));
    assert!(!is_readable(&ours));
    drop(socket);
    assert!(is_readable(&ours));
    assert_eq!(read(&ours).unwrap(), b"");
}

#[test]
fn frames_that_came_with_the_upgrade_are_read_first() {
    let early = [frame(0x89, b"p"), frame(0x82, b"early")].concat();
    let (ours, socket) = accepted(1 << 10, &early);
    socket.try_write(&frame(0x82, b"later")).unwrap();
    assert!(is_readable(&ours));
    assert_eq!(read(&ours).unwrap(), b"early");
    assert_eq!(ours.state.lock().early.capacity(), 0);
    assert_eq!(read(&ours).unwrap(), b"later");
    assert!(!is_readable(&ours));
    assert_eq!(read(&socket).unwrap(), b"\x8A\x01p");
}

#[test]
fn the_end_of_the_socket_without_a_close_frame_is_an_end() {
    let (ours, socket) = accepted(1 << 10, &[]);
    drop(socket);
    assert_eq!(read(&ours).unwrap(), b"");
}
