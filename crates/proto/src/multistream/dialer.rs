//! The side that proposes.

use super::NegotiationError;
use super::line::{HEADER, LineReader, NOT_AVAILABLE, append_line};
use super::protocol::ProtocolId;

/// Whether to wait for the answer before the stream is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Wait.
    V1,
    /// Do not: bytes may follow the first proposal at once. For exactly one proposal.
    Lazy,
}

/// Proposes protocols in order until one is accepted.
///
/// The header and the first proposal go out together.
#[derive(Debug)]
pub struct Dialer {
    proposals: Box<[ProtocolId]>,
    mode: Mode,
    /// The proposal that is on the wire.
    current: usize,
    /// The proposal that has to go on the wire.
    unsent: bool,
    header_seen: bool,
    accepted: bool,
    reader: LineReader,
}

impl Dialer {
    /// A dialer of `proposals`, at least one; exactly one in [`Mode::Lazy`].
    pub fn new(proposals: Box<[ProtocolId]>, mode: Mode) -> Self {
        debug_assert!(mode == Mode::V1 || proposals.len() == 1);
        Self {
            proposals,
            mode,
            current: 0,
            unsent: true,
            header_seen: false,
            accepted: false,
            reader: LineReader::default(),
        }
    }

    /// Appends what has to be sent.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.unsent) {
            return;
        }
        if self.current == 0 {
            append_line(out, HEADER);
        }
        if let Some(proposal) = self.proposals.get(self.current) {
            append_line(out, proposal.as_str().as_bytes());
        }
    }

    /// Reads answers from the front of `input`; returns the bytes consumed, none past the agreement.
    ///
    /// # Errors
    /// Anything but `na` or the proposal; [`NegotiationError::Refused`] after the last `na`.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<usize, NegotiationError> {
        let mut rest = input;
        while !self.accepted && !self.unsent && self.reader.fill(&mut rest)? {
            self.handle_line()?;
            self.reader.clear();
        }
        Ok(input.len() - rest.len())
    }

    fn handle_line(&mut self) -> Result<(), NegotiationError> {
        let line = self.reader.text();
        if !self.header_seen {
            if line != HEADER {
                return Err(NegotiationError::Version);
            }
            self.header_seen = true;
            return Ok(());
        }
        let proposal = self.proposals.get(self.current).ok_or(NegotiationError::Refused)?;
        if line == proposal.as_str().as_bytes() {
            self.accepted = true;
            return Ok(());
        }
        if line != NOT_AVAILABLE {
            return Err(NegotiationError::UnexpectedAnswer);
        }
        self.current += 1;
        if self.current >= self.proposals.len() {
            return Err(NegotiationError::Refused);
        }
        self.unsent = true;
        Ok(())
    }

    /// The index of the accepted proposal.
    pub fn outcome(&self) -> Option<usize> {
        self.accepted.then_some(self.current)
    }

    /// Whether bytes may follow before the answer.
    pub const fn mode(&self) -> Mode {
        self.mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(names: &[&str], mode: Mode) -> Dialer {
        Dialer::new(names.iter().map(|name| ProtocolId::new(name).unwrap()).collect(), mode)
    }

    fn lines(texts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for text in texts {
            append_line(&mut out, text);
        }
        out
    }

    /// Feeds one byte at a time and sends what there is after each.
    fn feed(dialer: &mut Dialer, input: &[u8]) -> Result<(usize, Vec<u8>), NegotiationError> {
        let mut out = Vec::new();
        let mut consumed = 0;
        for byte in input.chunks(1) {
            dialer.poll_output(&mut out);
            consumed += dialer.handle_input(byte)?;
        }
        dialer.poll_output(&mut out);
        Ok((consumed, out))
    }

    #[test]
    fn sends_header_and_first_proposal_together() {
        let mut out = Vec::new();
        dialer(&["/a"], Mode::Lazy).poll_output(&mut out);
        assert_eq!(out, b"\x13/multistream/1.0.0\n\x03/a\n");
    }

    // A013
    #[test]
    fn consumes_nothing_behind_the_agreement() {
        let mut dialer = dialer(&["/a"], Mode::V1);
        let mut input = lines(&[HEADER, b"/a"]);
        let agreed = input.len();
        input.extend_from_slice(b"next layer");
        dialer.poll_output(&mut Vec::new());
        assert_eq!(dialer.handle_input(&input), Ok(agreed));
        assert_eq!(dialer.outcome(), Some(0));
        assert_eq!(dialer.handle_input(b"more"), Ok(0));
    }

    #[test]
    fn proposes_the_next_one_after_na() {
        let mut dialer = dialer(&["/a", "/b"], Mode::V1);
        let (_, out) = feed(&mut dialer, &lines(&[HEADER, b"na", b"/b"])).unwrap();
        assert_eq!(out, lines(&[HEADER, b"/a", b"/b"]));
        assert_eq!(dialer.outcome(), Some(1));
    }

    // A017
    #[test]
    fn fails_when_everything_is_refused() {
        let mut dialer = dialer(&["/a", "/b"], Mode::V1);
        let answer = feed(&mut dialer, &lines(&[HEADER, b"na", b"na", b"na"]));
        assert_eq!(answer.unwrap_err(), NegotiationError::Refused);
    }

    // A016
    #[test]
    fn fails_on_an_answer_that_was_not_proposed() {
        let answer = feed(&mut dialer(&["/a"], Mode::V1), &lines(&[HEADER, b"/b"]));
        assert_eq!(answer.unwrap_err(), NegotiationError::UnexpectedAnswer);
    }

    // A006, A007
    #[test]
    fn fails_on_another_version() {
        let answer = feed(&mut dialer(&["/a"], Mode::V1), &lines(&[b"/multistream/2.0.0"]));
        assert_eq!(answer.unwrap_err(), NegotiationError::Version);
    }

    // A001, A002, A003
    #[test]
    fn fails_on_lines_that_are_none() {
        let cases: [(&[u8], NegotiationError); 3] = [
            (&[0], NegotiationError::NoNewline),
            (b"\x02ab", NegotiationError::NoNewline),
            (&[0x81, 0x08], NegotiationError::LineTooLong { length: 1_025 }),
        ];
        for (input, expected) in cases {
            assert_eq!(feed(&mut dialer(&["/a"], Mode::V1), input).unwrap_err(), expected);
        }
    }
}
