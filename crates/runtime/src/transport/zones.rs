//! Network interfaces: the zones of link-local addresses, by name in the API and by number in
//! sockets.

/// Returns the number of an interface given by name or number; `None` if this host has no such
/// name.
pub(super) fn index_of(zone: &str) -> Option<u32> {
    zone.parse().ok().or_else(|| index_of_name(zone))
}

/// Returns the name of an interface, or its number if it has none.
pub(super) fn name_of(index: u32) -> String {
    known_name(index).unwrap_or_else(|| index.to_string())
}

#[cfg(unix)]
fn index_of_name(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

#[cfg(unix)]
fn known_name(index: u32) -> Option<String> {
    nix::net::if_::if_indextoname(index)
        .ok()?
        .into_string()
        .ok()
}

// On other systems zones are numeric everywhere.
#[cfg(not(unix))]
const fn index_of_name(_name: &str) -> Option<u32> {
    None
}

#[cfg(not(unix))]
const fn known_name(_index: u32) -> Option<String> {
    None
}
