//! Repository tasks.
//!
//! `cargo xtask tidy` checks design rules that compiler and linters cannot: the direction of dependencies, names
//! restricted to certain files, that panics stay in the addon, that packages and documents match the tree.
#![forbid(unsafe_code)]

mod source;
mod tidy;
mod tree;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [verb] if verb == "tidy" => tidy(&root),
        _ => {
            print_line("usage: cargo xtask tidy");
            ExitCode::FAILURE
        }
    }
}

fn tidy(root: &Path) -> ExitCode {
    match tidy::run(root) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                print_line(&finding.to_string());
            }
            print_line(&format!("tidy: {} findings", findings.len()));
            ExitCode::FAILURE
        }
        Err(error) => {
            print_line(&format!("tidy: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line to standard output; ignores a closed pipe.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Runs a program and returns its standard output.
fn output(root: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<String, String> {
    let program = program.as_ref();
    let failed = |reason: String| format!("{} {arguments:?}: {reason}", program.display());
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(|error| failed(error.to_string()))
}
