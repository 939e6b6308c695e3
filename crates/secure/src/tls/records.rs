//! TLS 1.3 records after the handshake: data, alerts, tickets and key updates.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

use crate::cipher::{NONCE_LENGTH, TAG_LENGTH};
use crate::record::{Opened, RecordError, Sealer, plaintext_length};

/// Both directions of an established TLS channel.
pub(crate) struct TlsRecords {
    outbound: Direction,
    inbound: Direction,
    /// Derives the keys of key updates.
    kernel: Kernel,
    post_handshake: PostHandshake,
    owes_key_update: bool,
    is_closed: bool,
}

/// State that rustls keeps for a connection whose records it does not process.
pub(super) enum Kernel {
    Dialer(KernelConnection<ClientConnectionData>),
    Listener(KernelConnection<ServerConnectionData>),
}

struct Direction {
    sealer: Sealer,
    iv: [u8; NONCE_LENGTH],
}

/// Reads post-handshake messages, which may be split across records.
#[derive(Default)]
struct PostHandshake {
    header: [u8; MESSAGE_HEADER_LENGTH],
    header_length: usize,
    /// Remaining bytes of the message, once its header is complete.
    body_left: usize,
}

impl TlsRecords {
    /// Type, legacy version, and the length that sealing fills in.
    pub(crate) const HEADER: [u8; HEADER_LENGTH] = [TYPE_APPLICATION_DATA, 3, 3, 0, 0];
    /// Header, content type and tag.
    pub(crate) const OVERHEAD: usize = HEADER_LENGTH + 1 + TAG_LENGTH;

    pub(super) fn new(secrets: ExtractedSecrets, kernel: Kernel) -> Self {
        Self {
            outbound: Direction::new(secrets.tx),
            inbound: Direction::new(secrets.rx),
            kernel,
            post_handshake: PostHandshake::default(),
            owes_key_update: false,
            is_closed: false,
        }
    }

    pub(crate) fn seal(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), RecordError> {
        if self.is_closed {
            return Err(RecordError::Closed);
        }
        plaintext_length(out, start, HEADER_LENGTH)?;
        self.seal_content(out, start, TYPE_APPLICATION_DATA)?;
        if self.outbound.sealer.sequence() >= RECORDS_PER_KEY_MAX {
            self.owes_key_update = true;
            self.answer_key_update(out)?;
        }
        Ok(())
    }

    pub(crate) fn open(&mut self, buf: &mut [u8]) -> Result<Opened, RecordError> {
        let Some(&header) = buf.first_chunk::<HEADER_LENGTH>() else {
            return Ok(Opened::Incomplete {
                needed: HEADER_LENGTH,
            });
        };
        let [content_type, _, _, high, low] = header;
        if content_type != TYPE_APPLICATION_DATA {
            return Err(RecordError::UnexpectedRecord { content_type });
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(TAG_LENGTH + 1..=CIPHERTEXT_MAX).contains(&length) {
            return Err(RecordError::RecordLength { length });
        }
        let consumed = HEADER_LENGTH + length;
        let Some(sealed) = buf.get_mut(HEADER_LENGTH..consumed) else {
            return Ok(Opened::Incomplete { needed: consumed });
        };
        let length = self.inbound.open(&header, sealed)?;
        // The content type is the last non-zero byte; zeros after it are padding.
        let inner = &sealed[..length];
        let Some(length) = inner.iter().rposition(|&byte| byte != 0) else {
            return Err(RecordError::UnexpectedRecord { content_type: 0 });
        };
        self.classify(inner[length], &inner[..length], consumed)
    }

    /// Appends a `close_notify` on the first call.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        let start = out.len();
        out.extend_from_slice(&Self::HEADER);
        out.extend_from_slice(&[ALERT_LEVEL_WARNING, ALERT_CLOSE_NOTIFY]);
        if self.seal_content(out, start, TYPE_ALERT).is_err() {
            // No record numbers are left: the end of the transport has to signal the close.
            out.truncate(start);
        }
    }

    /// Appends a key update and changes our key, if the peer requested it or the key's limit is
    /// reached.
    pub(crate) fn answer_key_update(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        if !self.owes_key_update || self.is_closed {
            return Ok(());
        }
        self.owes_key_update = false;
        let start = out.len();
        out.extend_from_slice(&Self::HEADER);
        out.extend_from_slice(&[MESSAGE_KEY_UPDATE, 0, 0, 1, UPDATE_NOT_REQUESTED]);
        self.seal_content(out, start, TYPE_HANDSHAKE)?;
        self.outbound = Direction::new(self.kernel.next_outbound()?);
        Ok(())
    }

    fn seal_content(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        content_type: u8,
    ) -> Result<(), RecordError> {
        out.push(content_type);
        let contents = start + HEADER_LENGTH;
        // The plaintext is at most 16 KiB, so the length fits.
        let length = (out.len() - contents + TAG_LENGTH) as u16;
        let mut header = Self::HEADER;
        header[3..].copy_from_slice(&length.to_be_bytes());
        out[start..contents].copy_from_slice(&header);
        self.outbound.seal(&header, out, contents)
    }

    fn classify(
        &mut self,
        content_type: u8,
        contents: &[u8],
        consumed: usize,
    ) -> Result<Opened, RecordError> {
        // Parts of a handshake message must not be interleaved with other records.
        if content_type != TYPE_HANDSHAKE && self.post_handshake.is_partial() {
            return Err(RecordError::UnexpectedRecord { content_type });
        }
        match (content_type, contents) {
            (TYPE_APPLICATION_DATA, []) => Ok(Opened::Control { consumed }),
            (TYPE_APPLICATION_DATA, _) if contents.len() > PLAINTEXT_MAX => {
                Err(RecordError::RecordLength {
                    length: contents.len(),
                })
            }
            (TYPE_APPLICATION_DATA, _) => {
                let plaintext = HEADER_LENGTH..HEADER_LENGTH + contents.len();
                Ok(Opened::Record {
                    plaintext,
                    consumed,
                })
            }
            (TYPE_ALERT, [_, ALERT_CLOSE_NOTIFY]) => Ok(Opened::Closed { consumed }),
            (TYPE_ALERT, [_, ALERT_USER_CANCELED]) => Ok(Opened::Control { consumed }),
            (TYPE_ALERT, &[_, description]) => Err(RecordError::Alert { description }),
            (TYPE_HANDSHAKE, [_, ..]) => {
                let may_get_ticket = matches!(self.kernel, Kernel::Dialer(_));
                if let Some(is_requested) = self.post_handshake.read(contents, may_get_ticket)? {
                    self.inbound = Direction::new(self.kernel.next_inbound()?);
                    self.owes_key_update |= is_requested;
                }
                Ok(Opened::Control { consumed })
            }
            _ => Err(RecordError::UnexpectedRecord { content_type }),
        }
    }
}

impl Kernel {
    fn next_outbound(&mut self) -> Result<(u64, ConnectionTrafficSecrets), RecordError> {
        match self {
            Self::Dialer(kernel) => kernel.update_tx_secret(),
            Self::Listener(kernel) => kernel.update_tx_secret(),
        }
        .map_err(RecordError::KeyUpdate)
    }

    fn next_inbound(&mut self) -> Result<(u64, ConnectionTrafficSecrets), RecordError> {
        match self {
            Self::Dialer(kernel) => kernel.update_rx_secret(),
            Self::Listener(kernel) => kernel.update_rx_secret(),
        }
        .map_err(RecordError::KeyUpdate)
    }
}

impl Direction {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Self {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            // The enum is non-exhaustive; the configuration offers only these three.
            _ => unreachable!("no other cipher is offered"),
        };
        let iv = iv
            .as_ref()
            .try_into()
            .expect("TLS 1.3 nonces have 12 bytes");
        Self {
            sealer: Sealer::new(algorithm, key.as_ref(), sequence),
            iv,
        }
    }

    fn seal(&mut self, header: &[u8], out: &mut Vec<u8>, start: usize) -> Result<(), RecordError> {
        let iv = self.iv;
        self.sealer
            .seal(|sequence| nonce(iv, sequence), header, out, start)
    }

    fn open(&mut self, header: &[u8], sealed: &mut [u8]) -> Result<usize, RecordError> {
        let iv = self.iv;
        self.sealer
            .open(|sequence| nonce(iv, sequence), header, sealed)
    }
}

/// Returns the left-padded record number XORed with the IV (RFC 8446, section 5.3).
fn nonce(mut iv: [u8; NONCE_LENGTH], sequence: u64) -> [u8; NONCE_LENGTH] {
    for (byte, number) in iv[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= number;
    }
    iv
}

impl PostHandshake {
    fn is_partial(&self) -> bool {
        self.header_length > 0
    }

    /// Reads the contents of one record. Returns `Some` if they end with a key update: whether the
    /// peer requests one in return. Tickets are skipped, since sessions are never resumed.
    fn read(
        &mut self,
        mut contents: &[u8],
        may_get_ticket: bool,
    ) -> Result<Option<bool>, RecordError> {
        while !contents.is_empty() {
            let missing = MESSAGE_HEADER_LENGTH - self.header_length;
            let (part, rest) = contents.split_at(missing.min(contents.len()));
            self.header[self.header_length..][..part.len()].copy_from_slice(part);
            self.header_length += part.len();
            contents = rest;
            if self.header_length < MESSAGE_HEADER_LENGTH {
                break;
            }
            let [message_type, high, middle, low] = self.header;
            let unexpected = RecordError::UnexpectedMessage { message_type };
            if !part.is_empty() {
                self.body_left = u32::from_be_bytes([0, high, middle, low]) as usize;
                let is_expected = match message_type {
                    MESSAGE_NEW_SESSION_TICKET => {
                        may_get_ticket && self.body_left <= TICKET_LENGTH_MAX
                    }
                    MESSAGE_KEY_UPDATE => self.body_left == 1,
                    _ => false,
                };
                if !is_expected {
                    return Err(unexpected);
                }
            }
            let (body, rest) = contents.split_at(self.body_left.min(contents.len()));
            self.body_left -= body.len();
            contents = rest;
            if self.body_left > 0 {
                break;
            }
            self.header_length = 0;
            match (message_type, body) {
                (MESSAGE_NEW_SESSION_TICKET, _) => {}
                // Later records are sealed with the next key, so a key update must end its record.
                (_, &[request @ (UPDATE_NOT_REQUESTED | UPDATE_REQUESTED)])
                    if contents.is_empty() =>
                {
                    return Ok(Some(request == UPDATE_REQUESTED));
                }
                _ => return Err(unexpected),
            }
        }
        Ok(None)
    }
}

const HEADER_LENGTH: usize = 5;
const TYPE_ALERT: u8 = 21;
const TYPE_HANDSHAKE: u8 = 22;
const TYPE_APPLICATION_DATA: u8 = 23;
const ALERT_LEVEL_WARNING: u8 = 1;
const ALERT_CLOSE_NOTIFY: u8 = 0;
const ALERT_USER_CANCELED: u8 = 90;
const MESSAGE_HEADER_LENGTH: usize = 4;
const MESSAGE_NEW_SESSION_TICKET: u8 = 4;
const MESSAGE_KEY_UPDATE: u8 = 24;
const UPDATE_NOT_REQUESTED: u8 = 0;
const UPDATE_REQUESTED: u8 = 1;
/// Maximum plaintext of a record (RFC 8446, section 5.1).
const PLAINTEXT_MAX: usize = 16_384;
/// Maximum sealed contents of a record (RFC 8446, section 5.2).
const CIPHERTEXT_MAX: usize = PLAINTEXT_MAX + 256;
/// Maximum ticket length. Tickets carry session state, including the certificate; go-libp2p's take
/// about 1 KiB.
const TICKET_LENGTH_MAX: usize = 16_384;
/// Maximum records sealed with one key: a third of AES-GCM's limit of 2^24.5 (RFC 8446, section
/// 5.5).
const RECORDS_PER_KEY_MAX: u64 = 1 << 23;

#[cfg(test)]
mod tests;
