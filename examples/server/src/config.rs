//! Settings: a file, then the environment. Whatever is missing or wrong stops the server with its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

/// What begins the name of every variable but `DATABASE_URL` and those of AWS.
const PREFIX: &str = "HEIMDEX_SERVER_";

/// What a process does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers requests and indexes.
    #[default]
    All,
    /// Answers requests.
    Api,
    /// Indexes.
    Worker,
}

impl Role {
    /// Whether it answers requests.
    pub fn serves(self) -> bool {
        self != Self::Worker
    }

    /// Whether it indexes.
    pub fn works(self) -> bool {
        self != Self::Api
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// A value that no log and no message shows.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The value.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// All settings. In the file they have these names; in the environment `HEIMDEX_SERVER_` stands before
/// them, in capitals: `listen` is `HEIMDEX_SERVER_LISTEN`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The Postgres of the index; the variable is `DATABASE_URL`. Required.
    pub database_url: Secret,
    /// What this process does.
    pub role: Role,
    /// Where requests come in.
    pub listen: SocketAddr,
    /// This server's address as browsers see it, such as `https://videos.example.org`. Where it is not
    /// given, addresses in answers are relative.
    pub public_url: String,
    /// A folder, or `s3://BUCKET/PREFIX`. A bucket's region, endpoint and keys come from the variables of
    /// AWS.
    pub storage: String,
    /// The endpoint of the bucket as browsers see it, where it is another.
    pub s3_public_url: String,
    /// Where workers keep a video from a bucket while they work on it.
    pub work_dir: PathBuf,
    /// At least 32 characters, the same for all processes. Where it is not given, one is made and kept in
    /// the database.
    pub secret: Secret,
    /// The secret of an outside issuer of tokens (HS256).
    pub jwt_secret: Secret,
    /// The keys of an outside issuer.
    pub jwks_url: String,
    /// Whom an outside issuer's tokens have to be for.
    pub jwt_audience: String,
    /// What an outside issuer calls itself; not checked when empty.
    pub jwt_issuer: String,
    /// Seconds that an access token is good for.
    pub access_token_seconds: u64,
    /// Seconds until a session that is not used ends.
    pub refresh_token_seconds: u64,
    /// Seconds in which a refresh token may come again: two tabs at once, or an answer that was lost.
    pub refresh_grace_seconds: u64,
    /// Model for search by meaning: a name, a folder, `auto` for all-MiniLM-L6-v2 where it is here, or `none`.
    pub text_model: String,
    /// Model for search by what is shown: a name, a folder, or `none`.
    pub image_model: String,
    /// Model for speech: a name, a file, or `none`.
    pub speech_model: String,
    /// Largest video in bytes.
    pub max_upload_bytes: u64,
    /// Most videos of a user.
    pub max_videos: u64,
    /// Most bytes of all videos of a user.
    pub max_bytes: u64,
    /// Longest video in seconds.
    pub max_video_seconds: u64,
    /// Bytes of a part; a video that fits into one is sent as one.
    pub part_bytes: u64,
    /// Hours until an upload that was not completed is removed.
    pub upload_hours: u64,
    /// Videos that are indexed at once by this process.
    pub jobs: usize,
    /// Seconds that a worker may be silent before another takes its job.
    pub lease_seconds: u64,
    /// Proxies between browsers and this server that set `X-Forwarded-For`.
    pub trusted_proxies: usize,
    /// Requests a second of a user or, signed out, of an address; bursts of ten seconds' worth pass.
    pub requests_per_second: u32,
    /// Sign-ins a minute for an account, and five times as many from an address.
    pub logins_per_minute: u32,
    /// New accounts an hour from an address.
    pub registrations_per_hour: u32,
    /// Connections at once.
    pub max_connections: usize,
    /// Seconds that requests in work have to end when the server is stopped.
    pub shutdown_seconds: u64,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The variables of AWS, as they stand in the environment.
    #[serde(skip)]
    pub aws: BTreeMap<String, Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database_url: Secret::default(),
            role: Role::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8474)),
            public_url: String::new(),
            storage: default_storage(),
            s3_public_url: String::new(),
            work_dir: std::env::temp_dir().join("heimdex-server"),
            secret: Secret::default(),
            jwt_secret: Secret::default(),
            jwks_url: String::new(),
            jwt_audience: String::new(),
            jwt_issuer: String::new(),
            access_token_seconds: 15 * 60,
            refresh_token_seconds: 7 * 24 * 3600,
            refresh_grace_seconds: 10,
            text_model: "auto".to_owned(),
            image_model: "none".to_owned(),
            speech_model: "none".to_owned(),
            max_upload_bytes: 1 << 30,
            max_videos: 1000,
            max_bytes: 50 << 30,
            max_video_seconds: 6 * 3600,
            part_bytes: 8 << 20,
            upload_hours: 24,
            jobs: 1,
            lease_seconds: 60,
            trusted_proxies: 0,
            requests_per_second: 50,
            logins_per_minute: 10,
            registrations_per_hour: 30,
            max_connections: 8192,
            shutdown_seconds: 20,
            log_format: LogFormat::default(),
            aws: BTreeMap::new(),
        }
    }
}

fn default_storage() -> String {
    let data = heimdex::models::data_folder();
    data.map(|data| data.join("server").display().to_string()).unwrap_or_default()
}

/// A setting that is missing or wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    name: String,
    message: String,
}

impl ConfigError {
    /// A problem with the setting of this name.
    pub fn of(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The variable of a setting.
fn variable(name: &str) -> String {
    if name == "database_url" {
        "DATABASE_URL".to_owned()
    } else {
        format!("{PREFIX}{}", name.to_uppercase())
    }
}

const TEXTS: [&str; 16] = [
    "database_url",
    "role",
    "listen",
    "public_url",
    "storage",
    "s3_public_url",
    "work_dir",
    "secret",
    "jwt_secret",
    "jwks_url",
    "jwt_audience",
    "jwt_issuer",
    "text_model",
    "image_model",
    "speech_model",
    "log_format",
];

const NUMBERS: [&str; 17] = [
    "access_token_seconds",
    "refresh_token_seconds",
    "refresh_grace_seconds",
    "max_upload_bytes",
    "max_videos",
    "max_bytes",
    "max_video_seconds",
    "part_bytes",
    "upload_hours",
    "jobs",
    "lease_seconds",
    "trusted_proxies",
    "requests_per_second",
    "logins_per_minute",
    "registrations_per_hour",
    "max_connections",
    "shutdown_seconds",
];

impl Config {
    /// Reads the file, where one is named, and then the environment.
    ///
    /// # Errors
    /// Names the setting, in the form it was given in.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = match file {
            None => toml::Table::new(),
            Some(path) => {
                let named = path.display().to_string();
                let text =
                    std::fs::read_to_string(path).map_err(|e| ConfigError::of(&named, e.to_string()))?;
                text.parse::<toml::Table>().map_err(|e| ConfigError::of(named, e.message().to_owned()))?
            }
        };
        let mut from_environment = BTreeSet::new();
        let mut aws = BTreeMap::new();
        for (name, value) in environment {
            let setting = match name.strip_prefix(PREFIX) {
                Some(setting) => setting.to_lowercase(),
                None if name == "DATABASE_URL" => "database_url".to_owned(),
                None => {
                    if name.starts_with("AWS_") {
                        aws.insert(name, Secret::from(value));
                    }
                    continue;
                }
            };
            if setting == "config" {
                continue;
            }
            let value = if NUMBERS.contains(&setting.as_str()) {
                let number = value.trim().parse::<i64>().ok().filter(|number| *number >= 0);
                let wrong = || ConfigError::of(&name, format!("`{value}` is not a whole number from 0 on"));
                toml::Value::Integer(number.ok_or_else(wrong)?)
            } else if TEXTS.contains(&setting.as_str()) {
                toml::Value::String(value)
            } else {
                return Err(ConfigError::of(name, "there is no such setting; see docs/server.md"));
            };
            from_environment.insert(setting.clone());
            table.insert(setting, value);
        }
        // One at a time, so that what is wrong can be named as it was given.
        for (setting, value) in &table {
            let one = toml::Table::from_iter([(setting.clone(), value.clone())]);
            if let Err(error) = one.try_into::<Self>() {
                let name =
                    if from_environment.contains(setting) { variable(setting) } else { setting.clone() };
                // The text of the cause may quote a secret.
                let secret = ["database_url", "secret", "jwt_secret"].contains(&setting.as_str());
                let message = if secret { "cannot be read".to_owned() } else { error.message().to_owned() };
                return Err(ConfigError::of(name, message));
            }
        }
        let mut config: Self =
            table.try_into().map_err(|e: toml::de::Error| ConfigError::of("settings", e.message()))?;
        config.aws = aws;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types cannot.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |setting: &str, message: &str| Err(ConfigError::of(variable(setting), message));
        if self.database_url.expose().is_empty() {
            return wrong("database_url", "is not set; give the Postgres to use, such as $(dev/postgres)");
        }
        let postgres = ["postgres://", "postgresql://"];
        if !postgres.iter().any(|scheme| self.database_url.expose().starts_with(scheme)) {
            return wrong("database_url", "does not begin with postgres://");
        }
        if let Err(error) = heimdex::store::PostgresStore::address_of(self.database_url.expose()) {
            return wrong("database_url", &error.to_string());
        }
        if self.storage.is_empty() {
            return wrong("storage", "is not set; give a folder or s3://BUCKET");
        }
        let secret = self.secret.expose();
        if !secret.is_empty() && secret.len() < 32 {
            return wrong("secret", "is shorter than 32 characters");
        }
        for (setting, url) in [
            ("public_url", &self.public_url),
            ("s3_public_url", &self.s3_public_url),
            ("jwks_url", &self.jwks_url),
        ] {
            if url.is_empty() {
                continue;
            }
            let known = url.starts_with("https://") || url.starts_with("http://");
            if !known || reqwest::Url::parse(url).is_err() {
                return wrong(setting, "is no address that begins with https:// or http://");
            }
        }
        if self.is_external() {
            if !self.jwt_secret.expose().is_empty() && !self.jwks_url.is_empty() {
                return wrong("jwt_secret", "is given together with JWKS_URL; give one of them");
            }
            if self.jwt_audience.is_empty() {
                return wrong("jwt_audience", "is not set, and tokens of an outside issuer need one");
            }
            if !self.jwt_secret.expose().is_empty() && self.jwt_secret.expose().len() < 32 {
                return wrong("jwt_secret", "is shorter than 32 characters");
            }
        } else if !self.jwt_audience.is_empty() || !self.jwt_issuer.is_empty() {
            let setting = if self.jwt_audience.is_empty() { "jwt_issuer" } else { "jwt_audience" };
            return wrong(setting, "goes with JWT_SECRET or JWKS_URL, and neither is set");
        }
        for (setting, value, least, most) in [
            ("access_token_seconds", self.access_token_seconds, 10, 24 * 3600),
            ("refresh_token_seconds", self.refresh_token_seconds, 60, 365 * 24 * 3600),
            ("refresh_grace_seconds", self.refresh_grace_seconds, 0, 60),
            ("max_upload_bytes", self.max_upload_bytes, 1, 5 << 40),
            ("max_videos", self.max_videos, 1, 1_000_000_000),
            ("max_bytes", self.max_bytes, 1, 1 << 60),
            ("max_video_seconds", self.max_video_seconds, 1, 7 * 24 * 3600),
            ("part_bytes", self.part_bytes, 64 << 10, 1 << 30),
            ("upload_hours", self.upload_hours, 1, 24 * 365),
            ("jobs", self.jobs as u64, 1, 64),
            ("lease_seconds", self.lease_seconds, 1, 24 * 3600),
            ("trusted_proxies", self.trusted_proxies as u64, 0, 16),
            ("requests_per_second", self.requests_per_second.into(), 1, 1_000_000),
            ("logins_per_minute", self.logins_per_minute.into(), 1, 1_000_000),
            ("registrations_per_hour", self.registrations_per_hour.into(), 1, 1_000_000),
            ("max_connections", self.max_connections as u64, 1, 1_000_000),
            ("shutdown_seconds", self.shutdown_seconds, 0, 3600),
        ] {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::of(
                    variable(setting),
                    format!("must lie between {least} and {most}"),
                ));
            }
        }
        if self.storage.starts_with("s3://") && self.part_bytes < 5 << 20 {
            return wrong("part_bytes", "must be at least 5242880 with a bucket");
        }
        Ok(())
    }

    /// Whether tokens come from an outside issuer.
    pub fn is_external(&self) -> bool {
        !self.jwt_secret.expose().is_empty() || !self.jwks_url.is_empty()
    }

    /// How long a worker may be silent.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let base = [("DATABASE_URL", "postgres://u:hidden@h/d"), ("HEIMDEX_SERVER_STORAGE", "/videos")];
        let all = base.iter().chain(pairs).map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Config::read(None, all).map_err(|e| e.to_string())
    }

    /// SPEC O23: what is missing or wrong is named, and nothing starts.
    #[test]
    fn missing_configuration_is_named() {
        let error = Config::read(None, []).unwrap_err().to_string();
        assert!(error.starts_with("DATABASE_URL: is not set"), "{error}");
        for (name, value) in [
            ("LISTEN", "everywhere"),
            ("ROLE", "boss"),
            ("SECRET", "short"),
            ("STORAGE", ""),
            ("PUBLIC_URL", "example.org"),
            ("MAX_UPLOAD_BYTES", "1 GiB"),
            ("MAX_UPLOAD_BYTES", "-1"),
            ("JOBS", "0"),
            ("JWKS_URL", "https://issuer/keys"),
            ("JWT_AUDIENCE", "me"),
            ("PART_BYTES", "1"),
            ("LOG_FORMAT", "xml"),
            ("NO_SUCH_SETTING", "1"),
        ] {
            let name = format!("HEIMDEX_SERVER_{name}");
            let error = read(&[(&name, value)]).unwrap_err();
            let named = if name.ends_with("JWKS_URL") { "HEIMDEX_SERVER_JWT_AUDIENCE" } else { &name };
            assert!(error.starts_with(named), "{name}={value}: {error}");
        }
        let error = read(&[("DATABASE_URL", "mysql:/hidden@x")]).unwrap_err();
        assert!(error.starts_with("DATABASE_URL") && !error.contains("hidden"), "{error}");
    }

    #[test]
    fn the_environment_comes_after_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.toml");
        std::fs::write(&path, "listen = \"0.0.0.0:80\"\njobs = 3\n").unwrap();
        let all = [("DATABASE_URL", "postgres://h/d"), ("HEIMDEX_SERVER_JOBS", "2")];
        let all = all.map(|(n, v)| (n.to_owned(), v.to_owned()));
        let config = Config::read(Some(&path), all.clone()).unwrap();
        assert_eq!((config.listen.port(), config.jobs), (80, 2));
        for (text, name) in [("jobs = \"many\"", "jobs"), ("colour = 1", "colour"), ("= 1", "server.toml")] {
            std::fs::write(&path, text).unwrap();
            let error = Config::read(Some(&path), all[..1].to_vec()).unwrap_err().to_string();
            assert!(error.contains(name), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = read(&[("HEIMDEX_SERVER_SECRET", "0123456789abcdef0123456789abcdef")]).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("hidden") && !shown.contains("abcdef"), "{shown}");
    }
}
