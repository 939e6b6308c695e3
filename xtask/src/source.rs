//! Sources as the checks see them: code without comments and literals, words, imports.

/// A Rust source with comments and the insides of literals blanked; lines and columns stay.
pub(crate) fn rust_code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at + 1..].starts_with(b"/") => line_end(bytes, at),
            b'/' if bytes[at + 1..].starts_with(b"*") => block_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !is_word_byte_before(bytes, at) => raw_string_end(bytes, at),
            b'\'' => character_end(bytes, at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    // Blanking whole characters by bytes leaves spaces only, so what was UTF-8 stays UTF-8.
    String::from_utf8_lossy(&code).into_owned()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    position(bytes, at, |rest| rest[0] == b'\n')
}

/// Block comments nest.
fn block_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0;
    let mut at = at;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return at;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let end = position(bytes, open + 1, |rest| rest.starts_with(&close));
    (end + close.len()).min(bytes.len())
}

/// The end of a character literal; `at` itself for a lifetime.
fn character_end(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at + 1) == Some(&b'\\') {
        let end = position(bytes, at + 3, |rest| rest[0] == b'\'');
        return (end + 1).min(bytes.len());
    }
    // One character, of up to four bytes.
    (2..=5)
        .find(|length| bytes.get(at + length) == Some(&b'\''))
        .filter(|length| {
            std::str::from_utf8(&bytes[at + 1..at + length])
                .is_ok_and(|text| text.chars().count() == 1)
        })
        .map_or(at, |length| at + length + 1)
}

fn position(bytes: &[u8], from: usize, found: impl Fn(&[u8]) -> bool) -> usize {
    (from..bytes.len())
        .find(|at| found(&bytes[*at..]))
        .unwrap_or(bytes.len())
}

fn is_word_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// `br"` and `cr"` are raw strings too; `for"` is not Rust.
fn is_word_byte_before(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1)
        .is_some_and(|before| is_word_byte(bytes[before]) && !b"bc".contains(&bytes[before]))
}

/// The lines, from 1, on which `word` stands by itself.
pub(crate) fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let has = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = at.checked_sub(1).map(|before| line.as_bytes()[before]);
            let after = line.as_bytes().get(at + word.len()).copied();
            !before.is_some_and(is_word_byte) && !after.is_some_and(is_word_byte)
        })
    };
    numbered(text)
        .filter(|(_, line)| has(line))
        .map(|(number, _)| number)
        .collect()
}

/// Lines with their numbers, from 1.
pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// The line, from 1, of a byte.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].bytes().filter(|byte| *byte == b'\n').count()
}

/// Whether a Rust file exists for tests only.
pub(crate) fn is_rust_test(path: &str) -> bool {
    path.split('/').any(|part| {
        matches!(
            part,
            "tests" | "tests.rs" | "testing.rs" | "examples" | "benches"
        )
    })
}

/// What a Rust file ships: everything before its inline tests.
pub(crate) fn shipped(text: &str) -> &str {
    text.match_indices("\n#[cfg(test)]\n")
        .find(|(at, found)| {
            let next = text[at + found.len()..].lines().next().unwrap_or_default();
            next.starts_with("mod ") && next.ends_with('{')
        })
        .map_or(text, |(at, _)| &text[..=at])
}

/// What an import leaves behind when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportKind {
    /// The module is loaded with the importer.
    Static,
    /// The module is loaded by a call.
    Dynamic,
    /// Types alone: nothing is loaded.
    Type,
}

/// An import of a module of JavaScript or TypeScript.
#[derive(Debug)]
pub(crate) struct Import<'a> {
    pub(crate) line: usize,
    pub(crate) specifier: &'a str,
    pub(crate) kind: ImportKind,
}

/// What a module of JavaScript or TypeScript imports.
pub(crate) fn imports(text: &str) -> Vec<Import<'_>> {
    let mut found = Vec::new();
    // Of the statement that a `from` ends.
    let mut is_type = false;
    for (number, line) in numbered(text) {
        let start = line.trim_start();
        if start.starts_with("//") || start.starts_with('*') || start.starts_with("/*") {
            continue;
        }
        if line.starts_with("import ") || line.starts_with("export ") {
            is_type = line.starts_with("import type ") || line.starts_with("export type ");
        }
        for opening in [
            "from '",
            "import '",
            "import('",
            "from \"",
            "import \"",
            "import(\"",
        ] {
            for (at, _) in line.match_indices(opening) {
                let (_, rest) = line.split_at(at + opening.len());
                let quote = opening.chars().next_back().unwrap_or('\'');
                if let Some((specifier, _)) = rest.split_once(quote) {
                    let kind = match (opening.contains('('), is_type) {
                        (true, _) => ImportKind::Dynamic,
                        (false, true) => ImportKind::Type,
                        (false, false) => ImportKind::Static,
                    };
                    found.push(Import {
                        line: number,
                        specifier,
                        kind,
                    });
                }
            }
        }
    }
    found
}

/// The path that a relative specifier in `importer` means; none for a package.
pub(crate) fn resolve(importer: &str, specifier: &str) -> Option<String> {
    if !specifier.starts_with('.') {
        return None;
    }
    let mut parts: Vec<&str> = importer.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// `snake_case` as `camelCase`.
pub(crate) fn camel(snake: &str) -> String {
    let mut words = snake.split('_');
    let mut name = words.next().unwrap_or_default().to_ascii_lowercase();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(&letters.as_str().to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_and_literals_and_keeps_lines() {
        let source = "a // unsafe\n/* unsafe /* x */\n unsafe */ b\n\"unsafe \\\" unsafe\" c\n\
                      r#\"unsafe \" unsafe\"# d br\"unsafe\" e '\\'' '\"' f 'é' &'static g\n";
        let code = rust_code(source);
        assert!(!code.contains("unsafe"), "{code}");
        assert_eq!(code.lines().count(), source.lines().count());
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "b", "c", "d", "b", "e", "f", "&'static", "g"]);
    }

    #[test]
    fn a_lifetime_is_no_literal() {
        let code = rust_code("fn f<'a>(x: &'a str) { unsafe { g('a') } }");
        assert_eq!(lines_with(&code, "unsafe"), [1]);
        assert!(code.contains("&'a str"));
    }

    #[test]
    fn finds_words_and_not_their_parts() {
        assert_eq!(
            lines_with("unsafe_code\nunsafe {\nnot_unsafe", "unsafe"),
            [2]
        );
    }

    #[test]
    fn a_file_ships_what_stands_before_its_tests() {
        let text = "a\n#[cfg(test)]\nmod testing;\nb\n#[cfg(test)]\nmod tests {\nc\n";
        assert_eq!(shipped(text), "a\n#[cfg(test)]\nmod testing;\nb\n");
        assert_eq!(shipped("a\n"), "a\n");
    }

    #[test]
    fn reads_every_form_of_import() {
        use ImportKind::{Dynamic, Static, Type};
        let text = "import { a } from './a.ts'\nimport {\n  b\n} from \"../b.ts\"\nimport 'c'\n\
                    const d = await import('./d.ts')\nexport * from './e.ts'\n// from 'x'\n\
                    import type {\n  f\n} from './f.ts'\nimport { type g } from './g.ts'\n";
        let found: Vec<_> = imports(text)
            .into_iter()
            .map(
                |Import {
                     specifier, kind, ..
                 }| (specifier, kind),
            )
            .collect();
        assert_eq!(
            found,
            [
                ("./a.ts", Static),
                ("../b.ts", Static),
                ("c", Static),
                ("./d.ts", Dynamic),
                ("./e.ts", Static),
                ("./f.ts", Type),
                ("./g.ts", Static)
            ]
        );
    }

    #[test]
    fn resolves_what_is_relative() {
        assert_eq!(
            resolve("ts/io/a.ts", "../native/b.ts").as_deref(),
            Some("ts/native/b.ts")
        );
        assert_eq!(resolve("ts/a.ts", "./b.ts").as_deref(), Some("ts/b.ts"));
        assert_eq!(resolve("ts/a.ts", "node:fs"), None);
    }

    #[test]
    fn turns_snake_into_camel() {
        assert_eq!(camel("socket_bytes_in"), "socketBytesIn");
        assert_eq!(camel("STREAM_OPENED"), "streamOpened");
        assert_eq!(camel("rings"), "rings");
    }
}
