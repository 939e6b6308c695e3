//! Which part of ts/ may import which. That modules have no cycles, biome says.

use crate::source::{Import, imports, resolve, table};
use crate::tree::Tree;

use super::Finding;

/// Each folder of ts/, or module that is a part by itself, and the parts that it may import, lowest first; behind the
/// bar, those of which it may import the types alone.
const PARTS: &str = "
    constants.ts
    errors.ts: | constants.ts
    base
    native: base
    identity: base native
    io: base | identity
    secure: base native identity io
    io/index.ts: io secure
    stream: base native io | identity muxer
    stream.ts: base native io stream | identity muxer
    connection: base native identity stream
    diagnostics: base native connection
    negotiation: base native io stream diagnostics
    connection.ts: base native identity stream stream.ts connection diagnostics negotiation
    muxer: base native io stream connection diagnostics connection.ts
    dial: base native identity connection diagnostics connection.ts
    protocols: base identity io connection connection.ts
    swarm: base native identity stream connection diagnostics negotiation dial protocols
    swarm.ts: base native identity connection diagnostics negotiation connection.ts dial protocols swarm
    cli: native identity protocols swarm.ts
    index.ts: base native identity stream stream.ts diagnostics negotiation connection.ts muxer dial protocols swarm \
              swarm.ts";

/// Every part may import these, which load nothing.
const LISTS: &[&str] = &["errors.ts", "constants.ts"];

/// The public classes. They refer to each other, so that from `stream` on every part may import their types.
const FACES: &[&str] = &["stream.ts", "connection.ts", "swarm.ts"];
const KNOWS_FACES: &str = "stream";

/// Each part imports what the table lets it.
pub(super) fn point_down(tree: &Tree) -> Vec<Finding> {
    let parts = Parts(table(PARTS));
    let mut findings = Vec::new();
    for (path, source) in tree.under("ts/", ".ts") {
        let Some(importer) = parts.of(path) else {
            let sentence = "this part of ts/ is not in the table of xtask/src/tidy/folders.rs";
            findings.push(Finding::new(path, 1, sentence));
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
                let sentence = format!("ts/{importer} does not import ts/{target}");
                findings.push(Finding::new(path, line, sentence));
            }
        }
    }
    findings
}

struct Parts(Vec<(&'static str, Vec<&'static str>)>);

impl Parts {
    /// The part that a module belongs to: itself, or its folder.
    fn of(&self, path: &str) -> Option<&'static str> {
        let path = path.strip_prefix("ts/")?;
        let folder = path.split('/').next().unwrap_or_default();
        [path, folder]
            .into_iter()
            .find_map(|name| Some(self.0[self.place(name)?].0))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(part, _)| *part == name)
    }

    fn allow(&self, importer: &str, target: &str, is_type: bool) -> bool {
        let place = self.place(importer);
        let words = place.map_or(&[][..], |place| &self.0[place].1);
        let bar = words
            .iter()
            .position(|word| *word == "|")
            .unwrap_or(words.len());
        let uses = if is_type { words } else { &words[..bar] };
        let knows_faces = place >= self.place(KNOWS_FACES);
        importer == target
            || uses.contains(&target)
            || (LISTS.contains(&target) && !LISTS.contains(&importer))
            || (is_type && knows_faces && FACES.contains(&target))
    }
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    #[test]
    fn a_part_imports_parts_further_up_in_the_table() {
        let parts = Parts(table(PARTS));
        for (part, uses) in &parts.0 {
            let loaded = uses.iter().take_while(|used| **used != "|");
            for used in loaded {
                assert!(
                    parts
                        .place(used)
                        .is_some_and(|place| Some(place) < parts.place(part)),
                    "{part} {used}"
                );
            }
            let types = uses.iter().skip_while(|used| **used != "|").skip(1);
            for used in types {
                assert!(parts.place(used).is_some(), "{part} {used}");
            }
        }
    }

    #[test]
    fn finds_imports_that_point_up() {
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
        assert_eq!(places(&point_down(&tree)), expected);
    }
}
