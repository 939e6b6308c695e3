//! The side that answers.

use super::NegotiationError;
use super::line::{HEADER, LIST, LineReader, NOT_AVAILABLE, append_line};
use super::protocol::ProtocolTable;
use crate::framing::{VARINT_BYTES_MAX, encode_varint};

/// Proposals that are answered before the negotiation fails.
pub const PROPOSALS_MAX: usize = 32;

/// Listings that are answered: one names every protocol, more is amplification.
const LISTINGS_MAX: usize = 4;

/// Answers proposals from a table until one is served.
///
/// The header goes out with the first answer, or as soon as the remote's header has come.
#[derive(Debug)]
pub struct Listener<T> {
    reader: LineReader,
    output: Vec<u8>,
    header_seen: bool,
    proposals: usize,
    listings: usize,
    chosen: Option<T>,
}

impl<T> Default for Listener<T> {
    fn default() -> Self {
        Self {
            reader: LineReader::default(),
            output: Vec::new(),
            header_seen: false,
            proposals: 0,
            listings: 0,
            chosen: None,
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
    /// # Errors
    /// Anything that is no proposal, or too many of them.
    pub fn handle_input(
        &mut self,
        input: &[u8],
        table: &ProtocolTable<T>,
    ) -> Result<usize, NegotiationError> {
        let mut rest = input;
        while self.chosen.is_none() && self.reader.fill(&mut rest)? {
            self.handle_line(table)?;
            self.reader.clear();
        }
        Ok(input.len() - rest.len())
    }

    fn handle_line(&mut self, table: &ProtocolTable<T>) -> Result<(), NegotiationError> {
        let line = self.reader.text();
        if !self.header_seen {
            if line != HEADER {
                return Err(NegotiationError::Version);
            }
            self.header_seen = true;
            append_line(&mut self.output, HEADER);
            return Ok(());
        }
        if let Some(value) = table.find(line) {
            self.chosen = Some(*value);
            append_line(&mut self.output, line);
            return Ok(());
        }
        if line == LIST {
            self.listings += 1;
            if self.listings > LISTINGS_MAX {
                return Err(NegotiationError::TooManyListings);
            }
            append_list(&mut self.output, table);
            return Ok(());
        }
        self.proposals += 1;
        if self.proposals > PROPOSALS_MAX {
            return Err(NegotiationError::TooManyProposals);
        }
        append_line(&mut self.output, NOT_AVAILABLE);
        Ok(())
    }

    /// The table's value for the protocol that was agreed on.
    pub fn outcome(&self) -> Option<T> {
        self.chosen
    }
}

/// One message that nests a line for every protocol.
fn append_list<T>(out: &mut Vec<u8>, table: &ProtocolTable<T>) {
    let mut body = Vec::new();
    for name in table.names() {
        append_line(&mut body, name.as_str().as_bytes());
    }
    let mut buffer = [0; VARINT_BYTES_MAX];
    out.extend_from_slice(encode_varint(body.len() as u64 + 1, &mut buffer));
    out.append(&mut body);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multistream::ProtocolId;

    fn table() -> ProtocolTable<u32> {
        let mut table = ProtocolTable::default();
        for (number, name) in ["/a", "/b"].into_iter().enumerate() {
            table.insert(ProtocolId::new(name).unwrap(), number as u32);
        }
        table
    }

    fn lines(texts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for text in texts {
            append_line(&mut out, text);
        }
        out
    }

    fn feed(input: &[u8], piece: usize) -> Result<(usize, Vec<u8>, Option<u32>), NegotiationError> {
        let mut listener = Listener::default();
        let mut consumed = 0;
        for part in input.chunks(piece) {
            consumed += listener.handle_input(part, &table())?;
        }
        let mut out = Vec::new();
        listener.poll_output(&mut out);
        Ok((consumed, out, listener.outcome()))
    }

    // A015
    #[test]
    fn agrees_whatever_the_pieces() {
        let input = lines(&[HEADER, b"/x", b"/b"]);
        for piece in 1..=input.len() {
            let (consumed, out, chosen) = feed(&input, piece).unwrap();
            assert_eq!((consumed, chosen), (input.len(), Some(1)));
            assert_eq!(out, lines(&[HEADER, b"na", b"/b"]));
        }
    }

    // A014
    #[test]
    fn leaves_the_bytes_behind_the_agreement() {
        let mut input = lines(&[HEADER, b"/a"]);
        let agreed = input.len();
        input.extend_from_slice(b"next layer");
        assert_eq!(feed(&input, input.len()).unwrap().0, agreed);
    }

    // A008
    #[test]
    fn fails_after_too_many_unknown_proposals() {
        let mut texts: Vec<&[u8]> = vec![HEADER];
        texts.extend([b"/x".as_slice(); PROPOSALS_MAX]);
        assert!(feed(&lines(&texts), 7).is_ok());
        texts.push(b"/x");
        assert_eq!(feed(&lines(&texts), 7).unwrap_err(), NegotiationError::TooManyProposals);
    }

    // A009, A010
    #[test]
    fn lists_its_protocols_a_few_times() {
        let (_, out, _) = feed(&lines(&[HEADER, b"ls"]), 3).unwrap();
        let mut expected = lines(&[HEADER]);
        expected.extend_from_slice(b"\x09\x03/a\n\x03/b\n\n");
        assert_eq!(out, expected);
        let mut texts: Vec<&[u8]> = vec![HEADER];
        texts.extend([b"ls".as_slice(); LISTINGS_MAX + 1]);
        assert_eq!(feed(&lines(&texts), 9).unwrap_err(), NegotiationError::TooManyListings);
    }

    // A022
    #[test]
    fn matches_names_byte_by_byte() {
        for name in [b"/a\0".as_slice(), b"/\xff", b"/A", b"/a/"] {
            let (_, out, chosen) = feed(&lines(&[HEADER, name]), 4).unwrap();
            assert_eq!((out, chosen), (lines(&[HEADER, b"na"]), None));
        }
    }
}
