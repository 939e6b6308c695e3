//! Chores of the repository.
//!
//! `cargo xtask tidy` checks what compilers and linters do not: where names may appear, which way
//! dependencies point, that lists kept in two places agree, and that documents name what exists.
#![forbid(unsafe_code)]

mod source;
mod tidy;
mod tree;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [verb] if verb == "tidy" => tidy(&root),
        _ => {
            say("usage: cargo xtask tidy");
            ExitCode::FAILURE
        }
    }
}

fn tidy(root: &Path) -> ExitCode {
    match tidy::run(root) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                say(&finding.to_string());
            }
            say(&format!("tidy: {} to mend", findings.len()));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("tidy: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A line to standard output; a closed pipe is no fault of ours.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
