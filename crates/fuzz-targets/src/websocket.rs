//! WebSocket: frames and the upgrade, in both roles.

use std::fmt::Debug;

use ferroswarm_websocket::{
    Answer, Close, FrameError, HEADER_BYTES_MAX, MaskKeys, PlainRequest, REQUEST_BODY_BYTES_MAX,
    Received, Request, RequestError, RequestKind, RequestReader, ResponseError, Role, Session,
    UpgradeRequest, append_answer, append_refusal, append_switch,
};

use crate::{piece, settings};

/// A pong and a close frame, each with the largest payload.
const OUTPUT_BYTES_MAX: usize = 2 * (HEADER_BYTES_MAX + 125);

/// What a session made of its input.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    payload: Vec<u8>,
    close: Option<Close>,
    error: Option<FrameError>,
    output: Vec<u8>,
}

/// A session on arbitrary input: the outcome does not depend on how the input is split, the output
/// is bounded, and what was received arrives again when it is sent on.
pub fn websocket_frames(data: &[u8]) {
    let ([role, cut], input) = settings(data);
    let role = role_of(role);
    let whole = run(role, input, usize::MAX);
    assert_eq!(run(role, input, piece(cut)), whole);
    assert!(whole.payload.len() <= input.len());
    assert!(whole.output.len() <= OUTPUT_BYTES_MAX);
    let mut sent = Vec::new();
    let mut sender = session(role);
    sender
        .send(&whole.payload, &mut sent)
        .expect("within a frame");
    let receiver = match role {
        Role::Dialer => Role::Listener,
        Role::Listener => Role::Dialer,
    };
    sent.extend_from_slice(&whole.output);
    let received = run(receiver, &sent, piece(cut));
    assert_eq!((received.payload, received.error), (whole.payload, None));
    let closes = whole.close.is_some() || whole.error.is_some();
    assert_eq!(received.close.is_some(), closes);
}

fn run(role: Role, input: &[u8], cut: usize) -> Outcome {
    let mut session = session(role);
    let mut payload = Vec::new();
    let mut error = None;
    'input: for piece in input.chunks(cut) {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            match session.handle_input(&mut piece[at..]) {
                Ok(Received::Payload {
                    payload: range,
                    consumed,
                }) => {
                    assert!(!range.is_empty() && range.end <= consumed);
                    payload.extend_from_slice(&piece[at + range.start..at + range.end]);
                    at += consumed;
                }
                Ok(Received::Incomplete) => break,
                Ok(Received::Closed) => break 'input,
                Err(violation) => {
                    assert_eq!(session.handle_input(&mut []), Err(violation));
                    error = Some(violation);
                    break 'input;
                }
            }
        }
    }
    let mut output = Vec::new();
    session.poll_output(&mut output).expect("keys");
    assert!(!session.has_output());
    Outcome {
        payload,
        close: session.remote_close().cloned(),
        error,
        output,
    }
}

/// A request or a response of arbitrary bytes: the outcome does not depend on how the input arrives,
/// and a refusal has an answer that is HTTP.
pub fn websocket_upgrade(data: &[u8]) {
    let ([role, cut], input) = settings(data);
    let cut = piece(cut);
    match role_of(role) {
        Role::Listener => {
            let mut slow = RequestReader::default();
            let mut whole = RequestReader::default();
            let result = whole.read(input);
            assert_same(&result, &arrive(input, cut, |input| slow.read(input)));
            answer(input, result);
        }
        Role::Dialer => {
            let request = || UpgradeRequest::with_nonce(*b"the sample nonce");
            let mut slow = request();
            let result = request().read_response(input);
            assert_same(
                &result,
                &arrive(input, cut, |input| slow.read_response(input)),
            );
            assert!(!matches!(result, Ok(Some(length)) if length > input.len()));
        }
    }
}

/// A request that is no upgrade: its headers can be those of an answer.
fn answer_plain(head: &[u8], out: &mut Vec<u8>) {
    match PlainRequest::read(head) {
        Ok(request) => {
            assert!(request.body_bytes <= REQUEST_BODY_BYTES_MAX);
            let answer = Answer::new(200, &request.target, request.headers, Vec::new());
            append_answer(&answer.expect("a valid status"), head, out);
        }
        Err(status) => append_refusal(status, head, out),
    }
}

fn answer(input: &[u8], result: Result<Option<Request>, RequestError>) {
    let mut out = Vec::new();
    match result {
        Ok(None) => return,
        Ok(Some(request)) => {
            assert!(request.head_bytes <= input.len());
            match request.kind {
                RequestKind::Upgrade { accept } => append_switch(&accept, &mut out),
                RequestKind::Other => answer_plain(&input[..request.head_bytes], &mut out),
            }
        }
        Err(error) => append_refusal(error.status(), input, &mut out),
    }
    // A dialer reads either as a response; only the keys differ.
    let read = UpgradeRequest::with_nonce([0; 16]).read_response(&out);
    assert!(!matches!(read, Ok(None) | Err(ResponseError::Malformed(_))));
}

/// Reads `input` as it grows by `cut` bytes at a time.
fn arrive<T, E>(
    input: &[u8],
    cut: usize,
    mut read: impl FnMut(&[u8]) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let mut end = 0;
    while end < input.len() {
        end = end.saturating_add(cut).min(input.len());
        match read(&input[..end]) {
            Ok(None) => {}
            outcome => return outcome,
        }
    }
    Ok(None)
}

/// Compares results. Of input that grows, an error may be found later, with the end of the head.
fn assert_same<T: PartialEq + Debug, E: PartialEq + Debug>(
    whole: &Result<Option<T>, E>,
    pieces: &Result<Option<T>, E>,
) {
    match (whole, pieces) {
        (Err(_), Err(_) | Ok(None)) => {}
        _ => assert_eq!(whole, pieces),
    }
}

const fn role_of(byte: u8) -> Role {
    match byte & 1 {
        0 => Role::Listener,
        _ => Role::Dialer,
    }
}

fn session(role: Role) -> Session {
    match role {
        Role::Dialer => Session::dialer(MaskKeys::new(|bytes| {
            bytes.fill(0x5A);
            Ok(())
        })),
        Role::Listener => Session::listener(),
    }
}
