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
    ///
    /// If it is refused, what followed it was read by nobody.
    Lazy,
}

/// Proposes protocols in order until one is accepted.
///
/// The header and the first proposal go out together. What [`poll_output`](Self::poll_output) has to
/// give is sent even after the agreement: a remote may answer before it is asked.
#[derive(Debug)]
pub struct Dialer {
    proposals: Box<[ProtocolId]>,
    mode: Mode,
    /// The proposal that is on the wire, or next to go there.
    current: usize,
    unsent: Unsent,
    stage: Stage,
    restart: Restart,
    reader: LineReader,
}

/// What has to go on the wire.
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

/// Whether the remote may still begin from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restart {
    Allowed,
    Used,
}

impl Dialer {
    /// A dialer of `proposals`, at least one; exactly one in [`Mode::Lazy`].
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

    /// Appends what has to be sent.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        let unsent = std::mem::replace(&mut self.unsent, Unsent::Nothing);
        if unsent == Unsent::HeaderAndProposal {
            append_line(out, HEADER);
        }
        if unsent != Unsent::Nothing
            && let Some(proposal) = self.proposals.get(self.current)
        {
            append_line(out, proposal.as_str().as_bytes());
        }
    }

    /// Reads answers from the front of `input`; returns the bytes consumed: all of them, or those up
    /// to the agreement.
    ///
    /// # Errors
    /// Anything but `na` or the proposal; [`NegotiationError::Refused`] after the last `na`. An error
    /// stays.
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

    /// The remote ended its half.
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

    /// The index of the accepted proposal.
    pub fn outcome(&self) -> Option<usize> {
        (self.stage == Stage::Accepted).then_some(self.current)
    }

    /// Whether bytes may follow before the answer.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    fn read_line(&mut self, rest: &mut &[u8]) -> Result<Option<Stage>, NegotiationError> {
        if !self.reader.fill(rest)? {
            // Whoever speaks something else is told apart by its first byte, not by a deadline.
            let hopeless = self.stage == Stage::AwaitHeader && !self.reader.may_become_header();
            return if hopeless {
                Err(NegotiationError::Version)
            } else {
                Ok(None)
            };
        }
        let stage = match self.stage {
            Stage::AwaitHeader => self.handle_header(),
            Stage::AwaitAnswer | Stage::Accepted | Stage::Failed(_) => self.handle_answer(),
        };
        self.reader.clear();
        stage.map(Some)
    }

    fn handle_header(&self) -> Result<Stage, NegotiationError> {
        if self.reader.text() != HEADER {
            return Err(NegotiationError::Version);
        }
        // Without a proposal there is no answer to wait for.
        if self.proposals.is_empty() {
            return Err(NegotiationError::Refused);
        }
        Ok(Stage::AwaitAnswer)
    }

    fn handle_answer(&mut self) -> Result<Stage, NegotiationError> {
        let answer = self.reader.text();
        let proposal = self.proposals.get(self.current);
        if proposal.is_some_and(|proposal| answer == proposal.as_str().as_bytes()) {
            return Ok(Stage::Accepted);
        }
        if answer == NOT_AVAILABLE {
            return self.propose_next();
        }
        // Some peers under churn begin from the start instead of answering. Once, and while nothing but
        // lines was sent, that is followed.
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
