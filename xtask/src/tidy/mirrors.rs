//! Lists that are kept on both sides of the boundary, and in the documents about it.

use crate::source::{camel, numbered};
use crate::tree::Tree;

use super::Finding;

/// One entry of a list: its name as the other side would spell it, its value, its line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    value: Option<i64>,
    line: usize,
}

/// A list in one file.
struct List<'a> {
    path: &'a str,
    entries: Vec<Entry>,
}

const ERROR_CODE: &str = "crates/node/src/error_code.rs";
const ERRORS: &str = "ts/errors.ts";
const RECORD_RS: &str = "crates/node/src/record.rs";
const RECORD_TS: &str = "ts/native/record.ts";
const ENVIRONMENT: &str = "crates/runtime/src/environment/mod.rs";
const REGISTRY: &str = "crates/runtime/src/registry.rs";
const STATS: &str = "crates/runtime/src/stats.rs";
const COUNTERS: &str = "ts/native/counters.ts";
const HOT: &str = "crates/node/src/hot.rs";
const ADDON: &str = "ts/native/addon.ts";
const STATE: &str = "crates/proto/src/stream/state.rs";
const CONSTANTS: &str = "ts/constants.ts";
const CONFIG: &str = "crates/runtime/src/config.rs";
const OPTIONS: &str = "crates/node/src/options.rs";
const LIMITS: &str = "docs/limits.md";
const BOUNDARY: &str = "docs/boundary.md";
const DIAGNOSTICS: &str = "docs/diagnostics.md";
const DIAGNOSTICS_RS: &str = "crates/runtime/src/diagnostics.rs";
const DIAGNOSTICS_TS: &str = "ts/diagnostics/codes.ts";
const DIAGNOSTIC_RS: &str = "crates/node/src/diagnostic.rs";
const DIAGNOSTIC_TS: &str = "ts/native/diagnostic.ts";

pub(super) fn error_codes(tree: &Tree) -> Vec<Finding> {
    let rust = list(tree, ERROR_CODE, "codes! {", "}", |line| pair(line, '='));
    let typescript = list(tree, ERRORS, "export const ERROR_CODES = {", "}", |line| {
        pair(line, ':')
    });
    compare(&rust, &typescript)
}

pub(super) fn records(tree: &Tree) -> Vec<Finding> {
    let constant = |line: &str| {
        let (name, value) = pair(line.strip_prefix("pub(crate) const ")?, '=')?;
        Some((name.split(':').next()?.to_owned(), value))
    };
    let rust = list(tree, RECORD_RS, "", "", constant);
    let (flags, kinds): (Vec<Entry>, Vec<Entry>) = rust
        .entries
        .into_iter()
        .filter(|entry| entry.name != "WORDS")
        .partition(|entry| entry.name.starts_with("FLAG_"));
    let kinds = List {
        path: RECORD_RS,
        entries: kinds
            .into_iter()
            .map(|entry| Entry {
                name: camel(&entry.name),
                ..entry
            })
            .collect(),
    };
    let flags = List {
        path: RECORD_RS,
        entries: flags,
    };
    let typescript = list(
        tree,
        RECORD_TS,
        "export const RecordKind = {",
        "}",
        |line| pair(line, ':'),
    );
    let documented = table(tree, BOUNDARY, "| kind | name |");
    let mut findings = compare(&kinds, &typescript);
    findings.extend(compare(&kinds, &documented));
    findings.extend(compare(
        &flags,
        &list(tree, RECORD_TS, "", "", |line| constants(line, &["FLAG_"])),
    ));
    findings.extend(compare(
        &list(tree, RECORD_RS, "", "", |line| {
            let (name, value) = constant(line)?;
            (name == "WORDS").then(|| ("RECORD_WORDS".to_owned(), value))
        }),
        &list(tree, RECORD_TS, "", "", |line| {
            constants(line, &["RECORD_WORDS"])
        }),
    ));
    findings.extend(compare(
        &list(tree, ENVIRONMENT, "", "", |line| {
            let (name, value) = pair(line.strip_prefix("const ")?, '=')?;
            name.starts_with("RECORDS_PER_ENTRY:")
                .then(|| ("RECORDS_PER_ENTRY".to_owned(), value))
        }),
        &list(tree, RECORD_TS, "", "", |line| {
            constants(line, &["RECORDS_PER_ENTRY"])
        }),
    ));
    findings
}

pub(super) fn handles(tree: &Tree) -> Vec<Finding> {
    let rust = list(tree, REGISTRY, "", "", |line| {
        let (_, declared) = line.split_once("const ")?;
        let (name, value) = pair(declared, '=')?;
        match name.split(':').next()? {
            "INDEX_BITS" => Some(("HANDLE_INDEX_MASK".to_owned(), Some((1 << value?) - 1))),
            "HANDLE_PENDING" => Some(("UNSETTLED".to_owned(), value)),
            _ => None,
        }
    });
    let names = ["HANDLE_INDEX_MASK", "UNSETTLED"];
    compare(
        &rust,
        &list(tree, RECORD_TS, "", "", |line| constants(line, &names)),
    )
}

/// Their order counts: numbers cross, names do not.
pub(super) fn counters(tree: &Tree) -> Vec<Finding> {
    let rust = list(tree, STATS, "counters! {", "}", |line| {
        let name = line.strip_suffix(',').filter(|name| is_name(name))?;
        Some((camel(name), None))
    });
    let typescript = list(
        tree,
        COUNTERS,
        "export const COUNTER_NAMES = [",
        "]",
        |line| {
            let name = line.trim_end_matches(',').strip_prefix('\'')?;
            Some((name.strip_suffix('\'')?.to_owned(), None))
        },
    );
    compare(&placed(rust), &placed(typescript))
}

/// The codes of diagnostic facts, and the layout in which they cross.
pub(super) fn diagnostics(tree: &Tree) -> Vec<Finding> {
    let rust = list(
        tree,
        DIAGNOSTICS_RS,
        "    pub const fn code(",
        "    }",
        |line| {
            let (variant, value) = line.strip_prefix("Self::")?.split_once(" => ")?;
            let name = variant.split([' ', '(']).next()?;
            Some((lower_first(name), number(value.trim_end_matches(','))))
        },
    );
    let typescript = list(
        tree,
        DIAGNOSTICS_TS,
        "export const DiagnosticCode = {",
        "}",
        |line| pair(line, ':'),
    );
    let documented = table(tree, DIAGNOSTICS, "| code | name |");
    let layout = list(tree, DIAGNOSTIC_RS, "", "", |line| {
        let (name, value) = pair(line.strip_prefix("pub(crate) const ")?, '=')?;
        Some((name.split(':').next()?.to_owned(), value))
    });
    let mut findings = compare(&rust, &typescript);
    findings.extend(compare(&rust, &documented));
    findings.extend(compare(
        &layout,
        &list(tree, DIAGNOSTIC_TS, "", "", |line| {
            constants(line, &["DIAGNOSTIC_"])
        }),
    ));
    findings
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_lowercase().to_string() + letters.as_str()
    })
}

pub(super) fn hot_calls(tree: &Tree) -> Vec<Finding> {
    let rust = list(tree, HOT, "pub(crate) const CALLS", "]", |line| {
        let (name, _) = line.strip_prefix("(c\"")?.split_once('"')?;
        Some((name.to_owned(), None))
    });
    let typescript = list(tree, ADDON, "export interface HotCalls {", "}", |line| {
        let (name, _) = line.split_once('(').filter(|(name, _)| is_name(name))?;
        Some((name.to_owned(), None))
    });
    let mut findings = compare(&rust, &typescript);
    let document = tree.text(BOUNDARY).unwrap_or_default();
    for entry in &rust.entries {
        if !document.contains(&format!("`{}(", entry.name))
            && !document.contains(&format!("`{}`", entry.name))
        {
            let sentence = format!("{BOUNDARY} says nothing of {}", entry.name);
            findings.push(Finding::new(HOT, entry.line, sentence));
        }
    }
    findings
}

pub(super) fn framings(tree: &Tree) -> Vec<Finding> {
    let rust = list(tree, HOT, "", "", |line| {
        let (value, name) = line.split_once(" => Framing::")?;
        Some((
            name.trim_end_matches(',').to_ascii_lowercase(),
            number(value),
        ))
    });
    let text = tree.text(RECORD_TS).unwrap_or_default();
    let found = numbered(text).find_map(|(line, content)| {
        let inside = content.strip_prefix("export const Framing = {")?;
        Some((line, inside.split_once('}')?.0))
    });
    let entries = found.map_or_else(Vec::new, |(line, inside)| {
        let pairs = inside.split(',').filter_map(|part| pair(part.trim(), ':'));
        pairs
            .map(|(name, value)| Entry { name, value, line })
            .collect()
    });
    compare(
        &rust,
        &List {
            path: RECORD_TS,
            entries,
        },
    )
}

pub(super) fn stream_states(tree: &Tree) -> Vec<Finding> {
    let rust = list(tree, STATE, "pub enum State {", "}", |line| {
        let (name, value) = pair(line, '=')?;
        Some((screaming(&name), value))
    });
    let typescript = list(
        tree,
        CONSTANTS,
        "export const StreamState = {",
        "}",
        |line| pair(line, ':'),
    );
    compare(&rust, &typescript)
}

/// Defaults of the runtime, of the facade, and of the documented options.
pub(super) fn limits(tree: &Tree) -> Vec<Finding> {
    let options = option_names(tree);
    let mut rust = list(tree, CONFIG, "impl Default for Limits {", "}", |line| {
        let (name, value) = line.strip_suffix(',')?.split_once(": ")?;
        is_name(name).then(|| (name.to_owned(), duration(value).or_else(|| number(value))))
    });
    rust.entries.retain_mut(|entry| {
        let option = options.iter().find(|(field, _)| *field == entry.name);
        option.is_some_and(|(_, name)| {
            entry.name.clone_from(name);
            true
        })
    });
    let start = "export const DEFAULT_LIMITS";
    let typescript = list(tree, CONSTANTS, start, "})", |line| pair(line, ':'));
    let documented = list(tree, LIMITS, "", "", |line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let name = cells
            .next()?
            .trim()
            .strip_suffix('`')?
            .strip_prefix("limits.")?;
        Some((name.to_owned(), number(cells.next()?.trim())))
    });
    let mut findings = compare(&rust, &typescript);
    findings.extend(compare(&rust, &documented));
    findings
}

/// Fields of the runtime's limits and the option that sets each, as the addon maps them.
fn option_names(tree: &Tree) -> Vec<(String, String)> {
    let mut names = Vec::new();
    let mut field = String::new();
    let text = tree.text(OPTIONS).unwrap_or_default();
    let body = text.split_once("\nfn limits(").map_or("", |(_, body)| body);
    for line in body.lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(':')
            && is_name(name)
        {
            field = name.to_owned();
        }
        let given = line.split_once("given.").map_or_else(
            // rustfmt breaks a long chain behind `given`.
            || line.strip_prefix('.'),
            |(_, rest)| Some(rest),
        );
        let given =
            given.and_then(|rest| rest.split(|letter: char| !is_name_letter(letter)).next());
        if let Some(option) = given.filter(|option| !option.is_empty() && *option != "unwrap_or")
            && names.iter().all(|(known, _)| *known != field)
        {
            names.push((field.clone(), camel(option)));
        }
    }
    names
}

/// Entries of `path` between the line that starts with `from` and the first one that starts with
/// `to`; of the whole file where they are empty.
fn list<'a>(
    tree: &Tree,
    path: &'a str,
    from: &str,
    to: &str,
    entry: impl Fn(&str) -> Option<(String, Option<i64>)>,
) -> List<'a> {
    let text = tree.text(path).unwrap_or_default();
    let lines = numbered(text).skip_while(|(_, line)| !line.starts_with(from));
    let skipped = usize::from(!from.is_empty());
    let entries = lines
        .skip(skipped)
        .take_while(|(_, line)| to.is_empty() || !line.starts_with(to))
        .filter_map(|(line, content)| {
            let (name, value) = entry(content.trim())?;
            Some(Entry { name, value, line })
        })
        .collect();
    List { path, entries }
}

/// The rows of a document's table that starts with `head`: a number, then the name it stands for.
fn table<'a>(tree: &Tree, path: &'a str, head: &str) -> List<'a> {
    list(tree, path, head, "", |line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let value = number(cells.next()?)?;
        Some((cells.next()?.trim_matches('`').to_owned(), Some(value)))
    })
}

fn compare(left: &List<'_>, right: &List<'_>) -> Vec<Finding> {
    for (empty, other) in [(left, right), (right, left)] {
        if empty.entries.is_empty() {
            let sentence = format!("the list that mirrors {} is not found", other.path);
            return vec![Finding::new(empty.path, 1, sentence)];
        }
    }
    let mut findings = missing(left, right);
    findings.extend(missing(right, left));
    for entry in &left.entries {
        let same = right.entries.iter().find(|other| other.name == entry.name);
        if let Some(other) = same.filter(|other| other.value != entry.value) {
            let said = |value: Option<i64>| {
                value.map_or_else(|| "no number".to_owned(), |value| value.to_string())
            };
            let sentence = format!(
                "{} is {} here and {} in {}",
                entry.name,
                said(other.value),
                said(entry.value),
                left.path
            );
            findings.push(Finding::new(right.path, other.line, sentence));
        }
    }
    findings
}

fn missing(list: &List<'_>, from: &List<'_>) -> Vec<Finding> {
    list.entries
        .iter()
        .filter(|entry| from.entries.iter().all(|other| other.name != entry.name))
        .map(|entry| {
            let sentence = format!("{} is missing in {}", entry.name, from.path);
            Finding::new(list.path, entry.line, sentence)
        })
        .collect()
}

/// The place of each entry as its value.
fn placed(list: List<'_>) -> List<'_> {
    let entries = list.entries.into_iter().zip(0..);
    List {
        path: list.path,
        entries: entries
            .map(|(entry, place)| Entry {
                value: Some(place),
                ..entry
            })
            .collect(),
    }
}

/// `name = value,` or `name: value`.
fn pair(line: &str, separator: char) -> Option<(String, Option<i64>)> {
    let (name, value) = line.split_once(separator)?;
    let name = name.trim();
    let first = name.split(':').next().unwrap_or_default();
    is_name(first).then(|| {
        (
            name.to_owned(),
            number(value.trim_end_matches([',', ';']).trim()),
        )
    })
}

/// An exported constant of TypeScript whose name starts with one of these.
fn constants(line: &str, names: &[&str]) -> Option<(String, Option<i64>)> {
    let (name, value) = pair(line.strip_prefix("export const ")?, '=')?;
    names
        .iter()
        .any(|wanted| name.starts_with(wanted))
        .then_some((name, value))
}

fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_letter)
}

/// A literal, a product of them, or one shifted left.
fn number(text: &str) -> Option<i64> {
    if let Some((left, right)) = text.split_once("<<") {
        return Some(number(left)? << number(right)?);
    }
    if text.contains('*') {
        return text.split('*').map(number).product();
    }
    let digits = text.trim().replace(['_', ','], "");
    digits.strip_prefix("0x").map_or_else(
        || digits.parse().ok(),
        |hexadecimal| i64::from_str_radix(hexadecimal, 16).ok(),
    )
}

/// Milliseconds.
fn duration(text: &str) -> Option<i64> {
    let (unit, rest) = text.strip_prefix("Duration::from_")?.split_once('(')?;
    let count = number(rest.strip_suffix(')')?)?;
    match unit {
        "secs" => Some(count * 1_000),
        "millis" => Some(count),
        _ => None,
    }
}

/// `CloseRead` as `CLOSE_READ`.
fn screaming(name: &str) -> String {
    let mut result = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !result.is_empty() {
            result.push('_');
        }
        result.push(letter.to_ascii_uppercase());
    }
    result
}

#[cfg(test)]
mod tests;
