//! Allowed imports between the parts of ts/. biome checks that modules have no cycles.

use crate::source::{Import, imports, resolve, table};
use crate::tree::Tree;

use super::Finding;

/// Each part of ts/, a folder or a module, and the parts that it may import, lowest first; after the bar, those of
/// which it may import types only.
const PARTS: &str = "
    constants.ts
    text:
    errors.ts: text | constants.ts
    base
    native: base
    identity: base native
    resource-manager: base native identity | stream stream.ts connection connection.ts swarm.ts diagnostics
    io: base | identity
    secure: base native identity io | resource-manager
    io/index.ts: io secure
    stream: base native io | identity resource-manager muxer
    stream.ts: base native io stream | identity resource-manager muxer
    peerstore: base native identity | diagnostics
    connection: base native identity stream resource-manager | muxer connection-manager peerstore
    diagnostics: base native resource-manager connection
    negotiation: base native io stream diagnostics
    connection.ts: base native identity stream stream.ts connection diagnostics negotiation | resource-manager muxer
    connection-manager: base identity resource-manager connection diagnostics connection.ts
    gate: base native identity | diagnostics dial dns
    upgrade: base native identity io | resource-manager connection dial gate
    muxer: base native identity io secure resource-manager stream connection diagnostics negotiation connection.ts \
           upgrade | gate
    dns: base native identity diagnostics
    transport: base identity | io dial muxer
    dial: base native identity connection diagnostics connection.ts transport | gate dns io peerstore
    protocols: base identity io connection connection.ts peerstore
    swarm: base native identity resource-manager stream stream.ts connection diagnostics negotiation connection.ts \
           connection-manager muxer transport gate dial dns protocols peerstore | upgrade io
    swarm.ts: base native identity resource-manager connection diagnostics negotiation connection.ts \
              connection-manager muxer dial dns protocols peerstore swarm upgrade | gate io transport
    testing: base native identity swarm.ts | connection.ts muxer protocols swarm transport
    libp2p: base native identity connection resource-manager
    cli: native identity protocols swarm.ts | connection-manager connection.ts
    index.ts: base native identity stream stream.ts connection diagnostics resource-manager negotiation connection.ts \
              connection-manager muxer transport dial dns protocols peerstore swarm upgrade swarm.ts | gate";

/// Modules that every part may import, as they load nothing.
const LISTS: &[&str] = &["errors.ts", "constants.ts", "text"];

/// The public classes. As they refer to each other, every part from `stream` on may import their types.
const PUBLIC_CLASSES: &[&str] = &["stream.ts", "connection.ts", "swarm.ts"];
const FIRST_WITH_CLASS_TYPES: &str = "stream";

/// Checks imports against the table.
pub(super) fn imports_of_parts(tree: &Tree) -> Vec<Finding> {
    let parts = Parts(table(PARTS));
    let mut findings = Vec::new();
    for (path, source) in tree.under("ts/", ".ts") {
        let Some(importer) = parts.of(path) else {
            let message = "this part of ts/ is missing from the table in xtask/src/tidy/folders.rs";
            findings.push(Finding::new(path, 1, message));
            continue;
        };
        for Import {
            line,
            specifier,
            is_type,
        } in imports(source)
        {
            let target = resolve(path, specifier).and_then(|target| parts.of(&target));
            if let Some(target) = target.filter(|target| !parts.allow(importer, target, is_type)) {
                let message = format!("ts/{importer} must not import ts/{target}");
                findings.push(Finding::new(path, line, message));
            }
        }
    }
    findings
}

struct Parts(Vec<(&'static str, Vec<&'static str>)>);

impl Parts {
    /// Returns the part of a module: itself, or its folder.
    fn of(&self, path: &str) -> Option<&'static str> {
        let path = path.strip_prefix("ts/")?;
        let folder = path.split('/').next().unwrap_or_default();
        [path, folder]
            .into_iter()
            .find_map(|name| Some(self.0[self.position(name)?].0))
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(part, _)| *part == name)
    }

    fn allow(&self, importer: &str, target: &str, is_type: bool) -> bool {
        let place = self.position(importer);
        let words = place.map_or(&[][..], |place| &self.0[place].1);
        let bar = words
            .iter()
            .position(|word| *word == "|")
            .unwrap_or(words.len());
        let uses = if is_type { words } else { &words[..bar] };
        let may_use_class_types = place >= self.position(FIRST_WITH_CLASS_TYPES);
        importer == target
            || uses.contains(&target)
            || (LISTS.contains(&target) && !LISTS.contains(&importer))
            || (is_type && may_use_class_types && PUBLIC_CLASSES.contains(&target))
    }
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    #[test]
    fn every_part_imports_earlier_parts_of_the_table() {
        let parts = Parts(table(PARTS));
        for (part, uses) in &parts.0 {
            let loaded = uses.iter().take_while(|used| **used != "|");
            for used in loaded {
                assert!(
                    parts
                        .position(used)
                        .is_some_and(|place| Some(place) < parts.position(part)),
                    "{part} {used}"
                );
            }
            let types = uses.iter().skip_while(|used| **used != "|").skip(1);
            for used in types {
                assert!(parts.position(used).is_some(), "{part} {used}");
            }
        }
    }

    #[test]
    fn finds_forbidden_imports() {
        let swarm = "import './native/engine.ts'\nimport './index.ts'\nimport './cli/main.ts'\n";
        let engine =
            "import '../errors.ts'\nimport './addon.ts'\nimport type { A } from '../stream.ts'\n";
        let core = "import type { A } from '../stream.ts'\nimport { A } from '../stream.ts'\n\
                    import type { B } from '../muxer/muxed.ts'\nimport '../muxer/muxed.ts'\n";
        let tree = Tree::of(&[
            ("ts/index.ts", "export { a } from './swarm.ts'\n"),
            ("ts/swarm.ts", swarm),
            ("ts/native/engine.ts", engine),
            ("ts/stream/core.ts", core),
            (
                "ts/io/index.ts",
                "import '../secure/a.ts'\nimport './a.ts'\n",
            ),
            ("ts/io/a.ts", "import '../secure/a.ts'\nimport 'node:fs'\n"),
            ("ts/errors.ts", "import './constants.ts'\n"),
            ("ts/other/a.ts", ""),
        ]);
        let expected = [
            ("ts/errors.ts", 1),
            ("ts/io/a.ts", 1),
            ("ts/native/engine.ts", 3),
            ("ts/other/a.ts", 1),
            ("ts/stream/core.ts", 2),
            ("ts/stream/core.ts", 4),
            ("ts/swarm.ts", 2),
            ("ts/swarm.ts", 3),
        ];
        assert_eq!(places(&imports_of_parts(&tree)), expected);
    }
}
