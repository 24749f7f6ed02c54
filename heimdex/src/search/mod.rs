//! Queries, channels, fusion and results.
//!
//! Uses [`crate::store`], [`crate::text`] and [`crate::embed`].
