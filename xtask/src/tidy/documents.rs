//! Paths in documents exist.

use crate::source::{numbered, resolve};
use crate::tree::Tree;

use super::Finding;

/// Root folders; a word that begins with one is a path.
const TOP: &[&str] = &[
    ".github/",
    "__test__/",
    "bench/",
    "crates/",
    "docs/",
    "examples/",
    "fuzz/",
    "interop/",
    "npm/",
    "tools/",
    "ts/",
    "xtask/",
];

/// Checks backquoted paths, link targets, and documents referenced in source comments.
pub(super) fn named_paths_exist(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_document =
        |path: &str| path.ends_with(".md") && (path.starts_with("docs/") || !path.contains('/'));
    let is_source = |path: &str| {
        [".rs", ".ts"]
            .iter()
            .any(|extension| path.ends_with(extension))
    };
    for (path, text) in tree.files() {
        for (line, content) in numbered(text) {
            let mut missing = Vec::new();
            if is_document(path) {
                missing.extend(quoted(content).filter(|name| is_path(name) && !tree.has(name)));
                missing.extend(links(content).filter(|target| !link_exists(tree, path, target)));
            } else if is_source(path) && !path.starts_with("xtask/") {
                missing.extend(referred(content).filter(|name| !tree.has(name)));
            }
            let finding = |name| Finding::new(path, line, format!("{name} does not exist"));
            findings.extend(missing.into_iter().map(finding));
        }
    }
    findings
}

/// Returns the backquoted words.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    TOP.iter().any(|folder| name.starts_with(folder)) && name.chars().all(is_plain)
}

/// Returns the link targets within the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

fn link_exists(tree: &Tree, document: &str, target: &str) -> bool {
    resolve(document, &format!("./{target}")).is_some_and(|path| tree.has(&path))
}

/// Returns every `docs/<name>.md` in a line.
fn referred(line: &str) -> impl Iterator<Item = &str> {
    let names = line.match_indices("docs/").filter_map(|(at, _)| {
        let end = line[at..].find(".md")? + ".md".len();
        Some(&line[at..at + end])
    });
    names.filter(|name| is_path(name))
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    #[test]
    fn finds_paths_that_do_not_exist() {
        let readme = "`ts/a.ts` `ts/b.ts`\n[x](docs/a.md#y) [y](docs/b.md) [z](https://x.y)\n";
        let document =
            "[up](../README.md) [no](README.md)\n`ts/native/binding.js` `ts/*.ts` `ts/`\n";
        let tree = Tree::of(&[
            ("README.md", readme),
            ("docs/a.md", document),
            ("ts/a.ts", "// See docs/a.md.\n// See docs/c.md.\n"),
        ]);
        let expected = [
            ("README.md", 1),
            ("README.md", 2),
            ("docs/a.md", 1),
            ("ts/a.ts", 2),
        ];
        assert_eq!(places(&named_paths_exist(&tree)), expected);
    }
}
