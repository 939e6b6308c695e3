//! Runs the committed seeds, and checks that every target has a binary and seeds.

use std::fs;
use std::path::{Path, PathBuf};

use ferroswarm_fuzz_targets::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(fuzz().join(folder))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            path.file_stem().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn every_seed_passes_its_target() {
    for (name, target) in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(fuzz().join("seeds").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let seed = fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| target(&seed));
            assert!(outcome.is_ok(), "{} fails", path.display());
            count += 1;
        }
        assert!(count > 0, "{name} has no seeds");
    }
}

#[test]
fn every_target_accepts_empty_and_long_input() {
    for (_, target) in TARGETS {
        target(&[]);
        for byte in [0, 0x7F, 0x80, 0xFF] {
            target(&vec![byte; 10_000]);
        }
    }
}

#[test]
fn every_target_has_a_binary_and_a_seed_folder() {
    let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("fuzz_targets"), known);
    assert_eq!(names("seeds"), known);
}
