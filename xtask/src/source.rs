//! Parsing of sources for the checks: code without comments and literals, words, imports, tables.

/// Returns a Rust source with comments and literals blanked, line numbers unchanged. Block comments are not supported:
/// there are none.
pub(crate) fn rust_code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = blank_length(rest);
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (blank, after) = rest.split_at(length);
        code.extend(
            blank
                .chars()
                .map(|letter| if letter == '\n' { '\n' } else { ' ' }),
        );
        rest = after;
    }
    code
}

/// Returns the length of the comment or literal at the start of `rest`; 0 for code.
fn blank_length(rest: &str) -> usize {
    let until = |mark: &str, from: usize| {
        let end = rest[from..].find(mark);
        end.map_or(rest.len(), |at| from + at + mark.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("r#\"") {
        return until("\"#", 3);
    }
    if rest.starts_with('"') {
        let mut is_escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, letter)| {
            let ends = *letter == '"' && !is_escaped;
            is_escaped = *letter == '\\' && !is_escaped;
            ends
        });
        return end.map_or(rest.len(), |(at, _)| at + 1);
    }
    // Of character literals, only quotation marks matter.
    let quotes = ["'\"'", "'\\\"'", "'\\''"];
    quotes
        .iter()
        .find(|quote| rest.starts_with(**quote))
        .map_or(0, |quote| quote.len())
}

/// Returns the lines, from 1, that contain `word` as a whole word.
pub(crate) fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let is_letter = |letter: char| letter == '_' || letter.is_ascii_alphanumeric();
    let continues = |inside: Option<char>, outside: Option<char>| {
        inside.is_some_and(is_letter) && outside.is_some_and(is_letter)
    };
    let has = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + word.len()..]);
            !continues(word.chars().next(), before.chars().next_back())
                && !continues(word.chars().next_back(), after.chars().next())
        })
    };
    numbered(text)
        .filter(|(_, line)| has(line))
        .map(|(number, _)| number)
        .collect()
}

/// Enumerates lines, from 1.
pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

/// Returns the line, from 1, of a byte offset.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// Parses a table of lines `name: words`, where the words may be missing.
pub(crate) fn table(text: &str) -> Vec<(&str, Vec<&str>)> {
    let row = |line| {
        let (name, words) = str::split_once(line, ':').unwrap_or((line, ""));
        (name, words.split_whitespace().collect())
    };
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(row)
        .collect()
}

/// An import of a module of JavaScript or TypeScript.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import<'a> {
    pub(crate) line: usize,
    pub(crate) specifier: &'a str,
    /// Type-only: nothing is loaded.
    pub(crate) is_type: bool,
}

/// Returns the imports of a module formatted by biome.
pub(crate) fn imports(text: &str) -> Vec<Import<'_>> {
    let mut found = Vec::new();
    // Whether the statement that the next `from` ends is type-only.
    let mut is_type = false;
    for (line, content) in numbered(text) {
        if ["//", "*", "/*"]
            .iter()
            .any(|mark| content.trim_start().starts_with(mark))
        {
            continue;
        }
        if content.starts_with("import ") || content.starts_with("export ") {
            is_type = content.split(' ').nth(1) == Some("type");
        }
        for opening in ["from '", "import '", "import('"] {
            let specifiers = content
                .split(opening)
                .skip(1)
                .filter_map(|rest| rest.split_once('\''));
            found.extend(specifiers.map(|(specifier, _)| Import {
                line,
                specifier,
                is_type: is_type && opening == "from '",
            }));
        }
    }
    found
}

/// Resolves a relative specifier in `importer`; returns `None` for a package.
pub(crate) fn resolve(importer: &str, specifier: &str) -> Option<String> {
    let mut parts: Vec<&str> = importer.split('/').collect();
    parts.pop();
    for part in specifier.starts_with('.').then(|| specifier.split('/'))? {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_and_literals_and_keeps_lines() {
        let source = "a // unsafe\n\"unsafe \\\" unsafe\n\\\\\" b r#\"unsafe \" unsafe\"# c '\"' d '\\'' e\n\
                      b\"unsafe\" fn f<'a>(x: &'a str)\n";
        let code = rust_code(source);
        assert_eq!(code.lines().count(), source.lines().count());
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "a", "b", "c", "d", "e", "b", "fn", "f<'a>(x:", "&'a", "str)"
            ]
        );
    }

    #[test]
    fn finds_whole_words_only() {
        let text = "unsafe_code\nunsafe {\nnot_unsafe\ntest.failing(";
        assert_eq!(lines_with(text, "unsafe"), [2]);
        assert_eq!(lines_with(text, ".failing("), [4]);
    }

    #[test]
    fn reads_every_form_of_import() {
        let text = "import { a } from './a.ts'\nimport {\n  b\n} from '../b.ts'\nimport 'c'\n\
                    const d = await import('./d.ts')\nexport * from './e.ts'\n// from 'x'\n\
                    import type {\n  f\n} from './f.ts'\nimport { type g } from './g.ts'\n";
        let found = imports(text);
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.specifier, found.is_type))
            .collect();
        let loaded = |specifier| (specifier, false);
        let [a, b, c, d, e, g] =
            ["./a.ts", "../b.ts", "c", "./d.ts", "./e.ts", "./g.ts"].map(loaded);
        assert_eq!(found, [a, b, c, d, e, ("./f.ts", true), g]);
    }

    #[test]
    fn resolves_relative_specifiers() {
        assert_eq!(
            resolve("ts/io/a.ts", "../native/b.ts").as_deref(),
            Some("ts/native/b.ts")
        );
        assert_eq!(resolve("ts/a.ts", "./b.ts").as_deref(), Some("ts/b.ts"));
        assert_eq!(resolve("ts/a.ts", "node:fs"), None);
    }
}
