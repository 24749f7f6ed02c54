use std::io::BufRead as _;

use super::*;
use crate::store::testing;

crate::store_tests!(async {
    let folder = tempfile::tempdir().unwrap().keep();
    SqliteStore::open(folder.join("library.db")).await.unwrap()
});

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.db");
    std::fs::write(&path, "just some notes, and quite a few of them, so that it is no empty file").unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Store);
    assert!(error.to_string().contains("notes.db"), "{error}");
    let error = SqliteStore::open(folder.path().join("missing/library.db")).await.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Store);
}

/// And nothing in it is changed.
#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE videos (name TEXT)").execute(&pool).await.unwrap();
    pool.close().await;
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(error.to_string().contains("notes.db"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// Whatever statement of a replacement fails, the index from before is whole.
#[tokio::test]
async fn a_failure_in_the_middle_of_a_write_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("library.db")).await.unwrap();
    let library = LibraryId::default();
    let before = testing::video("a", 1, &["a red car", "a blue boat"]);
    store.replace_video(library, &before).await.unwrap();
    let mut after = testing::video("a", 2, &["a green bike"]);
    after.scenes[0].tags = vec![crate::annotate::Tag { label: "bike".into(), names: vec![], score: 0.5 }];
    for table in
        ["videos", "shots", "keyframes", "segments", "scenes", "texts", "tags", "vectors", "codes", "changes"]
    {
        let fails =
            format!("CREATE TRIGGER fails BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk'); END");
        sqlx::query(sqlx::AssertSqlSafe(fails)).execute(&store.writer).await.unwrap();
        let error = store.replace_video(library, &after).await.unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Store, "{table}");
        sqlx::query("DROP TRIGGER fails").execute(&store.writer).await.unwrap();
        assert_eq!(
            store.indexed_video(library, before.video.id).await.unwrap().as_ref(),
            Some(&before),
            "{table}"
        );
        let query = TextQuery { any: vec![vec!["boat".into()]], ..TextQuery::default() };
        let found = store.search_text(library, "speech", &query, &Filter::default(), 5).await.unwrap();
        assert_eq!(found.len(), 1, "{table}");
    }
}

/// A disk that is full has a name, and nothing is lost.
#[tokio::test]
async fn a_full_disk_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let library = LibraryId::default();
    let before = testing::video("a", 1, &["a red car"]);
    store.replace_video(library, &before).await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.writer).await.unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 2);
    sqlx::query(sqlx::AssertSqlSafe(limit)).execute(&store.writer).await.unwrap();
    let error =
        store.replace_video(library, &testing::video("a", 2, &vec!["some words"; 2000])).await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(store.indexed_video(library, before.video.id).await.unwrap(), Some(before));
    store.close().await;
    SqliteStore::open(&path).await.unwrap();
}

/// Words of a replaced or deleted video leave the full-text table with it.
#[tokio::test]
async fn no_words_stay_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("library.db")).await.unwrap();
    let library = LibraryId::default();
    let video = testing::video("a", 1, &["a red car", "a blue boat"]);
    for _ in 0..3 {
        store.replace_video(library, &video).await.unwrap();
    }
    let rows = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM text_index_1_docsize")
            .fetch_one(&mut *store.reader().await.unwrap())
            .await
            .unwrap()
    };
    assert_eq!(rows().await, 3);
    store.delete_video(library, video.video.id).await.unwrap();
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    let store = SqliteStore::open(&path).await.unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, 'x', 1, x'00', 0)")
        .execute(&store.writer)
        .await
        .unwrap();
    store.close().await;
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_open_a_fresh_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    let opened =
        futures::future::join_all((0..8).map(|_| tokio::spawn(SqliteStore::open(path.clone())))).await;
    for store in opened {
        let store = store.unwrap().unwrap();
        assert_eq!(store.videos(LibraryId::default(), Page { limit: 1, after: None }).await.unwrap().1, 0);
    }
}

/// Two stores on one file are two processes: what one writes, the other finds.
#[tokio::test]
async fn another_process_sees_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    let (one, two) = (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    let library = LibraryId::default();
    let count = async || {
        let spaces = two.spaces(library).await.unwrap();
        let query = Vector::normalize(vec![1.0; spaces[0].dim]).unwrap();
        two.search_vectors(library, &spaces[0].space(), &query, &Filter::default(), 100).await.unwrap().len()
    };
    one.replace_video(library, &testing::video("a", 1, &["x", "y"])).await.unwrap();
    assert_eq!(count().await, 2);
    one.replace_video(library, &testing::video("b", 2, &["z"])).await.unwrap();
    assert_eq!(count().await, 3);
    one.delete_video(library, VideoId::of_source(b"a")).await.unwrap();
    assert_eq!(count().await, 1);
}

/// A writer that is killed in the middle leaves whole videos only, and a file that opens.
#[cfg(unix)]
#[tokio::test]
async fn a_killed_writer_leaves_whole_videos() {
    const VARIABLE: &str = "HEIMDEX_TEST_STORE";
    let library = LibraryId::default();
    let says = vec!["some words that are said"; 200];
    if let Some(path) = std::env::var_os(VARIABLE) {
        let store = SqliteStore::open(path).await.unwrap();
        for n in 0.. {
            store.replace_video(library, &testing::video(&format!("v{}", n % 5), n, &says)).await.unwrap();
            println!("kept {n}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    for round in 0..3 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::a_killed_writer_leaves_whole_videos", "--nocapture"])
            .env(VARIABLE, &path)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Some videos are kept and another is being written; the exact moment plays no part.
        let mut told = std::io::BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let kept = told.by_ref().filter(|line| line.starts_with("kept")).take(2 * round + 1).count();
        assert_eq!(kept, 2 * round + 1, "the writer ended by itself");
        std::thread::sleep(Duration::from_millis(7 * round as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = SqliteStore::open(&path).await.unwrap();
        let (videos, _) = store.videos(library, Page { limit: 10, after: None }).await.unwrap();
        assert!(!videos.is_empty());
        for video in videos {
            assert_eq!(store.indexed_video(library, video.id).await.unwrap().unwrap().scenes.len(), 200);
        }
        let check: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&mut *store.reader().await.unwrap())
            .await
            .unwrap();
        assert_eq!(check, "ok");
        store.close().await;
    }
}
