//! What all requests share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heimdex::Heimdex;
use heimdex::store::PostgresStore;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::accounts::{Issuer, Keys, Passwords, SignedIn};
use crate::changes::Hub;
use crate::config::{Config, ConfigError};
use crate::limits::Requests;
use crate::models::Loaded;
use crate::problem::{Answer, Problem};
use crate::routes::system::{self, Vitals};
use crate::storage::{self, Folder, PART_LASTS, Signer, Storage};

/// Connections of a process to the database, beside those of the index.
const CONNECTIONS: u32 = 10;

/// How long a request waits for one of them.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// "heimdex-server" in a number: who makes the schema holds this lock.
const MAKING: i64 = 0x6865_696d_6465_7873;

/// Pictures that are read for a search at once: one of 67 megapixels takes 200 MB.
const PICTURES_AT_ONCE: usize = 2;

/// How old what is said of database and storage may be.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why the server does not start.
pub type Fatal = Box<dyn std::error::Error + Send + Sync>;

/// What all requests share. Clones are one.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct Inner {
    /// The settings.
    pub config: Config,
    /// The database, for the server's own tables.
    pub pool: PgPool,
    /// The database, for the index and its queue.
    pub store: PostgresStore,
    /// Models and store; asked for the library of whoever asks.
    pub heimdex: Heimdex,
    /// Which models these are.
    pub models: Loaded,
    /// Where videos are.
    pub storage: Arc<dyn Storage>,
    /// The same, where it is a folder.
    pub folder: Option<Arc<Folder>>,
    /// Signs the addresses of files in a folder.
    pub signer: Arc<Signer>,
    /// Tokens.
    pub keys: Keys,
    /// Where tokens come from, where that is not here.
    pub issuer: Option<Issuer>,
    /// Hashes of passwords.
    pub passwords: Passwords,
    /// How often who asked.
    pub requests: Requests,
    /// What changes, for whoever watches.
    pub hub: Hub,
    /// Reading of pictures, a few at a time.
    pub pictures: Semaphore,
    /// What is measured.
    pub metrics: PrometheusHandle,
    /// When the process began.
    pub begun: Instant,
    /// What was last seen of database and storage, and when.
    pub vitals: watch::Receiver<Vitals>,
    looked: Mutex<(watch::Sender<Vitals>, Instant)>,
    /// Where browsers get files, where that is not here: `https://HOST`.
    pub files_origin: Option<String>,
    /// Set when the process is to end: watchers are sent away.
    pub stopping: CancellationToken,
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// Connects, brings both schemas up to date, and loads the models.
    ///
    /// # Errors
    /// Names what cannot be used or reached.
    pub async fn open(config: Config, metrics: PrometheusHandle) -> Result<Self, Fatal> {
        let store = PostgresStore::connect(config.database_url.expose()).await?;
        let pool = connect(&config).await?;
        let said = |problem: Problem| format!("{}: {problem:?}", store.address());
        let keys = Keys::open(&config.secret, &pool, config.access_token_seconds).await.map_err(said)?;
        let signer = Arc::new(Signer::new(keys.files, &config.public_url));
        let (storage, folder) = storage::open(&config, &signer)?;
        let (heimdex, models) = {
            let (config, store) = (config.clone(), store.clone());
            let thumbnails = storage::thumbnails(&*storage);
            // Reading weights takes seconds.
            tokio::task::spawn_blocking(move || crate::models::load(&config, store, thumbnails)).await??
        };
        let issuer = Issuer::of(&config).map_err(said)?;
        let passwords = Passwords::new().map_err(said)?;
        let requests = Requests::new(config.requests_per_second);
        let begun = Instant::now();
        let (looked, vitals) = watch::channel(system::look(&pool, &*storage).await);
        let sample = storage.address("health", "text/plain", PART_LASTS).await.map_err(said)?;
        let files_origin =
            reqwest::Url::parse(&sample.url).ok().map(|url| url.origin().ascii_serialization());
        Ok(Self(Arc::new(Inner {
            vitals,
            looked: Mutex::new((looked, begun)),
            files_origin,
            hub: Hub::new(),
            pictures: Semaphore::new(PICTURES_AT_ONCE),
            begun,
            stopping: CancellationToken::new(),
            config,
            pool,
            store,
            heimdex,
            models,
            storage,
            folder,
            signer,
            keys,
            issuer,
            passwords,
            requests,
            metrics,
        })))
    }

    /// The library of somebody.
    pub fn library(&self, of: SignedIn) -> Heimdex {
        self.heimdex.in_library(of.library())
    }

    /// How database and storage are, looked at within the last second.
    pub async fn fresh_vitals(&self) -> Vitals {
        let mut looked = self.looked.lock().await;
        if looked.1.elapsed() >= LOOK_EVERY {
            let seen = system::look(&self.pool, &*self.storage).await;
            *looked = (looked.0.clone(), Instant::now());
            looked.0.send_replace(seen);
        }
        self.vitals.borrow().clone()
    }

    /// Looks at database and storage for as long as the process lives.
    pub async fn watch_vitals(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY * 3).await;
            self.fresh_vitals().await;
        }
    }

    /// Does blocking work on a thread where it may block.
    ///
    /// # Errors
    /// When it panics.
    pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
    }
}

/// Connects, and brings the schema `server` up to date.
async fn connect(config: &Config) -> Result<PgPool, Fatal> {
    let wrong = |_| ConfigError::of("DATABASE_URL", "cannot be read");
    let options: PgConnectOptions = config.database_url.expose().parse().map_err(wrong)?;
    let options = options.application_name("heimdex-server").options([
        // Where sqlx keeps the list of migrations; all names in queries are whole.
        ("search_path", "server"),
        // A request is over by then.
        ("statement_timeout", "30000"),
        ("idle_in_transaction_session_timeout", "60000"),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await?;
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MAKING).execute(&mut *tx).await?;
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'server')")
        .fetch_one(&mut *tx)
        .await?;
    if !there {
        sqlx::query(AssertSqlSafe("CREATE SCHEMA server")).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    // Never edited after a release: a change is a new file.
    sqlx::migrate!("./migrations").run(&pool).await?;
    Ok(pool)
}
