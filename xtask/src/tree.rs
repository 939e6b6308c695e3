//! The files of the repository that its authors write, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Where the sources are. Everything else at the top is a tool's or generated.
const FOLDERS: &[&str] = &[
    ".github", "__test__", "bench", "crates", "docs", "examples", "fuzz", "interop", "npm",
    "tools", "ts", "xtask",
];

/// Folders that tools fill, wherever they are.
const GENERATED: &[&str] = &["node_modules", "target", ".build", "dist"];

/// Files larger than this are data.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Paths from the root, with `/`, and the text of each.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Everything under `root` that is text and written by hand.
    ///
    /// # Errors
    /// Those of reading folders and files.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                tree.read_file(
                    &entry.path(),
                    entry.file_name().to_string_lossy().into_owned(),
                )?;
            }
        }
        for folder in FOLDERS {
            if root.join(folder).is_dir() {
                tree.read_folder(&root.join(folder), folder)?;
            }
        }
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, path: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let inside = format!("{path}/{name}");
            if entry.file_type()?.is_dir() {
                if !GENERATED.contains(&name.as_str()) {
                    self.read_folder(&entry.path(), &inside)?;
                }
            } else if !is_generated(&inside) {
                self.read_file(&entry.path(), inside)?;
            }
        }
        Ok(())
    }

    /// What is not UTF-8 is not text.
    fn read_file(&mut self, file: &Path, path: String) -> io::Result<()> {
        if fs::metadata(file)?.len() > FILE_BYTES_MAX {
            return Ok(());
        }
        if let Ok(text) = String::from_utf8(fs::read(file)?) {
            self.files.insert(path, text);
        }
        Ok(())
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

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is such a file or folder; generated files count.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        is_generated(path)
            || self.files.contains_key(path)
            || self.files.keys().any(|file| file.starts_with(&folder))
    }
}

/// What `napi build` makes beside our own files.
fn is_generated(path: &str) -> bool {
    path.starts_with("ts/native/binding.") || path.ends_with(".node")
}

#[cfg(test)]
impl Tree {
    /// A tree of these files.
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
    fn reads_what_is_written_by_hand_and_nothing_else() {
        let root = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        for folder in ["ts/native", "ts/node_modules/x", "target"] {
            fs::create_dir_all(root.join(folder)).expect("a folder in the temporary one");
        }
        for file in [
            "README.md",
            "ts/a.ts",
            "ts/native/binding.js",
            "ts/node_modules/x/b.ts",
            "target/c.rs",
        ] {
            fs::write(root.join(file), "text").expect("a file in the temporary folder");
        }
        fs::write(root.join("ts/d.bin"), [0xFF, 0xFE]).expect("a file in the temporary folder");
        let tree = Tree::read(&root).expect("readable");
        fs::remove_dir_all(&root).expect("removable");
        let paths: Vec<&str> = tree.files().map(|(path, _)| path).collect();
        assert_eq!(paths, ["README.md", "ts/a.ts"]);
    }

    #[test]
    fn knows_files_folders_and_what_is_generated() {
        let tree = Tree::of(&[("ts/io/framing.ts", "")]);
        assert!(tree.has("ts/io/framing.ts"));
        assert!(tree.has("ts/io/"));
        assert!(tree.has("ts/native/binding.js"));
        assert!(!tree.has("ts/i"));
    }
}
