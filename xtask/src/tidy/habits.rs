//! Habits of the sources: short files, nothing put off, no test left out, reasons given.

use crate::source::{is_rust_test, line_of, lines_with, numbered, rust_code, shipped};
use crate::tree::Tree;

use super::Finding;

const RUST_LINES_MAX: usize = 500;
const TYPESCRIPT_LINES_MAX: usize = 350;

/// One list of error classes and the public faces, which are read by searching them.
const LONG: &[&str] = &[
    "ts/errors.ts",
    "ts/swarm.ts",
    "ts/connection.ts",
    "ts/stream.ts",
];

/// Words that put work off, in two parts so that this file has none of them.
const PUT_OFF: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];

/// Where texts of ours are; peers of other implementations follow their own habits.
const OWN: &[&str] = &[".rs", ".ts", ".mjs", ".js", ".toml", ".md", ".yml"];

pub(super) fn files_are_short(tree: &Tree) -> Vec<Finding> {
    let rust = ["crates/", "xtask/", "fuzz/"]
        .iter()
        .flat_map(|folder| tree.under(folder, ".rs"))
        .filter(|(path, _)| !is_rust_test(path))
        .map(|(path, text)| (path, code_lines(shipped(text)), RUST_LINES_MAX));
    let typescript = ["ts/", "__test__/"]
        .iter()
        .flat_map(|folder| tree.under(folder, ".ts"))
        .filter(|(path, _)| !LONG.contains(path))
        .map(|(path, text)| (path, code_lines(text), TYPESCRIPT_LINES_MAX));
    rust.chain(typescript)
        .filter(|(_, lines, max)| lines > max)
        .map(|(path, lines, max)| {
            Finding::new(
                path,
                max + 1,
                format!("has {lines} lines of code; {max} are enough, split it"),
            )
        })
        .collect()
}

/// Lines that are neither empty nor a comment: documentation is never what makes a file too long.
fn code_lines(text: &str) -> usize {
    let is_code = |line: &&str| {
        let line = line.trim_start();
        let marks = ["//", "/*", "* ", "*/"];
        !line.is_empty() && line != "*" && !marks.iter().any(|mark| line.starts_with(mark))
    };
    text.lines().filter(is_code).count()
}

pub(super) fn nothing_is_put_off(tree: &Tree) -> Vec<Finding> {
    tree.files()
        .filter(|(path, _)| OWN.iter().any(|extension| path.ends_with(extension)))
        .flat_map(|(path, text)| {
            PUT_OFF.iter().flat_map(move |word| {
                let sentence = format!("{word}: do it, or describe the limit where users read it");
                lines_with(text, word)
                    .into_iter()
                    .map(move |line| Finding::new(path, line, sentence.clone()))
            })
        })
        .collect()
}

pub(super) fn no_test_is_left_out(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        if path.ends_with(".rs") && !path.starts_with("interop/") {
            let code = rust_code(text);
            for (line, content) in numbered(&code) {
                if content.contains("#[ignore") {
                    findings.push(Finding::new(
                        path,
                        line,
                        "a test that is ignored tests nothing",
                    ));
                }
            }
        }
        if path.starts_with("__test__/") || path.starts_with("bench/") {
            for (line, content) in numbered(text) {
                if leaves_out(content) {
                    let sentence =
                        "no test is skipped, focused or expected to fail: assert what holds today";
                    findings.push(Finding::new(path, line, sentence));
                }
            }
        }
    }
    findings
}

fn leaves_out(line: &str) -> bool {
    line.match_indices("test.").any(|(at, found)| {
        let chain = line[at + found.len()..]
            .split('(')
            .next()
            .unwrap_or_default();
        chain
            .split('.')
            .any(|link| matches!(link, "skip" | "only" | "todo" | "failing" | "skipIf"))
    })
}

/// `#[expect(…, reason = "…")]`, and never `#[allow]`.
pub(super) fn exceptions_have_reasons(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree
        .files()
        .filter(|(path, _)| path.ends_with(".rs") && !path.starts_with("interop/"))
    {
        let code = rust_code(text);
        for (at, _) in code.match_indices('#') {
            let rest = &code[at + 1..];
            let Some(attribute) = rest.strip_prefix('!').unwrap_or(rest).strip_prefix('[') else {
                continue;
            };
            let attribute = until_closed(attribute, '[', ']');
            for (name, sentence) in [
                ("expect", "an expected lint gives its reason"),
                (
                    "allow",
                    "an exception is expected with a reason, not allowed",
                ),
            ] {
                let is_wrong = arguments(attribute, name)
                    .is_some_and(|arguments| name == "allow" || !arguments.contains("reason"));
                if is_wrong {
                    findings.push(Finding::new(path, line_of(&code, at), sentence));
                }
            }
        }
    }
    findings
}

/// What stands in the parentheses of `name(…)`.
fn arguments<'a>(attribute: &'a str, name: &str) -> Option<&'a str> {
    let opening = format!("{name}(");
    let start = attribute.match_indices(&opening).find(|(at, _)| {
        let before = attribute[..*at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_')
    })?;
    Some(until_closed(
        &attribute[start.0 + opening.len()..],
        '(',
        ')',
    ))
}

fn until_closed(text: &str, open: char, close: char) -> &str {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        if letter == open {
            depth += 1;
        } else if letter == close {
            depth -= 1;
            if depth == 0 {
                return &text[..at];
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn names_files_that_are_too_long() {
        let lines = |count: usize| "a\n".repeat(count);
        let tested = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            lines(500),
            lines(500)
        );
        let tree = Tree::of(&[
            ("crates/a/src/a.rs", &tested),
            ("crates/a/src/b.rs", &lines(501)),
            ("crates/a/src/b/tests.rs", &lines(501)),
            ("ts/a.ts", &lines(351)),
            ("ts/b.ts", &lines(350)),
            (
                "ts/c.ts",
                &format!("/**\n * c\n */\n// c\n\n{}", lines(350)),
            ),
            ("ts/errors.ts", &lines(351)),
            ("ts/swarm.ts", &lines(351)),
        ]);
        assert_eq!(
            places(&files_are_short(&tree)),
            [("crates/a/src/b.rs", 501), ("ts/a.ts", 351)]
        );
    }

    #[test]
    fn names_what_is_put_off() {
        let text = format!("a\n// {}: later\n", PUT_OFF[0]);
        let tree = Tree::of(&[
            ("ts/a.ts", &text),
            ("docs/a.md", &text),
            ("ts/b.ts", "todo\n"),
        ]);
        assert_eq!(
            places(&nothing_is_put_off(&tree)),
            [("docs/a.md", 2), ("ts/a.ts", 2)]
        );
    }

    #[test]
    fn names_tests_that_are_left_out() {
        let tests = "test('runs', t => {})\ntest.serial('runs', t => {})\ntest.skip('x', t => {})\n\
                     test.serial.only('x', t => {})\ntest.todo('x')\ntest.failing('x', t => {})\n";
        let tree = Tree::of(&[
            ("__test__/unit/a.spec.ts", tests),
            (
                "crates/a/src/a.rs",
                "#[test]\n#[ignore]\nfn a() {}\n#[ignore = \"x\"]\n// #[ignore]\n",
            ),
        ]);
        assert_eq!(
            places(&no_test_is_left_out(&tree)),
            [
                ("__test__/unit/a.spec.ts", 3),
                ("__test__/unit/a.spec.ts", 4),
                ("__test__/unit/a.spec.ts", 5),
                ("__test__/unit/a.spec.ts", 6),
                ("crates/a/src/a.rs", 2),
                ("crates/a/src/a.rs", 4)
            ]
        );
    }

    #[test]
    fn names_exceptions_without_a_reason() {
        let source = "#[expect(dead_code, reason = \"used by x\")]\n#[expect(dead_code)]\n#![allow(dead_code)]\n\
                      #![cfg_attr(test, expect(dead_code))]\n#[expect(\n    dead_code,\n    reason = \"y\"\n)]\n\
                      x.expect(\"a\");\n";
        let tree = Tree::of(&[("crates/a/src/a.rs", source)]);
        assert_eq!(
            places(&exceptions_have_reasons(&tree)),
            [
                ("crates/a/src/a.rs", 2),
                ("crates/a/src/a.rs", 3),
                ("crates/a/src/a.rs", 4)
            ]
        );
    }
}
