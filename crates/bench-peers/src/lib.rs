//! Shared code of the benchmark peers written in Rust: the parts of interop/contract.md that do not
//! involve sockets.
//!
//! `native` is ferroswarm with a Rust thread in place of JavaScript, `raw` is TCP of the standard library.
#![forbid(unsafe_code)]

pub mod bulk;
pub mod echo;
pub mod measure;
pub mod options;

/// Any failure; it is reported as one line of text.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result with that error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Maximum message size, which bounds what a length prefix makes a server allocate.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Runs a peer; an error is printed as its last line.
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

/// Returns `payload` prefixed with its length as u32.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads are far below 4 GiB");
    [&length.to_be_bytes(), payload].concat()
}
