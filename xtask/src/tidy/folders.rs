//! Which part of ts/ may import which, and that imports have no cycles.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Import, ImportKind, imports, resolve};
use crate::tree::Tree;

use super::Finding;

/// A folder of ts/, or a module that is a part by itself.
struct Part {
    name: &'static str,
    /// What it may import; each stands further up.
    uses: &'static [&'static str],
    /// What it may import the types of, beside that.
    types: &'static [&'static str],
}

const fn part(
    name: &'static str,
    uses: &'static [&'static str],
    types: &'static [&'static str],
) -> Part {
    Part { name, uses, types }
}

/// The parts, lowest first. `constants.ts` and `errors.ts` load nothing and are everybody's.
const PARTS: &[Part] = &[
    part("constants.ts", &[], &[]),
    part("errors.ts", &[], &["constants.ts"]),
    part("base", &[], &[]),
    part("native", &["base"], &[]),
    part("identity", &["base", "native"], &[]),
    // The subpath ferroswarm/io loads nothing native.
    part("io", &["base"], &["identity"]),
    part("secure", &["base", "native", "identity", "io"], &[]),
    part("io/index.ts", &["io", "secure"], &[]),
    part("stream", &["base", "native", "io"], &["identity", "muxer"]),
    part(
        "stream.ts",
        &["base", "native", "io", "stream"],
        &["identity", "muxer"],
    ),
    part("connection", &["base", "native", "identity", "stream"], &[]),
    part("diagnostics", &["base", "native", "connection"], &[]),
    part(
        "negotiation",
        &["base", "native", "io", "stream", "diagnostics"],
        &[],
    ),
    part(
        "connection.ts",
        &[
            "base",
            "native",
            "identity",
            "stream",
            "stream.ts",
            "connection",
            "diagnostics",
            "negotiation",
        ],
        &[],
    ),
    part(
        "muxer",
        &[
            "base",
            "native",
            "io",
            "stream",
            "connection",
            "diagnostics",
            "connection.ts",
        ],
        &[],
    ),
    part(
        "dial",
        &[
            "base",
            "native",
            "identity",
            "connection",
            "diagnostics",
            "connection.ts",
        ],
        &[],
    ),
    part(
        "protocols",
        &["base", "identity", "io", "connection", "connection.ts"],
        &[],
    ),
    part(
        "swarm",
        &[
            "base",
            "native",
            "identity",
            "stream",
            "connection",
            "diagnostics",
            "negotiation",
            "dial",
            "protocols",
        ],
        &[],
    ),
    part(
        "swarm.ts",
        &[
            "base",
            "native",
            "identity",
            "connection",
            "diagnostics",
            "negotiation",
            "connection.ts",
            "dial",
            "protocols",
            "swarm",
        ],
        &[],
    ),
    part("cli", &["native", "identity", "protocols", "swarm.ts"], &[]),
    part(
        "index.ts",
        &[
            "base",
            "native",
            "identity",
            "stream",
            "stream.ts",
            "diagnostics",
            "negotiation",
            "connection.ts",
            "muxer",
            "dial",
            "protocols",
            "swarm",
            "swarm.ts",
        ],
        &[],
    ),
];

/// What every part may import.
const LISTS: &[&str] = &["errors.ts", "constants.ts"];

/// The public classes. They refer to each other, so whatever stands on streams may import their types.
const FACES: &[&str] = &["stream.ts", "connection.ts", "swarm.ts"];

/// The lowest part that knows of the public classes.
const KNOWS_FACES: &str = "stream";

/// Each part imports what the table lets it.
pub(super) fn point_down(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.under("ts/", ".ts") {
        let Some(importer) = part_of(path) else {
            let sentence = "this part of ts/ is not in the table of xtask/src/tidy/folders.rs";
            findings.push(Finding::new(path, 1, sentence));
            continue;
        };
        for Import {
            line,
            specifier,
            kind,
        } in imports(source)
        {
            // What is not in ts/ is nothing that this table knows.
            let target = resolve(path, specifier).filter(|target| target.starts_with("ts/"));
            let Some(target) = target.as_deref().and_then(part_of) else {
                continue;
            };
            if !may_import(importer, target, kind) {
                let what = match kind {
                    ImportKind::Type => "the types of ",
                    ImportKind::Static | ImportKind::Dynamic => "",
                };
                let sentence = format!(
                    "ts/{} does not import {what}ts/{}",
                    importer.name, target.name
                );
                findings.push(Finding::new(path, line, sentence));
            }
        }
    }
    findings
}

/// The part that a module belongs to: itself, or its folder.
fn part_of(path: &str) -> Option<&'static Part> {
    let path = path.strip_prefix("ts/")?;
    let folder = path.split_once('/').map(|(folder, _)| folder);
    let named = |name: &str| PARTS.iter().find(|part| part.name == name);
    named(path).or_else(|| named(folder?))
}

fn may_import(importer: &Part, target: &Part, kind: ImportKind) -> bool {
    let uses_types = kind == ImportKind::Type && importer.types.contains(&target.name);
    if importer.name == target.name || importer.uses.contains(&target.name) || uses_types {
        return true;
    }
    if LISTS.contains(&target.name) {
        return !LISTS.contains(&importer.name);
    }
    let knows_faces = place_of(importer.name) >= place_of(KNOWS_FACES);
    kind == ImportKind::Type && knows_faces && FACES.contains(&target.name)
}

fn place_of(name: &str) -> Option<usize> {
    PARTS.iter().position(|part| part.name == name)
}

/// No module imports itself, directly or through others: modules of a cycle are loaded in an order that depends on who
/// is imported first. Imports of types load nothing and do not count.
pub(super) fn have_no_cycles(tree: &Tree) -> Vec<Finding> {
    let mut graph: Graph<'_> = BTreeMap::new();
    for (path, source) in tree.under("ts/", ".ts") {
        let loaded = imports(source)
            .into_iter()
            .filter(|import| import.kind != ImportKind::Type)
            .filter_map(|import| Some((resolve(path, import.specifier)?, import.line)));
        graph.insert(path, loaded.collect());
    }
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for path in graph.keys() {
        walk(&graph, path, &mut Vec::new(), &mut seen, &mut findings);
    }
    findings
}

/// What each module loads, and in which line.
type Graph<'a> = BTreeMap<&'a str, Vec<(String, usize)>>;

/// Depth first: an import of a module that is on the way to itself closes a cycle.
fn walk<'a>(
    graph: &'a Graph<'_>,
    path: &'a str,
    way: &mut Vec<&'a str>,
    seen: &mut BTreeSet<&'a str>,
    findings: &mut Vec<Finding>,
) {
    if !seen.insert(path) {
        return;
    }
    way.push(path);
    for (target, line) in graph.get(path).into_iter().flatten() {
        match way.iter().position(|on_the_way| on_the_way == target) {
            Some(at) => {
                let cycle = way[at..].join(" imports ");
                let sentence = format!("{cycle} imports {target}: a cycle");
                findings.push(Finding::new(path, *line, sentence));
            }
            None => walk(graph, target, way, seen, findings),
        }
    }
    way.pop();
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn what_a_part_imports_stands_further_up() {
        for (place, part) in PARTS.iter().enumerate() {
            for used in part.uses {
                let above = place_of(used);
                assert!(
                    above.is_some_and(|above| above < place),
                    "{} {used}",
                    part.name
                );
            }
            for used in part.types {
                assert!(place_of(used).is_some(), "{} {used}", part.name);
            }
        }
    }

    #[test]
    fn names_an_import_that_points_up() {
        let tree = Tree::of(&[
            ("ts/index.ts", "export { a } from './swarm.ts'\n"),
            (
                "ts/swarm.ts",
                "import './native/engine.ts'\nimport './index.ts'\nimport './cli/main.ts'\n",
            ),
            (
                "ts/native/engine.ts",
                "import '../errors.ts'\nimport './addon.ts'\nimport type { A } from '../stream.ts'\n",
            ),
            (
                "ts/stream/core.ts",
                "import type { A } from '../stream.ts'\nimport { A } from '../stream.ts'\n\
                 import type { B } from '../muxer/muxed.ts'\nimport '../muxer/muxed.ts'\n",
            ),
            (
                "ts/io/index.ts",
                "import '../secure/a.ts'\nimport './a.ts'\n",
            ),
            ("ts/io/a.ts", "import '../secure/a.ts'\nimport 'node:fs'\n"),
            ("ts/errors.ts", "import './constants.ts'\n"),
            ("ts/other/a.ts", ""),
        ]);
        assert_eq!(
            places(&point_down(&tree)),
            [
                ("ts/errors.ts", 1),
                ("ts/io/a.ts", 1),
                ("ts/native/engine.ts", 3),
                ("ts/other/a.ts", 1),
                ("ts/stream/core.ts", 2),
                ("ts/stream/core.ts", 4),
                ("ts/swarm.ts", 2),
                ("ts/swarm.ts", 3)
            ]
        );
    }

    #[test]
    fn names_a_cycle_once() {
        let tree = Tree::of(&[
            ("ts/a.ts", "import './b.ts'\nimport './c.ts'\n"),
            ("ts/b.ts", "import './c.ts'\n"),
            (
                "ts/c.ts",
                "import type { A } from './a.ts'\nconst b = () => import('./b.ts')\n",
            ),
            ("ts/d.ts", "import './d.ts'\n"),
        ]);
        let found = have_no_cycles(&tree);
        assert_eq!(places(&found), [("ts/c.ts", 2), ("ts/d.ts", 1)]);
    }
}
