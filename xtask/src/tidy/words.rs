//! Words restricted to certain files.

use crate::source::{lines_with, rust_code};
use crate::tree::Tree;

use super::Finding;

/// A restriction of words to files.
struct Rule {
    words: &'static [&'static str],
    /// Path prefixes of the files to check.
    within: &'static [&'static str],
    /// Suffix of the files to check.
    extension: &'static str,
    /// Files that may contain the words.
    except: &'static [&'static str],
    message: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["unsafe"],
        within: &["crates/", "fuzz/", "xtask/", "build.rs"],
        extension: ".rs",
        // Node-API, libuv, OpenSSL's assembly, the kernel; and a counting allocator for tests.
        except: &[
            "crates/chacha/src/openssl.rs",
            "crates/chacha/src/openssl/tests.rs",
            "crates/node/src/call.rs",
            "crates/node/src/event_loop.rs",
            "crates/node/src/hot.rs",
            "crates/node/src/wake.rs",
            "crates/proto/tests/counting/mod.rs",
            "crates/send-queue/src/lib.rs",
        ],
        message: "unsafe code is restricted to foreign interfaces, see xtask/src/tidy/words.rs",
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
        message: "only the doorbell calls JavaScript",
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
        message: "only the doorbell calls JavaScript, and no JavaScript value is retained",
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
        within: &[
            "crates/proto/src/",
            "crates/secure/src/",
            "crates/websocket/src/",
        ],
        extension: ".rs",
        except: &["crates/secure/src/identity/keys/tests.rs"],
        message: "proto, secure and websocket are sans-io: bytes and time are arguments",
    },
    Rule {
        words: &["binding.js", "process.dlopen"],
        within: &["ts/", "__test__/", "bench/", "examples/"],
        extension: "s",
        except: &["ts/native/addon.ts"],
        message: "only ts/native/addon.ts imports the binding, which loads the addon",
    },
    Rule {
        // biome finds `test.skip` and `test.only`.
        words: &[".serial.skip(", ".serial.only(", ".failing(", ".todo("],
        within: &["__test__/", "bench/"],
        extension: ".ts",
        except: &[],
        message: "no test is skipped, focused or expected to fail: assert the current behaviour",
    },
    Rule {
        words: &["#[ignore"],
        within: &["crates/", "fuzz/", "xtask/"],
        extension: ".rs",
        except: &[],
        message: "an ignored test tests nothing",
    },
];

pub(super) fn restricted_words(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        let applies = |rule: &&Rule| {
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
        for rule in RULES.iter().filter(applies) {
            for word in rule.words {
                let message = |line| Finding::new(path, line, format!("{word}: {}", rule.message));
                findings.extend(lines_with(&code, word).into_iter().map(message));
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
    fn every_rule_finds_its_words_outside_of_its_exceptions() {
        for rule in RULES {
            for word in rule.words {
                let text = format!("a\n{word}\n// {word}\n");
                let path = format!("{}src/a{}", rule.within[0], rule.extension);
                let mut files = vec![(&*path, &*text), ("docs/a.md", &*text)];
                files.extend(rule.except.iter().map(|path| (*path, &*text)));
                let findings = restricted_words(&Tree::of(&files));
                let of_rule = findings
                    .iter()
                    .filter(|found| found.message.contains(rule.message));
                let found: Vec<Finding> = of_rule.cloned().collect();
                // Rust comments are not checked; those of TypeScript are, as no comment needs these words.
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
