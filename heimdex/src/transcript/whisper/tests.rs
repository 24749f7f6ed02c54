//! Rules of words without a model; with one, see `tests/whisper.rs`.
