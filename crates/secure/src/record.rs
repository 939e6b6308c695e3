//! The in-place record layer of both secure channels.
//!
//! A record is built at the end of the caller's buffer and sealed in place; a received one is
//! opened in place. Neither copies nor, once the channel is established, allocates.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::aead::Algorithm;

use crate::cipher::{Cipher, NONCE_LENGTH};
use crate::noise::NoiseRecords;
use crate::tls::TlsRecords;

/// An established secure channel: seals outbound records and opens inbound ones.
///
/// Every error is final: all later calls fail, and the connection must be closed.
pub struct Channel {
    records: Records,
    /// Number of records without plaintext since the last one with plaintext.
    empty_run: u32,
    has_failed: bool,
}

enum Records {
    Noise(NoiseRecords),
    Tls(Box<TlsRecords>),
    Plain,
}

/// Result of opening the front of the received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A record of application data, decrypted in place.
    Record {
        /// Range of the plaintext in the buffer; never empty.
        plaintext: Range<usize>,
        /// Length of the record.
        consumed: usize,
    },
    /// The record is incomplete.
    Incomplete {
        /// Bytes needed at the front of the buffer: the whole record, or its header.
        needed: usize,
    },
    /// A record without application data: empty, a TLS ticket or a TLS key update.
    ///
    /// [`Channel::poll_control`] may have a response to send.
    Control {
        /// Length of the record.
        consumed: usize,
    },
    /// The peer will send nothing more (TLS `close_notify`).
    Closed {
        /// Length of the record.
        consumed: usize,
    },
}

impl Channel {
    /// Maximum plaintext of a sealed record. Opening accepts the limits of the protocols: 65,519
    /// bytes in Noise, 16,384 in TLS.
    ///
    /// Records of 16 KiB stay in the L1 cache between the cipher and the adjacent stages.
    pub const PLAINTEXT_MAX: usize = 16_384;

    pub(crate) fn noise(records: NoiseRecords) -> Self {
        Self::new(Records::Noise(records))
    }

    pub(crate) fn tls(records: Box<TlsRecords>) -> Self {
        Self::new(Records::Tls(records))
    }

    /// Returns a channel that secures nothing: every record is its plaintext. For a muxer over bytes
    /// that the application has secured, or need not secure.
    pub fn plain() -> Self {
        Self::new(Records::Plain)
    }

    fn new(records: Records) -> Self {
        Self {
            records,
            empty_run: 0,
            has_failed: false,
        }
    }

    /// Starts a record at the end of `out`: reserves its header and returns its start.
    pub fn begin(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        match &self.records {
            Records::Noise(_) => out.extend_from_slice(&NoiseRecords::HEADER),
            Records::Tls(_) => out.extend_from_slice(&TlsRecords::HEADER),
            Records::Plain => {}
        }
        start
    }

    /// Seals the record that [`begin`](Self::begin) started at `start`. The plaintext is everything
    /// after its header, 1 to [`PLAINTEXT_MAX`](Self::PLAINTEXT_MAX) bytes.
    ///
    /// Every 2^23 records a TLS channel appends a key update after the record. On error the record
    /// is removed from `out`.
    pub fn seal(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), RecordError> {
        let result = self.guard().and_then(|()| match &mut self.records {
            Records::Noise(records) => records.seal(out, start),
            Records::Tls(records) => records.seal(out, start),
            Records::Plain => plaintext_length(out, start, 0).map(drop),
        });
        if result.is_err() {
            self.has_failed = true;
            // The caller may send `out` regardless, and must not send plaintext.
            out.truncate(start);
        }
        result
    }

    /// Opens the record at the front of `buf` in place.
    ///
    /// After [`Opened::Incomplete`] the bytes are unchanged; after any other result the first
    /// `consumed` bytes must not be passed again.
    pub fn open(&mut self, buf: &mut [u8]) -> Result<Opened, RecordError> {
        let result = self.guard().and_then(|()| match &mut self.records {
            Records::Noise(records) => records.open(buf),
            Records::Tls(records) => records.open(buf),
            Records::Plain => Ok(open_plain(buf)),
        });
        let result = result.and_then(|opened| self.count_empty(opened));
        self.has_failed |= result.is_err();
        result
    }

    /// Returns the bytes that a record adds to its plaintext.
    pub fn overhead(&self) -> usize {
        match &self.records {
            Records::Noise(_) => NoiseRecords::OVERHEAD,
            Records::Tls(_) => TlsRecords::OVERHEAD,
            Records::Plain => 0,
        }
    }

    /// Closes the channel for sending: TLS appends a `close_notify`, Noise has no such message.
    ///
    /// Sealing afterwards is an error over TLS. Further calls have no effect.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if let Records::Tls(records) = &mut self.records
            && !self.has_failed
        {
            records.close(out);
        }
    }

    /// Appends the response to a TLS key update, if one is due.
    ///
    /// To be called after [`Opened::Control`] and before the next [`begin`](Self::begin).
    pub fn poll_control(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let result = self.guard().and_then(|()| match &mut self.records {
            Records::Noise(_) | Records::Plain => Ok(()),
            Records::Tls(records) => records.answer_key_update(out),
        });
        self.has_failed |= result.is_err();
        result
    }

    #[cfg(test)]
    pub(crate) fn into_tls(self) -> TlsRecords {
        match self.records {
            Records::Tls(records) => *records,
            Records::Noise(_) | Records::Plain => panic!("expected a TLS channel"),
        }
    }

    fn guard(&self) -> Result<(), RecordError> {
        if self.has_failed {
            Err(RecordError::Failed)
        } else {
            Ok(())
        }
    }

    fn count_empty(&mut self, opened: Opened) -> Result<Opened, RecordError> {
        match opened {
            Opened::Record { .. } => self.empty_run = 0,
            Opened::Control { .. } => {
                self.empty_run += 1;
                if self.empty_run > EMPTY_RUN_MAX {
                    return Err(RecordError::TooManyEmpty);
                }
            }
            Opened::Incomplete { .. } | Opened::Closed { .. } => {}
        }
        Ok(opened)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match &self.records {
            Records::Noise(_) => "noise",
            Records::Tls(_) => "tls",
            Records::Plain => "none",
        };
        f.debug_struct("Channel")
            .field("protocol", &protocol)
            .finish_non_exhaustive()
    }
}

/// Opens what has arrived, as a record of at most the usual size.
const fn open_plain(buf: &[u8]) -> Opened {
    if buf.is_empty() {
        return Opened::Incomplete { needed: 1 };
    }
    let length = if buf.len() < Channel::PLAINTEXT_MAX {
        buf.len()
    } else {
        Channel::PLAINTEXT_MAX
    };
    Opened::Record {
        plaintext: 0..length,
        consumed: length,
    }
}

/// Error sealing or opening a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The plaintext is empty or longer than a record's limit.
    #[error(
        "plaintext of {length} bytes is not 1 to {} bytes",
        Channel::PLAINTEXT_MAX
    )]
    PlaintextLength {
        /// Length of the plaintext.
        length: usize,
    },
    /// The received record is shorter or longer than its protocol allows.
    #[error("invalid record length of {length} bytes")]
    RecordLength {
        /// Length announced by the header.
        length: usize,
    },
    /// The record was modified, or arrived out of order.
    #[error("record cannot be authenticated")]
    Decrypt,
    /// The key has reached its limit of records.
    #[error("record numbers of this key are exhausted")]
    NonceExhausted,
    /// Too many consecutive records without data.
    #[error("more than {EMPTY_RUN_MAX} records in a row carry no data")]
    TooManyEmpty,
    /// A TLS record of a type that is not allowed after the handshake.
    #[error("tls record of type {content_type} is not expected")]
    UnexpectedRecord {
        /// Received content type.
        content_type: u8,
    },
    /// A TLS handshake message that is not allowed after the handshake, or is malformed.
    #[error("tls handshake message of type {message_type} is not expected")]
    UnexpectedMessage {
        /// Received handshake type.
        message_type: u8,
    },
    /// The peer ended the connection with a TLS alert.
    #[error("peer sent tls alert {description}")]
    Alert {
        /// The alert's description (RFC 8446, section 6).
        description: u8,
    },
    /// The keys for a TLS key update could not be derived.
    #[error("tls keys could not be updated")]
    KeyUpdate(#[source] rustls::Error),
    /// Sealing after the channel was closed for sending.
    #[error("channel is closed for sending")]
    Closed,
    /// The channel has already failed.
    #[error("channel has already failed")]
    Failed,
}

impl RecordError {
    /// Returns the TLS alert with which the peer ended the channel (RFC 8446, section 6), if any.
    pub const fn alert(&self) -> Option<u8> {
        match self {
            Self::Alert { description } => Some(*description),
            _ => None,
        }
    }
}

/// Maximum consecutive empty records, tickets and key updates: each costs the peer 18 bytes and us
/// a cipher call, and a legitimate peer needs no more than a handful.
const EMPTY_RUN_MAX: u32 = 1_024;

/// Key of one direction, and the number of its next record.
pub(crate) struct Sealer {
    cipher: Cipher,
    sequence: u64,
}

impl Sealer {
    /// `key` must have the algorithm's length, as both protocols derive it.
    pub(crate) fn new(algorithm: &'static Algorithm, key: &[u8], sequence: u64) -> Self {
        Self {
            cipher: Cipher::new(algorithm, key),
            sequence,
        }
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    #[cfg(test)]
    pub(crate) fn set_sequence(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Seals `out[start..]` in place and appends the tag.
    pub(crate) fn seal(
        &mut self,
        nonce: impl FnOnce(u64) -> [u8; NONCE_LENGTH],
        aad: &[u8],
        out: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), RecordError> {
        let nonce = nonce(self.next()?);
        let tag = self.cipher.seal(nonce, aad, &mut out[start..]);
        out.extend_from_slice(&tag.ok_or(RecordError::NonceExhausted)?);
        Ok(())
    }

    /// Opens `sealed` in place and returns the length of its plaintext.
    pub(crate) fn open(
        &mut self,
        nonce: impl FnOnce(u64) -> [u8; NONCE_LENGTH],
        aad: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, RecordError> {
        let nonce = nonce(self.next()?);
        let length = self.cipher.open(nonce, aad, sealed);
        length.ok_or(RecordError::Decrypt)
    }

    /// Returns the next record number. The last, 2^64 - 1, is reserved by Noise and never used.
    fn next(&mut self) -> Result<u64, RecordError> {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1).ok_or(RecordError::NonceExhausted)?;
        Ok(sequence)
    }
}

/// Returns the length of the plaintext after a record's header, checked against the limit.
pub(crate) fn plaintext_length(
    out: &[u8],
    start: usize,
    header_length: usize,
) -> Result<usize, RecordError> {
    let length = out.len().saturating_sub(start + header_length);
    if (1..=Channel::PLAINTEXT_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(RecordError::PlaintextLength { length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_channel_passes_bytes_as_they_are() {
        let mut channel = Channel::plain();
        let mut out = b"before".to_vec();
        let start = channel.begin(&mut out);
        assert!(matches!(
            channel.open(&mut []),
            Ok(Opened::Incomplete { needed: 1 })
        ));
        out.extend_from_slice(b"frame");
        channel.seal(&mut out, start).unwrap();
        channel.close(&mut out);
        assert_eq!(out, b"beforeframe");
        let mut received = vec![7; Channel::PLAINTEXT_MAX + 1];
        let opened = channel.open(&mut received).unwrap();
        let length = Channel::PLAINTEXT_MAX;
        assert_eq!(
            opened,
            Opened::Record {
                plaintext: 0..length,
                consumed: length
            }
        );
    }
}
