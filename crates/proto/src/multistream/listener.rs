//! The listener: answers proposals.

use super::NegotiationError;
use super::line::{
    HEADER, LIST, LineReader, NOT_AVAILABLE, append_length, append_line, line_bytes,
};
use super::protocol::{Others, ProtocolId, ProtocolTable};

/// Maximum number of proposals answered before the negotiation fails.
pub const PROPOSALS_MAX: usize = 32;

/// Maximum number of listings answered: one names every protocol, more would only amplify.
const LISTINGS_MAX: usize = 4;

/// Byte limit of all listings of a negotiation: a four-byte request makes us buffer and send one.
pub const LISTING_BYTES_MAX: usize = 64 << 10;

/// Room for our header and the answer to a name of common length, so that both take one allocation.
const OUTPUT_CAPACITY: usize = 96;

/// Answers proposals from a table until one is served.
///
/// The header is sent as soon as the remote's header arrives.
#[derive(Debug)]
pub struct Listener<T> {
    reader: LineReader,
    output: Vec<u8>,
    stage: Stage<T>,
    proposals: usize,
    listings: usize,
    listing_bytes: usize,
}

/// The caller's decision on a proposal without a table entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<T> {
    /// Serve it, with this value.
    Serve(T),
    /// Refuse it.
    Refuse,
}

#[derive(Debug)]
enum Stage<T> {
    AwaitHeader,
    AwaitProposal,
    Queried(ProtocolId),
    Agreed(T),
    Failed(NegotiationError),
}

impl<T> Default for Listener<T> {
    fn default() -> Self {
        Self {
            reader: LineReader::default(),
            output: Vec::new(),
            stage: Stage::AwaitHeader,
            proposals: 0,
            listings: 0,
            listing_bytes: 0,
        }
    }
}

impl<T: Copy> Listener<T> {
    /// Appends pending output to `out`.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        if out.is_empty() {
            *out = std::mem::take(&mut self.output);
        } else {
            out.append(&mut self.output);
        }
    }

    /// Reads proposals from the front of `input`; returns the number of bytes consumed, none past
    /// the agreement.
    ///
    /// Consumption also stops while a proposal is [`queried`](Self::queried): the rest must be
    /// passed again after the [`answer`](Self::answer).
    ///
    /// # Errors
    /// On a malformed line, another version, or too many proposals or listings. Errors are final.
    pub fn handle_input(
        &mut self,
        input: &[u8],
        table: &ProtocolTable<T>,
    ) -> Result<usize, NegotiationError> {
        let mut rest = input;
        loop {
            match self.stage {
                Stage::Queried(_) | Stage::Agreed(_) => break,
                Stage::Failed(error) => return Err(error),
                Stage::AwaitHeader | Stage::AwaitProposal => {}
            }
            match self.read_line(&mut rest, table) {
                Ok(Some(stage)) => self.stage = stage,
                Ok(None) => break,
                Err(error) => self.stage = Stage::Failed(error),
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Handles the end of the remote's half. A queried proposal may still be served.
    ///
    /// # Errors
    /// [`NegotiationError::Ended`] before the agreement.
    pub fn handle_end(&mut self) -> Result<(), NegotiationError> {
        match self.stage {
            Stage::Queried(_) | Stage::Agreed(_) => return Ok(()),
            Stage::Failed(error) => return Err(error),
            Stage::AwaitHeader | Stage::AwaitProposal => {}
        }
        self.stage = Stage::Failed(NegotiationError::Ended);
        Err(NegotiationError::Ended)
    }

    /// Returns the proposal that awaits the caller's decision; requires [`Others::Ask`].
    pub fn queried(&self) -> Option<&ProtocolId> {
        match &self.stage {
            Stage::Queried(name) => Some(name),
            Stage::AwaitHeader | Stage::AwaitProposal | Stage::Agreed(_) | Stage::Failed(_) => None,
        }
    }

    /// Answers the queried proposal; does nothing if there is none.
    pub fn answer(&mut self, answer: Answer<T>) {
        let Stage::Queried(name) = &self.stage else {
            return;
        };
        self.stage = match answer {
            Answer::Serve(value) => {
                append_line(&mut self.output, name.as_str().as_bytes());
                Stage::Agreed(value)
            }
            Answer::Refuse => {
                append_line(&mut self.output, NOT_AVAILABLE);
                Stage::AwaitProposal
            }
        };
    }

    /// Returns the value of the accepted protocol, from the table or the caller's answer.
    pub fn outcome(&self) -> Option<T> {
        match self.stage {
            Stage::Agreed(value) => Some(value),
            Stage::AwaitHeader | Stage::AwaitProposal | Stage::Queried(_) | Stage::Failed(_) => {
                None
            }
        }
    }

    fn read_line(
        &mut self,
        rest: &mut &[u8],
        table: &ProtocolTable<T>,
    ) -> Result<Option<Stage<T>>, NegotiationError> {
        let mut reader = std::mem::take(&mut self.reader);
        let awaits_header = matches!(self.stage, Stage::AwaitHeader);
        let stage = match reader.read(rest)? {
            Some(line) if awaits_header => self.handle_header(line).map(Some)?,
            Some(line) => self.handle_proposal(line, table).map(Some)?,
            None => None,
        };
        // A peer that speaks another protocol is detected at its first byte, not by a timeout.
        if stage.is_none() && awaits_header && !reader.may_become_header() {
            return Err(NegotiationError::Version);
        }
        self.reader = reader;
        Ok(stage)
    }

    fn handle_header(&mut self, line: &[u8]) -> Result<Stage<T>, NegotiationError> {
        if line != HEADER {
            return Err(NegotiationError::Version);
        }
        self.output.reserve(OUTPUT_CAPACITY);
        append_line(&mut self.output, HEADER);
        Ok(Stage::AwaitProposal)
    }

    fn handle_proposal(
        &mut self,
        text: &[u8],
        table: &ProtocolTable<T>,
    ) -> Result<Stage<T>, NegotiationError> {
        if text == LIST {
            self.append_listing(table)?;
            return Ok(Stage::AwaitProposal);
        }
        self.proposals += 1;
        if self.proposals > PROPOSALS_MAX {
            return Err(NegotiationError::TooManyProposals);
        }
        if let Some(value) = table.find(text) {
            append_line(&mut self.output, text);
            return Ok(Stage::Agreed(*value));
        }
        // Only valid names are queried: predicates never see arbitrary bytes.
        if table.others() == Others::Ask
            && let Some(name) = str::from_utf8(text)
                .ok()
                .and_then(|text| ProtocolId::new(text).ok())
        {
            return Ok(Stage::Queried(name));
        }
        append_line(&mut self.output, NOT_AVAILABLE);
        Ok(Stage::AwaitProposal)
    }

    /// Appends one message that nests a line for every protocol.
    fn append_listing(&mut self, table: &ProtocolTable<T>) -> Result<(), NegotiationError> {
        let lines = || table.names().iter().map(|name| name.as_str().as_bytes());
        let body_bytes = lines().map(line_bytes).sum::<usize>() + 1;
        self.listings += 1;
        self.listing_bytes += body_bytes;
        if self.listings > LISTINGS_MAX || self.listing_bytes > LISTING_BYTES_MAX {
            return Err(NegotiationError::TooManyListings);
        }
        append_length(&mut self.output, body_bytes);
        for line in lines() {
            append_line(&mut self.output, line);
        }
        self.output.push(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
