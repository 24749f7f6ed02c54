//! Heimdex makes video searchable by what is said, shown and who is in it.
//!
//! Start with `Heimdex`: index files into a store, then search them. `index::Pipeline` does all but
//! the storing; every stage is also a module of its own.
//!
//! The modules form one line, and data flows through it in one direction:
//!
//! ```text
//! probe -> decode -> shots -> keyframes -> transcribe -> scenes -> embed -> annotate -> store -> search
//! ```
//!
//! A module may use those to its left, never those to its right. `index` wires them.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `media` | the decoder, shots of files, thumbnails, `index` and `Heimdex` |
//! | `candle` | models for texts and pictures in [`embed`], on candle |
//! | `onnx` | the same models on ONNX Runtime, loaded at run time |
//! | `image` | pictures from files, to search with |
//! | `hub` | `models::pull` and `models::verify` |
//! | `whisper` | `transcript::Whisper`, speech to text |
//! | `cuda`, `metal` | speech on graphics cards |
//! | `sqlite` | `store::SqliteStore` |
//! | `postgres` | `store::PostgresStore`, and jobs |
//! | `cli` | the `heimdex` program |
//! | `bindings` | `calls`: what Python and Node call |
//! | `testing` | `store::testing`, the suite that every store runs |
//! | `full` | all but `cuda`, `metal` and `testing` |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod annotate;
#[cfg(feature = "bindings")]
pub mod calls;
pub mod embed;
mod error;
#[cfg(feature = "media")]
mod heimdex;
mod id;
#[cfg(feature = "media")]
pub mod index;
pub mod keyframes;
#[cfg(any(feature = "candle", feature = "whisper"))]
mod math;
pub mod media;
pub mod models;
#[cfg(all(
    feature = "media",
    any(feature = "sqlite", feature = "postgres"),
    any(feature = "candle", feature = "onnx")
))]
pub mod open;
mod progress;
pub mod scenes;
pub mod search;
pub mod shots;
pub mod store;
pub mod text;
mod time;
pub mod transcript;
#[cfg(all(feature = "media", feature = "postgres"))]
mod worker;

pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "media")]
pub use heimdex::{Heimdex, HeimdexBuilder, Indexing, Searching, SwitchingModels};
pub use id::{LibraryId, SceneId, VideoId};
pub use progress::{Cancel, Progress, Stage};
pub use time::{Span, Timestamp};
#[cfg(all(feature = "media", feature = "postgres"))]
pub use worker::{Fetch, Fetched, Working};

/// The examples of the documentation compile.
#[cfg(all(doctest, feature = "full"))]
mod documentation {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/subtitles.md")]
    struct Subtitles;
    #[doc = include_str!("../../docs/models.md")]
    struct Models;
    #[doc = include_str!("../../docs/store.md")]
    struct Store;
    #[doc = include_str!("../../docs/transcript.md")]
    struct Speech;
}
