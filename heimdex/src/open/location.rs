//! Where a library is.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::store::IndexStore;
use crate::{Error, Result};

/// A folder, or the address of a Postgres database: `postgres://USER:PASSWORD@HOST/DATABASE`.
///
/// `Debug` and `Display` show no password.
///
/// ```
/// use heimdex::open::Location;
///
/// assert_eq!(Location::from("videos"), Location::Folder("videos".into()));
/// # #[cfg(feature = "postgres")]
/// assert_eq!(Location::from("postgres://me:secret@db/videos").to_string(), "db:5432/videos");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
#[non_exhaustive]
pub enum Location {
    /// The folder with `library.db`.
    Folder(PathBuf),
    /// The address.
    Database(String),
}

impl From<OsString> for Location {
    fn from(given: OsString) -> Self {
        match given.to_str() {
            Some(url) if ["postgres://", "postgresql://"].iter().any(|s| url.starts_with(s)) => {
                Self::Database(url.to_owned())
            }
            _ => Self::Folder(given.into()),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(given: PathBuf) -> Self {
        given.into_os_string().into()
    }
}

impl From<String> for Location {
    fn from(given: String) -> Self {
        OsString::from(given).into()
    }
}

impl From<&str> for Location {
    fn from(given: &str) -> Self {
        OsString::from(given).into()
    }
}

impl From<Location> for PathBuf {
    fn from(location: Location) -> Self {
        match location {
            Location::Folder(folder) => folder,
            Location::Database(url) => url.into(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Database(url) => f.write_str(&address(url).unwrap_or_else(|_| "a database".to_owned())),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl Location {
    /// `library` in the user's data folder.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when there is no home folder.
    pub fn of_user() -> Result<Self> {
        Ok(Self::Folder(data_folder()?.join("library")))
    }

    /// The folder for its files, such as thumbnails: its own; for a database `data`, else one in the user's
    /// data folder that is named after the database.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it names no place, or there is no home
    /// folder.
    pub fn files(&self, data: Option<&Path>) -> Result<PathBuf> {
        match (self, data) {
            (Self::Folder(folder), None) => {
                let text = folder.to_string_lossy();
                // `C:\videos` is a folder.
                match text.split_once("://") {
                    Some((scheme, _)) => Err(Error::invalid(
                        "location",
                        format!("libraries are in folders and in postgres:// databases, not at {scheme}://"),
                    )),
                    None if text.is_empty() => Err(Error::invalid("location", "it is empty; name a folder")),
                    None => Ok(folder.clone()),
                }
            }
            (Self::Folder(_), Some(_)) => {
                Err(Error::invalid("data", "it goes with a database; a folder holds its own files"))
            }
            (Self::Database(_), Some(data)) => Ok(data.to_owned()),
            (Self::Database(url), None) => {
                let plain = |c: char| if c.is_alphanumeric() || c == '.' { c } else { '-' };
                let name: String = address(url)?.chars().map(plain).collect();
                Ok(data_folder()?.join("databases").join(name.trim_matches('-')))
            }
        }
    }

    /// The store of a library that is there; or, if it is to be made, of one that is not.
    pub(super) async fn store(&self, create: bool) -> Result<Arc<dyn IndexStore>> {
        match self {
            Self::Folder(folder) => embedded(folder, create).await,
            Self::Database(url) => database(url).await,
        }
    }
}

#[cfg(feature = "sqlite")]
async fn embedded(folder: &Path, create: bool) -> Result<Arc<dyn IndexStore>> {
    let file = folder.join("library.db");
    if !create && !file.is_file() {
        return Err(Error::not_found("library", folder.display().to_string()));
    }
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    Ok(Arc::new(crate::store::SqliteStore::open(&file).await?))
}

#[cfg(not(feature = "sqlite"))]
async fn embedded(_: &Path, _: bool) -> Result<Arc<dyn IndexStore>> {
    Err(Error::invalid("location", "this build opens databases only; it lacks the feature `sqlite`"))
}

#[cfg(feature = "postgres")]
async fn database(url: &str) -> Result<Arc<dyn IndexStore>> {
    Ok(Arc::new(crate::store::PostgresStore::connect(url).await?))
}

#[cfg(not(feature = "postgres"))]
async fn database(_: &str) -> Result<Arc<dyn IndexStore>> {
    Err(no_postgres())
}

/// `HOST:PORT/DATABASE`, without user or password.
#[cfg(feature = "postgres")]
fn address(url: &str) -> Result<String> {
    crate::store::PostgresStore::address_of(url)
}

#[cfg(not(feature = "postgres"))]
fn address(_: &str) -> Result<String> {
    Err(no_postgres())
}

#[cfg(not(feature = "postgres"))]
fn no_postgres() -> Error {
    Error::invalid("location", "this build opens folders only; it lacks the feature `postgres`")
}

fn data_folder() -> Result<PathBuf> {
    crate::models::data_folder()
        .ok_or_else(|| Error::invalid("location", "there is no home folder; say where the library is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        let location = Location::from("postgres://me:secret@db.example/videos");
        assert!(!format!("{location:?} {location}").contains("secret"));
        let broken = Location::from("postgres://me:secret@:x/");
        assert!(!format!("{broken:?} {broken}").contains("secret"));
        assert!(!broken.files(None).unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn files_are_in_the_folder_or_beside_the_database() {
        let folder = Location::from("videos");
        assert_eq!(folder.files(None).unwrap(), PathBuf::from("videos"));
        assert!(folder.files(Some(Path::new("data"))).is_err());
        assert_eq!(
            Location::from("postgres://db/x").files(Some(Path::new("data"))).unwrap(),
            PathBuf::from("data")
        );
        for nowhere in ["", "mysql://db/videos", "https://example.org"] {
            let error = Location::from(nowhere).files(None).unwrap_err();
            assert!(error.to_string().starts_with("location"), "{error}");
        }
    }

    #[test]
    fn it_is_a_text_in_json() {
        for text in ["videos", "postgres://db/videos"] {
            let location: Location = serde_json::from_value(text.into()).unwrap();
            assert_eq!(location, Location::from(text));
            assert_eq!(serde_json::to_value(&location).unwrap(), text);
        }
    }
}
