//! Sans-io.
#![forbid(unsafe_code)]
