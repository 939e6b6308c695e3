//! The checks. Each takes the tree and answers with what is wrong, a line and a sentence each.

mod direction;
mod documents;
mod exports;
mod folders;
mod habits;
mod mirrors;
mod packages;
mod walls;

use std::fmt;
use std::path::Path;
use std::process::Command;

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

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: &[Check] = &[
    walls::runtime_has_tokio,
    walls::node_has_napi,
    walls::unsafe_stands_at_the_boundary,
    walls::one_doorbell_calls_javascript,
    walls::libraries_forbid_unsafe,
    walls::core_is_sans_io,
    walls::binding_is_imported_once,
    direction::core_modules,
    direction::modules,
    folders::point_down,
    folders::have_no_cycles,
    exports::catch_panics,
    exports::check_their_numbers,
    mirrors::error_codes,
    mirrors::records,
    mirrors::handles,
    mirrors::counters,
    mirrors::diagnostics,
    mirrors::hot_calls,
    mirrors::framings,
    mirrors::stream_states,
    mirrors::limits,
    packages::native_packages,
    packages::lock_file,
    habits::files_are_short,
    habits::nothing_is_put_off,
    habits::no_test_is_left_out,
    habits::exceptions_have_reasons,
    documents::named_paths_exist,
    documents::lines_are_short,
];

/// Everything that is wrong under `root`, by file and line.
///
/// # Errors
/// A sentence where the tree cannot be read or cargo does not answer.
pub(crate) fn run(root: &Path) -> Result<Vec<Finding>, String> {
    let tree = Tree::read(root).map_err(|error| format!("the sources: {error}"))?;
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    findings.extend(direction::crates(&metadata(root)?));
    findings.sort();
    Ok(findings)
}

fn metadata(root: &Path) -> Result<Value, String> {
    // cargo tells the programs it runs where it is.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path and line of each finding.
    pub(crate) fn places(findings: &[Finding]) -> Vec<(&str, usize)> {
        findings
            .iter()
            .map(|finding| (&*finding.path, finding.line))
            .collect()
    }

    #[test]
    fn a_finding_is_a_place_and_a_sentence() {
        let finding = Finding::new("ts/a.ts", 3, "is wrong");
        assert_eq!(finding.to_string(), "ts/a.ts:3: is wrong");
    }
}
