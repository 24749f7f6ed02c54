//! Getting models from a hub, finding them and checking them (SPEC K).

#![allow(clippy::unwrap_used)]

#[path = "common/hub.rs"]
mod hub;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use heimdex::embed::Precision;
use heimdex::models::{self, FileState, HubOptions, PulledModel, Token};
use heimdex::{Cancel, Error, ErrorKind, Result};
use hub::{Answer, COMMIT, Hub, REPO, Request};
use tempfile::TempDir;

/// A folder for the cache, and options that use it and this hub.
struct Setup {
    folder: TempDir,
    options: HubOptions,
}

impl Setup {
    fn new(hub: &Hub) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = HubOptions::new(folder.path().join("hub"));
        options.endpoint = hub.endpoint();
        options.retry_wait = Duration::from_millis(1);
        options.max_retry_wait = Duration::from_millis(1100);
        Self { folder, options }
    }

    fn repo(&self) -> PathBuf {
        self.options.cache.join("models--acme--tiny")
    }

    fn snapshot(&self) -> PathBuf {
        self.repo().join("snapshots").join(COMMIT)
    }

    fn blob(&self, content: &[u8]) -> PathBuf {
        self.repo().join("blobs").join(hub::sha256(content))
    }

    fn incomplete(&self, content: &[u8]) -> PathBuf {
        self.blob(content).with_extension("incomplete")
    }

    fn pull(&self) -> Result<PulledModel> {
        pull(REPO, &self.options)
    }
}

fn pull(name: &str, options: &HubOptions) -> Result<PulledModel> {
    models::pull(name, options, &Cancel::new(), &mut |_| {}).map(|mut all| all.remove(0))
}

fn content() -> Vec<u8> {
    hub::model()["model.safetensors"].clone()
}

/// A hub that fails the first so many contents of large files, or all requests by `on`.
fn failing(
    times: usize,
    on: impl Fn(&Request) -> bool + Send + Sync + 'static,
    fail: impl Fn(Answer) -> Answer + Send + Sync + 'static,
) -> Hub {
    let count = AtomicUsize::new(0);
    Hub::with(hub::model(), move |request, answer| {
        if on(request) && count.fetch_add(1, Ordering::SeqCst) < times { fail(answer) } else { answer }
    })
}

fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn a_model_is_pulled_into_the_layout_of_the_hub() {
    let hub = Hub::start(hub::model());
    let setup = Setup::new(&hub);
    let mut seen = Vec::new();
    let pulled = models::pull(REPO, &setup.options, &Cancel::new(), &mut |p| {
        seen.push((p.file.to_owned(), p.bytes, p.total));
    })
    .unwrap();
    assert_eq!(pulled.len(), 1);
    assert_eq!((pulled[0].repo.as_str(), pulled[0].revision.as_str()), (REPO, COMMIT));
    assert_eq!(pulled[0].path, setup.snapshot());

    for file in ["config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"] {
        let content = &hub::model()[file];
        assert_eq!(&std::fs::read(setup.snapshot().join(file)).unwrap(), content, "{file}");
        let name = if file == "model.safetensors" { hub::sha256(content) } else { hub::git_blob(content) };
        let total = content.len() as u64;
        assert!(seen.contains(&(file.to_owned(), total, total)), "{file} is reported whole");
        #[cfg(unix)]
        {
            let up = if file.contains('/') { "../../.." } else { "../.." };
            let link = std::fs::read_link(setup.snapshot().join(file)).unwrap();
            assert_eq!(link, Path::new(&format!("{up}/blobs/{name}")), "{file}");
        }
        assert!(setup.repo().join("blobs").join(name).is_file());
    }
    assert!(!setup.snapshot().join("pytorch_model.bin").exists(), "what is not needed is not got");
    assert_eq!(std::fs::read_to_string(setup.repo().join("refs/main")).unwrap(), COMMIT);
    assert_eq!(models::path(REPO, &setup.options).unwrap(), setup.snapshot());

    let received: u64 = pulled[0].received_bytes;
    let needed = ["config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"];
    assert_eq!(received, needed.iter().map(|f| hub::model()[*f].len() as u64).sum::<u64>());
    let before = hub.seen().len();
    assert_eq!(setup.pull().unwrap().received_bytes, 0);
    assert_eq!(hub.seen().len(), before + 1, "only the list of files is asked for again");
}

#[test]
fn the_token_goes_to_the_hub_only() {
    const SECRET: &str = "hf_verySecretToken";
    let hub = Hub::start(hub::model());
    let mut setup = Setup::new(&hub);
    setup.options.token = Some(Token::new(SECRET));
    setup.pull().unwrap();
    for request in hub.seen() {
        let expected = (!request.elsewhere).then(|| format!("Bearer {SECRET}"));
        assert_eq!(request.headers.get("authorization"), expected.as_ref(), "{request:?}");
    }
    assert!(hub.seen().iter().any(|r| r.elsewhere));
    assert!(!format!("{:?}", setup.options).contains(SECRET));
    assert!(!format!("{:#?}", setup.options.token).contains(SECRET));
}

#[test]
fn errors_tell_neither_token_nor_signed_addresses() {
    for status in [401, 403, 404, 500, 418] {
        let hub = failing(99, Request::is_content, move |_| Answer::status(status));
        let mut setup = Setup::new(&hub);
        setup.options.token = Some(Token::new("hf_verySecretToken"));
        setup.options.retries = 1;
        let error = setup.pull().unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("hf_verySecretToken") && !told.contains("secret-signature"), "{told}");
    }
}

#[test]
fn a_connection_cut_in_the_middle_is_taken_up() {
    let content = content();
    let hub = failing(2, Request::is_content, |mut answer| {
        answer.cut = Some(400_000);
        answer
    });
    let setup = Setup::new(&hub);
    setup.pull().unwrap();
    assert_eq!(std::fs::read(setup.blob(&content)).unwrap(), content);
    let ranges: Vec<_> = hub.contents().iter().map(|r| r.range().map(str::to_owned)).collect();
    let from = |n: usize| Some(format!("bytes={n}-"));
    assert_eq!(ranges, [None, from(400_000), from(800_000)], "only the rest is asked for");
}

#[test]
fn what_an_earlier_pull_left_is_taken_up() {
    let content = content();
    let hub = failing(1, Request::is_content, |mut answer| {
        answer.cut = Some(500_000);
        answer
    });
    let mut setup = Setup::new(&hub);
    setup.options.retries = 0;
    let error = setup.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    says(&error, &["model.safetensors", "500000", "1200"]);
    assert_eq!(setup.incomplete(&content).metadata().unwrap().len(), 500_000);
    assert!(models::path(REPO, &setup.options).is_err(), "a part is no model");

    let pulled = setup.pull().unwrap();
    assert_eq!(pulled.received_bytes, content.len() as u64 - 500_000);
    assert_eq!(hub.contents().last().unwrap().range(), Some("bytes=500000-"));
    assert!(!setup.incomplete(&content).exists());
}

#[test]
fn a_server_without_ranges_starts_afresh() {
    let hub = Hub::with(hub::model(), |request, answer| {
        if request.is_content() && request.range().is_some() {
            return Answer { body: content(), ..Answer::status(200) };
        }
        answer
    });
    let (setup, content) = (Setup::new(&hub), content());
    std::fs::create_dir_all(setup.repo().join("blobs")).unwrap();
    std::fs::write(setup.incomplete(&content), vec![7; 1000]).unwrap();
    let pulled = setup.pull().unwrap();
    assert!(pulled.received_bytes >= content.len() as u64);
    assert_eq!(std::fs::read(setup.blob(&content)).unwrap(), content);
}

/// What was left is damaged: the hash tells, it is removed, and the next pull is right.
#[test]
fn a_damaged_beginning_is_found_and_removed() {
    let content = content();
    let hub = Hub::start(hub::model());
    let setup = Setup::new(&hub);
    std::fs::create_dir_all(setup.repo().join("blobs")).unwrap();
    std::fs::write(setup.incomplete(&content), vec![7; 1000]).unwrap();
    let error = setup.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    says(&error, &["model.safetensors", &hub::sha256(&content), "removed"]);
    assert!(!setup.incomplete(&content).exists() && !setup.blob(&content).exists());
    setup.pull().unwrap();
    assert_eq!(std::fs::read(setup.blob(&content)).unwrap(), content);
}

#[test]
fn a_part_longer_than_the_file_is_thrown_away() {
    let content = content();
    let hub = Hub::start(hub::model());
    let setup = Setup::new(&hub);
    std::fs::create_dir_all(setup.repo().join("blobs")).unwrap();
    std::fs::write(setup.incomplete(&content), vec![7; content.len() + 1]).unwrap();
    setup.pull().unwrap();
    assert_eq!(std::fs::read(setup.blob(&content)).unwrap(), content);
}

#[test]
fn wrong_content_is_named_and_removed() {
    let content = content();
    let mut wrong = content.clone();
    wrong[50_000] ^= 1;
    let sent = wrong.clone();
    let hub = failing(1, Request::is_content, move |answer| Answer { body: sent.clone(), ..answer });
    let setup = Setup::new(&hub);
    let error = setup.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    says(&error, &[REPO, "model.safetensors", &hub::sha256(&content), &hub::sha256(&wrong)]);
    assert!(!setup.blob(&content).exists() && !setup.incomplete(&content).exists());
    assert!(!setup.snapshot().join("model.safetensors").exists());
    setup.pull().unwrap();
}

/// Small files are named by git's hash of them.
#[test]
fn wrong_content_of_a_small_file_is_found() {
    let hub = Hub::with(hub::model(), |request, answer| {
        if request.method == "GET" && request.path.ends_with("resolve-cache/config.json") {
            return Answer { body: br#"{"hidden_size": 5}"#.to_vec(), ..answer };
        }
        answer
    });
    let error = Setup::new(&hub).pull().unwrap_err();
    says(&error, &["config.json", &hub::git_blob(&hub::model()["config.json"])]);
}

#[test]
fn another_length_than_told_is_refused() {
    let hub = failing(99, Request::is_content, |mut answer| {
        answer.body.truncate(1000);
        answer
    });
    let setup = Setup::new(&hub);
    says(&setup.pull().unwrap_err(), &["model.safetensors", "sends 1000"]);
    assert_eq!(hub.contents().len(), 1, "it will not be better the next time");

    // Without a length, and longer.
    let hub = failing(99, Request::is_content, |mut answer| {
        answer.body.extend([0; 100]);
        answer.with("Transfer-Encoding", "identity").with("Content-Length", content().len() + 100)
    });
    says(&Setup::new(&hub).pull().unwrap_err(), &["model.safetensors"]);
}

#[test]
fn a_file_that_stays_short_fails_and_is_kept() {
    let content = content();
    let hub = failing(99, Request::is_content, |mut answer| {
        answer.cut = Some(0);
        answer
    });
    let mut setup = Setup::new(&hub);
    setup.options.retries = 2;
    std::fs::create_dir_all(setup.repo().join("blobs")).unwrap();
    std::fs::write(setup.incomplete(&content), &content[..9000]).unwrap();
    let error = setup.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    says(&error, &["model.safetensors", "9000"]);
    assert_eq!(hub.contents().len(), 3);
    assert_eq!(setup.incomplete(&content).metadata().unwrap().len(), 9000);
}

#[test]
fn another_part_than_asked_is_refused() {
    let hub = failing(
        99,
        |r| r.is_content() && r.range().is_some(),
        |answer| {
            let total = content().len();
            answer.with("Content-Range", format!("bytes 5-{}/{total}", total - 1))
        },
    );
    let setup = Setup::new(&hub);
    std::fs::create_dir_all(setup.repo().join("blobs")).unwrap();
    std::fs::write(setup.incomplete(&content()), &content()[..9000]).unwrap();
    says(&setup.pull().unwrap_err(), &["another part"]);
}

#[test]
fn access_refused_says_what_to_do() {
    for status in [401, 403] {
        let hub = failing(99, |r| r.path.contains("config.json"), move |_| Answer::status(status));
        let mut setup = Setup::new(&hub);
        let error = setup.pull().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ModelMissing);
        says(&error, &["HF_TOKEN", "licence", &format!("{}/{REPO}", hub.endpoint()), "no token"]);
        setup.options.token = Some(Token::new("hf_verySecretToken"));
        says(&setup.pull().unwrap_err(), &["the token does not open it"]);
    }
}

#[test]
fn what_the_hub_does_not_have_is_named() {
    let hub = failing(99, |r| r.path.contains("/resolve/"), |_| Answer::status(404));
    let mut setup = Setup::new(&hub);
    let error = setup.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelMissing);
    says(&error, &[REPO, COMMIT, "1_Pooling/config.json"]);
    setup.options.revision = Some("refs/pr/9".into());
    let missing = pull("acme/other", &setup.options).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::ModelMissing);
    says(&missing, &["acme/other", "refs/pr/9"]);
    assert!(hub.seen().last().unwrap().path.ends_with("/refs%2Fpr%2F9"));
}

#[test]
fn a_hub_that_is_busy_is_asked_again() {
    for (status, wait, least) in
        [(429, Some("0"), 0), (429, Some("1"), 1000), (503, None, 0), (500, Some("soon"), 0)]
    {
        let hub = failing(2, Request::is_content, move |_| {
            let answer = Answer::status(status);
            wait.map_or(answer.clone(), |wait| answer.with("Retry-After", wait))
        });
        let setup = Setup::new(&hub);
        let begun = Instant::now();
        setup.pull().unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(2 * least), "{status} {wait:?}");
        assert_eq!(hub.contents().len(), 3, "{status}");
    }
}

#[test]
fn patience_has_an_end() {
    let hub =
        failing(99, |r| r.path.contains("/resolve/"), |_| Answer::status(429).with("Retry-After", "999999"));
    let mut setup = Setup::new(&hub);
    setup.options.max_retry_wait = Duration::from_millis(1);
    setup.options.retries = 3;
    let error = setup.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    says(&error, &["429"]);
    assert_eq!(hub.seen().iter().filter(|r| r.path.contains("/resolve/")).count(), 4);
}

#[test]
fn a_hub_that_cannot_be_reached_is_named() {
    let hub = Hub::start(hub::model());
    let mut setup = Setup::new(&hub);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    setup.options.endpoint = format!("http://{closed}");
    setup.options.retries = 1;
    let error = setup.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    says(&error, &["127.0.0.1", REPO]);
    for bad in ["", "huggingface.co", "ftp://x", "https://user:password@x", "https://x?y"] {
        setup.options.endpoint = bad.into();
        assert_eq!(setup.pull().unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
    }
}

#[test]
fn headers_redirects_and_sizes_have_limits() {
    let hub =
        failing(99, |r| r.path.contains("/resolve/"), |answer| answer.with("X-Long", "x".repeat(200_000)));
    let mut setup = Setup::new(&hub);
    setup.options.retries = 0;
    says(&setup.pull().unwrap_err(), &["header"]);

    let hub = failing(
        99,
        |r| r.path.contains("/resolve/"),
        |answer| answer.with("Location", format!("/{REPO}/resolve/{COMMIT}/config.json")),
    );
    says(&Setup::new(&hub).pull().unwrap_err(), &["too many redirects"]);

    for location in ["ftp://elsewhere/x", "file:///etc/passwd", "", "http://"] {
        let hub =
            failing(99, |r| r.path.contains("/resolve/"), move |answer| answer.with("Location", location));
        says(&Setup::new(&hub).pull().unwrap_err(), &["redirect"]);
    }

    let hub = Hub::start(hub::model());
    let mut setup = Setup::new(&hub);
    setup.options.max_file_bytes = 1_000_000;
    says(&setup.pull().unwrap_err(), &["model.safetensors", "1000000"]);
    assert!(hub.contents().is_empty());
}

#[test]
fn names_from_outside_stay_inside() {
    for bad in ["../../../evil.json", "/etc/evil.json", "a/../../evil.json", "..\\evil.json"] {
        let mut files = hub::model();
        files.insert(bad.to_owned(), b"{}".to_vec());
        let hub = Hub::start(files);
        let setup = Setup::new(&hub);
        says(&setup.pull().unwrap_err(), &["outside its folder"]);
        assert!(!setup.options.cache.exists(), "{bad}");
    }
    for etag in ["\"../../../../evil\"", "\"\"", "\".hidden\"", "\"a/b\""] {
        let hub = failing(99, |r| r.path.contains("resolve-cache"), move |answer| answer.with("ETag", etag));
        let setup = Setup::new(&hub);
        says(&setup.pull().unwrap_err(), &["etag"]);
        assert!(!setup.folder.path().join("evil").exists());
    }
}

/// A branch that moves while it is pulled never makes a model of two commits.
#[test]
fn all_files_are_of_one_commit() {
    let other = "f".repeat(40);
    let hub = failing(
        99,
        |r| r.path.contains("/resolve/") && r.path.contains("model."),
        move |answer| answer.with("X-Repo-Commit", &other),
    );
    let setup = Setup::new(&hub);
    says(&setup.pull().unwrap_err(), &["commit"]);
    let asked = hub.seen();
    assert!(asked.iter().filter(|r| r.path.contains("/resolve/")).all(|r| r.path.contains(COMMIT)));
}

#[test]
fn a_known_model_is_held_against_the_hash_that_is_known() {
    let revision = models::KnownModel::find("all-MiniLM-L6-v2").unwrap().revision.unwrap();
    let hub = Hub::with(hub::model(), move |_, answer| {
        if answer.headers.iter().any(|(n, _)| n == "X-Repo-Commit") {
            return answer.with("X-Repo-Commit", revision);
        }
        answer
    });
    let setup = Setup::new(&hub);
    let error = pull("all-MiniLM-L6-v2", &setup.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    says(&error, &["config.json", "18 bytes in place of 612"]);

    // Of the right size, named by a hash of its own, and yet another file.
    let mut files = hub::model();
    files.insert("config.json".into(), vec![b' '; 612]);
    let hub = Hub::with(files, move |request, answer| {
        if request.path.contains("/resolve/") { answer.with("X-Repo-Commit", revision) } else { answer }
    });
    let setup = Setup::new(&hub);
    let error = pull("all-MiniLM-L6-v2", &setup.options).unwrap_err();
    says(&error, &["config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"]);
}

#[test]
fn offline_says_what_is_missing_and_asks_nobody() {
    let hub = Hub::start(hub::model());
    let mut setup = Setup::new(&hub);
    setup.options.offline = true;
    let error = setup.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelMissing);
    says(&error, &["HF_HUB_OFFLINE", REPO, "main"]);
    let error = pull("bge-m3", &setup.options).unwrap_err();
    says(&error, &["HF_HUB_OFFLINE", "model.safetensors", "1_Pooling/config.json", "tokenizer.json"]);
    assert!(hub.seen().is_empty());

    setup.options.offline = false;
    setup.pull().unwrap();
    let asked = hub.seen().len();
    setup.options.offline = true;
    assert_eq!(setup.pull().unwrap().path, setup.snapshot());
    std::fs::remove_file(setup.snapshot().join("tokenizer.json")).unwrap();
    says(&setup.pull().unwrap_err(), &["HF_HUB_OFFLINE", "tokenizer.json"]);
    assert_eq!(hub.seen().len(), asked);
}

#[test]
fn a_cancelled_pull_keeps_what_arrived() {
    let content = content();
    let hub = Hub::start(hub::model());
    let setup = Setup::new(&hub);
    let cancel = Cancel::new();
    let error = models::pull(REPO, &setup.options, &cancel, &mut |p| {
        if p.file == "model.safetensors" && p.bytes > 0 {
            cancel.cancel();
        }
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let arrived = setup.incomplete(&content).metadata().unwrap().len();
    assert!(arrived > 0 && arrived < content.len() as u64);
    let pulled = setup.pull().unwrap();
    assert_eq!(pulled.received_bytes, content.len() as u64 - arrived);
}

#[test]
fn a_wait_can_be_cancelled() {
    let cancel = Cancel::new();
    let on_answer = cancel.clone();
    let hub = failing(99, Request::is_content, move |_| {
        on_answer.cancel();
        Answer::status(429).with("Retry-After", "3600")
    });
    let mut setup = Setup::new(&hub);
    setup.options.max_retry_wait = Duration::from_hours(1);
    let error = models::pull(REPO, &setup.options, &cancel, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);

    // Also the wait for another process.
    let content = content();
    let lock = setup.options.cache.join(".locks/models--acme--tiny");
    let lock = lock.join(hub::sha256(&content)).with_extension("lock");
    let held = std::fs::File::create(lock).unwrap();
    held.lock().unwrap();
    let cancel = Cancel::new();
    let on_answer = cancel.clone();
    let hub = failing(
        99,
        |r| r.path.contains("model.safetensors"),
        move |answer| {
            on_answer.cancel();
            answer
        },
    );
    setup.options.endpoint = hub.endpoint();
    let error = models::pull(REPO, &setup.options, &cancel, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(hub.contents().is_empty());
}

#[test]
fn a_connection_that_stalls_is_given_up_and_taken_up() {
    let content = content();
    let hub = failing(1, Request::is_content, |mut answer| {
        answer.hold = Some(300_000);
        answer
    });
    let mut setup = Setup::new(&hub);
    setup.options.idle_timeout = Duration::from_millis(300);
    setup.pull().unwrap();
    assert_eq!(std::fs::read(setup.blob(&content)).unwrap(), content);
    assert_eq!(hub.contents()[1].range(), Some("bytes=300000-"));
    hub.open();
}

const CHILD: &str = "HEIMDEX_TEST_HUB";

/// This test again in a process of its own, which pulls and ends with 0 when that did.
fn child(test: &str, setup: &Setup) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, format!("{}\n{}", setup.options.endpoint, setup.options.cache.display()))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// In the child: does its part and ends the process.
fn child_pulls() {
    if let Ok(told) = std::env::var(CHILD) {
        let (endpoint, cache) = told.split_once('\n').unwrap();
        let mut options = HubOptions::new(cache);
        endpoint.clone_into(&mut options.endpoint);
        std::process::exit(i32::from(pull(REPO, &options).is_err()));
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_processes_get_a_model_once() {
    child_pulls();
    let hub = failing(1, Request::is_content, |mut answer| {
        answer.hold = Some(100_000);
        answer
    });
    let setup = Setup::new(&hub);
    let mut both = [(); 2].map(|()| child("two_processes_get_a_model_once", &setup));
    let asked =
        || hub.seen().iter().filter(|r| r.method == "HEAD" && r.path.ends_with("model.safetensors")).count();
    until("both want the weights", || asked() == 2 && hub.contents().len() == 1);
    hub.open();
    for process in &mut both {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(hub.contents().len(), 1, "the second shares what the first got");
    assert_eq!(std::fs::read(setup.blob(&content())).unwrap(), content());
    assert!(models::verify(REPO, &setup.options, &Cancel::new()).unwrap()[0].is_whole());
    let left: Vec<_> = std::fs::read_dir(setup.repo().join("blobs")).unwrap().flatten().collect();
    assert_eq!(left.len(), 4, "no parts are left: {left:?}");
}

#[test]
fn a_killed_pull_is_taken_up() {
    child_pulls();
    let hub = failing(1, Request::is_content, |mut answer| {
        answer.hold = Some(600_000);
        answer
    });
    let setup = Setup::new(&hub);
    let part = setup.incomplete(&content());
    let mut process = child("a_killed_pull_is_taken_up", &setup);
    until("the first part arrives", || part.metadata().is_ok_and(|m| m.len() == 600_000));
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(models::path(REPO, &setup.options).is_err());
    let checked = models::verify(REPO, &setup.options, &Cancel::new()).unwrap().remove(0);
    assert!(checked.problems().any(|f| f.state == FileState::Incomplete { bytes: 600_000 }), "{checked:?}");

    let pulled = setup.pull().unwrap();
    assert_eq!(pulled.received_bytes, content().len() as u64 - 600_000);
    assert_eq!(hub.contents().last().unwrap().range(), Some("bytes=600000-"));
    assert_eq!(std::fs::read(setup.blob(&content())).unwrap(), content());
    hub.open();
}

/// SPEC K2: in a process of its own, for its environment.
#[test]
fn the_environment_means_what_it_means_elsewhere() {
    const NAME: &str = "the_environment_means_what_it_means_elsewhere";
    if std::env::var_os(CHILD).is_some() {
        let pulled = HubOptions::from_env().and_then(|options| pull(REPO, &options));
        std::process::exit(i32::from(pulled.is_err()));
    }
    let hub = Hub::start(hub::model());
    let home = tempfile::tempdir().unwrap();
    let run = |variables: &[(&str, &str)]| {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap());
        for name in ["HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN_PATH", "HEIMDEX_MODELS"] {
            process.env_remove(name);
        }
        process
            .args(["--exact", NAME])
            .env(CHILD, "environment")
            .env("HF_ENDPOINT", format!("{}/", hub.endpoint()))
            .env("HF_HOME", home.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(!run(&[("HF_HUB_OFFLINE", "yes")]));
    assert!(hub.seen().is_empty());
    std::fs::write(home.path().join("token"), "hf_fromTheFile\n").unwrap();
    let sent = || hub.seen().last().and_then(|r| r.headers.get("authorization").cloned());
    assert!(run(&[("HF_HUB_OFFLINE", "0")]));
    assert!(home.path().join("hub/models--acme--tiny/snapshots").join(COMMIT).is_dir());
    assert!(run(&[]));
    assert_eq!(sent().as_deref(), Some("Bearer hf_fromTheFile"));
    assert!(run(&[("HF_TOKEN", "hf_fromTheVariable")]));
    assert_eq!(sent().as_deref(), Some("Bearer hf_fromTheVariable"));
    assert!(run(&[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]));
    assert_eq!(sent(), None);
    let other = tempfile::tempdir().unwrap();
    assert!(run(&[("HF_HUB_CACHE", other.path().to_str().unwrap())]));
    assert!(other.path().join("models--acme--tiny").is_dir());
}

/// SPEC K1: what is short, damaged or incomplete is named, and `force` puts it right.
#[test]
fn verify_names_what_is_wrong_and_pull_repairs_it() {
    let hub = Hub::start(hub::model());
    let mut setup = Setup::new(&hub);
    let verify = |options: &HubOptions| models::verify(REPO, options, &Cancel::new()).unwrap().remove(0);
    assert_eq!(
        models::verify(REPO, &setup.options, &Cancel::new()).unwrap_err().kind(),
        ErrorKind::ModelMissing
    );
    setup.pull().unwrap();
    let whole = verify(&setup.options);
    assert_eq!(whole.files.len(), 4);
    assert!(whole.files.iter().all(|f| f.state == FileState::Whole), "{whole:?}");

    let blob = setup.blob(&content());
    let mut damaged = content();
    damaged[70_000] ^= 1;
    std::fs::write(&blob, &damaged).unwrap();
    let config = setup.repo().join("blobs").join(hub::git_blob(&hub::model()["config.json"]));
    std::fs::write(&config, b"{}").unwrap();
    let checked = verify(&setup.options);
    let problems: Vec<_> = checked.problems().map(|f| (f.file.as_str(), &f.state)).collect();
    let wrong = FileState::WrongHash { expected: hub::sha256(&content()), found: hub::sha256(&damaged) };
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0].0, "config.json");
    assert_eq!(problems[1], ("model.safetensors", &wrong));
    assert!(!checked.is_whole());

    setup.options.force = true;
    assert_eq!(setup.pull().unwrap().received_bytes, content().len() as u64 + 18);
    assert!(verify(&setup.options).is_whole());
    assert_eq!(setup.pull().unwrap().received_bytes, 0, "what is right is not got again");
}

#[test]
fn a_folder_without_known_hashes_is_told_of_as_such() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::write(folder.path().join(file), &hub::model()[file]).unwrap();
    }
    std::fs::write(folder.path().join("model.safetensors.incomplete"), b"abc").unwrap();
    let options = HubOptions::new(folder.path().join("cache"));
    let checked =
        models::verify(folder.path().to_str().unwrap(), &options, &Cancel::new()).unwrap().remove(0);
    let states: Vec<_> = checked.files.iter().map(|f| &f.state).collect();
    assert_eq!(
        states,
        [
            &FileState::Unchecked,
            &FileState::Unchecked,
            &FileState::Incomplete { bytes: 3 },
            &FileState::Unchecked
        ]
    );
}

/// A snapshot of the pinned revision, with empty files of the right sizes.
fn pinned(cache: &Path, name: &str) -> PathBuf {
    let model = models::KnownModel::find(name).unwrap();
    let repo = format!("models--{}", model.repo.replace('/', "--"));
    let folder = cache.join(repo).join("snapshots").join(model.revision.unwrap());
    for file in model.files {
        let path = folder.join(file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut written = std::fs::File::create(&path).unwrap();
        written.write_all(if model.kind == models::ModelKind::Speech { b"lmgg" } else { b"    " }).unwrap();
        // Holes take no room.
        written.set_len(file.bytes.unwrap_or(4)).unwrap();
    }
    folder
}

#[test]
fn known_models_are_found_at_their_pinned_revision() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = HubOptions::new(folder.path().join("hub"));
    assert!(models::list(&options).iter().all(|m| m.path.is_none() && m.bytes == 0 && m.problem.is_none()));
    let error = models::path("whisper-small", &options).unwrap_err();
    says(&error, &["heimdex models pull whisper-small", "ggml-small.bin"]);

    let snapshot = pinned(&options.cache, "all-MiniLM-L6-v2");
    for name in ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"] {
        assert_eq!(models::path(name, &options).unwrap(), snapshot);
    }
    let listed = models::list(&options).into_iter().find(|m| m.model.name == "all-MiniLM-L6-v2").unwrap();
    assert_eq!((listed.path, listed.problem), (Some(snapshot.clone()), None));
    assert!(listed.bytes > 90_000_000);

    std::fs::remove_file(snapshot.join("1_Pooling/config.json")).unwrap();
    let error = models::path("all-MiniLM-L6-v2", &options).unwrap_err();
    says(&error, &["1_Pooling/config.json"]);
    let listed = models::list(&options).into_iter().find(|m| m.model.name == "all-MiniLM-L6-v2").unwrap();
    assert!(listed.path.is_none() && listed.problem.unwrap().contains("1_Pooling/config.json"));

    // By hand, in our own folder.
    let models_folder = folder.path().join("models");
    let by_hand = models_folder.join("sentence-transformers/all-MiniLM-L6-v2");
    std::fs::create_dir_all(&by_hand).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::write(by_hand.join(file), &hub::model()[file]).unwrap();
    }
    options.models = Some(models_folder);
    assert_eq!(models::path("all-MiniLM-L6-v2", &options).unwrap(), by_hand);
    let checked = models::verify("all-MiniLM-L6-v2", &options, &Cancel::new()).unwrap().remove(0);
    assert_eq!(checked.folder, by_hand);
    let wrong = FileState::WrongSize { expected: 612, found: 18 };
    assert!(checked.problems().any(|f| f.file == "config.json" && f.state == wrong), "{checked:?}");
}

#[test]
fn a_speech_model_is_one_file_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let options = HubOptions::new(folder.path());
    let file = pinned(&options.cache, "whisper-base").join("ggml-base.bin");
    assert_eq!(models::path("whisper-base", &options).unwrap(), file);
    assert_eq!(models::path(file.to_str().unwrap(), &options).unwrap(), file);
    assert!(models::path("whisper-small", &options).is_err());

    std::fs::File::options().write(true).open(&file).unwrap().set_len(1000).unwrap();
    says(&models::path("whisper-base", &options).unwrap_err(), &["ggml-base.bin", "1000", "147951465"]);
    let checked = models::verify("whisper-base", &options, &Cancel::new()).unwrap().remove(0);
    assert_eq!(checked.files[0].state, FileState::WrongSize { expected: 147_951_465, found: 1000 });

    std::fs::write(&file, b"not a model").unwrap();
    says(&models::path(file.to_str().unwrap(), &options).unwrap_err(), &["no ggml file"]);
}

#[test]
fn sharded_weights_count_with_all_their_files() {
    let mut files = hub::model();
    let weights = files.remove("model.safetensors").unwrap();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let map = serde_json::json!({"weight_map": {"a": shards[0], "b": shards[1]}});
    files.insert("model.safetensors.index.json".into(), map.to_string().into_bytes());
    for shard in shards {
        files.insert(shard.into(), weights.clone());
    }
    let hub = Hub::start(files);
    let setup = Setup::new(&hub);
    setup.pull().unwrap();
    assert_eq!(hub.contents().len(), 1, "equal contents are got once");
    assert_eq!(models::path(REPO, &setup.options).unwrap(), setup.snapshot());

    let last = setup.snapshot().join(shards[1]);
    std::fs::remove_file(&last).unwrap();
    says(&models::path(REPO, &setup.options).unwrap_err(), &[shards[1]]);
    std::fs::write(&last, &weights[..weights.len() / 2]).unwrap();
    says(&models::path(REPO, &setup.options).unwrap_err(), &[shards[1], "ends after"]);
    let index = setup.snapshot().join("model.safetensors.index.json");
    std::fs::remove_file(&index).unwrap();
    std::fs::write(&index, r#"{"weight_map": {"a": "../../evil"}}"#).unwrap();
    says(&models::path(REPO, &setup.options).unwrap_err(), &["outside"]);
}

#[test]
fn a_repository_without_safe_weights_is_refused() {
    let mut files = hub::model();
    files.remove("model.safetensors");
    let hub = Hub::start(files);
    let error = Setup::new(&hub).pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelMissing);
    says(&error, &["safetensors", REPO]);
}

#[test]
fn an_export_is_got_in_the_precision_asked_for() {
    let mut files = hub::model();
    files.remove("model.safetensors");
    for name in ["onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_int8.onnx"] {
        files.insert(name.to_owned(), hub::weights(name.len()));
    }
    let hub = Hub::start(files);
    let mut setup = Setup::new(&hub);
    setup.options.onnx = Some(Precision::Int8);
    let pulled = setup.pull().unwrap();
    assert!(pulled.path.join("onnx/model_int8.onnx").is_file());
    assert!(!pulled.path.join("onnx/model.onnx").exists());
    assert_eq!(models::path(REPO, &setup.options).unwrap(), pulled.path);
    setup.options.onnx = Some(Precision::F32);
    setup.pull().unwrap();
    assert!(pulled.path.join("onnx/model.onnx_data").is_file());
    setup.options.onnx = Some(Precision::F16);
    says(&setup.pull().unwrap_err(), &["onnx/model_fp16.onnx", REPO]);
    let error = pull("bge-m3", &setup.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    says(&error, &["onnx-community/bge-m3-ONNX"]);
}

#[test]
fn many_threads_pull_at_once() {
    let hub = Arc::new(Hub::start(hub::model()));
    let setup = Arc::new(Setup::new(&hub));
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let setup = Arc::clone(&setup);
            std::thread::spawn(move || setup.pull().unwrap())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().path, setup.snapshot());
    }
    assert_eq!(hub.contents().len(), 1);
}
