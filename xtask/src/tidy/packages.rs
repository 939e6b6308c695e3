//! Manifests: a package for the addon of each platform, and a lock file that matches package.json.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tree::Tree;

use super::Finding;

const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";

/// Keys repeated by the root entry of the lock file.
const LOCKED: &[&str] = &[
    "name",
    "version",
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
];

/// Checks `npm/*` against `napi.targets` of package.json, including names and versions.
pub(super) fn native_packages(tree: &Tree) -> Vec<Finding> {
    let manifest = json(tree, MANIFEST);
    let targets = manifest["napi"]["targets"].as_array().into_iter().flatten();
    let wanted: BTreeSet<_> = targets.filter_map(Value::as_str).map(platform).collect();
    let folders = tree
        .under("npm/", "")
        .filter_map(|(path, _)| path.split('/').nth(1));
    let found: BTreeSet<_> = folders.map(ToOwned::to_owned).collect();
    let mut findings = Vec::new();
    for platform in wanted.symmetric_difference(&found) {
        let message = format!("npm/{platform} and napi.targets differ: run `napi create-npm-dirs`");
        findings.push(Finding::new(MANIFEST, 1, message));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for platform in wanted.intersection(&found) {
        let path = format!("npm/{platform}/package.json");
        let own = json(tree, &path);
        let napi = &manifest["napi"];
        let expected = [
            ("name", format!("{}-{platform}", text(&napi["packageName"]))),
            (
                "main",
                format!("{}.{platform}.node", text(&napi["binaryName"])),
            ),
            ("version", text(&manifest["version"])),
            ("license", text(&manifest["license"])),
        ];
        for (key, expected) in expected
            .iter()
            .filter(|(key, value)| text(&own[key]) != *value)
        {
            findings.push(Finding::new(&path, 1, format!("{key} is not {expected}")));
        }
    }
    findings
}

/// Checks the root entry of package-lock.json against package.json.
pub(super) fn lock_file(tree: &Tree) -> Vec<Finding> {
    let (manifest, lock) = (json(tree, MANIFEST), json(tree, LOCK));
    let differ = LOCKED
        .iter()
        .filter(|key| lock["packages"][""][key] != manifest[key]);
    let message = |key| format!("{key} differs from package.json: run `npm install`");
    differ
        .map(|key| Finding::new(LOCK, 1, message(key)))
        .collect()
}

fn json(tree: &Tree, path: &str) -> Value {
    serde_json::from_str(tree.text(path)).unwrap_or_default()
}

/// Returns napi's platform name of a target; for an unknown one, a name that has no folder.
fn platform(target: &str) -> String {
    let parts: Vec<&str> = target.split('-').collect();
    let architecture = match parts[0] {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    match parts[1..] {
        [_, "linux", libc] => format!("linux-{architecture}-{libc}"),
        [_, "darwin"] => format!("darwin-{architecture}"),
        [_, "windows", abi] => format!("win32-{architecture}-{abi}"),
        _ => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    const ROOT: &str = r#"{ "version": "1.0.0", "license": "MIT", "dependencies": { "a": "^1" },
        "napi": { "binaryName": "f", "packageName": "@f/n", "targets": ["x86_64-unknown-linux-gnu"] } }"#;
    const OWN: &str = r#"{ "name": "@f/n-linux-x64-gnu", "main": "f.linux-x64-gnu.node", "version": "1.0.0",
        "license": "MIT" }"#;
    const GNU: &str = "npm/linux-x64-gnu/package.json";

    #[test]
    fn finds_folders_that_differ_from_the_targets() {
        assert_eq!(
            native_packages(&Tree::of(&[(MANIFEST, ROOT), (GNU, OWN)])),
            []
        );
        let musl = "npm/linux-x64-musl/package.json";
        let found = native_packages(&Tree::of(&[(MANIFEST, ROOT), (musl, "{}")]));
        assert_eq!(places(&found), [(MANIFEST, 1), (MANIFEST, 1)]);
    }

    #[test]
    fn finds_versions_and_names_that_differ() {
        for (from, to) in [
            ("1.0.0", "0.9.0"),
            ("n-linux", "m-linux"),
            ("MIT", "ISC"),
            ("f.l", "g.l"),
        ] {
            let tree = Tree::of(&[(MANIFEST, ROOT), (GNU, &OWN.replace(from, to))]);
            assert_eq!(places(&native_packages(&tree)), [(GNU, 1)], "{to}");
        }
    }

    #[test]
    fn finds_a_lock_file_of_other_dependencies() {
        let found = |root: &str| {
            let lock = format!(r#"{{ "packages": {{ "": {root} }} }}"#);
            lock_file(&Tree::of(&[(MANIFEST, ROOT), (LOCK, &lock)])).len()
        };
        assert_eq!(found(ROOT), 0);
        assert_eq!(found(&ROOT.replace("^1", "^2")), 1);
        assert_eq!(found(&ROOT.replace("1.0.0", "1.0.1")), 1);
        assert_eq!(found("{}"), 2);
    }

    #[test]
    fn maps_targets_to_platforms() {
        assert_eq!(platform("aarch64-apple-darwin"), "darwin-arm64");
        assert_eq!(platform("x86_64-pc-windows-msvc"), "win32-x64-msvc");
    }
}
