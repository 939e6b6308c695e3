//! Names that may stand in one place only.

use crate::source::{
    Import, imports, is_rust_test, lines_with, numbered, resolve, rust_code, shipped,
};
use crate::tree::Tree;

use super::Finding;

/// What opens a socket or asks for the time.
const OUTSIDE: &[&str] = &[
    "std::net",
    "std::os",
    "socket2",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant::now",
    "SystemTime",
    "thread::sleep",
];

/// Where Rust meets what is not Rust: Node-API, libuv, OpenSSL's assembly, and the kernel.
const BOUNDARY: &[&str] = &[
    "crates/chacha/src/openssl.rs",
    "crates/chacha/src/openssl/tests.rs",
    "crates/node/src/event_loop.rs",
    "crates/node/src/hot.rs",
    "crates/node/src/wake.rs",
    "crates/send-queue/src/lib.rs",
];

/// What calls JavaScript, or keeps one of its values beyond a call.
const UPWARD: &[&str] = &[
    "napi_call_threadsafe_function",
    "napi_call_function",
    "napi_make_callback",
    "napi_create_reference",
    "ThreadsafeFunction",
    "FunctionRef",
    "ObjectRef",
    "Reference",
];

pub(super) fn runtime_has_tokio(tree: &Tree) -> Vec<Finding> {
    names_outside(
        tree,
        "tokio",
        "crates/runtime/",
        "tokio belongs to crates/runtime alone",
    )
}

pub(super) fn node_has_napi(tree: &Tree) -> Vec<Finding> {
    ["napi", "napi_derive", "napi_build", "napi_sys"]
        .iter()
        .flat_map(|name| {
            names_outside(
                tree,
                name,
                "crates/node/",
                "napi belongs to crates/node alone",
            )
        })
        .collect()
}

/// In comments and manifests too: who cannot name it cannot depend on it.
fn names_outside(tree: &Tree, name: &str, home: &str, sentence: &str) -> Vec<Finding> {
    let sources = tree
        .under("crates/", ".rs")
        .chain(tree.under("crates/", ".toml"));
    sources
        .filter(|(path, _)| !path.starts_with(home))
        .flat_map(|(path, text)| at_lines(path, &lines_with(text, name), sentence))
        .collect()
}

pub(super) fn unsafe_stands_at_the_boundary(tree: &Tree) -> Vec<Finding> {
    let sentence = "unsafe code belongs to crates/node/src/hot.rs, wake.rs and event_loop.rs, to crates/chacha and crates/send-queue, and to allocators that count in tests";
    tree.files()
        .filter(|(path, _)| path.ends_with(".rs") && !path.starts_with("interop/"))
        .filter(|(path, text)| !BOUNDARY.contains(path) && !is_counting_allocator(path, text))
        .flat_map(|(path, text)| at_lines(path, &lines_with(&rust_code(text), "unsafe"), sentence))
        .collect()
}

/// An integration test of its own, so that nothing that ships has its allocator.
fn is_counting_allocator(path: &str, text: &str) -> bool {
    path.starts_with("crates/") && path.contains("/tests/") && text.contains("GlobalAlloc")
}

/// How the doorbell does it: from other threads, and at once on the environment's own.
const BELL: &[&str] = &[
    "napi_call_threadsafe_function",
    "napi_make_callback",
    "napi_create_reference",
];

pub(super) fn one_doorbell_calls_javascript(tree: &Tree) -> Vec<Finding> {
    let bell = "crates/node/src/wake.rs";
    tree.under("crates/node/src/", ".rs")
        .flat_map(|(path, text)| {
            let code = rust_code(text);
            UPWARD
                .iter()
                .filter(move |name| path != bell || !BELL.contains(name))
                .flat_map(move |name| {
                    let sentence = format!("JavaScript is called by the doorbell alone and no value of it is kept: no {name}");
                    at_lines(path, &lines_with(&code, name), &sentence)
                })
        })
        .collect()
}

pub(super) fn libraries_forbid_unsafe(tree: &Tree) -> Vec<Finding> {
    let is_root = |path: &str| path.ends_with("/src/lib.rs") || path == "xtask/src/main.rs";
    tree.files()
        .filter(|(path, _)| is_root(path) && !meets_other_languages(path))
        .filter(|(path, _)| path.starts_with("crates/") || path.starts_with("xtask/"))
        .filter(|(_, text)| !rust_code(text).contains("#![forbid(unsafe_code)]"))
        .map(|(path, _)| {
            Finding::new(
                path,
                1,
                "every crate but node, chacha and send-queue says #![forbid(unsafe_code)]",
            )
        })
        .collect()
}

fn meets_other_languages(path: &str) -> bool {
    ["crates/node/", "crates/chacha/", "crates/send-queue/"]
        .iter()
        .any(|folder| path.starts_with(folder))
}

pub(super) fn core_is_sans_io(tree: &Tree) -> Vec<Finding> {
    let core = ["crates/proto/src/", "crates/secure/src/"];
    core.iter()
        .flat_map(|folder| tree.under(folder, ".rs"))
        .filter(|(path, _)| !is_rust_test(path))
        .flat_map(|(path, text)| {
            let code = rust_code(shipped(text));
            OUTSIDE.iter().flat_map(move |name| {
                let sentence = format!("proto and secure are sans-io: no {name}");
                at_lines(path, &lines_with(&code, name), &sentence)
            })
        })
        .collect()
}

pub(super) fn binding_is_imported_once(tree: &Tree) -> Vec<Finding> {
    let home = "ts/native/addon.ts";
    let binding = "ts/native/binding.js";
    let folders = ["ts/", "__test__/", "bench/", "examples/", "tools/"];
    let mut findings: Vec<Finding> = folders
        .iter()
        .flat_map(|folder| tree.under(folder, "s"))
        .filter(|(path, _)| *path != home)
        .flat_map(|(path, text)| {
            imports(text)
                .into_iter()
                .filter(move |Import { specifier, .. }| {
                    let target = resolve(path, specifier);
                    target.is_some_and(|target| target.ends_with("native/binding.js"))
                })
                .map(move |Import { line, .. }| {
                    Finding::new(
                        path,
                        line,
                        format!("{home} alone imports the generated binding"),
                    )
                })
        })
        .collect();
    let imports_it = |text: &str| {
        imports(text)
            .iter()
            .any(|Import { specifier, .. }| resolve(home, specifier).as_deref() == Some(binding))
    };
    if !tree.text(home).is_some_and(imports_it) {
        findings.push(Finding::new(home, 1, format!("{home} imports {binding}")));
    }
    // A loader other than an import gives its path as text.
    for (path, text) in tree.under("ts/", ".ts") {
        for (line, content) in numbered(text) {
            if content.contains("process.dlopen") || content.contains(".node'") {
                findings.push(Finding::new(
                    path,
                    line,
                    "the binding loads the addon, nothing else",
                ));
            }
        }
    }
    findings
}

fn at_lines(path: &str, lines: &[usize], sentence: &str) -> Vec<Finding> {
    lines
        .iter()
        .map(|line| Finding::new(path, *line, sentence))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn names_tokio_outside_the_runtime() {
        let tree = Tree::of(&[
            ("crates/runtime/src/a.rs", "use tokio::net;"),
            ("crates/proto/src/a.rs", "fn a() {}\n// as tokio does\n"),
            (
                "crates/secure/Cargo.toml",
                "[dependencies]\ntokio = \"1\"\n",
            ),
        ]);
        assert_eq!(
            places(&runtime_has_tokio(&tree)),
            [
                ("crates/proto/src/a.rs", 2),
                ("crates/secure/Cargo.toml", 2)
            ]
        );
    }

    #[test]
    fn names_napi_outside_the_addon() {
        let tree = Tree::of(&[
            ("crates/node/src/a.rs", "use napi::Env;"),
            (
                "crates/runtime/src/a.rs",
                "use napi::Env;\nuse napi_derive::napi;\n",
            ),
        ]);
        let found = node_has_napi(&tree);
        assert_eq!(found.len(), 3);
        assert!(
            found
                .iter()
                .all(|finding| finding.path == "crates/runtime/src/a.rs")
        );
    }

    #[test]
    fn names_unsafe_code_away_from_the_boundary() {
        let allocator = "unsafe impl GlobalAlloc for Counting {}";
        let tree = Tree::of(&[
            ("crates/node/src/hot.rs", "unsafe {}"),
            ("crates/node/src/options.rs", "// unsafe\nunsafe {}"),
            ("crates/proto/tests/allocations.rs", allocator),
            ("crates/proto/src/allocations.rs", allocator),
            ("crates/proto/src/lib.rs", "#![forbid(unsafe_code)]"),
        ]);
        assert_eq!(
            places(&unsafe_stands_at_the_boundary(&tree)),
            [
                ("crates/node/src/options.rs", 2),
                ("crates/proto/src/allocations.rs", 1)
            ]
        );
    }

    #[test]
    fn names_calls_of_javascript_beside_the_doorbell() {
        let call = "sys::napi_call_threadsafe_function(f);";
        let tree = Tree::of(&[
            ("crates/node/src/wake.rs", call),
            ("crates/node/src/hot.rs", call),
            (
                "crates/node/src/keys.rs",
                "// ThreadsafeFunction\nlet f: FunctionRef<(), ()>;",
            ),
        ]);
        assert_eq!(
            places(&one_doorbell_calls_javascript(&tree)),
            [
                ("crates/node/src/hot.rs", 1),
                ("crates/node/src/keys.rs", 2)
            ]
        );
    }

    #[test]
    fn wants_every_library_to_forbid_it() {
        let tree = Tree::of(&[
            ("crates/node/src/lib.rs", ""),
            (
                "crates/proto/src/lib.rs",
                "//! Doc.\n#![forbid(unsafe_code)]\n",
            ),
            ("crates/secure/src/lib.rs", "// #![forbid(unsafe_code)]\n"),
        ]);
        assert_eq!(
            places(&libraries_forbid_unsafe(&tree)),
            [("crates/secure/src/lib.rs", 1)]
        );
    }

    #[test]
    fn keeps_sockets_and_clocks_out_of_the_core() {
        let tests = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::time::Instant;\n    fn b() { Instant::now(); }\n}\n";
        let tree = Tree::of(&[
            (
                "crates/proto/src/a.rs",
                "use std::net::IpAddr;\nlet now = Instant::now();\n",
            ),
            ("crates/proto/src/b.rs", tests),
            ("crates/secure/src/c/tests.rs", "Instant::now();"),
            (
                "crates/secure/src/d.rs",
                "/// Unlike `SystemTime`.\nSystemTime::now();",
            ),
            ("crates/runtime/src/e.rs", "Instant::now();"),
        ]);
        assert_eq!(
            places(&core_is_sans_io(&tree)),
            [
                ("crates/proto/src/a.rs", 1),
                ("crates/proto/src/a.rs", 2),
                ("crates/secure/src/d.rs", 2)
            ]
        );
    }

    #[test]
    fn lets_one_module_import_the_binding() {
        let good = (
            "ts/native/addon.ts",
            "import * as binding from './binding.js'\n",
        );
        assert!(binding_is_imported_once(&Tree::of(&[good])).is_empty());
        let tree = Tree::of(&[
            good,
            (
                "ts/swarm.ts",
                "\nimport { NativeNode } from './native/binding.js'\n",
            ),
            (
                "__test__/unit/a.spec.ts",
                "await import('../../ts/native/binding.js')\n",
            ),
            ("ts/native/load.ts", "process.dlopen(module, 'x')\n"),
        ]);
        assert_eq!(
            places(&binding_is_imported_once(&tree)),
            [
                ("ts/swarm.ts", 2),
                ("__test__/unit/a.spec.ts", 1),
                ("ts/native/load.ts", 1)
            ]
        );
        assert_eq!(
            places(&binding_is_imported_once(&Tree::of(&[]))),
            [("ts/native/addon.ts", 1)]
        );
    }
}
