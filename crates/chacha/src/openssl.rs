//! The AEAD construction over OpenSSL's ChaCha20 and Poly1305.

use std::arch::global_asm;
use std::fmt;
use std::is_x86_feature_detected as has;
use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::{Zeroize, Zeroizing};

use crate::{Forged, KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH};

unsafe extern "C" {
    /// `crypto/chacha`: XORs `length` bytes with the key stream; the first word of the counter is
    /// the block number.
    fn ChaCha20_ctr32(
        out: *mut u8,
        text: *const u8,
        length: usize,
        key: *const u32,
        counter: *const u32,
    );
    /// `include/crypto/poly1305.h`, like the two below.
    fn Poly1305_Init(state: *mut State, key: *const u8);
    fn Poly1305_Update(state: *mut State, text: *const u8, length: usize);
    fn Poly1305_Final(state: *mut State, tag: *mut u8);
    /// CPUID words by which both select an implementation, in the layout of OPENSSL_ia32cap(3).
    /// Zeros select the baseline for any x86-64.
    safe static OPENSSL_ia32cap_P: [AtomicU32; 4];
}

// Hidden, because Node exports a symbol of this name and the assembly expects it within 2 GiB.
global_asm!(
    ".hidden OPENSSL_ia32cap_P",
    ".comm OPENSSL_ia32cap_P, 16, 4"
);

/// Publishes the features of this processor that OpenSSL's code tests for. Its own detection is not
/// linked.
fn set_cpu_features() {
    let second = (u32::from(has!("ssse3")) << 9) | (u32::from(has!("avx")) << 28);
    let third = (u32::from(has!("avx2")) << 5)
        | (u32::from(has!("avx512f")) << 16)
        | (u32::from(has!("avx512ifma")) << 21)
        | (u32::from(has!("avx512bw")) << 30)
        | (u32::from(has!("avx512vl")) << 31);
    // Relaxed: every caller stores the same values, and does so before it calls the functions.
    OPENSSL_ia32cap_P[1].store(second, Ordering::Relaxed);
    OPENSSL_ia32cap_P[2].store(third, Ordering::Relaxed);
}

/// A ChaCha20-Poly1305 key, zeroized on drop.
pub struct Key(Box<Zeroizing<[u32; KEY_LENGTH / 4]>>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Returns a key, or `None` if this processor lacks the instructions that make it worthwhile.
    pub fn new(key: &[u8; KEY_LENGTH]) -> Option<Self> {
        let has_instructions =
            has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512ifma");
        has_instructions.then(|| Self::on_any_processor(key))
    }

    /// Skips the check of [`new`](Self::new): OpenSSL's code itself selects by processor.
    fn on_any_processor(key: &[u8; KEY_LENGTH]) -> Self {
        set_cpu_features();
        let (words, _) = key.as_chunks();
        let mut own = Box::new(Zeroizing::new([0; KEY_LENGTH / 4]));
        for (own, word) in own.iter_mut().zip(words) {
            *own = u32::from_le_bytes(*word);
        }
        Self(own)
    }

    /// Seals `text`, at most 256 GiB, in place and returns its tag. A nonce must be used only once
    /// with a key.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        aad: &[u8],
        text: &mut [u8],
    ) -> [u8; TAG_LENGTH] {
        let mut stream = Stream::new(self, nonce);
        let mut tag = Authenticator::new(stream.one_time_key(), aad);
        for piece in text.chunks_mut(PIECE_BYTES) {
            stream.apply(piece);
            tag.update(piece);
        }
        tag.finish(aad.len(), text.len())
    }

    /// Opens `text` in place.
    ///
    /// # Errors
    /// [`Forged`] if the tag does not match; `text` is then zeroized.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), Forged> {
        let mut stream = Stream::new(self, nonce);
        let mut expected = Authenticator::new(stream.one_time_key(), aad);
        for piece in text.chunks_mut(PIECE_BYTES) {
            expected.update(piece);
            stream.apply(piece);
        }
        if is_equal(&expected.finish(aad.len(), text.len()), tag) {
            Ok(())
        } else {
            text.zeroize();
            Err(Forged)
        }
    }
}

/// Bytes that cipher and authenticator process in turn, small enough to stay in the L1 cache; a
/// multiple of the cipher's block.
const PIECE_BYTES: usize = 8 << 10;
/// Block size of the cipher.
const BLOCK_BYTES: usize = 64;

/// The key stream of one text.
struct Stream<'a> {
    key: &'a Key,
    /// Number of the next block, then the nonce.
    counter: [u32; 4],
}

impl<'a> Stream<'a> {
    fn new(key: &'a Key, nonce: &[u8; NONCE_LENGTH]) -> Self {
        let word =
            |at| u32::from_le_bytes([nonce[at], nonce[at + 1], nonce[at + 2], nonce[at + 3]]);
        Self {
            key,
            counter: [0, word(0), word(4), word(8)],
        }
    }

    /// Returns the first block; its first half is the authenticator's key.
    fn one_time_key(&mut self) -> Zeroizing<[u8; BLOCK_BYTES]> {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        self.apply(&mut *block);
        block
    }

    /// XORs `text` with the next blocks; only the last call may end within a block.
    fn apply(&mut self, text: &mut [u8]) {
        let at = text.as_mut_ptr();
        let (key, counter) = (self.key.0.as_ptr(), self.counter.as_ptr());
        // SAFETY: the function allows in-place operation; `at` is valid for `text.len()` bytes, the
        // key has eight words and the counter four.
        unsafe { ChaCha20_ctr32(at, at, text.len(), key, counter) };
        self.counter[0] += text.len().div_ceil(BLOCK_BYTES) as u32;
    }
}

/// Larger than the 248 bytes of OpenSSL's state, which a test checks; aligned for its vector loads.
#[repr(C, align(64))]
struct State([u64; 32]);

/// Poly1305 over associated data and ciphertext, each zero-padded to 16 bytes.
struct Authenticator(State);

impl Authenticator {
    fn new(key: Zeroizing<[u8; BLOCK_BYTES]>, aad: &[u8]) -> Self {
        let mut this = Self(State([0; 32]));
        // SAFETY: the state is large enough and the key has at least 32 bytes.
        unsafe { Poly1305_Init(&mut this.0, key.as_ptr()) };
        this.update(aad);
        this.pad(aad.len());
        this
    }

    fn update(&mut self, text: &[u8]) {
        // SAFETY: `new` has initialised the state; the pointer is valid for `text.len()` bytes.
        unsafe { Poly1305_Update(&mut self.0, text.as_ptr(), text.len()) };
    }

    fn pad(&mut self, length: usize) {
        self.update(&[0; TAG_LENGTH][..length.wrapping_neg() % TAG_LENGTH]);
    }

    fn finish(mut self, aad: usize, text: usize) -> [u8; TAG_LENGTH] {
        self.pad(text);
        self.update(&(aad as u64).to_le_bytes());
        self.update(&(text as u64).to_le_bytes());
        let mut tag = [0; TAG_LENGTH];
        // SAFETY: as in `update`; the tag has 16 bytes.
        unsafe { Poly1305_Final(&mut self.0, tag.as_mut_ptr()) };
        tag
    }
}

impl Drop for Authenticator {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

/// Compares in constant time.
fn is_equal(left: &[u8; TAG_LENGTH], right: &[u8; TAG_LENGTH]) -> bool {
    std::hint::black_box(u128::from_ne_bytes(*left) ^ u128::from_ne_bytes(*right)) == 0
}

#[cfg(test)]
mod tests;
