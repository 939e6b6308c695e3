//! Which way dependencies point: proto -> secure -> runtime -> node -> ts/native -> ts -> ts/index.ts. Those inside of
//! ts/ are in `folders.rs`.

use serde_json::Value;

use crate::source::{Import, imports, is_rust_test, numbered, resolve, rust_code, shipped};
use crate::tree::Tree;

use super::Finding;

/// Each crate and the crates of ours that it may use.
const CRATES: &[(&str, &[&str])] = &[
    ("ferroswarm-proto", &[]),
    ("ferroswarm-chacha", &[]),
    ("ferroswarm-send-queue", &[]),
    (
        "ferroswarm-secure",
        &["ferroswarm-chacha", "ferroswarm-proto"],
    ),
    (
        "ferroswarm-runtime",
        &[
            "ferroswarm-proto",
            "ferroswarm-secure",
            "ferroswarm-send-queue",
        ],
    ),
    ("ferroswarm-node", &["ferroswarm-runtime"]),
    (
        "ferroswarm-fuzz-targets",
        &["ferroswarm-proto", "ferroswarm-secure"],
    ),
    (
        "ferroswarm-budgets",
        &[
            "ferroswarm-proto",
            "ferroswarm-secure",
            "ferroswarm-runtime",
        ],
    ),
    (
        "ferroswarm-bench-peers",
        &["ferroswarm-proto", "ferroswarm-runtime"],
    ),
    ("xtask", &[]),
];

/// Packages of others that one crate alone depends on.
const HOMES: &[(&str, &str)] = &[
    ("tokio", "ferroswarm-runtime"),
    ("socket2", "ferroswarm-runtime"),
    ("napi", "ferroswarm-node"),
    ("napi-derive", "ferroswarm-node"),
    ("napi-build", "ferroswarm-node"),
];

/// Each module of crates/proto and the modules that it may use.
const CORE: &[(&str, &[&str])] = &[
    ("framing", &[]),
    ("stream", &[]),
    ("multistream", &["framing", "stream"]),
    ("muxer", &["framing", "stream"]),
    ("resource", &[]),
];

/// What `cargo metadata` says about the crates.
pub(super) fn crates(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let packages = array(metadata, "packages");
    let names: Vec<&str> = packages
        .iter()
        .map(|package| text(package, "name"))
        .collect();
    for package in packages {
        let name = text(package, "name");
        let manifest = text(package, "manifest_path");
        let root = text(metadata, "workspace_root");
        let path = manifest
            .strip_prefix(root)
            .unwrap_or(manifest)
            .replace('\\', "/");
        let path = path.trim_start_matches('/');
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else {
            findings.push(Finding::new(
                path,
                1,
                format!("the direction of {name} is not written down"),
            ));
            continue;
        };
        for dependency in array(package, "dependencies") {
            let used = text(dependency, "name");
            let is_ours = names.contains(&used);
            if is_ours && !allowed.contains(&used) {
                findings.push(Finding::new(
                    path,
                    1,
                    format!("{name} does not depend on {used}"),
                ));
            }
            if let Some((_, home)) = HOMES.iter().find(|(known, _)| *known == used)
                && *home != name
            {
                findings.push(Finding::new(
                    path,
                    1,
                    format!("{used} is a dependency of {home} alone"),
                ));
            }
        }
    }
    findings
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Inside crates/proto: framing and stream depend on nothing.
pub(super) fn core_modules(tree: &Tree) -> Vec<Finding> {
    let home = "crates/proto/src/";
    let mut findings = Vec::new();
    for (path, source) in tree
        .under(home, ".rs")
        .filter(|(path, _)| !is_rust_test(path))
    {
        let module = path[home.len()..]
            .split(['/', '.'])
            .next()
            .unwrap_or_default();
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = CORE.iter().find(|(known, _)| *known == module) else {
            findings.push(Finding::new(
                path,
                1,
                format!("the direction of {module} is not written down"),
            ));
            continue;
        };
        for (line, content) in numbered(&rust_code(shipped(source))) {
            let paths = content
                .match_indices("crate::")
                .filter(|(at, _)| !content[..*at].ends_with('_'));
            for (at, found) in paths {
                let used = content[at + found.len()..]
                    .split(|letter: char| !letter.is_ascii_lowercase() && letter != '_')
                    .next()
                    .unwrap_or_default();
                if used != module && !allowed.contains(&used) {
                    let sentence = format!(
                        "{module} does not use {}",
                        if used.is_empty() {
                            "the whole crate"
                        } else {
                            used
                        }
                    );
                    findings.push(Finding::new(path, line, sentence));
                }
            }
        }
    }
    findings
}

/// The modules of TypeScript: what they import of others.
pub(super) fn modules(tree: &Tree) -> Vec<Finding> {
    let dependencies = dependencies(tree);
    let mut findings = Vec::new();
    for (path, source) in tree.under("ts/", ".ts") {
        for Import {
            line, specifier, ..
        } in imports(source)
        {
            let wrong = match resolve(path, specifier) {
                Some(target) => (!target.starts_with("ts/"))
                    .then(|| format!("ts/ ships by itself and cannot import {target}")),
                None if specifier.starts_with("node:") => None,
                None => {
                    let package = package_of(specifier);
                    (!dependencies.contains(&package))
                        .then(|| format!("{package} is no dependency of package.json"))
                }
            };
            findings.extend(wrong.map(|sentence| Finding::new(path, line, sentence)));
        }
    }
    findings
}

fn dependencies(tree: &Tree) -> Vec<String> {
    let manifest = tree.text("package.json").unwrap_or_default();
    let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
    let names = manifest["dependencies"].as_object();
    names.map_or_else(Vec::new, |names| names.keys().cloned().collect())
}

/// `@scope/name` or `name` of `@scope/name/path`.
fn package_of(specifier: &str) -> String {
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    specifier
        .split('/')
        .take(parts)
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::places;
    use super::*;

    fn metadata(name: &str, dependencies: &Value) -> Value {
        json!({
            "workspace_root": "/r",
            "packages": [
                { "name": name, "manifest_path": "/r/crates/x/Cargo.toml", "dependencies": dependencies },
                { "name": "xtask", "manifest_path": "/r/t", "dependencies": [] }
            ]
        })
    }

    #[test]
    fn takes_the_direction_that_is_written_down() {
        let good = json!([
            { "name": "tokio", "kind": null },
            { "name": "proptest", "kind": "dev" }
        ]);
        assert!(crates(&metadata("ferroswarm-runtime", &good)).is_empty());
    }

    #[test]
    fn names_a_dependency_that_points_the_other_way() {
        for wrong in [
            json!([{ "name": "tokio", "kind": null }]),
            json!([{ "name": "napi", "kind": "build" }]),
            json!([{ "name": "xtask", "kind": "dev" }]),
        ] {
            let found = crates(&metadata("ferroswarm-proto", &wrong));
            assert_eq!(places(&found), [("crates/x/Cargo.toml", 1)], "{wrong}");
        }
    }

    #[test]
    fn names_a_crate_that_nobody_placed() {
        let found = crates(&metadata("ferroswarm-extra", &json!([])));
        assert_eq!(places(&found), [("crates/x/Cargo.toml", 1)]);
    }

    #[test]
    fn names_a_core_module_that_looks_up() {
        let tree = Tree::of(&[
            ("crates/proto/src/lib.rs", "pub use crate::muxer::X;"),
            (
                "crates/proto/src/framing/varint.rs",
                "use crate::framing::Y;\nuse crate::stream::Z;",
            ),
            (
                "crates/proto/src/muxer/yamux/flow.rs",
                "use crate::framing::Y;\nuse super::other_crate::Z;",
            ),
            (
                "crates/proto/src/muxer/yamux/tests.rs",
                "use crate::multistream::Y;",
            ),
            ("crates/proto/src/other.rs", ""),
        ]);
        assert_eq!(
            places(&core_modules(&tree)),
            [
                ("crates/proto/src/framing/varint.rs", 2),
                ("crates/proto/src/other.rs", 1)
            ]
        );
    }

    #[test]
    fn names_an_import_that_is_not_shipped() {
        let tree = Tree::of(&[
            (
                "package.json",
                r#"{ "dependencies": { "@scope/good": "1" } }"#,
            ),
            (
                "ts/stream.ts",
                "import '../__test__/x.ts'\nimport 'node:fs'\nimport '@scope/good/sub'\nimport 'bad'\n",
            ),
        ]);
        assert_eq!(
            places(&modules(&tree)),
            [("ts/stream.ts", 1), ("ts/stream.ts", 4)]
        );
    }
}
