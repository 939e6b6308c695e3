//! The dialer: proposes protocols.

use super::NegotiationError;
use super::line::{HEADER, LineReader, NOT_AVAILABLE, append_line, line_bytes};
use super::protocol::ProtocolId;

/// Negotiation mode of a dialer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Waits for the answer before the stream is used.
    V1,
    /// Does not wait: data may follow the proposal immediately. Requires exactly one proposal.
    ///
    /// If it is refused, the data is lost.
    Lazy,
}

/// Proposes protocols in order until one is accepted.
///
/// The header and the first proposal are sent together. The output of
/// [`poll_output`](Self::poll_output) must be sent even after agreement: a remote may answer before
/// it receives the proposal.
#[derive(Debug)]
pub struct Dialer {
    proposals: Box<[ProtocolId]>,
    mode: Mode,
    /// Index of the proposal that is in flight or next to be sent.
    current: usize,
    unsent: Unsent,
    stage: Stage,
    restart: Restart,
    reader: LineReader,
}

/// Output not yet taken by `poll_output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsent {
    HeaderAndProposal,
    Proposal,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    AwaitHeader,
    AwaitAnswer,
    Accepted,
    Failed(NegotiationError),
}

/// State of the single restart that the remote may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restart {
    Allowed,
    Used,
}

impl Dialer {
    /// Creates a dialer for `proposals`: at least one, and exactly one in [`Mode::Lazy`].
    pub fn new(proposals: Box<[ProtocolId]>, mode: Mode) -> Self {
        debug_assert!(mode == Mode::V1 || proposals.len() == 1);
        Self {
            proposals,
            mode,
            current: 0,
            unsent: Unsent::HeaderAndProposal,
            stage: Stage::AwaitHeader,
            restart: Restart::Allowed,
            reader: LineReader::default(),
        }
    }

    /// Appends pending output to `out`.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        let unsent = std::mem::replace(&mut self.unsent, Unsent::Nothing);
        if unsent == Unsent::Nothing {
            return;
        }
        let proposal = self.proposals.get(self.current);
        let proposal = proposal.map(|proposal| proposal.as_str().as_bytes());
        if unsent == Unsent::HeaderAndProposal {
            out.reserve(line_bytes(HEADER) + proposal.map_or(0, line_bytes));
            append_line(out, HEADER);
        }
        if let Some(proposal) = proposal {
            append_line(out, proposal);
        }
    }

    /// Reads answers from the front of `input`; returns the number of bytes consumed: all, or those
    /// up to the agreement.
    ///
    /// # Errors
    /// On any answer other than `na` or the proposal; [`NegotiationError::Refused`] after the last
    /// `na`. Errors are final.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<usize, NegotiationError> {
        let mut rest = input;
        loop {
            match self.stage {
                Stage::Accepted => break,
                Stage::Failed(error) => return Err(error),
                Stage::AwaitHeader | Stage::AwaitAnswer => {}
            }
            match self.read_line(&mut rest) {
                Ok(Some(stage)) => self.stage = stage,
                Ok(None) => break,
                Err(error) => self.fail(error),
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Handles the end of the remote's half.
    ///
    /// # Errors
    /// [`NegotiationError::Ended`] before the agreement.
    pub fn handle_end(&mut self) -> Result<(), NegotiationError> {
        match self.stage {
            Stage::Accepted => return Ok(()),
            Stage::Failed(error) => return Err(error),
            Stage::AwaitHeader | Stage::AwaitAnswer => {}
        }
        self.fail(NegotiationError::Ended);
        Err(NegotiationError::Ended)
    }

    /// Returns the index of the accepted proposal.
    pub fn outcome(&self) -> Option<usize> {
        (self.stage == Stage::Accepted).then_some(self.current)
    }

    /// Returns the negotiation mode.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    fn read_line(&mut self, rest: &mut &[u8]) -> Result<Option<Stage>, NegotiationError> {
        let mut reader = std::mem::take(&mut self.reader);
        let stage = match reader.read(rest)? {
            Some(line) if self.stage == Stage::AwaitHeader => self.handle_header(line).map(Some)?,
            Some(line) => self.handle_answer(line).map(Some)?,
            None => None,
        };
        // A peer that speaks another protocol is detected at its first byte, not by a timeout.
        if stage.is_none() && self.stage == Stage::AwaitHeader && !reader.may_become_header() {
            return Err(NegotiationError::Version);
        }
        self.reader = reader;
        Ok(stage)
    }

    fn handle_header(&self, line: &[u8]) -> Result<Stage, NegotiationError> {
        if line != HEADER {
            return Err(NegotiationError::Version);
        }
        // With no proposals there is no answer to wait for.
        if self.proposals.is_empty() {
            return Err(NegotiationError::Refused);
        }
        Ok(Stage::AwaitAnswer)
    }

    fn handle_answer(&mut self, answer: &[u8]) -> Result<Stage, NegotiationError> {
        let proposal = self.proposals.get(self.current);
        if proposal.is_some_and(|proposal| answer == proposal.as_str().as_bytes()) {
            return Ok(Stage::Accepted);
        }
        if answer == NOT_AVAILABLE {
            return self.propose_next();
        }
        // Some peers under churn restart the negotiation instead of answering. This is tolerated
        // once, and only while nothing but negotiation lines was sent.
        if answer == HEADER && self.mode == Mode::V1 && self.restart == Restart::Allowed {
            self.restart = Restart::Used;
            self.unsent = Unsent::HeaderAndProposal;
            return Ok(Stage::AwaitHeader);
        }
        Err(NegotiationError::UnexpectedAnswer)
    }

    fn propose_next(&mut self) -> Result<Stage, NegotiationError> {
        if self.current + 1 >= self.proposals.len() {
            return Err(NegotiationError::Refused);
        }
        self.current += 1;
        if self.unsent == Unsent::Nothing {
            self.unsent = Unsent::Proposal;
        }
        Ok(Stage::AwaitAnswer)
    }

    fn fail(&mut self, error: NegotiationError) {
        self.stage = Stage::Failed(error);
        self.unsent = Unsent::Nothing;
    }
}

#[cfg(test)]
mod tests;
