//! Workers on one database: shared work, kills, lost connections.
#![cfg(all(unix, feature = "cli", feature = "postgres"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;
#[path = "common/database.rs"]
#[allow(unreachable_pub)]
mod database;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use heimdex::index::Pipeline;
use heimdex::store::{IndexStore, JobState, Page, PostgresStore, SqliteStore, VideoState};
use heimdex::{Cancel, Error, Heimdex, LibraryId};
use sqlx::{Connection, PgConnection};

use database::Database;

fn tiny(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).to_str().unwrap().to_owned()
}

/// The program, on a database, or on a folder.
fn heimdex(library: &str, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heimdex"));
    command
        .args(args)
        .current_dir(folder)
        .env("HEIMDEX_LIBRARY", library)
        .env("HEIMDEX_DATA", folder.join("data"))
        .env("HEIMDEX_MODELS", folder.join("no models"))
        .env("HF_HOME", folder.join("no cache"))
        .env_remove("HF_HUB_CACHE")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn succeeds(mut command: Command) -> String {
    let output = command.stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn videos(folder: &Path, count: usize) -> Vec<PathBuf> {
    (0..count)
        .map(|n| {
            let name = ["cut.mp4", "subtitles.mp4", "vfr.mkv"][n % 3];
            let path = folder.join(format!("video{n}-{name}"));
            std::fs::copy(common::fixtures().join(name), &path).unwrap();
            path
        })
        .collect()
}

fn files_below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(entry.path()).unwrap().flatten() {
            let (folder, file) = (entry.file_name(), file.file_name());
            found.insert(format!("{}/{}", folder.to_str().unwrap(), file.to_str().unwrap()));
        }
    }
    found
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// SPEC J2, O9, O11 and O12: workers are killed at random and the database goes away; every video ends
/// indexed once, as an undisturbed run indexes it, with its files and no others.
///
/// `HEIMDEX_TEST_KILLS` says how often and `HEIMDEX_TEST_RESTART` how to restart the database; see
/// `benches/faults.sh`. Without, connections are cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_and_double_nothing() {
    let Some(database) = Database::make().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let kills: usize = set("HEIMDEX_TEST_KILLS").map_or(6, |n| n.parse().unwrap());
    let paths = videos(folder, if kills > 6 { 20 } else { 6 });
    let models = [tiny("tiny-bert"), tiny("tiny-siglip2")];
    let models = ["--model", &models[0], "--image-model", &models[1]];
    let names: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let queue = [&["index", "--queue", "--quiet"][..], &names].concat();
    let again = [&["index", "--queue", "--quiet", "--force"][..], &names].concat();
    let worker = [&["worker", "--until-empty", "--lease", "1", "--quiet"][..], &models].concat();

    succeeds(heimdex(&database.url, folder, &queue));
    let store = PostgresStore::connect(&database.url).await.unwrap();
    let library = LibraryId::default();
    let listed = Page { limit: 100, after: None };
    let (placeholders, count) = store.videos(library, listed).await.unwrap();
    assert_eq!(count as usize, paths.len());
    assert!(placeholders.iter().all(|v| v.state == VideoState::Validating));

    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let start =
        || -> Child { heimdex(&database.url, folder, &worker).stderr(Stdio::null()).spawn().unwrap() };
    let mut workers = [start(), start()];
    let mut killed = 0;
    while killed < kills {
        std::thread::sleep(Duration::from_millis(50 + next(700)));
        let victim = &mut workers[next(2) as usize];
        if victim.try_wait().unwrap().is_none() {
            victim.kill().unwrap();
            victim.wait().unwrap();
            killed += 1;
        } else {
            // Nothing was left to do: everything again, so that there is something to disturb.
            succeeds(heimdex(&database.url, folder, &again));
        }
        *victim = start();
        if killed == kills / 3 || killed == 2 * kills / 3 {
            cut(&database).await;
        }
    }
    for worker in &mut workers {
        let status = worker.wait().unwrap();
        assert!(status.success(), "a worker outlives what happens to the database: {status}");
    }
    succeeds(heimdex(&database.url, folder, &worker));

    let calm = folder.join("calm");
    succeeds(heimdex(calm.to_str().unwrap(), folder, &[&["index", "--quiet"][..], &models, &names].concat()));
    let expected = SqliteStore::open(calm.join("library.db")).await.unwrap();
    let (all, count) = store.videos(library, listed).await.unwrap();
    assert_eq!(count as usize, paths.len());
    let mut files = BTreeSet::new();
    for video in all {
        assert_eq!(video.state, VideoState::Indexed, "{}: {:?}", video.source, video.warnings);
        let index = store.indexed_video(library, video.id).await.unwrap().unwrap();
        assert_eq!(Some(&index), expected.indexed_video(library, video.id).await.unwrap().as_ref());
        files.extend(index.keyframes.into_iter().flat_map(|k| [k.thumbnail, k.picture]).flatten());
    }
    let data = folder.join("data/thumbnails");
    assert_eq!(files_below(&data), files, "no file is missing, and none is an orphan");
    let open = store.jobs(library, None).await.unwrap();
    assert!(open.iter().all(|job| job.state == JobState::Done), "{open:?}");
    store.close().await;
}

/// Takes the database away, as far as a test may.
async fn cut(database: &Database) {
    if let Some(restart) = set("HEIMDEX_TEST_RESTART") {
        assert!(Command::new("sh").args(["-c", &restart]).status().unwrap().success());
        return;
    }
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
}

/// Several workers share the work; a job ends when its video is deleted or it is called off; a file that
/// cannot be used is a dead job that says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_share_the_work() {
    let Some(database) = Database::make().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let paths = videos(folder, 6);
    let broken = folder.join("broken.mp4");
    std::fs::write(&broken, "no video, whatever its name says").unwrap();
    let store = PostgresStore::connect(&database.url).await.unwrap();
    let library = || {
        let pipeline = Pipeline::builder().thumbnails(folder.join("thumbnails")).build().unwrap();
        Heimdex::builder().store(store.clone()).pipeline(pipeline).build().unwrap()
    };
    let hx = library();
    for path in paths.iter().chain([&broken]) {
        hx.index(path).title("from a queue").enqueue(&store).await.unwrap();
    }
    hx.index(&paths[5]).title("asked for again").enqueue(&store).await.unwrap();
    let called_off = hx.index(&paths[4]).enqueue(&store).await.unwrap();
    assert!(store.cancel_job(hx.library(), called_off).await.unwrap());
    assert!(hx.index(folder.join("missing/folder.mp4")).enqueue(&store).await.is_err());

    let done = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let workers = ["one", "two"].map(|name| {
        let done = std::sync::Arc::clone(&done);
        let on_end = move |job: &heimdex::store::Job, _: &_| done.lock().unwrap().push(job.id);
        let working = library().work(&store).name(name).at_once(2).until_empty(true).on_end(on_end);
        tokio::spawn(async move { working.await })
    });
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    let mut done = std::mem::take(&mut *done.lock().unwrap());
    done.sort_unstable();
    let count = done.len();
    done.dedup();
    assert_eq!((done.len(), count), (6, 6), "each job once");
    let jobs = store.jobs(hx.library(), None).await.unwrap();
    let dead: Vec<_> = jobs.iter().filter(|job| job.state == JobState::Dead).collect();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].error_kind, Some(heimdex::ErrorKind::NotAMediaFile));
    let page = hx.videos(Page { limit: 100, after: None }).await.unwrap().0;
    let of = |state| page.iter().filter(|v| v.state == state).count();
    assert_eq!((of(VideoState::Indexed), of(VideoState::Failed)), (5, 2));
    assert_eq!(page.iter().filter(|v| v.title == "asked for again").count(), 1);

    // A worker that is told to stop ends as cancelled, and leaves what it had to others.
    let cancel = Cancel::new();
    cancel.cancel();
    hx.index(&paths[0]).force(true).enqueue(&store).await.unwrap();
    let stopped = hx.work(&store).cancel(&cancel).await;
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(store.jobs(hx.library(), Some(JobState::Queued)).await.unwrap().len(), 1);
    hx.work(&store).until_empty(true).await.unwrap();

    for video in page {
        hx.remove(video.id).await.unwrap();
    }
    assert!(files_below(&folder.join("thumbnails")).is_empty());
    store.close().await;
}

/// The commands on a database: as on a folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_on_a_database() {
    let Some(database) = Database::make().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = &videos(folder, 2)[1];
    let file = path.to_str().unwrap();
    let says = |args: &[&str]| succeeds(heimdex(&database.url, folder, args));
    let sql = succeeds(heimdex("unused", folder, &["migrate", "--dry-run", "--database-url", &database.url]));
    assert!(sql.contains("CREATE TABLE videos"), "{sql}");
    assert!(says(&["migrate"]).contains("is up to date"));
    assert!(says(&["migrate", "--dry-run"]).is_empty());
    says(&["index", file, "--quiet", "--no-model", "--sidecars", "sidecars"]);
    let sidecar = std::fs::read_dir(folder.join("sidecars")).unwrap().next().unwrap().unwrap().path();
    let name = path.file_stem().unwrap().to_str().unwrap();
    assert!(says(&["search", "red car", "--no-model"]).contains("red car"));
    assert!(says(&["ls"]).contains(name));
    assert!(says(&["show", name]).contains("2 cues"));
    assert!(says(&["export", "srt", name]).contains("Hello there."));
    assert!(says(&["doctor", "--json"]).contains("\"videos\":1"));
    assert!(!files_below(&folder.join("data/thumbnails")).is_empty());
    says(&["rm", name]);
    assert!(files_below(&folder.join("data/thumbnails")).is_empty());
    assert!(says(&["search", "red car", "--no-model"]).is_empty());
    says(&["import", sidecar.to_str().unwrap()]);
    assert!(says(&["search", "red car", "--no-model"]).contains("red car"));
    assert_eq!(says(&["export", "json", name, "--vectors"]).into_bytes(), std::fs::read(&sidecar).unwrap());
    says(&["index", file, "--queue", "--quiet"]);
    assert!(says(&["jobs"]).contains("queued"));
    says(&["worker", "--until-empty", "--no-model", "--quiet"]);
    assert!(says(&["jobs"]).contains("done"));

    // Nothing that is printed holds the password of an address.
    let secret = "postgres://user:hunter-2@127.0.0.1:1/db";
    for args in [&["ls"][..], &["--help"], &["worker", "--help"], &["doctor"]] {
        let output = heimdex(secret, folder, args).stdout(Stdio::piped()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&text).contains("hunter-2"), "{args:?}");
    }
    let output = heimdex("a-folder", folder, &["worker"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("goes with a database"));
}
