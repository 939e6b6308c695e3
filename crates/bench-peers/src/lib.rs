//! What the peers of the benches that are written in Rust share: the contract of
//! interop/contract.md as far as it knows nothing of sockets.
//!
//! `native` is ferroswarm with a Rust thread in the place of JavaScript, `raw` is TCP as the
//! standard library has it.
#![forbid(unsafe_code)]

pub mod bulk;
pub mod echo;
pub mod measure;
pub mod options;

/// Every failure ends as one line of text.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What can fail with that.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a length prefix may make a server allocate.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Runs a peer; what it fails with is its last line.
pub fn main(run: impl FnOnce(&options::Options) -> Result<()>) -> std::process::ExitCode {
    let outcome = options::Options::parse(std::env::args().skip(1)).and_then(|options| {
        measure::raise_descriptor_limit()?;
        run(&options)
    });
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            measure::print_line(&serde_json::json!({ "error": error.to_string() }));
            std::process::ExitCode::FAILURE
        }
    }
}

/// A u32 length followed by its payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads are far below 4 GiB");
    [&length.to_be_bytes(), payload].concat()
}
