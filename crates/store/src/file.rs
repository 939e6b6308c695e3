//! The file: a redb database with one table of entries, and one with the version of the format.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition, TableError};

use crate::batch::{Batch, Change};
use crate::error::StoreError;

/// Version of the format: the tables, and their keys and values.
pub(crate) const VERSION: u64 = 1;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const VERSION_KEY: &str = "version";
/// A random number, by which a file is known again. Files that were made without one have none.
const ID_KEY: &str = "id";
const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");

/// redb caches pages: writes go to the inner nodes, and entries are read once.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Bytes after which a page ends.
const PAGE_BYTES: usize = 1024 * 1024;

/// An open file.
pub(crate) struct File {
    database: Database,
    id: Option<u64>,
    is_repaired: bool,
}

impl File {
    /// Opens the file at `path`, which is made with its folders if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.try_exists()? {
            make(path)?;
        }
        Self::open_existing(path)
    }

    /// Opens the file at `path` again after a failure: the one with `id`, without damage.
    pub(crate) fn reopen(path: &Path, id: Option<u64>) -> Result<Self, StoreError> {
        let file = Self::open_existing(path)?;
        if file.id != id {
            return Err(io::Error::other("another file has taken its place").into());
        }
        if file.is_repaired {
            return Err(StoreError::Corrupt(
                "it was damaged, and has been repaired".into(),
            ));
        }
        Ok(file)
    }

    fn open_existing(path: &Path) -> Result<Self, StoreError> {
        check_kind(path)?;
        let mut database = builder().open(path)?;
        // A file that was damaged since it was closed would otherwise be found out at some later
        // read. What a crash has left behind is repaired by the open.
        let is_repaired = !database.check_integrity()?;
        let mut file = Self {
            database,
            id: None,
            is_repaired,
        };
        file.id = file.read_meta()?;
        Ok(file)
    }

    pub(crate) const fn id(&self) -> Option<u64> {
        self.id
    }

    /// Whether the file was damaged, and has been repaired, maybe without the latest commits.
    pub(crate) const fn is_repaired(&self) -> bool {
        self.is_repaired
    }

    /// Checks the version and returns the id.
    fn read_meta(&self) -> Result<Option<u64>, StoreError> {
        let meta = match self.database.begin_read()?.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::TableDoesNotExist(_)) => {
                return Err(StoreError::Corrupt("it has no version".into()));
            }
            Err(error) => return Err(error.into()),
        };
        match meta.get(VERSION_KEY)?.map(|version| version.value()) {
            Some(VERSION) => Ok(meta.get(ID_KEY)?.map(|id| id.value())),
            Some(version) => Err(StoreError::Version(version)),
            None => Err(StoreError::Corrupt("it has no version".into())),
        }
    }

    /// Returns the entries after a key, or the first ones.
    pub(crate) fn page(&self, after: Option<&[u8]>) -> Result<Vec<u8>, StoreError> {
        let entries = self.database.begin_read()?.open_table(ENTRIES)?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Vec::new();
        for entry in entries.range::<&[u8]>((start, Bound::Unbounded))? {
            let (key, value) = entry?;
            Batch::push(&mut page, Change::Put(key.value(), value.value()))?;
            if page.len() >= PAGE_BYTES {
                break;
            }
        }
        Ok(page)
    }

    /// Stores changes, all or none, and waits until they are on the disk.
    pub(crate) fn commit(&self, batch: &[u8]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write()?;
        // `Corrupt` cannot be: it refuses nothing but a weaker one beside savepoints.
        transaction
            .set_durability(Durability::Immediate)
            .map_err(|error| StoreError::Corrupt(error.to_string().into()))?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            for change in Batch::new(batch) {
                match change? {
                    Change::Put(key, value) => drop(entries.insert(key, value)?),
                    Change::Delete(key) => drop(entries.remove(key)?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Refuses what can be no store, of which redb's errors say less. A folder is the system's error.
fn check_kind(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() && metadata.len() == 0 {
        return Err(StoreError::Corrupt("the file is empty".into()));
    }
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(StoreError::Corrupt("it is no regular file".into()));
    }
    Ok(())
}

/// Makes an empty store. It appears whole: a crash on the way leaves nothing at `path`.
fn make(path: &Path) -> Result<(), StoreError> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let temporary = temporary_of(path);
    // One of an earlier process with the same number.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let made = fill(&temporary).and_then(|()| publish(&temporary, path));
    // After a rename it is gone, and after a failure it is worth nothing.
    drop(fs::remove_file(&temporary));
    made?;
    sync_folder(folder)?;
    Ok(())
}

fn fill(path: &Path) -> Result<(), StoreError> {
    let database = builder().create(path)?;
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(VERSION_KEY, VERSION)?;
        // The seed of a hash table is the random number of the standard library.
        meta.insert(ID_KEY, RandomState::new().build_hasher().finish())?;
    }
    drop(transaction.open_table(ENTRIES)?);
    transaction.commit()?;
    Ok(())
}

/// Gives a file its name, unless somebody else has made one meanwhile.
fn publish(temporary: &Path, path: &Path) -> Result<(), StoreError> {
    match fs::hard_link(temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Some file systems have no links. There, two processes that make the same store at the same
        // time may each have their own.
        Err(_) => Ok(fs::rename(temporary, path)?),
        Ok(()) => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn temporary_of(path: &Path) -> PathBuf {
    // Two stores of one process may be made at the same time.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{number}.new", std::process::id()));
    name.into()
}

/// Writes the name of a new file to the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Windows has no handles of folders that can be synced, and no need of it.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
