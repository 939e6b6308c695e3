//! Functions of the addon called from JavaScript, libuv and the C library. A panic that unwinds into these aborts the
//! process, and JavaScript numbers need validation before they are converted to integers.

use crate::source::{line_of, rust_code};
use crate::tree::Tree;

use super::Finding;

/// Rust integers, to which Node-API truncates and wraps other numbers, NaN included.
const INTEGERS: &[&str] = &[
    "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
];

pub(super) fn caught_panics(tree: &Tree) -> Vec<Finding> {
    each_source(tree, |path, code, findings| {
        for (at, attribute, _) in exported(code) {
            if !attribute.contains("catch_unwind") {
                let message = "an exported function must have catch_unwind";
                findings.push(Finding::new(path, line_of(code, at), message));
            }
        }
        for (at, found) in code.match_indices("extern ") {
            // The ABI literal after it is blanked. A function type has neither name nor body.
            let rest = &code[at + found.len()..];
            let Some(function) = rest.trim_start().strip_prefix("fn ") else {
                continue;
            };
            let body = function.split(" fn ").next().unwrap_or_default();
            let is_type = function.starts_with('(');
            if !is_type && !body.contains("catch_unwind") && !body.contains("enter(") {
                let message = "a function called from C must catch panics";
                findings.push(Finding::new(path, line_of(code, at), message));
            }
        }
    })
}

pub(super) fn checked_numbers(tree: &Tree) -> Vec<Finding> {
    each_source(tree, |path, code, findings| {
        for (at, _, parameters) in exported(code) {
            let mut words = parameters.split(|letter: char| !letter.is_alphanumeric());
            if let Some(integer) = words.find(|word| INTEGERS.contains(word)) {
                let message = format!("take a number as f64 and check it, not as {integer}");
                findings.push(Finding::new(path, line_of(code, at), message));
            }
        }
    })
}

fn each_source(tree: &Tree, check: impl Fn(&str, &str, &mut Vec<Finding>)) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.under("crates/node/src/", ".rs") {
        check(path, &rust_code(text), &mut findings);
    }
    findings
}

/// Returns the offset, attribute and parameters of each exported function.
fn exported(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    code.match_indices("#[napi").filter_map(|(at, _)| {
        let (attribute, rest) = code[at..].split_once(']')?;
        let function = rest.trim_start().strip_prefix("pub fn ")?;
        let signature = function.split('{').next()?;
        Some((at, attribute, signature.split("->").next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    const PATH: &str = "crates/node/src/a.rs";

    #[test]
    fn finds_functions_that_do_not_catch_panics() {
        let good = "#[napi(constructor, catch_unwind)]\npub fn new() {}\n#[napi]\npub struct A;\n#[napi]\nimpl A {}\n\
                    type B = unsafe extern \"C\" fn(a: u32);\nextern \"C\" fn b() {\n    catch_unwind(|| {});\n}\n";
        assert_eq!(caught_panics(&Tree::of(&[(PATH, good)])), []);
        let bad =
            "#[napi]\npub fn a() {}\n#[napi(getter)]\npub fn b(&self) {}\nextern \"C\" fn c() {}\n";
        let tree = Tree::of(&[(PATH, bad)]);
        assert_eq!(
            places(&caught_panics(&tree)),
            [(PATH, 1), (PATH, 3), (PATH, 5)]
        );
    }

    #[test]
    fn finds_integer_parameters() {
        let good = "#[napi(catch_unwind)]\npub fn a(&self, request: f64) -> Result<u32, A> {}\n";
        assert_eq!(checked_numbers(&Tree::of(&[(PATH, good)])), []);
        let bad = "#[napi]\npub fn a(request: u32) {}\n#[napi]\npub fn b(all: Vec<i64>) {}\n";
        let tree = Tree::of(&[(PATH, bad)]);
        assert_eq!(places(&checked_numbers(&tree)), [(PATH, 1), (PATH, 3)]);
    }
}
