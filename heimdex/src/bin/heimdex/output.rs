//! Lines for people, JSON for programs.

use std::io::{IsTerminal, Write};

use serde::Serialize;

/// Why a command ends with something other than 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 1.
    Error(heimdex::Error),
    /// Exit code 3: the failures were printed as they came.
    Some,
    /// Exit code 130.
    Cancelled,
}

impl From<heimdex::Error> for Failure {
    fn from(error: heimdex::Error) -> Self {
        if error.kind() == heimdex::ErrorKind::Cancelled { Self::Cancelled } else { Self::Error(error) }
    }
}

pub(crate) type Outcome = Result<(), Failure>;

/// Where results go: standard output, which may be closed early by a reader such as `head`.
pub(crate) fn line(text: impl AsRef<str>) -> Outcome {
    bytes(format!("{}\n", text.as_ref()).as_bytes())
}

/// Writes `value` as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string(value).map_err(|e| heimdex::Error::store("writing JSON", e))?;
    line(text)
}

pub(crate) fn bytes(bytes: &[u8]) -> Outcome {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|e| heimdex::Error::io("standard output", e).into()),
    }
}

/// A remark for people, on standard error.
#[allow(clippy::print_stderr)]
pub(crate) fn note(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// Text that cannot move the cursor or change colours: control characters are shown escaped.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || reorders {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Escapes for bold, dim and so on; empty where nobody sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) bold: &'static str,
    pub(crate) dim: &'static str,
    pub(crate) mark: &'static str,
    pub(crate) off: &'static str,
}

impl Style {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        if std::io::stdout().is_terminal() && !plain {
            Self { bold: "\x1b[1m", dim: "\x1b[2m", mark: "\x1b[1;33m", off: "\x1b[0m" }
        } else {
            Self { bold: "", dim: "", mark: "", off: "" }
        }
    }
}
