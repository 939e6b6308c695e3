//! The packages that carry the addon of one platform each, and those of others that the lock file names.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tree::Tree;

use super::Finding;

const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";

/// What a package asks for; the root alone asks for the last.
const DEPENDENCIES: [&str; 4] = [
    "dependencies",
    "optionalDependencies",
    "peerDependencies",
    "devDependencies",
];

/// `npm/*` against `napi.targets` of package.json, names and versions included.
pub(super) fn native_packages(tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = json(tree, MANIFEST) else {
        return vec![Finding::new(MANIFEST, 1, "is no JSON")];
    };
    let mut findings = Vec::new();
    let mut wanted = BTreeSet::new();
    for target in manifest["napi"]["targets"].as_array().into_iter().flatten() {
        let target = target.as_str().unwrap_or_default();
        match platform(target) {
            Some(platform) => {
                wanted.insert(platform);
            }
            None => findings.push(Finding::new(
                MANIFEST,
                1,
                format!("target {target} is not known"),
            )),
        }
    }
    let found: BTreeSet<String> = tree
        .under("npm/", "")
        .filter_map(|(path, _)| path.split('/').nth(1).map(ToOwned::to_owned))
        .collect();
    for platform in wanted.difference(&found) {
        let sentence =
            format!("npm/{platform} is missing: run `napi create-npm-dirs --npm-dir npm`");
        findings.push(Finding::new(MANIFEST, 1, sentence));
    }
    for platform in found.difference(&wanted) {
        let path = format!("npm/{platform}/package.json");
        findings.push(Finding::new(&path, 1, "is no target of package.json"));
    }
    for platform in wanted.intersection(&found) {
        findings.extend(differences(tree, &manifest, platform));
    }
    findings
}

fn differences(tree: &Tree, manifest: &Value, platform: &str) -> Vec<Finding> {
    let path = format!("npm/{platform}/package.json");
    let own = json(tree, &path).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let napi = &manifest["napi"];
    [
        ("name", format!("{}-{platform}", text(&napi["packageName"]))),
        (
            "main",
            format!("{}.{platform}.node", text(&napi["binaryName"])),
        ),
        ("version", text(&manifest["version"])),
        ("license", text(&manifest["license"])),
    ]
    .iter()
    .filter(|(key, expected)| text(&own[key]) != *expected)
    .map(|(key, expected)| Finding::new(&path, 1, format!("{key} is not {expected}")))
    .collect()
}

/// package-lock.json against package.json: what it asks for, and that something depends on each package. npm never
/// installs one that nothing depends on, so that every script would find packages missing and install all again.
pub(super) fn lock_file(tree: &Tree) -> Vec<Finding> {
    let (Some(manifest), Some(lock)) = (json(tree, MANIFEST), json(tree, LOCK)) else {
        return vec![Finding::new(LOCK, 1, "or package.json is no JSON")];
    };
    let mut findings = Vec::new();
    for key in DEPENDENCIES.into_iter().chain(["name", "version"]) {
        if lock["packages"][""][key] != manifest[key] {
            let sentence = format!("{key} is not that of package.json: run `npm install`");
            findings.push(Finding::new(LOCK, 1, sentence));
        }
    }
    let empty = serde_json::Map::new();
    let packages = lock["packages"].as_object().unwrap_or(&empty);
    let mut reached = BTreeSet::from([""]);
    let mut waiting = vec![""];
    while let Some(path) = waiting.pop() {
        for name in asked_for(&packages[path], path.is_empty()) {
            let found = places_of(path, name).find_map(|place| packages.get_key_value(&place));
            if let Some((place, _)) = found
                && reached.insert(place)
            {
                waiting.push(place);
            }
        }
    }
    for path in packages
        .keys()
        .filter(|path| !reached.contains(path.as_str()))
    {
        let sentence = format!("nothing depends on {path}: run `npm prune`");
        findings.push(Finding::new(LOCK, 1, sentence));
    }
    findings
}

fn asked_for(package: &Value, is_root: bool) -> impl Iterator<Item = &str> {
    DEPENDENCIES
        .into_iter()
        .filter(move |key| is_root || *key != "devDependencies")
        .filter_map(|key| package[key].as_object())
        .flat_map(|names| names.keys().map(String::as_str))
}

/// Where Node looks for a package of this name, the nearest first.
fn places_of<'a>(path: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    std::iter::successors(Some(path), |path| {
        let (above, _) = path.rsplit_once("node_modules/")?;
        Some(above.trim_end_matches('/'))
    })
    .map(move |folder| match folder {
        "" => format!("node_modules/{name}"),
        _ => format!("{folder}/node_modules/{name}"),
    })
}

fn json(tree: &Tree, path: &str) -> Option<Value> {
    serde_json::from_str(tree.text(path)?).ok()
}

/// What napi calls a target.
fn platform(target: &str) -> Option<String> {
    let mut parts = target.split('-');
    let architecture = match parts.next()? {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        _ => return None,
    };
    let rest: Vec<&str> = parts.collect();
    match rest.as_slice() {
        ["unknown", "linux", libc] => Some(format!("linux-{architecture}-{libc}")),
        ["apple", "darwin"] => Some(format!("darwin-{architecture}")),
        ["pc", "windows", abi] => Some(format!("win32-{architecture}-{abi}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    const ROOT: &str = r#"{ "version": "1.0.0", "license": "MIT",
        "napi": { "binaryName": "f", "packageName": "@f/n", "targets": ["x86_64-unknown-linux-gnu"] } }"#;

    fn package(version: &str) -> String {
        format!(
            r#"{{ "name": "@f/n-linux-x64-gnu", "main": "f.linux-x64-gnu.node", "version": "{version}", "license": "MIT" }}"#
        )
    }

    #[test]
    fn takes_a_folder_for_each_target() {
        let good = package("1.0.0");
        let tree = Tree::of(&[(MANIFEST, ROOT), ("npm/linux-x64-gnu/package.json", &good)]);
        assert_eq!(native_packages(&tree), []);
    }

    #[test]
    fn names_folders_that_are_missing_or_left_over() {
        let tree = Tree::of(&[(MANIFEST, ROOT), ("npm/linux-x64-musl/package.json", "{}")]);
        assert_eq!(
            places(&native_packages(&tree)),
            [(MANIFEST, 1), ("npm/linux-x64-musl/package.json", 1)]
        );
    }

    #[test]
    fn names_a_version_out_of_step() {
        let old = package("0.9.0");
        let tree = Tree::of(&[(MANIFEST, ROOT), ("npm/linux-x64-gnu/package.json", &old)]);
        assert_eq!(
            places(&native_packages(&tree)),
            [("npm/linux-x64-gnu/package.json", 1)]
        );
    }

    /// A lock file of these packages for a manifest that asks for `a`.
    fn locked(packages: &str) -> Vec<Finding> {
        let manifest = r#"{ "name": "f", "version": "1.0.0", "dependencies": { "a": "^1" } }"#;
        let lock = format!(r#"{{ "packages": {{ "": {manifest}, {packages} }} }}"#);
        lock_file(&Tree::of(&[(MANIFEST, manifest), (LOCK, &lock)]))
    }

    #[test]
    fn takes_a_lock_file_whose_packages_are_all_asked_for() {
        let findings = locked(
            r#""node_modules/a": { "dependencies": { "@s/b": "1" } },
               "node_modules/a/node_modules/@s/b": { "peerDependencies": { "c": "1" } },
               "node_modules/c": { "optionalDependencies": { "@s/b": "2", "gone": "1" } },
               "node_modules/@s/b": {}"#,
        );
        assert_eq!(findings, []);
    }

    #[test]
    fn names_a_locked_package_that_nothing_depends_on() {
        let findings = locked(
            r#""node_modules/a": { "devDependencies": { "b": "1" } }, "node_modules/b": {}"#,
        );
        assert_eq!(places(&findings), [(LOCK, 1)]);
        assert!(findings[0].sentence.contains("node_modules/b"));
    }

    #[test]
    fn names_a_lock_file_of_other_dependencies() {
        let manifest = r#"{ "version": "1.0.0", "dependencies": { "a": "^2" } }"#;
        let lock = r#"{ "packages": { "": { "version": "1.0.0", "dependencies": { "a": "^1" } },
            "node_modules/a": {} } }"#;
        let tree = Tree::of(&[(MANIFEST, manifest), (LOCK, lock)]);
        assert_eq!(places(&lock_file(&tree)), [(LOCK, 1)]);
    }

    #[test]
    fn knows_the_targets() {
        assert_eq!(
            platform("aarch64-apple-darwin").as_deref(),
            Some("darwin-arm64")
        );
        assert_eq!(
            platform("x86_64-pc-windows-msvc").as_deref(),
            Some("win32-x64-msvc")
        );
        assert_eq!(platform("riscv64-unknown-linux-gnu"), None);
    }
}
