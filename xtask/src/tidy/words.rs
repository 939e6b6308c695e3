//! Words that may stand in one place only.

use crate::source::{lines_with, rust_code};
use crate::tree::Tree;

use super::Finding;

/// A rule about words.
struct Rule {
    words: &'static [&'static str],
    /// Where the rule holds: beginnings of paths.
    within: &'static [&'static str],
    /// How files end for which the rule holds.
    extension: &'static str,
    /// Files that may have the words.
    except: &'static [&'static str],
    sentence: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["unsafe"],
        within: &["crates/", "fuzz/", "xtask/", "build.rs"],
        extension: ".rs",
        // Node-API, libuv, the assembly of OpenSSL, the kernel; and an allocator of tests that counts.
        except: &[
            "crates/chacha/src/openssl.rs",
            "crates/chacha/src/openssl/tests.rs",
            "crates/node/src/event_loop.rs",
            "crates/node/src/hot.rs",
            "crates/node/src/wake.rs",
            "crates/proto/tests/counting/mod.rs",
            "crates/send-queue/src/lib.rs",
        ],
        sentence: "unsafe code stands where Rust meets another language, see xtask/src/tidy/words.rs",
    },
    Rule {
        words: &[
            "napi_call_threadsafe_function",
            "napi_make_callback",
            "napi_create_reference",
        ],
        within: &["crates/node/src/"],
        extension: ".rs",
        except: &["crates/node/src/wake.rs"],
        sentence: "the doorbell alone calls JavaScript",
    },
    Rule {
        words: &[
            "napi_call_function",
            "ThreadsafeFunction",
            "FunctionRef",
            "ObjectRef",
            "Reference",
        ],
        within: &["crates/node/src/"],
        extension: ".rs",
        except: &[],
        sentence: "the doorbell alone calls JavaScript, and no value of it is kept",
    },
    Rule {
        words: &[
            "std::fs",
            "std::net",
            "std::os",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "Instant::now",
            "SystemTime",
            "thread::sleep",
        ],
        within: &["crates/proto/src/", "crates/secure/src/"],
        extension: ".rs",
        except: &["crates/secure/src/identity/keys/tests.rs"],
        sentence: "proto and secure are sans-io: bytes and the time come in as arguments",
    },
    Rule {
        words: &["binding.js", "process.dlopen"],
        within: &["ts/", "__test__/", "bench/", "examples/"],
        extension: "s",
        except: &["ts/native/addon.ts"],
        sentence: "ts/native/addon.ts alone imports the binding, which loads the addon",
    },
    Rule {
        // biome knows `test.skip` and `test.only`.
        words: &[".serial.skip(", ".serial.only(", ".failing(", ".todo("],
        within: &["__test__/", "bench/"],
        extension: ".ts",
        except: &[],
        sentence: "no test is skipped, focused or expected to fail: assert what holds today",
    },
    Rule {
        words: &["#[ignore"],
        within: &["crates/", "fuzz/", "xtask/"],
        extension: ".rs",
        except: &[],
        sentence: "a test that is ignored tests nothing",
    },
];

pub(super) fn stand_in_their_places(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        let holds = |rule: &&Rule| {
            path.ends_with(rule.extension)
                && rule.within.iter().any(|folder| path.starts_with(folder))
                && !rule.except.contains(&path)
        };
        let is_rust = path.ends_with(".rs");
        let code = if is_rust {
            rust_code(text)
        } else {
            text.to_owned()
        };
        for rule in RULES.iter().filter(holds) {
            for word in rule.words {
                let sentence =
                    |line| Finding::new(path, line, format!("{word}: {}", rule.sentence));
                findings.extend(lines_with(&code, word).into_iter().map(sentence));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    #[test]
    fn every_rule_finds_its_words_outside_of_their_places() {
        for rule in RULES {
            for word in rule.words {
                let text = format!("a\n{word}\n// {word}\n");
                let path = format!("{}src/a{}", rule.within[0], rule.extension);
                let mut files = vec![(&*path, &*text), ("docs/a.md", &*text)];
                files.extend(rule.except.iter().map(|path| (*path, &*text)));
                let findings = stand_in_their_places(&Tree::of(&files));
                let of_rule = findings
                    .iter()
                    .filter(|found| found.sentence.contains(rule.sentence));
                let found: Vec<Finding> = of_rule.cloned().collect();
                // A comment of Rust is no code; in TypeScript, the words are no subject of comments.
                let lines = if rule.extension == ".rs" {
                    &[2][..]
                } else {
                    &[2, 3]
                };
                let expected: Vec<_> = lines.iter().map(|line| (&*path, *line)).collect();
                assert_eq!(places(&found), expected, "{word}");
            }
        }
    }

    #[test]
    fn every_exception_is_a_file() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for path in RULES.iter().flat_map(|rule| rule.except) {
            assert!(root.join(path).is_file(), "{path}");
        }
    }
}
