//! The checks. Each takes the tree and returns its findings, each with a location and a message.

mod cases;
mod crates;
mod documents;
mod exports;
mod folders;
mod packages;
mod words;

use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::tree::Tree;

/// A violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

const CHECKS: &[fn(&Tree) -> Vec<Finding>] = &[
    words::restricted_words,
    crates::module_dependencies,
    folders::imports_of_parts,
    exports::caught_panics,
    exports::checked_numbers,
    packages::native_packages,
    packages::lock_file,
    documents::named_paths_exist,
    cases::case_ids,
];

/// Returns all findings under `root`, ordered by file and line.
///
/// # Errors
/// If git or cargo fails.
pub(crate) fn run(root: &Path) -> Result<Vec<Finding>, String> {
    let tree = Tree::read(root)?;
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    findings.extend(crates::crate_dependencies(&metadata(root)?));
    findings.sort();
    Ok(findings)
}

fn metadata(root: &Path) -> Result<Value, String> {
    // Set by cargo for the programs that it runs.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ];
    let metadata = super::output(root, cargo, &arguments)?;
    serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))
}

/// Returns the path and line of each finding.
#[cfg(test)]
fn places(findings: &[Finding]) -> Vec<(&str, usize)> {
    findings
        .iter()
        .map(|finding| (&*finding.path, finding.line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_location_and_message() {
        let finding = Finding::new("ts/a.ts", 3, "is wrong");
        assert_eq!(finding.to_string(), "ts/a.ts:3: is wrong");
    }
}
