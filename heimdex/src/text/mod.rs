//! The analyzer for lexical search, shared by every store.
//!
//! Uses nothing else of the crate.
