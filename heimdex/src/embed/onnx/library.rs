//! The library of ONNX Runtime: found at run time, loaded once per process.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::embed::ModelOptions;
use crate::{Error, Result};

const VARIABLE: &str = "ORT_DYLIB_PATH";

/// How the loader knows it.
const SYSTEM: &[&str] = if cfg!(target_os = "windows") {
    &["onnxruntime.dll"]
} else if cfg!(target_vendor = "apple") {
    &["libonnxruntime.dylib"]
} else {
    &["libonnxruntime.so", "libonnxruntime.so.1"]
};

/// The environment of the loaded library, which is loaded now if it was not.
///
/// # Errors
/// [`ErrorKind::Model`](crate::ErrorKind::Model) with all that was looked for and the next step.
pub(super) fn environment(model: &str, options: &ModelOptions) -> Result<Environment> {
    // Never dropped: sessions on other threads may outlive whoever loaded it.
    static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let mut looked = Vec::new();
    for (from, path) in candidates(options) {
        match load(&path) {
            Ok(environment) => {
                tracing::debug!(library = %path.display(), from, "ONNX Runtime is loaded");
                return Ok(loaded.insert(environment).clone());
            }
            Err(error) => looked.push(format!("{from} {} ({error})", path.display())),
        }
    }
    let message = format!(
        "the library of ONNX Runtime could not be loaded; looked for: {}. Next: `pip install onnxruntime` and \
         {VARIABLE}=…/onnxruntime/capi/{}",
        looked.join("; "),
        if cfg!(target_os = "windows") { "onnxruntime.dll" } else { "libonnxruntime.so.*" }
    );
    Err(Error::model(model, message))
}

/// Where it may be, and who said so. What was named is taken, or nothing: another version from elsewhere
/// would be a surprise.
fn candidates(options: &ModelOptions) -> Vec<(&'static str, PathBuf)> {
    let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let named = variable
        .map(|path| (VARIABLE, path))
        .or_else(|| options.library.clone().map(|path| ("the option `library`", path)));
    match named {
        Some((from, path)) => vec![(from, in_package(&path))],
        None => SYSTEM.iter().map(|name| ("the system's", PathBuf::from(name))).collect(),
    }
}

/// The library in a folder such as that of the Python package; the path itself where it is no folder.
fn in_package(path: &Path) -> PathBuf {
    // A relative path is the caller's: the loader would take it for one beside the program.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if !path.is_dir() {
        return path;
    }
    let is_library = |entry: &PathBuf| {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
    };
    for inside in ["", "capi", "onnxruntime/capi", "lib"] {
        let entries = std::fs::read_dir(path.join(inside)).into_iter().flatten().flatten();
        if let Some(library) = entries.map(|entry| entry.path()).filter(is_library).max() {
            return library;
        }
    }
    path
}

fn load(path: &Path) -> std::result::Result<Environment, String> {
    // The binding asserts what every ONNX Runtime does; a file that is another library may not.
    let loaded = catch_unwind(AssertUnwindSafe(|| {
        let builder = ort::init_from(path).map_err(|error| error.to_string())?;
        builder.with_name("heimdex").with_telemetry(false).build().map_err(|error| error.to_string())
    }));
    let environment = loaded.unwrap_or_else(|_| Err("it is no usable ONNX Runtime".to_owned()))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// The providers that the loaded library was built with, by their names there.
pub(super) fn providers() -> Vec<String> {
    let mut names = std::ptr::null_mut();
    let mut count = 0;
    let api = ort::api();
    // SAFETY: both pointers are to locals that outlive the call.
    let status = unsafe { (api.GetAvailableProviders)(&raw mut names, &raw mut count) };
    // SAFETY: the status is what the call above gave, and is taken once.
    let asked = unsafe { ort::Error::result_from_status(status) };
    if asked.is_err() || names.is_null() {
        return Vec::new();
    }
    let found = (0..usize::try_from(count).unwrap_or_default())
        // SAFETY: the call gave `count` strings, each ending in NUL.
        .map(|i| unsafe { CStr::from_ptr(*names.add(i)) }.to_string_lossy().into_owned())
        .collect();
    // SAFETY: the list is the library's own, is given back once, and nothing borrows from it.
    let released = unsafe { ort::Error::result_from_status((api.ReleaseAvailableProviders)(names, count)) };
    if let Err(error) = released {
        tracing::debug!(%error, "ONNX Runtime did not take its list of providers back");
    }
    found
}
