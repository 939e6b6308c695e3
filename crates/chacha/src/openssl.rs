//! The construction over OpenSSL's ChaCha20 and Poly1305.

use std::arch::global_asm;
use std::fmt;
use std::is_x86_feature_detected as has;
use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::{Zeroize, Zeroizing};

use crate::{Forged, KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH};

unsafe extern "C" {
    /// `crypto/chacha`: XORs `length` bytes with the key stream; the first word of the counter counts blocks.
    fn ChaCha20_ctr32(
        out: *mut u8,
        text: *const u8,
        length: usize,
        key: *const u32,
        counter: *const u32,
    );
    /// `include/crypto/poly1305.h`, and so are the other two.
    fn Poly1305_Init(state: *mut State, key: *const u8);
    fn Poly1305_Update(state: *mut State, text: *const u8, length: usize);
    fn Poly1305_Final(state: *mut State, tag: *mut u8);
    /// By which both choose what runs: words of CPUID as OPENSSL_ia32cap(3) has them. Zeros are any processor.
    safe static OPENSSL_ia32cap_P: [AtomicU32; 4];
}

// Hidden, for Node exports a symbol of this name, and the assembly expects it within 2 GiB.
global_asm!(
    ".hidden OPENSSL_ia32cap_P",
    ".comm OPENSSL_ia32cap_P, 16, 4"
);

/// Tells OpenSSL's code what this processor has, of what it asks for. Its own detection is not linked.
fn tell_instructions() {
    let second = (u32::from(has!("ssse3")) << 9) | (u32::from(has!("avx")) << 28);
    let third = (u32::from(has!("avx2")) << 5)
        | (u32::from(has!("avx512f")) << 16)
        | (u32::from(has!("avx512ifma")) << 21)
        | (u32::from(has!("avx512bw")) << 30)
        | (u32::from(has!("avx512vl")) << 31);
    // Every caller stores the same, and calls the functions after it.
    OPENSSL_ia32cap_P[1].store(second, Ordering::Relaxed);
    OPENSSL_ia32cap_P[2].store(third, Ordering::Relaxed);
}

/// A key of ChaCha20-Poly1305, in memory that is wiped when it is dropped.
pub struct Key(Box<Zeroizing<[u32; KEY_LENGTH / 4]>>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// A key, if this processor has the instructions that make it worth its while.
    pub fn new(key: &[u8; KEY_LENGTH]) -> Option<Self> {
        let has_instructions =
            has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512ifma");
        has_instructions.then(|| Self::on_any_processor(key))
    }

    /// OpenSSL chooses what runs by the processor, too.
    fn on_any_processor(key: &[u8; KEY_LENGTH]) -> Self {
        tell_instructions();
        let (words, _) = key.as_chunks();
        let mut own = Box::new(Zeroizing::new([0; KEY_LENGTH / 4]));
        for (own, word) in own.iter_mut().zip(words) {
            *own = u32::from_le_bytes(*word);
        }
        Self(own)
    }

    /// Seals `text` in place and returns its tag. A nonce is used once with a key; a text has 256 GiB at most.
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
    /// See [`Forged`]. Nothing of the plaintext is left in `text` then.
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

/// What one function after the other goes over while it is in the first cache; whole blocks of the cipher.
const PIECE_BYTES: usize = 8 << 10;
/// Of the cipher.
const BLOCK_BYTES: usize = 64;

/// The key stream of one text.
struct Stream<'a> {
    key: &'a Key,
    /// The number of the next block, and the nonce.
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

    /// The first block, of which the authenticator's key is the first half.
    fn one_time_key(&mut self) -> Zeroizing<[u8; BLOCK_BYTES]> {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        self.apply(&mut *block);
        block
    }

    /// XORs the text with the next blocks; only the last text may end inside of one.
    fn apply(&mut self, text: &mut [u8]) {
        let at = text.as_mut_ptr();
        let (key, counter) = (self.key.0.as_ptr(), self.counter.as_ptr());
        // SAFETY: in place is what the function allows; `at` is valid for that many bytes, the key has eight
        // words and the counter four.
        unsafe { ChaCha20_ctr32(at, at, text.len(), key, counter) };
        self.counter[0] += text.len().div_ceil(BLOCK_BYTES) as u32;
    }
}

/// More than the 248 bytes of a state, by a test; aligned to what its instructions load.
#[repr(C, align(64))]
struct State([u64; 32]);

/// Poly1305 over associated data and ciphertext, each filled up to 16 bytes.
struct Authenticator(State);

impl Authenticator {
    fn new(key: Zeroizing<[u8; BLOCK_BYTES]>, aad: &[u8]) -> Self {
        let mut this = Self(State([0; 32]));
        // SAFETY: the state is large enough and the key has 32 bytes and more.
        unsafe { Poly1305_Init(&mut this.0, key.as_ptr()) };
        this.update(aad);
        this.fill_up(aad.len());
        this
    }

    fn update(&mut self, text: &[u8]) {
        // SAFETY: `new` has initialised the state; the pointer is valid for that many bytes.
        unsafe { Poly1305_Update(&mut self.0, text.as_ptr(), text.len()) };
    }

    fn fill_up(&mut self, length: usize) {
        self.update(&[0; TAG_LENGTH][..length.wrapping_neg() % TAG_LENGTH]);
    }

    fn finish(mut self, aad: usize, text: usize) -> [u8; TAG_LENGTH] {
        self.fill_up(text);
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

/// In a time that does not depend on where they differ.
fn is_equal(left: &[u8; TAG_LENGTH], right: &[u8; TAG_LENGTH]) -> bool {
    std::hint::black_box(u128::from_ne_bytes(*left) ^ u128::from_ne_bytes(*right)) == 0
}

#[cfg(test)]
mod tests;
