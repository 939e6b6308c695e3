//! One stream, independent of its muxer: state machines and byte queues.

mod chunk;
mod pipe;
mod state;
mod write_half;

pub use chunk::{CHUNK_BYTES_MAX, Chunk, ChunkPool, ChunkSource};
pub use pipe::{Pipe, SLACK_BYTES_MAX};
pub use state::{Input, Operation, Refusal, State, StreamState, Verdict};
pub use write_half::{Agreement, FinDue, FinState, WriteHalf, WriteInput};
