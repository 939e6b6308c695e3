//! Which way dependencies of Rust point: proto -> secure -> runtime -> node. Those of ts/ are in `folders.rs`.

use serde_json::Value;

use crate::source::{numbered, rust_code, table};
use crate::tree::Tree;

use super::Finding;

/// Each crate, without `ferroswarm-` in front, and the crates of ours that it may use.
const CRATES: &str = "
    proto
    chacha
    send-queue
    secure: chacha proto
    runtime: proto secure send-queue
    node: runtime
    fuzz-targets: proto secure
    budgets: proto secure runtime
    bench-peers: proto runtime
    xtask";

/// Packages of others, and the only crate that may depend on each.
const HOMES: &str = "
    tokio: runtime
    socket2: runtime
    mio: runtime
    napi: node
    napi-derive: node
    napi-build: node";

/// Each module of crates/proto and the modules that it may use.
const MODULES: &str = "
    framing
    stream
    multistream: framing stream
    muxer: framing stream";

/// The crates, by `cargo metadata`.
pub(super) fn point_down(metadata: &Value) -> Vec<Finding> {
    let (crates, homes) = (table(CRATES), table(HOMES));
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let short = |value: &Value| {
        let name = value["name"].as_str().unwrap_or_default();
        name.trim_start_matches("ferroswarm-").to_owned()
    };
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = short(package);
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let path = manifest
            .trim_start_matches(root)
            .trim_start_matches(['/', '\\']);
        let mut wrong = |sentence: String| findings.push(Finding::new(path, 1, sentence));
        let Some((_, allowed)) = crates.iter().find(|(known, _)| *known == name) else {
            wrong(format!(
                "the direction of {name} is not in xtask/src/tidy/crates.rs"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = short(dependency);
            let is_ours = crates.iter().any(|(known, _)| *known == used);
            if is_ours && !allowed.contains(&&*used) {
                wrong(format!("{name} does not depend on {used}"));
            }
            let home = homes.iter().find(|(known, _)| *known == used);
            if home.is_some_and(|(_, home)| !home.contains(&&*name)) {
                wrong(format!("{used} is a dependency of another crate alone"));
            }
        }
    }
    findings
}

/// The modules of crates/proto, their tests left out.
pub(super) fn modules_point_down(tree: &Tree) -> Vec<Finding> {
    let (home, modules) = ("crates/proto/src/", table(MODULES));
    let mut findings = Vec::new();
    for (path, source) in tree
        .under(home, ".rs")
        .filter(|(path, _)| !path.contains("/tests"))
    {
        let module = path[home.len()..]
            .split(['/', '.'])
            .next()
            .unwrap_or_default();
        let Some((_, allowed)) = modules.iter().find(|(known, _)| *known == module) else {
            if module != "lib" {
                let sentence =
                    format!("the direction of {module} is not in xtask/src/tidy/crates.rs");
                findings.push(Finding::new(path, 1, sentence));
            }
            continue;
        };
        let shipped = source
            .split("\n#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        for (line, content) in numbered(&rust_code(shipped)) {
            let parts: Vec<&str> = content.split("crate::").collect();
            for pair in parts.windows(2).filter(|pair| !pair[0].ends_with('_')) {
                let is_end = |letter: char| !letter.is_ascii_lowercase() && letter != '_';
                let used = pair[1].split(is_end).next().unwrap_or_default();
                if used != module && !allowed.contains(&used) {
                    let sentence = format!("{module} does not use crate::{used}");
                    findings.push(Finding::new(path, line, sentence));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::places;
    use super::*;

    #[test]
    fn finds_crates_that_point_up_or_are_not_in_the_table() {
        let count = |name: &str, dependency: &str| {
            let package = json!({
                "name": name,
                "manifest_path": "/r/crates/x/Cargo.toml",
                "dependencies": [{ "name": dependency }]
            });
            let metadata = json!({ "workspace_root": "/r", "packages": [package] });
            let findings = point_down(&metadata);
            assert!(
                findings
                    .iter()
                    .all(|finding| finding.path == "crates/x/Cargo.toml")
            );
            findings.len()
        };
        for good in ["tokio", "proptest", "ferroswarm-secure"] {
            assert_eq!(count("ferroswarm-runtime", good), 0, "{good}");
        }
        for bad in ["tokio", "napi", "xtask", "ferroswarm-runtime"] {
            assert_eq!(count("ferroswarm-proto", bad), 1, "{bad}");
        }
        assert_eq!(count("ferroswarm-extra", "proptest"), 1);
    }

    #[test]
    fn finds_modules_of_the_core_that_point_up() {
        let tested =
            "use crate::framing::Y;\n#[cfg(test)]\nmod tests {\n    use crate::muxer::Z;\n}\n";
        let tree = Tree::of(&[
            ("crates/proto/src/lib.rs", "pub use crate::muxer::X;"),
            (
                "crates/proto/src/framing/varint.rs",
                "use crate::framing::Y;\nuse crate::stream::Z;",
            ),
            ("crates/proto/src/multistream/line.rs", tested),
            (
                "crates/proto/src/muxer/yamux.rs",
                "use super::yamux_crate::Y;",
            ),
            (
                "crates/proto/src/muxer/yamux/tests.rs",
                "use crate::multistream::Y;",
            ),
            ("crates/proto/src/other.rs", ""),
        ]);
        let expected = [
            ("crates/proto/src/framing/varint.rs", 2),
            ("crates/proto/src/other.rs", 1),
        ];
        assert_eq!(places(&modules_point_down(&tree)), expected);
    }
}
