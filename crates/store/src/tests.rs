use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;

use super::*;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ferroswarm-store-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    /// In a folder that does not exist yet.
    fn file(&self) -> PathBuf {
        self.0.join("below").join("peers.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

type Entry = (Vec<u8>, Vec<u8>);
type Answer = Result<Vec<u8>, StoreError>;

fn answer<T>(call: impl FnOnce(Reply) -> T) -> (T, Answer) {
    let (sender, receiver) = channel();
    let returned = call(Box::new(move |result| drop(sender.send(result))));
    (returned, receiver.recv().expect("an answer"))
}

fn open(path: PathBuf) -> Result<Store, StoreError> {
    let (store, opened) = answer(|reply| Store::open(path, reply));
    opened.map(|_| store.expect("a thread"))
}

fn commit(store: &Store, changes: &[Change<'_>]) -> Answer {
    let mut batch = Vec::new();
    for change in changes {
        Batch::push(&mut batch, *change).expect("short parts");
    }
    answer(|reply| store.commit(batch, reply)).1
}

/// Returns all entries, page by page, and the number of pages.
fn entries(store: &Store) -> (Vec<Entry>, usize) {
    let mut all: Vec<Entry> = Vec::new();
    for pages in 0.. {
        let after = all.last().map(|(key, _)| key.clone());
        let page = answer(|reply| store.load(after, reply)).1.expect("a page");
        if page.is_empty() {
            return (all, pages);
        }
        all.extend(Batch::new(&page).map(|change| match change {
            Ok(Change::Put(key, value)) => (key.to_vec(), value.to_vec()),
            other => panic!("{other:?}"),
        }));
    }
    unreachable!()
}

fn close(store: &Store) {
    answer(|reply| store.close(reply)).1.expect("no error");
}

#[test]
fn keeps_what_was_committed_in_the_order_of_keys() {
    let folder = Folder::new("keeps");
    let store = open(folder.file()).expect("a new store");
    let (one, two, three) = (
        Change::Put(b"b", b"1"),
        Change::Put(b"a", b""),
        Change::Put(b"c", b"3"),
    );
    commit(&store, &[one, two, three]).expect("stored");
    commit(&store, &[Change::Delete(b"c"), Change::Put(b"b", b"2")]).expect("stored");
    close(&store);
    let store = open(folder.file()).expect("the same store");
    let expected = vec![(b"a".to_vec(), vec![]), (b"b".to_vec(), b"2".to_vec())];
    assert_eq!(entries(&store).0, expected);
}

#[test]
fn pages_end_after_a_mebibyte() {
    let folder = Folder::new("pages");
    let store = open(folder.file()).expect("a new store");
    let value = vec![7; 100_000];
    let keys: Vec<_> = (0..30_u32).map(u32::to_be_bytes).collect();
    let changes: Vec<_> = keys.iter().map(|key| Change::Put(key, &value)).collect();
    commit(&store, &changes).expect("stored");
    let (all, pages) = entries(&store);
    assert_eq!((all.len(), pages), (30, 3));
}

#[test]
fn malformed_changes_store_nothing() {
    let folder = Folder::new("malformed");
    let store = open(folder.file()).expect("a new store");
    let mut batch = Vec::new();
    Batch::push(&mut batch, Change::Put(b"key", b"value")).expect("short parts");
    for length in 1..batch.len() {
        let cut = [&batch[..], &batch[..length]].concat();
        let (_, result) = answer(|reply| store.commit(cut, reply));
        assert!(matches!(result, Err(StoreError::Malformed)), "{length}");
    }
    assert_eq!(entries(&store).0, vec![]);
}

#[test]
fn a_second_store_of_the_same_file_is_refused() {
    let folder = Folder::new("second");
    let store = open(folder.file()).expect("a new store");
    assert!(matches!(open(folder.file()), Err(StoreError::Locked)));
    close(&store);
    open(folder.file()).expect("free");
}

#[test]
fn of_stores_that_are_made_at_the_same_time_one_opens() {
    for round in 0..20 {
        let folder = Folder::new(&format!("race-{round}"));
        let opening: Vec<_> = (0..4)
            .map(|_| {
                let path = folder.file();
                std::thread::spawn(move || open(path))
            })
            .collect();
        let opened: Vec<_> = opening
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        let (open, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!(
            open.len(),
            1,
            "{:?}",
            refused
                .iter()
                .map(|one| one.as_ref().err())
                .collect::<Vec<_>>()
        );
        assert!(
            refused
                .iter()
                .all(|one| matches!(one, Err(StoreError::Locked)))
        );
        let left = fs::read_dir(folder.0.join("below"))
            .expect("a folder")
            .count();
        assert_eq!(left, 1);
    }
}

#[test]
fn a_file_of_another_kind_is_refused_and_left_as_it_is() {
    let folder = Folder::new("kind");
    let path = folder.file();
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    for contents in [&b""[..], b"not a database", &[0; 20_000]] {
        fs::write(&path, contents).expect("written");
        let refused = open(path.clone()).err();
        assert!(
            matches!(refused, Some(StoreError::Corrupt(_))),
            "{refused:?}"
        );
        assert_eq!(fs::read(&path).expect("read"), contents);
    }
}

#[test]
fn a_file_of_another_version_is_refused() {
    let folder = Folder::new("version");
    let path = folder.file();
    close(&open(path.clone()).expect("a new store"));
    let database = redb::Database::open(&path).expect("opened");
    let transaction = database.begin_write().expect("begun");
    let meta: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    transaction
        .open_table(meta)
        .expect("a table")
        .insert("version", 2)
        .expect("inserted");
    transaction.commit().expect("committed");
    drop(database);
    assert!(matches!(open(path), Err(StoreError::Version(2))));
}

#[test]
fn a_file_that_was_cut_off_or_overwritten_is_refused_or_whole() {
    let folder = Folder::new("torn");
    let path = folder.file();
    let store = open(path.clone()).expect("a new store");
    let keys: Vec<_> = (0..2_000_u32).map(u32::to_be_bytes).collect();
    let changes: Vec<_> = keys.iter().map(|key| Change::Put(key, &[9; 100])).collect();
    commit(&store, &changes).expect("stored");
    close(&store);
    let whole = fs::read(&path).expect("read");
    let mut refused = 0;
    for part in 1..12 {
        let at = whole.len() * part / 12;
        let mut overwritten = whole.clone();
        overwritten[at..(at + 4_096).min(whole.len())].fill(0xa5);
        for damaged in [whole[..at].to_vec(), overwritten] {
            fs::write(&path, damaged).expect("written");
            match open(path.clone()) {
                // The damaged part was free.
                Ok(store) => assert_eq!(entries(&store).0.len(), keys.len(), "{part}"),
                Err(StoreError::Corrupt(_) | StoreError::Io(_)) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    assert!(refused >= 11, "{refused}");
}

/// Lets the store close the file: after a failure the next call opens it again.
fn fail(store: &Store) {
    let (_, result) = answer(|reply| store.commit(vec![1], reply));
    assert!(matches!(result, Err(StoreError::Malformed)), "{result:?}");
}

#[test]
fn a_file_that_has_gone_is_not_made_again_after_a_failure() {
    let folder = Folder::new("gone");
    let path = folder.file();
    let store = open(path.clone()).expect("a new store");
    commit(&store, &[Change::Put(b"a", b"1")]).expect("stored");
    fail(&store);
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).expect("moved");
    let refused = commit(&store, &[Change::Put(b"b", b"2")]);
    assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
    assert!(!path.exists());
    // Another store in its place is not taken for it.
    close(&open(path.clone()).expect("another store"));
    let refused = commit(&store, &[Change::Put(b"b", b"2")]);
    assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
    fs::rename(&moved, &path).expect("moved back");
    commit(&store, &[Change::Put(b"b", b"2")]).expect("stored");
    assert_eq!(entries(&store).0.len(), 2);
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_refused_by_that_name() {
    let refused = open("/dev/null".into())
        .err()
        .map(|error| error.to_string());
    assert_eq!(
        refused.as_deref(),
        Some("it is no intact store: it is no regular file")
    );
}

#[test]
fn a_damaged_file_is_whole_or_refused_or_its_repair_is_reported() {
    let folder = Folder::new("repair");
    let path = folder.file();
    let store = open(path.clone()).expect("a new store");
    let keys: Vec<_> = (0..300_u32).map(u32::to_be_bytes).collect();
    let changes: Vec<_> = keys.iter().map(|key| Change::Put(key, &[9; 200])).collect();
    commit(&store, &changes).expect("stored");
    close(&store);
    let store = open(path.clone()).expect("the same store");
    commit(&store, &[Change::Put(b"last", b"1")]).expect("stored");
    close(&store);
    let whole = fs::read(&path).expect("read");
    let mut refused = 0;
    for at in (4_096..whole.len()).step_by(4_096) {
        let mut damaged = whole.clone();
        damaged[at..(at + 4_096).min(whole.len())].fill(0);
        fs::write(&path, damaged).expect("written");
        let (store, opened) = answer(|reply| Store::open(path.clone(), reply));
        let store = store.expect("a thread");
        match opened {
            Ok(answer) if answer.is_empty() => assert_eq!(entries(&store).0.len(), 301, "{at}"),
            Ok(answer) => assert_eq!(answer, [1]),
            Err(StoreError::Corrupt(_) | StoreError::Io(_)) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_folder_in_place_of_the_file_is_the_systems_error() {
    let folder = Folder::new("folder");
    let path = folder.file();
    fs::create_dir_all(&path).expect("made");
    assert!(matches!(open(path), Err(StoreError::Io(_))));
}

#[test]
fn a_closed_store_answers_with_an_error() {
    let folder = Folder::new("closed");
    let store = open(folder.file()).expect("a new store");
    close(&store);
    // The thread may have yet to end.
    let result = commit(&store, &[]);
    assert!(matches!(result, Err(StoreError::Closed)), "{result:?}");
    store.stop();
    store.stop();
}
