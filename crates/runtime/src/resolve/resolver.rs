//! The resolver of a node: hosts file, search domains, and queries by hickory.

use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};

use super::{DnsOptions, RecordKind, Records, ResolveError, answer};

/// Bounds of the timeout and of the queries that the system's configuration asks for: those of
/// resolv.conf(5), as glibc applies them.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
const ATTEMPTS_MAX: usize = 5;

pub(super) struct Resolver {
    hosts: Hosts,
    /// Domains appended to names with fewer than `ndots` dots first, to others if they are not found.
    search: Vec<Name>,
    ndots: usize,
    /// For a lookup, with all its names and queries.
    deadline: Duration,
    client: TokioResolver,
}

impl Resolver {
    /// Reads the system's configuration: two small files, so it may run on an I/O thread.
    pub(super) fn new(options: &DnsOptions) -> Result<Self, NetError> {
        let (config, mut system) = if options.servers.is_empty() {
            system_conf::read_system_conf()?
        } else {
            let servers = options.servers.iter().map(|server| {
                let mut config = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut config.connections {
                    connection.port = server.port();
                }
                config
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            (config, ResolverOpts::default())
        };
        let timeout = options
            .timeout
            .unwrap_or_else(|| system.timeout.clamp(TIMEOUT_MIN, TIMEOUT_MAX));
        let attempts = options.attempts.unwrap_or(system.attempts);
        let attempts = attempts.clamp(1, ATTEMPTS_MAX);
        let search = match config.search() {
            [] => config.domain().cloned().into_iter().collect(),
            search => search.to_vec(),
        };
        let ndots = system.ndots;
        system.timeout = timeout;
        // hickory counts those after the first.
        system.attempts = attempts - 1;
        // Without it, a set of dnsaddr records exceeds 512 bytes and costs a TCP connection.
        system.edns0 = true;
        // The hosts file is looked up here: hickory skips it for the names after the first.
        system.use_hosts_file = ResolveHosts::Never;
        // The name servers of the system or the network cache, and without their aliases, records
        // from a cache could not be told from those of other names: see `answer`.
        system.cache_size = 0;
        system.preserve_intermediates = true;
        let client = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(system);
        Ok(Self {
            hosts: Hosts::from_system().unwrap_or_default(),
            search,
            ndots,
            deadline: timeout * u32::try_from(attempts).unwrap_or(u32::MAX),
            client: client.build()?,
        })
    }

    pub(super) async fn lookup(
        &self,
        name: Name,
        kind: RecordKind,
    ) -> Result<Records, ResolveError> {
        let query = Query::query(name.clone(), kind.into());
        if let Some(found) = self.hosts.lookup_static_host(&query) {
            return Ok(answer::records(&absolute(name), found.answers(), kind));
        }
        tokio::time::timeout(self.deadline, self.search(name, kind))
            .await
            .unwrap_or(Err(ResolveError::Timeout(self.deadline)))
    }

    /// Queries for each candidate until one has records. Fails with the first reason that is more
    /// than a name that does not exist.
    async fn search(&self, name: Name, kind: RecordKind) -> Result<Records, ResolveError> {
        let mut failure = ResolveError::NotFound;
        for candidate in self.candidates(name) {
            match self.query(&candidate, kind).await {
                Ok(records) => return Ok(records),
                Err(error) if matches!(failure, ResolveError::NotFound) => failure = error,
                Err(_) => {}
            }
        }
        Err(failure)
    }

    /// Returns the absolute names that a name may stand for, in the order of resolv.conf(5).
    fn candidates(&self, name: Name) -> Vec<Name> {
        if name.is_fqdn() || name.is_localhost() {
            return vec![absolute(name)];
        }
        let has_dots = usize::from(name.num_labels()) > self.ndots;
        // A domain that makes the name too long is none of its candidates.
        let appended = |domain| name.clone().append_domain(domain).ok().map(absolute);
        let mut candidates: Vec<_> = self.search.iter().filter_map(appended).collect();
        let at = if has_dots { 0 } else { candidates.len() };
        candidates.insert(at, absolute(name));
        candidates
    }

    async fn query(&self, name: &Name, kind: RecordKind) -> Result<Records, ResolveError> {
        let lookup = self
            .client
            .lookup(name.clone(), RecordType::from(kind))
            .await;
        let lookup = lookup.map_err(|error| ResolveError::of_query(error, kind, self.deadline))?;
        let records = answer::records(name, lookup.answers(), kind);
        if records == Records::default() {
            return Err(ResolveError::NoRecords(kind));
        }
        Ok(records)
    }
}

fn absolute(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(search: &[&str], ndots: usize) -> Resolver {
        let options = DnsOptions {
            servers: vec!["127.0.0.1:53".parse().unwrap()],
            timeout: Some(Duration::from_secs(1)),
            attempts: Some(3),
        };
        let search = search.iter().map(|domain| domain.parse().unwrap());
        Resolver {
            search: search.collect(),
            ndots,
            ..Resolver::new(&options).unwrap()
        }
    }

    fn candidates(resolver: &Resolver, name: &str) -> Vec<String> {
        let names = resolver.candidates(name.parse().unwrap());
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn search_domains_follow_a_name_with_enough_dots() {
        let resolver = resolver(&["a.example", "b.example"], 1);
        assert_eq!(resolver.deadline, Duration::from_secs(3));
        assert_eq!(
            candidates(&resolver, "x.y"),
            ["x.y.", "x.y.a.example.", "x.y.b.example."]
        );
        assert_eq!(
            candidates(&resolver, "x"),
            ["x.a.example.", "x.b.example.", "x."]
        );
        assert_eq!(candidates(&resolver, "x."), ["x."]);
        assert_eq!(candidates(&resolver, "localhost"), ["localhost."]);
    }

    #[test]
    fn ndots_of_a_cluster_puts_search_domains_first() {
        let resolver = resolver(&["cluster.local"], 5);
        assert_eq!(
            candidates(&resolver, "a.b.c"),
            ["a.b.c.cluster.local.", "a.b.c."]
        );
    }

    #[tokio::test]
    async fn the_hosts_file_is_looked_up_before_any_search_domain() {
        let mut resolver = resolver(&["example"], 1);
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf(&b"192.0.2.1 box\n"[..]).unwrap();
        resolver.hosts = hosts;
        let found = resolver.lookup("box".parse().unwrap(), RecordKind::A).await;
        assert_eq!(found.unwrap().values, ["192.0.2.1"]);
    }
}
