use super::super::tests::places;
use super::*;

#[test]
fn compares_error_codes() {
    let rust = "macro_rules! codes {\n}\ncodes! {\n    ERR_A = 100,\n    ERR_B = 101,\n}\n";
    let same = "export const ERROR_CODES = {\n  ERR_A: 100,\n  ERR_B: 101\n} as const\n";
    let other = "export const ERROR_CODES = {\n  ERR_A: 102,\n  ERR_C: 101\n} as const\n";
    assert!(error_codes(&Tree::of(&[(ERROR_CODE, rust), (ERRORS, same)])).is_empty());
    assert_eq!(
        places(&error_codes(&Tree::of(&[
            (ERROR_CODE, rust),
            (ERRORS, other)
        ]))),
        [(ERROR_CODE, 5), (ERRORS, 3), (ERRORS, 2)]
    );
    assert_eq!(
        places(&error_codes(&Tree::of(&[(ERROR_CODE, rust)]))),
        [(ERRORS, 1)]
    );
}

const RECORDS: &str = "pub(crate) const WORDS: usize = 4;\n\
                       pub(crate) const STREAM_OPENED: u32 = 1;\n\
                       pub(crate) const FLAG_REMOTE: u32 = 1;\n";

const ROOM: &str = "const RECORDS_PER_ENTRY: usize = 6;\n";

const KINDS: &str = "| kind | name | handle |\n|---|---|---|\n| 1 | streamOpened | stream |\n";

fn record_ts(words: u32, kind: u32, flag: u32) -> String {
    format!(
        "export const RECORD_WORDS = {words}\nexport const RecordKind = {{\n  streamOpened: {kind}\n}} as const\n\
         export const FLAG_REMOTE = {flag}\nexport const RECORDS_PER_ENTRY = 6\n"
    )
}

#[test]
fn compares_the_layout_of_records() {
    let found = |text: &str, kinds: &str| {
        records(&Tree::of(&[
            (ENVIRONMENT, ROOM),
            (RECORD_RS, RECORDS),
            (RECORD_TS, text),
            (BOUNDARY, kinds),
        ]))
    };
    assert!(found(&record_ts(4, 1, 1), KINDS).is_empty());
    assert_eq!(places(&found(&record_ts(5, 1, 1), KINDS)), [(RECORD_TS, 1)]);
    assert_eq!(places(&found(&record_ts(4, 2, 1), KINDS)), [(RECORD_TS, 3)]);
    assert_eq!(places(&found(&record_ts(4, 1, 2), KINDS)), [(RECORD_TS, 5)]);
    let room = record_ts(4, 1, 1).replace("= 6", "= 5");
    assert_eq!(places(&found(&room, KINDS)), [(RECORD_TS, 6)]);
    let stale = KINDS.replace("| 1 |", "| 7 |");
    assert_eq!(places(&found(&record_ts(4, 1, 1), &stale)), [(BOUNDARY, 3)]);
}

#[test]
fn compares_the_shape_of_handles() {
    let rust = "const INDEX_BITS: u32 = 20;\npub const HANDLE_PENDING: u32 = 1 << 30;\n";
    let found = |typescript: &str| handles(&Tree::of(&[(REGISTRY, rust), (RECORD_TS, typescript)]));
    let same = "export const HANDLE_INDEX_MASK = 0xfffff\nexport const UNSETTLED = 1 << 30\n";
    assert!(found(same).is_empty());
    assert_eq!(
        places(&found(&same.replace("0xfffff", "0xffff"))),
        [(RECORD_TS, 1)]
    );
    assert_eq!(places(&found(&same.replace("30", "29"))), [(RECORD_TS, 2)]);
}

#[test]
fn compares_counters_in_their_order() {
    let rust = "counters! {\n    /// Doc, of it.\n    rings,\n    bytes_read,\n}\n";
    let found = |typescript: &str| counters(&Tree::of(&[(STATS, rust), (COUNTERS, typescript)]));
    let same = "export const COUNTER_NAMES = [\n  'rings',\n  'bytesRead'\n] as const\n";
    assert!(found(same).is_empty());
    let turned = "export const COUNTER_NAMES = [\n  'bytesRead',\n  'rings'\n] as const\n";
    assert_eq!(places(&found(turned)), [(COUNTERS, 3), (COUNTERS, 2)]);
    let renamed = same.replace("bytesRead", "read");
    assert_eq!(places(&found(&renamed)), [(STATS, 4), (COUNTERS, 3)]);
}

#[test]
fn compares_hot_calls() {
    let rust = "pub(crate) const CALLS: &[()] = &[\n    (c\"read\", read),\n    (c\"flush\", flush),\n];\n";
    let found = |typescript: &str, document: &str| {
        hot_calls(&Tree::of(&[
            (HOT, rust),
            (ADDON, typescript),
            (BOUNDARY, document),
        ]))
    };
    let same =
        "export interface HotCalls {\n  read(stream: number): number\n  flush(): number\n}\n";
    assert!(found(same, "| `read(stream)` | `flush()` |").is_empty());
    assert_eq!(places(&found(same, "| `read(stream)` |")), [(HOT, 3)]);
    let short = "export interface HotCalls {\n  read(stream: number): number\n}\n";
    assert_eq!(places(&found(short, "`read`, `flush`")), [(HOT, 3)]);
}

#[test]
fn compares_framings() {
    let rust = "        0 => Framing::Varint,\n        1 => Framing::Fixed8,\n";
    let found = |typescript: &str| framings(&Tree::of(&[(HOT, rust), (RECORD_TS, typescript)]));
    assert!(found("export const Framing = { varint: 0, fixed8: 1 } as const\n").is_empty());
    assert_eq!(
        places(&found(
            "\nexport const Framing = { varint: 0, fixed8: 2 } as const\n"
        )),
        [(RECORD_TS, 2)]
    );
}

#[test]
fn compares_stream_states() {
    let rust = "pub enum State {\n    /// Doc = 9,\n    Open = 2,\n    CloseRead = 3,\n}\n";
    let found =
        |typescript: &str| stream_states(&Tree::of(&[(STATE, rust), (CONSTANTS, typescript)]));
    let same = "export const StreamState = {\n  OPEN: 2,\n  CLOSE_READ: 3\n} as const\n";
    assert!(found(same).is_empty());
    assert_eq!(places(&found(&same.replace('3', "4"))), [(CONSTANTS, 3)]);
}

#[test]
fn compares_limits_with_their_options_and_their_document() {
    let config = "impl Default for Limits {\n        Self {\n            upgrade_timeout: Duration::from_secs(10),\n            \
                  window_bytes_max: 16 << 20,\n            linger_timeout: Duration::from_secs(60),\n        }\n}\n";
    let options = "\nfn limits(given: &NodeLimits) {\n    Ok(Limits {\n        upgrade_timeout: time(given.upgrade_timeout_ms, default.upgrade_timeout)?,\n        \
                   window_bytes_max: given\n            .window_max_bytes\n            .unwrap_or(default.window_bytes_max),\n        \
                   linger_timeout: default.linger_timeout,\n";
    let constants = "export const DEFAULT_LIMITS: X = Object.freeze({\n  // Why.\n  upgradeTimeoutMs: 10_000,\n  windowMaxBytes: 16 * 1024 * 1024\n})\n";
    let document = "| `limits.upgradeTimeoutMs` | 10,000 | text |\n| `limits.windowMaxBytes` | 16,777,216 | text |\n";
    let found = |constants: &str, document: &str| {
        limits(&Tree::of(&[
            (CONFIG, config),
            (OPTIONS, options),
            (CONSTANTS, constants),
            (LIMITS, document),
        ]))
    };
    assert_eq!(found(constants, document), []);
    assert_eq!(
        places(&found(&constants.replace("10_000", "9_000"), document)),
        [(CONSTANTS, 3)]
    );
    assert_eq!(
        places(&found(constants, &document.replace("16,777,216", "1"))),
        [(LIMITS, 2)]
    );
    assert_eq!(
        places(&found(constants, "| `limits.upgradeTimeoutMs` | 10,000 |")),
        [(CONFIG, 4)]
    );
}

#[test]
fn reads_numbers_as_both_languages_write_them() {
    assert_eq!(number("1_000"), Some(1_000));
    assert_eq!(number("0xfffff"), Some(0xF_FFFF));
    assert_eq!(number("16 * 1024 * 1024"), Some(16 << 20));
    assert_eq!(number("16 << 20"), Some(16 << 20));
    assert_eq!(number("x"), None);
    assert_eq!(duration("Duration::from_secs(10)"), Some(10_000));
}

#[test]
fn compares_the_codes_of_diagnostic_facts_and_their_layout() {
    let rust = "impl Fact {\n    pub const fn code(&self) -> u32 {\n        match self {\n            Self::AcceptFailed { .. } => 101,\n            \
                Self::Internal => 102,\n        }\n    }\n}\n";
    let layout = "pub(crate) const DIAGNOSTIC_WORDS: usize = 10;\n";
    let codes =
        "export const DiagnosticCode = {\n  acceptFailed: 101,\n  internal: 102\n} as const\n";
    let document = "| code | name | what |\n|---|---|---|\n| 101 | `acceptFailed` | a |\n| 102 | `internal` | b |\n";
    let found = |codes: &str, words: &str, document: &str| {
        diagnostics(&Tree::of(&[
            (DIAGNOSTICS_RS, rust),
            (DIAGNOSTICS_TS, codes),
            (DIAGNOSTICS, document),
            (DIAGNOSTIC_RS, layout),
            (DIAGNOSTIC_TS, words),
        ]))
    };
    let words = "export const DIAGNOSTIC_WORDS = 10\n";
    assert!(found(codes, words, document).is_empty());
    let stale = codes.replace("102", "103");
    assert_eq!(
        places(&found(&stale, words, document)),
        [(DIAGNOSTICS_TS, 3)]
    );
    let nine = words.replace("10", "9");
    assert_eq!(places(&found(codes, &nine, document)), [(DIAGNOSTIC_TS, 1)]);
    let undocumented = document.replace("internal", "other");
    assert_eq!(
        places(&found(codes, words, &undocumented)),
        [(DIAGNOSTICS_RS, 5), (DIAGNOSTICS, 4)]
    );
}
