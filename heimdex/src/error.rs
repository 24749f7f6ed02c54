//! One error type; [`ErrorKind`] is what programs match on.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The result of every fallible operation here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, for people (`Display`) and for programs ([`Error::kind`]).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A media file could not be used.
    #[error("{}: {message}", path.display())]
    Media {
        /// The file.
        path: PathBuf,
        /// One of the media kinds.
        kind: ErrorKind,
        /// What was wrong, and the next step where there is one.
        message: String,
        /// The cause, where there is one.
        #[source]
        source: Option<Source>,
    },
    /// A value given by the caller cannot be used.
    #[error("{field}: {message}")]
    Invalid {
        /// The name of the argument, setting or field.
        field: &'static str,
        /// What was wrong.
        message: String,
    },
    /// A search query cannot be read.
    #[error("query: {0}")]
    Query(String),
    /// Subtitles cannot be read.
    #[error("subtitles {name}: {message}")]
    Subtitle {
        /// The file or stream.
        name: String,
        /// What was wrong.
        message: String,
    },
    /// A model is missing, damaged, unknown, or failed.
    #[error("model {model}: {message}")]
    Model {
        /// The model's name or folder.
        model: String,
        /// [`ErrorKind::Model`] or [`ErrorKind::ModelMissing`]; [`ErrorKind::Io`] when its hub could
        /// not be reached.
        kind: ErrorKind,
        /// What was wrong.
        message: String,
        /// The cause, where there is one.
        #[source]
        source: Option<Source>,
    },
    /// Vectors of one embedding space were used with another.
    #[error("embedding space: {0}")]
    Space(String),
    /// The index could not be read or written.
    #[error("store: {message}")]
    Store {
        /// What was being done.
        message: String,
        /// The cause, where there is one.
        #[source]
        source: Option<Source>,
    },
    /// Something named by the caller does not exist.
    #[error("{what} not found: {name}")]
    NotFound {
        /// `video`, `scene`, `file`, ...
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Reading or writing files failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The caller cancelled the work.
    #[error("cancelled")]
    Cancelled,
}

/// The stable name of a failure. Texts may change; kinds do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file holds no media that is known.
    NotAMediaFile,
    /// The file ends early or is damaged.
    Truncated,
    /// The container, codec or encryption is not supported.
    Unsupported,
    /// A playlist, script or address that would open other things.
    RefusedPlaylist,
    /// A limit on what is opened was exceeded.
    TooLarge,
    /// There is neither picture nor sound.
    NoVideoStream,
    /// Reading made no progress for too long.
    TimedOut,
    /// Reading or writing failed, or access was denied.
    Io,
    /// A value given by the caller cannot be used.
    Invalid,
    /// A query cannot be read.
    Query,
    /// Subtitles cannot be read.
    Subtitle,
    /// A model is damaged, unknown, or failed.
    Model,
    /// A model is not on this machine.
    ModelMissing,
    /// Vectors of one space were used with another.
    Space,
    /// The index could not be read or written.
    Store,
    /// Something named does not exist.
    NotFound,
    /// The caller cancelled the work.
    Cancelled,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::NotAMediaFile,
        Self::Truncated,
        Self::Unsupported,
        Self::RefusedPlaylist,
        Self::TooLarge,
        Self::NoVideoStream,
        Self::TimedOut,
        Self::Io,
        Self::Invalid,
        Self::Query,
        Self::Subtitle,
        Self::Model,
        Self::ModelMissing,
        Self::Space,
        Self::Store,
        Self::NotFound,
        Self::Cancelled,
    ];

    /// The name used in JSON, HTTP, Python and Node.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAMediaFile => "not-a-media-file",
            Self::Truncated => "truncated",
            Self::Unsupported => "unsupported",
            Self::RefusedPlaylist => "refused-playlist",
            Self::TooLarge => "too-large",
            Self::NoVideoStream => "no-video-stream",
            Self::TimedOut => "timed-out",
            Self::Io => "io",
            Self::Invalid => "invalid",
            Self::Query => "query",
            Self::Subtitle => "subtitle",
            Self::Model => "model",
            Self::ModelMissing => "model-missing",
            Self::Space => "space",
            Self::Store => "store",
            Self::NotFound => "not-found",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// The stable kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Media { kind, .. } | Self::Model { kind, .. } => *kind,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Query(_) => ErrorKind::Query,
            Self::Subtitle { .. } => ErrorKind::Subtitle,
            Self::Space(_) => ErrorKind::Space,
            Self::Store { .. } => ErrorKind::Store,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Io { .. } => ErrorKind::Io,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    /// A value of `field` that cannot be used.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    /// A media file that cannot be used.
    pub fn media(path: impl AsRef<Path>, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Media { path: path.as_ref().to_owned(), kind, message: message.into(), source: None }
    }

    /// A file operation that failed.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// A store operation that failed.
    pub fn store(message: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Store { message: message.into(), source: Some(source.into()) }
    }

    /// A model that failed or cannot be used.
    pub fn model(model: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Model { model: model.into(), kind: ErrorKind::Model, message: message.into(), source: None }
    }

    /// A model that is not on this machine.
    pub fn model_missing(model: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Model {
            model: model.into(),
            kind: ErrorKind::ModelMissing,
            message: message.into(),
            source: None,
        }
    }

    /// Something named by the caller that does not exist.
    pub fn not_found(what: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { what, name: name.into() }
    }
}
