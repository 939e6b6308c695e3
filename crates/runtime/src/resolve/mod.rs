//! Lookups of DNS records, each a command with one completion.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::proto::rr::Name;
use tokio::sync::Semaphore;

use crate::sync::{Arc, Mutex};

pub use self::outcome::{RecordKind, Records, ResolveError};

use self::outcome::WAITING_MAX;
use self::resolver::Resolver;

mod answer;
mod outcome;
mod resolver;

/// Lookups of a node at a time, as in rust-libp2p: one name may lead to many others.
const LOOKUPS_MAX: usize = 32;

/// Options of a node's lookups.
#[derive(Debug, Clone, Default)]
pub struct DnsOptions {
    /// Name servers; those of the system's configuration if empty.
    pub servers: Vec<SocketAddr>,
    /// Time for an answer to one query. Defaults to that of the system's configuration, or 5 s.
    pub timeout: Option<Duration>,
    /// Queries for one name. Defaults to that of the system's configuration, or 2.
    pub attempts: Option<usize>,
}

/// The lookups of a node. The resolver is made at the first, so that a node without names has none.
pub(crate) struct Names {
    options: DnsOptions,
    turns: Semaphore,
    /// Lookups under way and those that wait.
    pending: AtomicUsize,
    resolver: Mutex<Option<Arc<Resolver>>>,
}

impl Names {
    pub(crate) fn new(options: DnsOptions) -> Self {
        Self {
            options,
            turns: Semaphore::new(LOOKUPS_MAX),
            pending: AtomicUsize::new(0),
            resolver: Mutex::new(None),
        }
    }

    /// Looks up the records of a name, once fewer than [`LOOKUPS_MAX`] lookups are under way.
    ///
    /// Cancel safe: dropping the future ends its queries. Runs on an I/O thread.
    pub(crate) async fn lookup(
        &self,
        name: &str,
        kind: RecordKind,
    ) -> Result<Records, ResolveError> {
        let name = host_name(name)?;
        let _pending = Pending::of(&self.pending).ok_or(ResolveError::QueueFull)?;
        // The semaphore is fair, and never closed.
        let _turn = self.turns.acquire().await;
        self.resolver()?.lookup(name, kind).await
    }

    /// Drops the resolver of a node whose threads have ended: its tasks, also those that have ended,
    /// would keep the descriptors of their event queue open.
    pub(crate) fn close(&self) {
        self.resolver.lock().take();
    }

    /// Returns the resolver; makes it if there is none yet, also after a failure to do so.
    fn resolver(&self) -> Result<Arc<Resolver>, ResolveError> {
        let mut made = self.resolver.lock();
        if let Some(resolver) = &*made {
            return Ok(Arc::clone(resolver));
        }
        let resolver = Resolver::new(&self.options)
            .map_err(|error| ResolveError::Configuration(Box::new(error)))?;
        let resolver = Arc::new(resolver);
        *made = Some(Arc::clone(&resolver));
        Ok(resolver)
    }
}

/// Counts a lookup until dropped.
struct Pending<'a>(&'a AtomicUsize);

impl<'a> Pending<'a> {
    /// Returns `None` if too many are pending.
    fn of(count: &'a AtomicUsize) -> Option<Self> {
        let pending = Self(count);
        let before = count.fetch_add(1, Ordering::Relaxed);
        (before < LOOKUPS_MAX + WAITING_MAX).then_some(pending)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Parses a host name. Names that are not ASCII are converted by IDNA.
fn host_name(text: &str) -> Result<Name, ResolveError> {
    // The parsers take escapes as well, by which a label may contain anything.
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if !text.chars().all(|char| is_plain(char) || !char.is_ascii()) {
        return Err(ResolveError::BadName);
    }
    let parse = if text.is_ascii() {
        Name::from_ascii(text)
    } else {
        Name::from_utf8(text)
    };
    match parse {
        Ok(name) if name.iter().next().is_some() => Ok(name),
        _ => Err(ResolveError::BadName),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_letters_digits_and_few_others() {
        for good in ["a", "_dnsaddr.Example-1.org", "a.b.", "dis_allowed.x"] {
            assert_eq!(host_name(good).unwrap().to_string(), good.to_owned());
        }
        assert_eq!(
            host_name("bücher.example").unwrap().to_ascii(),
            "xn--bcher-kva.example"
        );
        let long = "a".repeat(64);
        let many = "a.".repeat(128);
        for bad in [
            "", ".", "a..b", "a b", "a\\.b", "a/b", "\0", "\u{fffd}", &long, &many,
        ] {
            assert!(
                matches!(host_name(bad), Err(ResolveError::BadName)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn lookups_beyond_the_bound_are_refused() {
        let count = AtomicUsize::new(0);
        let held: Vec<_> = (0..LOOKUPS_MAX + WAITING_MAX)
            .map(|_| Pending::of(&count).expect("below the bound"))
            .collect();
        assert!(Pending::of(&count).is_none());
        drop(held);
        assert_eq!(count.load(Ordering::Relaxed), 0);
        assert!(Pending::of(&count).is_some());
    }
}
