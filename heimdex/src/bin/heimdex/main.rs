//! Heimdex.
fn main() {}
