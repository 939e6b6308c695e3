//! Direction of Rust dependencies: proto -> secure -> runtime -> node. `folders.rs` has those of ts/.

use serde_json::Value;

use crate::source::{numbered, rust_code, table};
use crate::tree::Tree;

use super::Finding;

/// Each crate, without the prefix `ferroswarm-`, and the workspace crates that it may use.
const CRATES: &str = "
    proto
    chacha
    pnet
    send-queue
    store
    websocket
    secure: chacha proto
    quic: proto secure
    runtime: pnet proto quic secure send-queue store websocket
    node: runtime
    fuzz-targets: pnet proto secure websocket
    budgets: proto secure runtime
    bench-peers: proto runtime
    xtask";

/// External packages, and the only crate that may depend on each.
const OWNERS: &str = "
    tokio: runtime
    socket2: runtime
    mio: runtime
    redb: store
    httparse: websocket
    napi: node
    napi-derive: node
    napi-build: node";

/// Each module of crates/proto and the modules that it may use.
const MODULES: &str = "
    framing
    stream
    multistream: framing stream
    muxer: framing stream
    resource";

/// Checks the crates, as listed by `cargo metadata`.
pub(super) fn crate_dependencies(metadata: &Value) -> Vec<Finding> {
    let (crates, owners) = (table(CRATES), table(OWNERS));
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
        let mut report = |message: String| findings.push(Finding::new(path, 1, message));
        let Some((_, allowed)) = crates.iter().find(|(known, _)| *known == name) else {
            report(format!(
                "{name} is missing from the table in xtask/src/tidy/crates.rs"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = short(dependency);
            let is_local = crates.iter().any(|(known, _)| *known == used);
            if is_local && !allowed.contains(&&*used) {
                report(format!("{name} must not depend on {used}"));
            }
            let owner = owners.iter().find(|(known, _)| *known == used);
            if owner.is_some_and(|(_, owner)| !owner.contains(&&*name)) {
                report(format!("{used} is reserved for another crate"));
            }
        }
    }
    findings
}

/// Checks the modules of crates/proto, excluding tests.
pub(super) fn module_dependencies(tree: &Tree) -> Vec<Finding> {
    let (folder, modules) = ("crates/proto/src/", table(MODULES));
    let mut findings = Vec::new();
    for (path, source) in tree
        .under(folder, ".rs")
        .filter(|(path, _)| !path.contains("/tests"))
    {
        let module = path[folder.len()..]
            .split(['/', '.'])
            .next()
            .unwrap_or_default();
        let Some((_, allowed)) = modules.iter().find(|(known, _)| *known == module) else {
            if module != "lib" {
                let message =
                    format!("{module} is missing from the table in xtask/src/tidy/crates.rs");
                findings.push(Finding::new(path, 1, message));
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
                    let message = format!("{module} must not use crate::{used}");
                    findings.push(Finding::new(path, line, message));
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
    fn finds_forbidden_dependencies_and_unlisted_crates() {
        let count = |name: &str, dependency: &str| {
            let package = json!({
                "name": name,
                "manifest_path": "/r/crates/x/Cargo.toml",
                "dependencies": [{ "name": dependency }]
            });
            let metadata = json!({ "workspace_root": "/r", "packages": [package] });
            let findings = crate_dependencies(&metadata);
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
    fn finds_forbidden_uses_between_modules() {
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
        assert_eq!(places(&module_dependencies(&tree)), expected);
    }
}
