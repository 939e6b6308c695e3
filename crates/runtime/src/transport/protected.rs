//! Connections of a private network: ciphered with its key, below everything but the transport: over
//! WebSocket the HTTP upgrade and the headers of frames are not ciphered.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};

use ferroswarm_pnet::{Decryptor, Encryptor, PreSharedKey};

use crate::command::ConnectError;
use crate::event_queue::EventQueue;
use crate::pipe::{BytePipe, write_all};
use crate::sync::{Arc, Mutex};

/// Bytes ciphered per write: a few records, so that they are still in the cache when the kernel
/// copies them. Also the bound on what is kept of a write that the socket refuses.
const PIECE_BYTES: usize = 64 << 10;

thread_local! {
    /// Ciphertext on its way to a socket: a thread writes to one at a time.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A pipe whose bytes are ciphered in both directions.
///
/// It holds nothing that a close would have to wait for. Of a write that the socket does not take,
/// it reports only what was taken, and keeps the ciphertext of the rest: the key stream has passed
/// it, and the caller offers the same bytes again.
struct ProtectedPipe {
    pipe: Arc<dyn BytePipe>,
    /// Locked to decipher what was read, under no lock of `pipe`.
    inbound: Mutex<Decryptor>,
    /// Locked for each write, before any lock of `pipe`.
    outbound: Mutex<Outbound>,
}

struct Outbound {
    encryptor: Encryptor,
    /// Ciphertext of the bytes that the caller offers next, of which the first `taken` are written.
    refused: Vec<u8>,
    taken: usize,
}

/// Sends our nonce, and returns the pipe that is ciphered from there on. The remote's nonce is read
/// with its first bytes: it may wait for ours.
///
/// # Errors
/// Errors of the socket.
pub(crate) async fn protect(
    pipe: &Arc<dyn BytePipe>,
    key: &PreSharedKey,
) -> Result<Arc<dyn BytePipe>, ConnectError> {
    let (encryptor, nonce) = Encryptor::new(key).map_err(|_| ConnectError::Internal)?;
    write_all(&**pipe, &nonce).await?;
    Ok(Arc::new(ProtectedPipe::new(pipe, key, encryptor)))
}

impl ProtectedPipe {
    /// Protects a pipe that has taken the encryptor's nonce.
    fn new(pipe: &Arc<dyn BytePipe>, key: &PreSharedKey, encryptor: Encryptor) -> Self {
        Self {
            pipe: Arc::clone(pipe),
            inbound: Mutex::new(Decryptor::new(key)),
            outbound: Mutex::new(Outbound {
                encryptor,
                refused: Vec::new(),
                taken: 0,
            }),
        }
    }
}

impl Outbound {
    /// Ciphers the front of `bytes` and writes it; keeps what is not taken.
    fn write(&mut self, pipe: &dyn BytePipe, bytes: &[u8]) -> io::Result<usize> {
        PIECE.with_borrow_mut(|piece| {
            piece.clear();
            piece.extend_from_slice(&bytes[..bytes.len().min(PIECE_BYTES)]);
            self.encryptor.encrypt(piece);
            let written = pipe.try_write(piece);
            let taken = *written.as_ref().unwrap_or(&0);
            self.refused = piece[taken..].to_vec();
            self.taken = 0;
            written
        })
    }

    /// Writes what was refused before.
    fn write_refused(&mut self, pipe: &dyn BytePipe) -> io::Result<usize> {
        let count = pipe.try_write(&self.refused[self.taken..])?;
        self.taken += count;
        if self.taken == self.refused.len() {
            self.refused = Vec::new();
        }
        Ok(count)
    }
}

impl BytePipe for ProtectedPipe {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.pipe.try_read(into)?;
            let skipped = self.inbound.lock().decrypt(&mut into[..count]);
            if skipped == 0 {
                return Ok(count);
            }
            // A nonce alone is no read, least of all one of zero bytes.
            if skipped < count {
                into.copy_within(skipped..count, 0);
                return Ok(count - skipped);
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut outbound = self.outbound.lock();
        if outbound.refused.is_empty() {
            return outbound.write(&*self.pipe, bytes);
        }
        debug_assert!(bytes.len() >= outbound.refused.len() - outbound.taken);
        outbound.write_refused(&*self.pipe)
    }

    fn unaccepted(&self) -> Option<usize> {
        self.pipe.unaccepted()
    }

    fn is_relayed(&self) -> bool {
        self.pipe.is_relayed()
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_writable(cx)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.pipe.shutdown()
    }

    fn close(&self) {
        self.pipe.close();
    }

    fn lend(&self, to: &EventQueue, token: usize) -> bool {
        self.pipe.lend(to, token)
    }

    fn reclaim(&self, from: &EventQueue) -> io::Result<()> {
        self.pipe.reclaim(from)
    }
}

#[cfg(test)]
mod tests {
    use ferroswarm_pnet::{KEY_LENGTH, NONCE_LENGTH};

    use super::*;
    use crate::live::{Live, closed};
    use crate::memory_pipe::{MemoryPipe, pipe};

    fn key() -> PreSharedKey {
        PreSharedKey::new([7; KEY_LENGTH])
    }

    /// Protects an end, which has room for the nonce.
    fn protected(pipe: MemoryPipe) -> ProtectedPipe {
        let pipe: Arc<dyn BytePipe> = Arc::new(pipe);
        let (encryptor, nonce) = Encryptor::new(&key()).unwrap();
        assert_eq!(pipe.try_write(&nonce).unwrap(), NONCE_LENGTH);
        ProtectedPipe::new(&pipe, &key(), encryptor)
    }

    /// Reads what is there, in pieces.
    fn read(pipe: &dyn BytePipe, piece: usize) -> (Vec<u8>, io::ErrorKind) {
        let mut read = Vec::new();
        let mut into = vec![0; piece];
        loop {
            match pipe.try_read(&mut into) {
                Ok(0) => return (read, io::ErrorKind::UnexpectedEof),
                Ok(count) => read.extend_from_slice(&into[..count]),
                Err(error) => return (read, error.kind()),
            }
        }
    }

    fn text(length: u32) -> Vec<u8> {
        let byte = |number: u32| (number.wrapping_mul(2_654_435_761) >> 24) as u8;
        (0..length).map(byte).collect()
    }

    // go 168
    #[test]
    fn bytes_that_a_full_pipe_refuses_arrive_once_and_in_order() {
        let text = text(10_000);
        for (capacity, piece) in [(NONCE_LENGTH, 1), (37, 7), (1_000, 100), (64 << 10, 5_000)] {
            let (near, far) = pipe(capacity);
            let (near, far) = (protected(near), protected(far));
            let (mut sent, mut received) = (0, Vec::new());
            while received.len() < text.len() {
                while sent < text.len() {
                    match near.try_write(&text[sent..]) {
                        Ok(count) => sent += count,
                        Err(error) => {
                            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                            break;
                        }
                    }
                }
                let mut into = vec![0; piece];
                match far.try_read(&mut into) {
                    Ok(count) => received.extend_from_slice(&into[..count]),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            assert_eq!(received, text, "{capacity} {piece}");
            assert!(near.outbound.lock().refused.capacity() == 0);
        }
    }

    #[test]
    fn the_wire_has_the_nonce_and_ciphertext() {
        let (near, far) = pipe(1_000);
        let near = protected(near);
        assert_eq!(near.try_write(b"a message").unwrap(), 9);
        let (mut wire, _) = read(&far, 1_000);
        assert_eq!(wire.len(), NONCE_LENGTH + 9);
        assert_eq!(near.unaccepted(), Some(0));
        let skipped = Decryptor::new(&key()).decrypt(&mut wire);
        assert_eq!(&wire[skipped..], b"a message");
    }

    #[test]
    fn a_nonce_is_neither_data_nor_an_end() {
        let (near, far) = pipe(1_000);
        let near = protected(near);
        for _ in 0..NONCE_LENGTH {
            far.try_write(&[7]).unwrap();
            assert_eq!(read(&near, 100), (Vec::new(), io::ErrorKind::WouldBlock));
        }
        far.shutdown().unwrap();
        let ended = read(&near, 100);
        assert_eq!(ended, (Vec::new(), io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn a_connection_over_protected_pipes_carries_streams() {
        let mut live = Live::through(|_| {
            let (near, far) = pipe(1_000);
            let pipes = (protected(near), protected(far));
            (pipes, Box::new(|| false))
        });
        let (dialed, accepted) = live.stream();
        let text = text(100_000);
        let (mut sent, mut received) = (0, Vec::new());
        while received.len() < text.len() {
            sent += live.dialer.write(dialed, &text[sent..]);
            live.settle();
            received.extend(live.listener.read(accepted).0);
        }
        assert_eq!(received, text);
        live.listener.close_write(accepted);
        live.dialer.close_write(dialed);
        live.settle();
        live.listener.read(accepted).1.unwrap_err();
        live.settle();
        let records = live.listener.take_records();
        assert!(records.ends_with(&closed(accepted)), "{records:?}");
    }
}
