//! The checks. Each takes the tree and returns its findings, a place and a sentence each.

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

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    sentence: String,
}

impl Finding {
    fn new(path: &str, line: usize, sentence: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.sentence)
    }
}

const CHECKS: &[fn(&Tree) -> Vec<Finding>] = &[
    words::stand_in_their_places,
    crates::modules_point_down,
    folders::point_down,
    exports::catch_panics,
    exports::check_their_numbers,
    packages::native_packages,
    packages::lock_file,
    documents::named_paths_exist,
    cases::are_described,
];

/// Everything that is wrong under `root`, by file and line.
///
/// # Errors
/// A sentence where git or cargo does not answer.
pub(crate) fn run(root: &Path) -> Result<Vec<Finding>, String> {
    let tree = Tree::read(root)?;
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    findings.extend(crates::point_down(&metadata(root)?));
    findings.sort();
    Ok(findings)
}

fn metadata(root: &Path) -> Result<Value, String> {
    // cargo tells the programs it runs where it is.
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

/// Path and line of each finding.
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
    fn a_finding_is_a_place_and_a_sentence() {
        let finding = Finding::new("ts/a.ts", 3, "is wrong");
        assert_eq!(finding.to_string(), "ts/a.ts:3: is wrong");
    }
}
