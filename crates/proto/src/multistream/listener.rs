//! The side that answers.

use super::NegotiationError;
use super::line::{
    HEADER, LIST, LineReader, NOT_AVAILABLE, append_length, append_line, line_bytes,
};
use super::protocol::{Others, ProtocolId, ProtocolTable};

/// Proposals that are answered before the negotiation fails.
pub const PROPOSALS_MAX: usize = 32;

/// Listings that are answered: one names every protocol, more is amplification.
const LISTINGS_MAX: usize = 4;

/// Bytes of all listings of one negotiation: what three bytes of a remote can make us hold and send.
pub const LISTING_BYTES_MAX: usize = 64 << 10;

/// Answers proposals from a table until one is served.
///
/// The header goes out with the first answer, or as soon as the remote's header has come.
#[derive(Debug)]
pub struct Listener<T> {
    reader: LineReader,
    output: Vec<u8>,
    stage: Stage<T>,
    proposals: usize,
    listings: usize,
    listing_bytes: usize,
}

/// The caller's decision on a proposal without an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<T> {
    /// It is served, with this value.
    Serve(T),
    /// It is not.
    Refuse,
}

#[derive(Debug)]
enum Stage<T> {
    AwaitHeader,
    AwaitProposal,
    Asking(ProtocolId),
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
    /// Appends what has to be sent.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.output);
    }

    /// Reads proposals from the front of `input`; returns the bytes consumed, none past the
    /// agreement.
    ///
    /// Fewer than all are also consumed while the caller is [`asked`](Self::asked): the rest is to be
    /// given again after the [`answer`](Self::answer).
    ///
    /// # Errors
    /// Anything that is no proposal, or too many of them. An error stays.
    pub fn handle_input(
        &mut self,
        input: &[u8],
        table: &ProtocolTable<T>,
    ) -> Result<usize, NegotiationError> {
        let mut rest = input;
        loop {
            match self.stage {
                Stage::Asking(_) | Stage::Agreed(_) => break,
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

    /// The remote ended its half. A proposal that is asked about may still be served.
    ///
    /// # Errors
    /// [`NegotiationError::Ended`] if nothing was agreed on.
    pub fn handle_end(&mut self) -> Result<(), NegotiationError> {
        match self.stage {
            Stage::Asking(_) | Stage::Agreed(_) => return Ok(()),
            Stage::Failed(error) => return Err(error),
            Stage::AwaitHeader | Stage::AwaitProposal => {}
        }
        self.stage = Stage::Failed(NegotiationError::Ended);
        Err(NegotiationError::Ended)
    }

    /// The proposal that the caller has to decide on; only with [`Others::Ask`] in the table.
    pub fn queried(&self) -> Option<&ProtocolId> {
        match &self.stage {
            Stage::Asking(name) => Some(name),
            Stage::AwaitHeader | Stage::AwaitProposal | Stage::Agreed(_) | Stage::Failed(_) => None,
        }
    }

    /// Decides on the proposal that was asked about; nothing happens without one.
    pub fn answer(&mut self, answer: Answer<T>) {
        let Stage::Asking(name) = &self.stage else {
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

    /// The table's value for the protocol that was agreed on, or the caller's.
    pub fn outcome(&self) -> Option<T> {
        match self.stage {
            Stage::Agreed(value) => Some(value),
            Stage::AwaitHeader | Stage::AwaitProposal | Stage::Asking(_) | Stage::Failed(_) => None,
        }
    }

    fn read_line(
        &mut self,
        rest: &mut &[u8],
        table: &ProtocolTable<T>,
    ) -> Result<Option<Stage<T>>, NegotiationError> {
        if !self.reader.fill(rest)? {
            // Whoever speaks something else is told apart by its first byte, not by a deadline.
            let hopeless =
                matches!(self.stage, Stage::AwaitHeader) && !self.reader.may_become_header();
            return if hopeless {
                Err(NegotiationError::Version)
            } else {
                Ok(None)
            };
        }
        let stage = match self.stage {
            Stage::AwaitHeader => self.handle_header(),
            Stage::AwaitProposal | Stage::Asking(_) | Stage::Agreed(_) | Stage::Failed(_) => {
                self.handle_proposal(table)
            }
        };
        self.reader.clear();
        stage.map(Some)
    }

    fn handle_header(&mut self) -> Result<Stage<T>, NegotiationError> {
        if self.reader.text() != HEADER {
            return Err(NegotiationError::Version);
        }
        append_line(&mut self.output, HEADER);
        Ok(Stage::AwaitProposal)
    }

    fn handle_proposal(&mut self, table: &ProtocolTable<T>) -> Result<Stage<T>, NegotiationError> {
        let text = self.reader.text();
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
        // Only a name can be asked about: no predicate is bothered with other bytes.
        if table.others() == Others::Ask
            && let Some(name) = str::from_utf8(text)
                .ok()
                .and_then(|text| ProtocolId::new(text).ok())
        {
            return Ok(Stage::Asking(name));
        }
        append_line(&mut self.output, NOT_AVAILABLE);
        Ok(Stage::AwaitProposal)
    }

    /// One message that nests a line for every protocol.
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
