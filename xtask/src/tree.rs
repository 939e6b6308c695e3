//! The files of the repository that its authors write, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Paths from the root, with `/`, and the text of each.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// The files under `root` that are text and that git does not ignore.
    ///
    /// # Errors
    /// A sentence where git does not answer.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let list = [
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ];
        let paths = super::output(root, "git", &list)?;
        let paths = paths.split('\0').filter(|path| !path.is_empty());
        // Binary files are no text, and a file that was deleted is listed until that is committed.
        let read = |path: &str| Some((path.to_owned(), fs::read_to_string(root.join(path)).ok()?));
        Ok(Self {
            files: paths.filter_map(read).collect(),
        })
    }

    /// Every file, by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (&**path, &**text))
    }

    /// The files under a folder that end in `extension`.
    pub(crate) fn under<'a>(
        &'a self,
        folder: &'a str,
        extension: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files()
            .filter(move |(path, _)| path.starts_with(folder) && path.ends_with(extension))
    }

    /// The text of one file; empty where there is none.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Whether there is such a file or folder; files that `napi build` makes count.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.starts_with("ts/native/binding.")
            || path.ends_with(".node")
            || self.files.contains_key(path)
            || self.under(&format!("{path}/"), "").next().is_some()
    }

    /// A tree of these files.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self {
            files: files.iter().map(own).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_git_does_not_ignore() {
        let tree = Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).expect("git");
        assert!(tree.text("xtask/src/tree.rs").starts_with("//! The files"));
        assert_eq!(tree.under("target/", "").next(), None);
    }

    #[test]
    fn knows_files_folders_and_generated_files() {
        let tree = Tree::of(&[("ts/io/framing.ts", "")]);
        assert!(tree.has("ts/io/framing.ts"));
        assert!(tree.has("ts/io/"));
        assert!(tree.has("ts/native/binding.js"));
        assert!(!tree.has("ts/i"));
    }
}
