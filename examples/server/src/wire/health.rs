//! How the server stands, and what it runs with.

use serde::Serialize;
use utoipa::ToSchema;

/// How the server is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// Whether everything it needs answers.
    pub status: HealthStatus,
    /// The version of Heimdex.
    pub version: String,
    /// What this build can do.
    pub features: Vec<String>,
    /// What this process does.
    pub role: String,
    /// The database.
    pub database: PartHealth,
    /// The storage of videos.
    pub storage: PartHealth,
    /// Seconds since the process began.
    pub uptime_seconds: u64,
}

/// In a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// All is well.
    Ok,
    /// Something does not answer.
    Degraded,
}

/// How something that the server needs is, as of the last look at it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PartHealth {
    /// Whether it answers.
    pub ok: bool,
    /// What it is.
    pub kind: String,
    /// Milliseconds that it took to answer.
    pub latency_ms: f64,
}

/// Whether requests can be served.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ready {
    /// Whether.
    pub ready: bool,
    /// What was looked at, and what is worth knowing of it.
    pub checks: Vec<Check>,
}

/// A thing that was looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is as it has to be.
    pub ok: bool,
    /// In a sentence.
    pub detail: String,
}

/// The models of a process.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelsView {
    /// Those that are loaded, once for all libraries.
    pub models: Vec<ModelView>,
    /// What is not there, and what that means.
    pub notes: Vec<String>,
    /// What they compute on.
    pub device: String,
    /// Memory of the process; null where it cannot be told.
    pub memory_bytes: Option<u64>,
    /// Seconds since the process began.
    pub uptime_seconds: u64,
}

/// A model.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelView {
    /// `text`, `image` or `speech`.
    pub role: String,
    /// Its name.
    pub model: String,
    /// Its revision, where it has one.
    pub revision: Option<String>,
    /// Components of its vectors; null for speech.
    pub dim: Option<usize>,
}
