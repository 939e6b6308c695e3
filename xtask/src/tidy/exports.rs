//! What JavaScript, libuv and the C library call: a panic must not unwind into them, which ends the process, and a
//! number is checked before it is one of Rust's.

use crate::source::{line_of, rust_code};
use crate::tree::Tree;

use super::Finding;

const ADDON: &str = "crates/node/src/";

/// Integers of Rust: Node-API cuts off and wraps round what is none, NaN included.
const INTEGERS: &[&str] = &[
    "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
];

pub(super) fn catch_panics(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.under(ADDON, ".rs") {
        let code = rust_code(text);
        for (at, attribute, _) in exported(&code) {
            if !attribute.contains("catch_unwind") {
                let sentence = "an exported function says catch_unwind";
                findings.push(Finding::new(path, line_of(&code, at), sentence));
            }
        }
        for (at, _) in code.match_indices("extern ") {
            // The literal behind it is blank here; a type of a function has no name.
            let is_function = code[at + "extern ".len()..]
                .trim_start_matches(['"', ' '])
                .starts_with("fn ");
            if !is_function {
                continue;
            }
            let body = body(&code[at..]);
            if body.is_some_and(|body| !body.contains("catch_unwind") && !body.contains("enter(")) {
                let sentence = "a function that C calls catches its panics";
                findings.push(Finding::new(path, line_of(&code, at), sentence));
            }
        }
    }
    findings
}

pub(super) fn check_their_numbers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.under(ADDON, ".rs") {
        let code = rust_code(text);
        for (at, _, parameters) in exported(&code) {
            let takes = |integer: &&&str| {
                let is_type = |part: &str| part.trim() == **integer;
                parameters.split([':', ',', '<', '>', ')']).any(is_type)
            };
            if let Some(integer) = INTEGERS.iter().find(takes) {
                let sentence =
                    format!("a number comes as f64 and is checked (number.rs), not as {integer}");
                findings.push(Finding::new(path, line_of(&code, at), sentence));
            }
        }
    }
    findings
}

/// Where each exported function's attribute stands, the attribute, and the function's parameters.
fn exported(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    code.match_indices("#[napi").filter_map(|(at, _)| {
        let rest = &code[at..];
        let (attribute, after) = rest.split_once(']')?;
        let function = after.trim_start().strip_prefix("pub fn ")?;
        let (_, parameters) = function.split_once('(')?;
        let parameters = parameters
            .split_once("{")
            .map_or(parameters, |(front, _)| front);
        let parameters = parameters
            .split_once("->")
            .map_or(parameters, |(front, _)| front);
        Some((at, attribute, parameters))
    })
}

/// The body of the function that begins here; none for a type.
fn body(code: &str) -> Option<&str> {
    let open = code.find('{')?;
    if code[..open].contains([';', '=']) {
        return None;
    }
    let mut depth = 0;
    for (at, letter) in code[open..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&code[open..=open + at]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    const PATH: &str = "crates/node/src/a.rs";

    #[test]
    fn exported_functions_catch_their_panics() {
        let good = "#[napi(constructor, catch_unwind)]\npub fn new() {}\n#[napi]\npub struct A;\n#[napi]\nimpl A {}\n";
        assert!(catch_panics(&Tree::of(&[(PATH, good)])).is_empty());
        let bad = "#[napi]\npub fn a() {}\n#[napi(getter)]\npub fn b(&self) {}\n";
        let tree = Tree::of(&[(PATH, bad)]);
        assert_eq!(places(&catch_panics(&tree)), [(PATH, 1), (PATH, 3)]);
    }

    #[test]
    fn functions_that_c_calls_catch_their_panics() {
        let text = "type A = unsafe extern \"C\" fn (a: u32);\n\
                    extern \"C\" fn good() {\n    catch_unwind(|| {});\n}\n\
                    extern \"C\" fn bad() {\n    stop();\n}\n";
        assert_eq!(
            places(&catch_panics(&Tree::of(&[(PATH, text)]))),
            [(PATH, 5)]
        );
    }

    #[test]
    fn numbers_of_javascript_are_checked() {
        let good = "#[napi(catch_unwind)]\npub fn a(&self, request: f64) -> Result<u32, A> {}\n";
        assert!(check_their_numbers(&Tree::of(&[(PATH, good)])).is_empty());
        let bad = "#[napi(catch_unwind)]\npub fn a(&self, request: u32) {}\n#[napi(catch_unwind)]\npub fn b(all: Vec<i64>) {}\n";
        assert_eq!(
            places(&check_their_numbers(&Tree::of(&[(PATH, bad)]))),
            [(PATH, 1), (PATH, 3)]
        );
    }
}
