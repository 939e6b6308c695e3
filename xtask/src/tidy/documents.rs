//! Documents: what they name exists, and their lines fit a window.

use crate::source::{numbered, resolve};
use crate::tree::Tree;

use super::Finding;

const LINE_LENGTH_MAX: usize = 140;

/// Folders at the top: what begins with one of them is a path.
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

/// Paths in backquotes, targets of links, and documents that sources refer to.
pub(super) fn named_paths_exist(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in documents(tree) {
        for (line, content) in numbered(text) {
            let missing = quoted(content)
                .filter(|name| is_path(name) && !tree.has(name))
                .chain(links(content).filter(|target| !link_exists(tree, path, target)));
            findings.extend(
                missing.map(|name| Finding::new(path, line, format!("there is no {name}"))),
            );
        }
    }
    let sources = tree
        .files()
        .filter(|(path, _)| path.ends_with(".rs") || path.ends_with(".ts"))
        .filter(|(path, _)| !path.starts_with("xtask/"));
    for (path, text) in sources {
        for (line, content) in numbered(text) {
            let missing = referred(content).filter(|name| !tree.has(name));
            findings.extend(
                missing.map(|name| Finding::new(path, line, format!("there is no {name}"))),
            );
        }
    }
    findings
}

/// Rows of tables are one line by their nature.
pub(super) fn lines_are_short(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in documents(tree) {
        for (line, content) in numbered(text) {
            let length = content.chars().count();
            if length > LINE_LENGTH_MAX && !content.starts_with('|') {
                let sentence = format!("has {length} columns; {LINE_LENGTH_MAX} are enough");
                findings.push(Finding::new(path, line, sentence));
            }
        }
    }
    findings
}

fn documents(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.files().filter(|(path, _)| {
        path.ends_with(".md") && (path.starts_with("docs/") || !path.contains('/'))
    })
}

/// What stands between backquotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    TOP.iter().any(|folder| name.starts_with(folder)) && name.chars().all(is_plain)
}

/// Targets of links within the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains(':'))
}

fn link_exists(tree: &Tree, document: &str, target: &str) -> bool {
    resolve(document, &format!("./{target}")).is_some_and(|path| tree.has(&path))
}

/// `docs/<name>.md` in a comment.
fn referred(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("docs/").filter_map(|(at, _)| {
        let rest = &line[at..];
        let end = rest.find(".md")? + ".md".len();
        let name = &rest[..end];
        is_path(name).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn names_paths_that_do_not_exist() {
        let tree = Tree::of(&[
            (
                "README.md",
                "`ts/a.ts` `ts/b.ts`\n[x](docs/a.md) [y](docs/b.md) [z](https://x.y)\n",
            ),
            (
                "docs/a.md",
                "[up](../README.md) [no](README.md)\n`ts/native/binding.js` `ts/*.ts` `ts/`\n",
            ),
            ("ts/a.ts", "// See docs/a.md.\n// See docs/c.md.\n"),
        ]);
        assert_eq!(
            places(&named_paths_exist(&tree)),
            [
                ("README.md", 1),
                ("README.md", 2),
                ("docs/a.md", 1),
                ("ts/a.ts", 2)
            ]
        );
    }

    #[test]
    fn names_lines_that_are_too_long() {
        let long = "a".repeat(141);
        let text = format!("{}\n{long}\n| {long} |\n", "é".repeat(140));
        let tree = Tree::of(&[("docs/a.md", &text), ("interop/a.md", &long)]);
        assert_eq!(places(&lines_are_short(&tree)), [("docs/a.md", 2)]);
    }
}
