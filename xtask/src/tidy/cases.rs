//! Case ids beside tests match those of docs/cases.md.

use std::collections::BTreeSet;

use crate::source::numbered;
use crate::tree::Tree;

use super::Finding;

const CASES: &str = "docs/cases.md";

/// Checks that each id is described, and each description has a test.
pub(super) fn case_ids(tree: &Tree) -> Vec<Finding> {
    let described = numbered(tree.text(CASES)).filter_map(|(line, row)| Some((line, id_of(row)?)));
    let described: Vec<(usize, &str)> = described.collect();
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in tree.files().filter(|(path, _)| is_test(path)) {
        for (line, content) in numbered(text) {
            for id in ids(content) {
                used.insert(id);
                if described.iter().all(|(_, known)| *known != id) {
                    findings.push(Finding::new(path, line, format!("{id} is not in {CASES}")));
                }
            }
        }
    }
    for (line, id) in described.iter().filter(|(_, id)| !used.contains(id)) {
        findings.push(Finding::new(CASES, *line, format!("no test has {id}")));
    }
    findings
}

/// Returns the id that a row of the table describes.
fn id_of(row: &str) -> Option<&str> {
    let (id, _) = row.strip_prefix("| ")?.split_once(" |")?;
    is_id(id).then_some(id)
}

fn is_test(path: &str) -> bool {
    (path.starts_with("crates/") && path.ends_with(".rs"))
        || (path.starts_with("__test__/") && path.ends_with(".ts"))
}

/// Matches ids such as `A066`: a capital with one to three digits, or `go` with a number.
fn is_id(text: &str) -> bool {
    let number = text.strip_prefix("go ").or_else(|| {
        text.strip_prefix([
            'A', 'C', 'G', 'I', 'K', 'L', 'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'Y',
        ])
    });
    number.is_some_and(|number| {
        (1..=3).contains(&number.len()) && number.chars().all(|letter| letter.is_ascii_digit())
    })
}

/// Returns the ids at the start of a comment, or in parentheses in a title.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    let comment = line.trim_start().strip_prefix("// ");
    let comment = comment.and_then(|comment| comment.split([':', '.']).next());
    let titles = line
        .split('(')
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(inside, _)| inside);
    titles
        .chain(comment)
        .flat_map(|list| list.split(", ").take_while(|id| is_id(id)))
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    #[test]
    fn finds_ids_without_a_description_and_descriptions_without_a_test() {
        let cases = "| id | case |\n|---|---|\n| A001 | One. |\n| go 12 | Two. |\n| Y3 | Three. |\n| Y5 | Five. |\n";
        let rust = "    // A001, go 12: why\n// Y3. Why.\n// Y4\n// I/O, V8, K-means and N-API\n";
        let tree = Tree::of(&[
            (CASES, cases),
            ("crates/a/src/tests.rs", rust),
            (
                "__test__/unit/a.spec.ts",
                "test('closes (A002)', () => {})\n",
            ),
        ]);
        let expected = [
            ("__test__/unit/a.spec.ts", 1),
            ("crates/a/src/tests.rs", 3),
            (CASES, 6),
        ];
        assert_eq!(places(&case_ids(&tree)), expected);
    }
}
