//! Errors of the core as text that the TypeScript face makes errors of.

use heimdex::calls::{WrongOption, error_json};
use napi::{Error, Status};

/// An option that cannot be read; the face makes a `TypeError` of one of another type.
pub(crate) fn wrong_option(wrong: &WrongOption) -> Error {
    let facts = serde_json::json!({
        "kind": "invalid",
        "message": wrong.to_string(),
        "field": wrong.name,
        "mistyped": wrong.mistyped,
    });
    Error::new(Status::InvalidArg, facts.to_string())
}

/// A failure that is thrown at once.
pub(crate) fn thrown(error: &heimdex::Error) -> Error {
    Error::new(Status::GenericFailure, error_json(error).to_string())
}
