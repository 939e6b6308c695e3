//! One stream, whatever carries it: its state machine and the bounded queues of its bytes.

mod pipe;
mod state;

pub use pipe::{CHUNK_BYTES_MAX, ChunkPool, Pipe};
pub use state::{Input, Operation, Refusal, State, StreamState, Verdict};
