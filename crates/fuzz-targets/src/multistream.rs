//! Negotiation in both roles.

use std::ops::ControlFlow;

use ferroswarm_proto::multistream::{
    Answer, Dialer, LINE_BYTES_MAX, LISTING_BYTES_MAX, Listener, Mode, NegotiationError, Others,
    PROPOSALS_MAX, ProtocolId, ProtocolTable,
};

use crate::{piece, settings};

const NAMES: [&str; 4] = ["/noise", "/yamux/1.0.0", "/a", "/ipfs/ping/1.0.0"];

/// The header and each name twice, because the remote may restart a dialer's negotiation once.
const OUTPUT_BYTES_MAX: usize = 2 * (NAMES.len() + 1) * 32;

/// Result of a negotiation.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    result: Result<Option<usize>, NegotiationError>,
    consumed: usize,
    output: Vec<u8>,
}

/// A dialer on arbitrary input: the outcome does not depend on how the input is split, only a
/// proposed protocol is accepted, and the output is bounded.
pub fn multistream_dialer(data: &[u8]) {
    let ([mode, cut], input) = settings(data);
    let mode = if mode & 1 == 0 { Mode::V1 } else { Mode::Lazy };
    let count = match mode {
        Mode::V1 => NAMES.len(),
        Mode::Lazy => 1,
    };
    let run = |piece| {
        let mut dialer = Dialer::new(NAMES[..count].iter().map(|name| id(name)).collect(), mode);
        let mut output = Vec::new();
        let fed = feed(input, piece, |input| {
            dialer.poll_output(&mut output);
            dialer.handle_input(input).map(|consumed| {
                let over = dialer.outcome().is_some();
                (consumed, over)
            })
        });
        dialer.poll_output(&mut output);
        if let Err(error) = fed.0 {
            assert_eq!(dialer.handle_input(b"\x03na\n"), Err(error));
            assert_eq!(dialer.outcome(), None);
        }
        Outcome {
            result: fed.0.map(|()| dialer.outcome()),
            consumed: fed.1,
            output,
        }
    };
    let whole = run(usize::MAX);
    let mut pieces = run(piece(cut));
    assert!(pieces.output.len() <= OUTPUT_BYTES_MAX && whole.output.len() <= OUTPUT_BYTES_MAX);
    // A proposal refused in the same piece as its predecessor is never sent, so outputs may differ.
    pieces.output.clone_from(&whole.output);
    assert_same(&whole, &pieces);
    if let Ok(Some(index)) = whole.result {
        assert!(index < count);
        let line = format!("{}\n", NAMES[index]);
        assert!(input[..whole.consumed].ends_with(line.as_bytes()));
    }
}

/// A listener on arbitrary input: the outcome does not depend on how the input is split, and the
/// output is bounded.
pub fn multistream_listener(data: &[u8]) {
    let ([flags, cut], input) = settings(data);
    let mut table = ProtocolTable::default();
    for (index, name) in NAMES.iter().enumerate() {
        table.insert(id(name), index);
    }
    if flags & 1 != 0 {
        table.set_others(Others::Ask);
    }
    let run = |piece| {
        let mut listener = Listener::default();
        let mut output = Vec::new();
        let mut pending_max = 0;
        let fed = feed(input, piece, |input| {
            let consumed = listener.handle_input(input, &table)?;
            if let Some(name) = listener.queried() {
                assert!(name.as_str().len() < LINE_BYTES_MAX);
                let answer = if name.as_str().len().is_multiple_of(3) {
                    Answer::Serve(NAMES.len())
                } else {
                    Answer::Refuse
                };
                listener.answer(answer);
            }
            let before = output.len();
            listener.poll_output(&mut output);
            pending_max = pending_max.max(output.len() - before);
            Ok((consumed, listener.outcome().is_some()))
        });
        listener.poll_output(&mut output);
        assert!(pending_max <= LISTING_BYTES_MAX + (PROPOSALS_MAX + 2) * 32 + LINE_BYTES_MAX);
        if fed.0.is_err() {
            assert!(listener.handle_input(b"\x03ls\n", &table).is_err());
            assert_eq!(listener.outcome(), None);
        }
        Outcome {
            result: fed.0.map(|()| listener.outcome()),
            consumed: fed.1,
            output,
        }
    };
    let whole = run(usize::MAX);
    let pieces = run(piece(cut));
    assert_same(&whole, &pieces);
}

/// Compares outcomes. The kind of an error is ignored: it may depend on how much of a line had
/// arrived when the line was found invalid.
fn assert_same(whole: &Outcome, pieces: &Outcome) {
    match (&whole.result, &pieces.result) {
        (Err(_), Err(_)) => {}
        _ => assert_eq!(whole, pieces),
    }
}

/// Feeds `input` in pieces, each until it is consumed, until the negotiation completes or fails.
fn feed(
    input: &[u8],
    piece: usize,
    mut handle: impl FnMut(&[u8]) -> Result<(usize, bool), NegotiationError>,
) -> (Result<(), NegotiationError>, usize) {
    let mut total = 0;
    let mut each = |mut piece: &[u8]| {
        while !piece.is_empty() {
            match handle(piece) {
                Ok((consumed, over)) => {
                    assert!(consumed <= piece.len());
                    total += consumed;
                    if over {
                        return ControlFlow::Break(Ok(()));
                    }
                    // All input is consumed, except where a query interrupts it.
                    assert!(consumed > 0);
                    piece = &piece[consumed..];
                }
                Err(error) => return ControlFlow::Break(Err(error)),
            }
        }
        ControlFlow::Continue(())
    };
    let flow = input.chunks(piece).try_for_each(&mut each);
    let result = match flow {
        ControlFlow::Break(result) => result,
        ControlFlow::Continue(()) => Ok(()),
    };
    (result, total)
}

fn id(name: &str) -> ProtocolId {
    ProtocolId::new(name).expect("the names are valid")
}
