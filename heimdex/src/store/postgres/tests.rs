use super::*;
use crate::store::testing;

#[path = "../../../tests/common/database.rs"]
#[allow(unreachable_pub, clippy::print_stderr)]
mod database;
use database::Database;

/// An empty store in a database of its own; the test ends where there is no Postgres.
macro_rules! open {
    () => {{
        let Some(database) = Database::make().await else { return };
        let store = PostgresStore::connect(&database.url).await.unwrap();
        (store, database)
    }};
}

async fn run(test: testing::StoreTest) {
    let (store, _database) = open!();
    test(&store).await;
    store.close().await;
}

crate::store_tests!(with run);

const PASSWORD: &str = "hunter-2-secret";

fn library() -> LibraryId {
    LibraryId::default()
}

/// Every table, column, type, key and index of the schema, as the database describes them.
async fn described(pool: &PgPool) -> Vec<String> {
    let sql = "
        SELECT format('%s.%s %s null=%s default=%s', table_name, column_name, data_type, is_nullable,
                      coalesce(column_default, identity_generation))
        FROM information_schema.columns WHERE table_schema = 'heimdex'
        UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'heimdex'::regnamespace
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'heimdex' ORDER BY 1";
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

/// SPEC O7: a database that grew migration by migration is one that was made at once.
#[tokio::test]
async fn a_grown_schema_is_a_fresh_one() {
    let (fresh, _one) = open!();
    let Some(other) = Database::make().await else { return };
    let grown = PostgresStore::open(&other.url).await.unwrap();
    sqlx::query("CREATE SCHEMA heimdex").execute(&grown.pool).await.unwrap();
    for steps in 1..=schema::MIGRATIONS.len() {
        schema::migrator_of(steps).run(&grown.pool).await.unwrap();
    }
    assert!(PostgresStore::pending_migrations(&other.url).await.unwrap().is_empty());
    let (a, b) = (described(&fresh.pool).await, described(&grown.pool).await);
    assert!(a.len() > 100, "{}", a.len());
    assert_eq!(a, b);
    fresh.close().await;
    grown.close().await;
}

/// Every column that rows are written to is in its table with the type that is bound, and no table has
/// one that nothing writes.
#[tokio::test]
async fn rows_match_their_tables() {
    let (store, _database) = open!();
    for table in
        [schema::SHOTS, schema::KEYFRAMES, schema::SEGMENTS, schema::SCENES, schema::TAGS, schema::VECTORS]
    {
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = ('heimdex.' || $1)::regclass AND attnum > 0 AND NOT attisdropped",
        )
        .bind(table.name)
        .fetch_all(&store.pool)
        .await
        .unwrap();
        let mut found: Vec<(String, String)> = found
            .into_iter()
            .filter(|(name, _)| !matches!(name.as_str(), "library_id" | "video_id"))
            .collect();
        let mut written: Vec<(String, String)> =
            table.columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
        found.sort();
        written.sort();
        assert_eq!(found, written, "{}", table.name);
    }
    // The other tables: writing all there is leaves no column without a value somewhere.
    let mut video = testing::video("a", 1, &["red car"]);
    video.scenes[0].tags = vec![crate::annotate::Tag { label: "car".into(), names: vec![], score: 0.5 }];
    store.replace_video(library(), &video).await.unwrap();
    let video_columns: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM videos v, json_each_text(row_to_json(v)) c WHERE c.value IS NULL",
    )
    .fetch_one(&store.pool)
    .await
    .unwrap();
    assert_eq!(video_columns, 0);
    store.close().await;
}

/// Eight processes on a fresh database: each opens it, none fails. Threads of one process use the
/// database as processes do, a connection each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_migrate_a_fresh_database_at_once() {
    let Some(database) = Database::make().await else { return };
    let opened = (0..8).map(|_| {
        let url = database.url.clone();
        tokio::spawn(async move { PostgresStore::connect(&url).await })
    });
    for store in futures::future::join_all(opened).await {
        let store = store.unwrap().unwrap();
        assert_eq!(store.videos(library(), Page { limit: 1, after: None }).await.unwrap().1, 0);
        store.close().await;
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_a_dry_run_changes_nothing() {
    let Some(database) = Database::make().await else { return };
    let sql = PostgresStore::pending_migrations(&database.url).await.unwrap();
    assert!(sql.contains("CREATE SCHEMA") && sql.contains("CREATE TABLE jobs"), "{sql}");
    assert_eq!(PostgresStore::pending_migrations(&database.url).await.unwrap(), sql);
    let store = PostgresStore::connect(&database.url).await.unwrap();
    assert!(PostgresStore::pending_migrations(&database.url).await.unwrap().is_empty());
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, 'x', true, '', 0)")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    let error = PostgresStore::connect(&database.url).await.unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
}

/// Neither what is shown of a store nor any text of an error holds a password.
#[tokio::test]
async fn secrets_stay_secret() {
    let texts = |error: &Error| {
        let mut text = format!("{error} {error:?}");
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            text += &format!(" {inner} {inner:?}");
            cause = inner.source();
        }
        text
    };
    for url in [
        format!("postgres://user:{PASSWORD}@127.0.0.1:1/db"),
        format!("postgres://user:{PASSWORD}@nowhere.invalid/db"),
        format!("postgres://user:{PASSWORD}@[broken/db"),
        format!("postgres://user:{PASSWORD}@host:port/db"),
        format!("postgres://user:{PASSWORD}@localhost/db?sslmode=nonsense"),
    ] {
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert!(!texts(&error).contains(PASSWORD), "{}", texts(&error));
    }
    let (store, _database) = open!();
    assert!(!format!("{store:?}").contains("postgres://"), "{store:?}");
    store.close().await;
}

/// Whatever statement of a replacement fails, the index from before is whole.
#[tokio::test]
async fn a_failure_in_the_middle_of_a_write_changes_nothing() {
    let (store, _database) = open!();
    let before = testing::video("a", 1, &["a red car", "a blue boat"]);
    store.replace_video(library(), &before).await.unwrap();
    let mut after = testing::video("a", 2, &["a green bike"]);
    after.scenes[0].tags = vec![crate::annotate::Tag { label: "bike".into(), names: vec![], score: 0.5 }];
    sqlx::query("CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full' USING ERRCODE = '53100'; END $$")
        .execute(&store.pool)
        .await
        .unwrap();
    for table in
        ["videos", "shots", "keyframes", "segments", "scenes", "texts", "tags", "vectors", "libraries"]
    {
        let event = if table == "libraries" { "UPDATE" } else { "INSERT" };
        let sql = format!("CREATE TRIGGER fails BEFORE {event} ON {table} EXECUTE FUNCTION fails()");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&store.pool).await.unwrap();
        let error = store.replace_video(library(), &after).await.unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Store, "{table}");
        assert!(error.to_string().contains("the disk of the database is full"), "{error}");
        let sql = format!("DROP TRIGGER fails ON {table}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&store.pool).await.unwrap();
        let read = store.indexed_video(library(), before.video.id).await.unwrap();
        assert_eq!(read.as_ref(), Some(&before), "{table}");
        let query = TextQuery { any: vec![vec!["boat".into()]], ..TextQuery::default() };
        let found = store.search_text(library(), "speech", &query, &Filter::default(), 5).await.unwrap();
        assert_eq!(found.len(), 1, "{table}");
    }
    store.close().await;
}

/// A disk that is full has a name, and what was stored before is whole.
#[tokio::test]
#[ignore = "needs a small disk: benches/faults.sh makes one"]
async fn a_full_disk_is_named() {
    let small = std::env::var("HEIMDEX_TEST_SMALL_DISK").unwrap();
    let mut database = Database::make().await.unwrap();
    let server = PgPool::connect(&std::env::var("DATABASE_URL").unwrap()).await.unwrap();
    let move_it = format!("ALTER DATABASE {} SET TABLESPACE small", database.name);
    for sql in [&format!("CREATE TABLESPACE small LOCATION '{small}'"), &move_it] {
        sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&server).await.unwrap();
    }
    let store = PostgresStore::connect(&database.url).await.unwrap();
    sqlx::query("CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 8000)")
        .execute(&store.pool)
        .await
        .unwrap();
    let says = vec!["some words that are said"; 200];
    let mut stored = Vec::new();
    let error = loop {
        let n = stored.len() as u64;
        let video = testing::video(&format!("v{n}"), n, &says);
        match store.replace_video(library(), &video).await {
            Ok(()) => stored.push(video),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("the disk of the database is full"), "{error}");
    assert!(stored.len() > 10);
    for video in &stored {
        assert_eq!(store.indexed_video(library(), video.video.id).await.unwrap().as_ref(), Some(video));
    }
    assert_eq!(store.videos(library(), Page { limit: 1, after: None }).await.unwrap().1, stored.len() as u64);
    // With room again, work goes on.
    sqlx::query("DROP TABLE filler").execute(&store.pool).await.unwrap();
    store.delete_video(library(), stored[0].video.id).await.unwrap();
    store.replace_video(library(), &stored[0]).await.unwrap();
    store.close().await;
    database.name.push_str(" WITH (FORCE)");
    let drop = format!("DROP DATABASE {}", database.name);
    sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&server).await.unwrap();
    sqlx::query("DROP TABLESPACE small").execute(&server).await.unwrap();
}

/// What scores follow from is what is there, after any number of changes.
#[tokio::test]
async fn counts_of_words_are_exact() {
    let (store, _database) = open!();
    let check = async || {
        let (kept, found): ((i64, i64), (i64, i64)) = (
            sqlx::query_as("SELECT texts, tokens FROM libraries").fetch_one(&store.pool).await.unwrap(),
            sqlx::query_as("SELECT count(*), coalesce(sum(length), 0) FROM texts")
                .fetch_one(&store.pool)
                .await
                .unwrap(),
        );
        assert_eq!(kept, found);
    };
    for n in 0..4 {
        store.replace_video(library(), &testing::video("a", n, &["a red car", "", "two"])).await.unwrap();
        store.replace_video(library(), &testing::video("b", n, &["only"])).await.unwrap();
        check().await;
    }
    store.delete_video(library(), VideoId::of_source(b"a")).await.unwrap();
    check().await;
    store.close().await;
}

/// A large space gets an index; one whose making was interrupted is made again; one that nobody needs
/// goes. With it the best are found at any filter, and never fewer than there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_spaces_are_indexed() {
    let (store, _database) = open!();
    let says = vec!["x"; 450];
    let mut videos = Vec::new();
    for n in 0..24 {
        let video = testing::video(&format!("v{n}"), n, &says);
        store.replace_video(library(), &video).await.unwrap();
        videos.push(video);
    }
    let mut connection = store.pool.acquire().await.unwrap().detach();
    sqlx::query("SET statement_timeout = 30").execute(&mut connection).await.unwrap();
    let sql = "CREATE INDEX CONCURRENTLY vectors_1 ON vectors USING hnsw ((embedding::halfvec(8)) halfvec_cosine_ops)
               WHERE space_id = 1";
    sqlx::query(sql).execute(&mut connection).await.unwrap_err();
    drop(connection);
    let valid = async || -> Option<bool> {
        sqlx::query_scalar(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('heimdex.vectors_1')",
        )
        .fetch_optional(&store.pool)
        .await
        .unwrap()
    };
    assert_eq!(valid().await, Some(false), "the making was interrupted");
    assert_eq!(store.build_indexes().await.unwrap(), ["vectors_1"]);
    assert_eq!(valid().await, Some(true));
    assert!(store.build_indexes().await.unwrap().is_empty());

    let space = videos[0].spaces[0].space();
    let exact = |videos: &[IndexedVideo], query: &Vector, limit: usize| -> Vec<SceneId> {
        let mut all: Vec<ScoredScene> = videos
            .iter()
            .flat_map(|v| v.scenes.iter().map(|s| (v.video.id, s)))
            .map(|(video, s)| {
                let pairs = s.vectors[0].vector.as_slice().iter().zip(query.as_slice());
                let score = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32;
                ScoredScene { scene: SceneId { video, ordinal: s.scene.ordinal }, score, time: None }
            })
            .collect();
        all.sort_by(crate::store::parts::best_first);
        all.truncate(limit);
        all.into_iter().map(|s| s.scene).collect()
    };
    let (mut right, mut wanted) = (0, 0);
    for n in 0..20 {
        let query = videos[n].scenes[n * 7].vectors[0].vector.clone();
        for (some, limit) in [(24, 10), (24, 600), (23, 10), (1, 10), (1, 1000)] {
            let chosen = &videos[..some];
            let mut filter = Filter::default();
            if some < 24 {
                filter.videos = chosen.iter().map(|v| v.video.id).collect();
            }
            let hits = store.search_vectors(library(), &space, &query, &filter, limit).await.unwrap();
            let expected = exact(chosen, &query, limit);
            assert_eq!(hits.len(), expected.len(), "never fewer than there are");
            assert!(hits.windows(2).all(|w| w[0].score >= w[1].score));
            wanted += expected.len();
            right += hits.iter().filter(|hit| expected.contains(&hit.scene)).count();
        }
    }
    assert!(right as f64 >= 0.99 * wanted as f64, "{right} of {wanted}");
    store.delete_library(library()).await.unwrap();
    store.build_indexes().await.unwrap();
    assert_eq!(valid().await, None);
    store.close().await;
}

#[cfg(feature = "media")]
mod queue {
    use super::super::holds::{Ended, Heard, Recorded};
    use super::*;
    use crate::store::{IndexTask, JobState, VideoState};

    const LEASE: Duration = Duration::from_mins(1);

    /// A lease that has run out before anybody can look.
    const NO_LEASE: Duration = Duration::ZERO;

    fn placeholder(name: &str) -> VideoRecord {
        let mut video = testing::video(name, 1, &[]).video;
        video.state = VideoState::Validating;
        video
    }

    async fn enqueue(store: &PostgresStore, name: &str) -> i64 {
        let task = IndexTask { source: name.to_owned(), ..IndexTask::default() };
        store.enqueue(library(), &placeholder(name), &task).await.unwrap()
    }

    async fn state(store: &PostgresStore, job: i64) -> JobState {
        let jobs = store.jobs(library(), None).await.unwrap();
        jobs.iter().find(|j| j.id == job).unwrap().state
    }

    /// SPEC O9 and O10: there is no video without a job, and no job without its video.
    #[tokio::test]
    async fn a_video_and_its_job_are_written_together() {
        let (store, _database) = open!();
        sqlx::query(
            "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
        )
        .execute(&store.pool)
        .await
        .unwrap();
        for table in ["jobs", "videos"] {
            let sql = format!("CREATE TRIGGER fails BEFORE INSERT ON {table} EXECUTE FUNCTION fails()");
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&store.pool).await.unwrap();
            let task = IndexTask::default();
            store.enqueue(library(), &placeholder("a"), &task).await.unwrap_err();
            assert!(store.jobs(library(), None).await.unwrap().is_empty());
            assert_eq!(store.videos(library(), Page { limit: 1, after: None }).await.unwrap().1, 0);
            let sql = format!("DROP TRIGGER fails ON {table}");
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&store.pool).await.unwrap();
        }
        let job = enqueue(&store, "a").await;
        assert_eq!(enqueue(&store, "a").await, job, "asked for once");
        let video = store.video(library(), VideoId::of_source(b"a")).await.unwrap().unwrap();
        assert_eq!(video.state, VideoState::Validating);
        store.close().await;
    }

    /// What is asked for while it is in work is done once more, as it was asked for last.
    #[tokio::test]
    async fn a_video_in_work_is_done_again() {
        let (store, _database) = open!();
        let job = enqueue(&store, "a").await;
        let held = store.take_job(library(), "w", LEASE).await.unwrap().unwrap();
        let task = IndexTask { source: "a".into(), title: Some("new".into()), ..IndexTask::default() };
        assert_eq!(store.enqueue(library(), &placeholder("a"), &task).await.unwrap(), job);
        assert!(store.take_job(library(), "w", LEASE).await.unwrap().is_none(), "it is held");
        store.end_job(&held, &Ended::Done, LEASE).await.unwrap();
        let held = store.take_job(library(), "w", LEASE).await.unwrap().unwrap();
        assert_eq!((held.job.id, &held.job.task), (job, &task));
        store.end_job(&held, &Ended::Done, LEASE).await.unwrap();
        assert_eq!(state(&store, job).await, JobState::Done);
        store.close().await;
    }

    /// However many ask at once, each job is given to one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_workers_never_hold_one_job() {
        let (store, _database) = open!();
        for n in 0..40 {
            enqueue(&store, &format!("v{n}")).await;
        }
        let workers = (0..8).map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut held = Vec::new();
                while let Some(job) = store.take_job(library(), &format!("w{n}"), LEASE).await.unwrap() {
                    held.push(job.job.id);
                }
                held
            })
        });
        let taken = futures::future::join_all(workers).await;
        let mut all: Vec<i64> = taken.into_iter().flat_map(Result::unwrap).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40);
        store.close().await;
    }

    /// A worker that fell silent loses its job, and what it then says of it changes nothing.
    #[tokio::test]
    async fn a_lost_heartbeat_frees_the_job() {
        let (store, _database) = open!();
        let job = enqueue(&store, "a").await;
        let first = store.take_job(library(), "first", LEASE).await.unwrap().unwrap();
        assert!(store.take_job(library(), "second", LEASE).await.unwrap().is_none());
        assert_eq!(store.keep_job(&first, NO_LEASE).await.unwrap(), Heard::Kept);
        let second = store.take_job(library(), "second", LEASE).await.unwrap().unwrap();
        assert_eq!((second.job.id, second.job.losses, second.job.failures), (job, 1, 0));
        assert_eq!(store.keep_job(&first, LEASE).await.unwrap(), Heard::Lost);
        assert_eq!(store.end_job(&first, &Ended::Done, LEASE).await.unwrap(), Recorded::Lost);
        assert_eq!(state(&store, job).await, JobState::Running);
        assert_eq!(store.end_job(&second, &Ended::Done, LEASE).await.unwrap(), Recorded::Yes);
        assert_eq!(state(&store, job).await, JobState::Done);
        store.close().await;
    }

    /// Twice more after the first failure; then it is dead, its video has failed, and both say why.
    #[tokio::test]
    async fn a_job_is_tried_three_times() {
        let (store, _database) = open!();
        let job = enqueue(&store, "a").await;
        let error = Error::model("m", "it broke");
        for attempt in 1..=3 {
            let held = store.take_job(library(), "w", LEASE).await.unwrap().expect("it is due");
            let ended = Ended::Failed(&error);
            assert_eq!(store.end_job(&held, &ended, Duration::ZERO).await.unwrap(), Recorded::Yes);
            let expected = if attempt < 3 { JobState::Queued } else { JobState::Dead };
            assert_eq!(state(&store, job).await, expected, "{attempt}");
        }
        assert!(store.take_job(library(), "w", LEASE).await.unwrap().is_none());
        let dead = store.jobs(library(), Some(JobState::Dead)).await.unwrap();
        assert_eq!((dead[0].failures, dead[0].error.as_deref()), (3, Some("model m: it broke")));
        let video = store.video(library(), VideoId::of_source(b"a")).await.unwrap().unwrap();
        assert_eq!((video.state, video.warnings), (VideoState::Failed, vec!["model m: it broke".to_owned()]));

        assert!(store.retry_job(library(), job).await.unwrap());
        let held = store.take_job(library(), "w", LEASE).await.unwrap().unwrap();
        // Waits before it is tried again.
        store.end_job(&held, &Ended::Failed(&error), Duration::from_secs(10)).await.unwrap();
        assert!(store.take_job(library(), "w", LEASE).await.unwrap().is_none());
        assert!(!store.retry_job(library(), job).await.unwrap(), "it waits already");

        let job = enqueue(&store, "b").await;
        let held = store.take_job(library(), "w", LEASE).await.unwrap().unwrap();
        let error = Error::media("b", crate::ErrorKind::NotAMediaFile, "no");
        store.end_job(&held, &Ended::Failed(&error), Duration::ZERO).await.unwrap();
        assert_eq!(state(&store, job).await, JobState::Dead, "another attempt ends in the same way");
        store.close().await;
    }

    /// A video that kills whoever looks at it does not go round for ever.
    #[tokio::test]
    async fn a_job_that_loses_its_workers_dies() {
        let (store, _database) = open!();
        let job = enqueue(&store, "a").await;
        let mut taken = 0;
        while store.take_job(library(), "w", NO_LEASE).await.unwrap().is_some() {
            taken += 1;
        }
        assert_eq!(taken, 10);
        assert_eq!(state(&store, job).await, JobState::Dead);
        let video = store.video(library(), VideoId::of_source(b"a")).await.unwrap().unwrap();
        assert_eq!(video.state, VideoState::Failed);
        store.close().await;
    }

    #[tokio::test]
    async fn a_job_is_cancelled_waiting_or_running() {
        let (store, _database) = open!();
        let waiting = enqueue(&store, "a").await;
        assert!(store.cancel_job(library(), waiting).await.unwrap());
        assert!(!store.cancel_job(library(), waiting).await.unwrap());
        assert_eq!(state(&store, waiting).await, JobState::Cancelled);
        let running = enqueue(&store, "b").await;
        let held = store.take_job(library(), "w", LEASE).await.unwrap().unwrap();
        assert_eq!(held.job.id, running);
        assert!(store.cancel_job(library(), running).await.unwrap());
        assert_eq!(store.keep_job(&held, LEASE).await.unwrap(), Heard::Cancelled);
        store.end_job(&held, &Ended::Cancelled, LEASE).await.unwrap();
        assert_eq!(state(&store, running).await, JobState::Cancelled);
        // Deleting a video takes its job from whoever holds it.
        enqueue(&store, "c").await;
        let held = store.take_job(library(), "w", LEASE).await.unwrap().unwrap();
        store.delete_video(library(), VideoId::of_source(b"c")).await.unwrap();
        assert_eq!(store.keep_job(&held, LEASE).await.unwrap(), Heard::Lost);
        assert_eq!(store.end_job(&held, &Ended::Done, LEASE).await.unwrap(), Recorded::Gone);
        // An index that is there is not touched by asking for a new one and calling that off.
        let indexed = testing::video("d", 1, &["red car"]);
        store.replace_video(library(), &indexed).await.unwrap();
        let job = enqueue(&store, "d").await;
        store.cancel_job(library(), job).await.unwrap();
        assert_eq!(store.indexed_video(library(), indexed.video.id).await.unwrap(), Some(indexed));
        store.close().await;
    }

    /// A job that is a part of more is there with the rest, or not at all.
    #[tokio::test]
    async fn a_job_is_queued_in_the_callers_transaction() {
        let (store, _database) = open!();
        sqlx::query("CREATE TABLE public.mine (name text)").execute(&store.pool).await.unwrap();
        for (commits, rows) in [(false, 0), (true, 1)] {
            let mut tx = store.begin().await.unwrap();
            sqlx::query("INSERT INTO public.mine VALUES ('a')").execute(&mut *tx).await.unwrap();
            let task = IndexTask { source: "a".into(), ..IndexTask::default() };
            PostgresStore::enqueue_in(&mut tx, library(), &placeholder("a"), &task).await.unwrap();
            if commits {
                tx.commit().await.unwrap();
            } else {
                drop(tx);
            }
            let mine: i64 =
                sqlx::query_scalar("SELECT count(*) FROM public.mine").fetch_one(&store.pool).await.unwrap();
            let jobs = store.jobs(library(), None).await.unwrap().len();
            assert_eq!((mine, jobs), (rows, rows as usize));
        }
        store.close().await;
    }

    /// One worker for all libraries, and one for its own alone.
    #[tokio::test]
    async fn jobs_of_every_library_are_taken() {
        let (store, _database) = open!();
        let libraries = [LibraryId::named("a"), LibraryId::named("b")];
        let task = IndexTask { source: "v".into(), ..IndexTask::default() };
        for library in libraries {
            store.enqueue(library, &placeholder("v"), &task).await.unwrap();
        }
        assert!(store.has_open_jobs(None).await.unwrap());
        assert!(!store.has_open_jobs(Some(library())).await.unwrap());
        assert!(store.take_job(library(), "w", LEASE).await.unwrap().is_none());
        let mut taken = Vec::new();
        while let Some(held) = store.take_job(None, "w", LEASE).await.unwrap() {
            taken.push(held.library);
            store.end_job(&held, &Ended::Done, LEASE).await.unwrap();
        }
        assert_eq!(taken, libraries);
        assert!(!store.has_open_jobs(None).await.unwrap());
        store.close().await;
    }

    /// Progress is seen from elsewhere, never goes backwards, and begins anew with a job that does.
    #[tokio::test]
    async fn progress_is_told() {
        let (store, _database) = open!();
        let at = |stage, fraction| crate::Progress { stage, stage_fraction: 0.5, fraction };
        let mut changes = store.changes().await.unwrap();
        let job = enqueue(&store, "a").await;
        let seen = async || store.jobs(library(), None).await.unwrap()[0].progress;
        assert_eq!(seen().await, None);
        let held = store.take_job(library(), "w", NO_LEASE).await.unwrap().unwrap();
        store.record_progress(&held, at(Stage::Decode, 0.5)).await.unwrap();
        store.record_progress(&held, at(Stage::Validate, 0.25)).await.unwrap();
        assert_eq!(seen().await, Some(at(Stage::Decode, 0.5)));
        let second = store.take_job(library(), "w", LEASE).await.unwrap().unwrap();
        store.record_progress(&held, at(Stage::Commit, 0.9)).await.unwrap();
        assert_eq!(seen().await, Some(at(Stage::Decode, 0.5)), "who lost it says nothing of it");
        store.end_job(&second, &Ended::Done, LEASE).await.unwrap();
        let whole = crate::Progress { stage: Stage::Commit, stage_fraction: 1.0, fraction: 1.0 };
        assert_eq!(seen().await, Some(whole));
        let id = VideoId::of_source(b"a");
        let standing = store.standing(library(), &[VideoId::of_source(b"b"), id]).await.unwrap();
        assert_eq!(standing.len(), 1);
        assert_eq!((standing[0].video.id, standing[0].job.as_ref().unwrap().id), (id, job));
        assert!(!standing[0].searchable);
        assert!(store.standing(LibraryId::named("other"), &[id]).await.unwrap().is_empty());
        // Each change was told, to whoever listens.
        let heard = changes.next().await.unwrap().unwrap();
        assert_eq!((heard.library, heard.video), (library(), id));
        // Its connection is one of the store's.
        drop(changes);
        store.delete_video(library(), id).await.unwrap();
        store.close().await;
    }

    /// What is said is read without the rest.
    #[tokio::test]
    async fn a_transcript_is_read_alone() {
        let (store, _database) = open!();
        let indexed = testing::video("a", 1, &["red car", "rain"]);
        store.replace_video(library(), &indexed).await.unwrap();
        let read = store.transcript(library(), indexed.video.id).await.unwrap();
        assert_eq!(
            read.as_ref().map(|t| &t.segments),
            indexed.transcript.as_ref().map(|_| &indexed.segments)
        );
        assert_eq!(read.map(|t| t.source), indexed.transcript);
        assert!(store.transcript(LibraryId::named("other"), indexed.video.id).await.unwrap().is_none());
        store.close().await;
    }
}
