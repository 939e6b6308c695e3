//! The in-place record layer of both secure channels.
//!
//! A record is built at the end of the caller's buffer and sealed there; a received one is opened
//! where it lies. No byte is copied and, once a channel stands, nothing is allocated for a record.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::aead::Algorithm;

use crate::cipher::{Cipher, NONCE_LENGTH};
use crate::noise::NoiseRecords;
use crate::tls::TlsRecords;

/// An established secure channel: seals what is sent and opens what is received.
///
/// Any error is final: the channel refuses everything after it, and the connection must end.
pub struct Channel {
    records: Records,
    /// Records without plaintext opened since the last one with some.
    empty_run: u32,
    has_failed: bool,
}

enum Records {
    Noise(NoiseRecords),
    Tls(Box<TlsRecords>),
}

/// What lay at the front of the received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A record of application bytes, which are now in place in the buffer.
    Record {
        /// Where the plaintext lies in the buffer; never empty.
        plaintext: Range<usize>,
        /// Bytes the record occupied.
        consumed: usize,
    },
    /// The record is not there in full.
    Incomplete {
        /// Bytes needed from the front of the buffer: the whole record, or its header.
        needed: usize,
    },
    /// A record without application bytes: empty, a TLS ticket or a TLS key update.
    ///
    /// [`Channel::poll_control`] may have an answer to send.
    Control {
        /// Bytes the record occupied.
        consumed: usize,
    },
    /// The peer said that it sends nothing more (TLS `close_notify`).
    Closed {
        /// Bytes the record occupied.
        consumed: usize,
    },
}

impl Channel {
    /// Most plaintext one record is sealed with. Opening takes what the protocols allow: 65,519
    /// bytes in Noise, 16,384 in TLS.
    ///
    /// Records of 16 KiB stay in the first-level cache between the cipher and its neighbours.
    pub const PLAINTEXT_MAX: usize = 16_384;

    pub(crate) fn noise(records: NoiseRecords) -> Self {
        Self::new(Records::Noise(records))
    }

    pub(crate) fn tls(records: Box<TlsRecords>) -> Self {
        Self::new(Records::Tls(records))
    }

    fn new(records: Records) -> Self {
        Self {
            records,
            empty_run: 0,
            has_failed: false,
        }
    }

    /// Starts a record at the end of `out`: reserves its header and returns where it starts.
    pub fn begin(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        match &self.records {
            Records::Noise(_) => out.extend_from_slice(&NoiseRecords::HEADER),
            Records::Tls(_) => out.extend_from_slice(&TlsRecords::HEADER),
        }
        start
    }

    /// Seals the record that [`begin`](Self::begin) started at `start`: everything behind its
    /// header, 1 to [`PLAINTEXT_MAX`](Self::PLAINTEXT_MAX) bytes, is the plaintext.
    ///
    /// Once in 2^23 records a TLS channel appends a key update behind the record. After an error nothing
    /// of the record is left in `out`.
    pub fn seal(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), RecordError> {
        let result = self.guard().and_then(|()| match &mut self.records {
            Records::Noise(records) => records.seal(out, start),
            Records::Tls(records) => records.seal(out, start),
        });
        if result.is_err() {
            self.has_failed = true;
            // Whoever sends what is in `out` must not send it in the clear.
            out.truncate(start);
        }
        result
    }

    /// Opens the record at the front of `buf` in place.
    ///
    /// After [`Opened::Incomplete`] the bytes are untouched; after anything else the first
    /// `consumed` bytes must not be shown again.
    pub fn open(&mut self, buf: &mut [u8]) -> Result<Opened, RecordError> {
        let result = self.guard().and_then(|()| match &mut self.records {
            Records::Noise(records) => records.open(buf),
            Records::Tls(records) => records.open(buf),
        });
        let result = result.and_then(|opened| self.count_empty(opened));
        self.has_failed |= result.is_err();
        result
    }

    /// Bytes a record adds to its plaintext.
    pub fn overhead(&self) -> usize {
        match &self.records {
            Records::Noise(_) => NoiseRecords::OVERHEAD,
            Records::Tls(_) => TlsRecords::OVERHEAD,
        }
    }

    /// Says that nothing more will be sent: TLS appends a `close_notify`, Noise has no such message.
    ///
    /// Sealing afterwards is an error over TLS. Calling it again does nothing.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if let Records::Tls(records) = &mut self.records
            && !self.has_failed
        {
            records.close(out);
        }
    }

    /// Appends the answer to a TLS key update, when one is due.
    ///
    /// To be called after [`Opened::Control`] and before the next [`begin`](Self::begin).
    pub fn poll_control(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let result = self.guard().and_then(|()| match &mut self.records {
            Records::Noise(_) => Ok(()),
            Records::Tls(records) => records.answer_key_update(out),
        });
        self.has_failed |= result.is_err();
        result
    }

    #[cfg(test)]
    pub(crate) fn into_tls(self) -> TlsRecords {
        match self.records {
            Records::Tls(records) => *records,
            Records::Noise(_) => panic!("expected a channel of TLS"),
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
        };
        f.debug_struct("Channel")
            .field("protocol", &protocol)
            .finish_non_exhaustive()
    }
}

/// Why a record could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The plaintext handed over is empty or longer than one record holds.
    #[error(
        "plaintext of {length} bytes is not 1 to {} bytes",
        Channel::PLAINTEXT_MAX
    )]
    PlaintextLength {
        /// Bytes handed over.
        length: usize,
    },
    /// The received record is shorter or longer than its protocol allows.
    #[error("record of {length} bytes has no valid length")]
    RecordLength {
        /// Bytes the header announces.
        length: usize,
    },
    /// The record is not what the peer sealed, or not in the order it sealed them.
    #[error("record cannot be authenticated")]
    Decrypt,
    /// The key has sealed or opened all the records it may.
    #[error("record numbers of this key are used up")]
    NonceExhausted,
    /// Too many records in a row carried nothing.
    #[error("more than {EMPTY_RUN_MAX} records in a row carry no data")]
    TooManyEmpty,
    /// A TLS record of a type that has no place after the handshake.
    #[error("tls record of type {content_type} is not expected")]
    UnexpectedRecord {
        /// Content type received.
        content_type: u8,
    },
    /// A TLS handshake message that has no place after the handshake, or is malformed.
    #[error("tls handshake message of type {message_type} is not expected")]
    UnexpectedMessage {
        /// Handshake type received.
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
    /// Sealing after the channel was closed.
    #[error("channel is closed for sending")]
    Closed,
    /// The channel failed before.
    #[error("channel has failed before")]
    Failed,
}

impl RecordError {
    /// The TLS alert with which the peer ended the channel (RFC 8446, section 6), if it did.
    pub const fn alert(&self) -> Option<u8> {
        match self {
            Self::Alert { description } => Some(*description),
            _ => None,
        }
    }
}

/// Empty records, tickets and key updates accepted in a row: each costs the peer 18 bytes and us a
/// cipher call, and an honest peer has no use for more than a handful.
const EMPTY_RUN_MAX: u32 = 1_024;

/// One direction's key and the number of its next record.
pub(crate) struct Sealer {
    cipher: Cipher,
    sequence: u64,
}

impl Sealer {
    /// The key's length must be the algorithm's; both protocols derive it so.
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

    /// Takes the next record number; the last one, 2^64 - 1, is reserved by Noise and never used.
    fn next(&mut self) -> Result<u64, RecordError> {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1).ok_or(RecordError::NonceExhausted)?;
        Ok(sequence)
    }
}

/// Length of the plaintext behind a record's header, checked against what one record may hold.
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
