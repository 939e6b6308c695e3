//! Tokio.
#![forbid(unsafe_code)]
