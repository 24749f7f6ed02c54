//! The native half of the Node package `heimdex`.
//!
//! It starts calls and hands over text and bytes; what people see (promises, `AbortSignal`, iteration) is
//! TypeScript, in `src/*.ts`. The calls and their options are those of [`heimdex::calls`].

// JavaScript's arguments come by value.
#![allow(clippy::needless_pass_by_value)]
// What `napi` exports has to be `pub`, wherever it stands.
#![allow(unreachable_pub)]
// Where tests are looked at, `napi` leaves out what hands it to Node.
#![cfg_attr(test, allow(dead_code))]

mod error;
mod job;
mod library;
mod model;
mod own;
mod picture;

use heimdex::calls::FreeCall;
use napi::Result;
use napi_derive::napi;

use crate::error::wrong_option;
use crate::job::{Answer, Job, Watcher, spawn};

/// The version of the core.
#[napi]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Every kind of failure.
#[napi]
pub fn error_kinds() -> Vec<String> {
    heimdex::ErrorKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect()
}

/// The options of every call with their defaults, as JSON.
#[napi]
pub fn options() -> String {
    heimdex::calls::options().to_string()
}

/// Starts a call that needs no library.
///
/// # Errors
/// The option that is wrong, as JSON.
#[napi]
pub fn start(
    name: String,
    options: String,
    #[napi(ts_arg_type = "Watcher")] watcher: Watcher<'_>,
) -> Result<Job> {
    let call = FreeCall::of(&name, &options).map_err(|e| wrong_option(&e))?;
    spawn(watcher, move |_, cancel, report| call.run(cancel, report).map(Answer::Text))
}
