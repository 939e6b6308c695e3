//! Transports: what an address means, how to listen on it and how to dial it.

mod interface;
pub(crate) mod tcp;
