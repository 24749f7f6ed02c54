//! A hub of models in the test's own process: small files from the hub itself, large ones by a
//! redirect to a second host, as Hugging Face serves them.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::case_sensitive_file_extension_comparisons
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use sha1::Digest;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const REPO: &str = "acme/tiny";

#[derive(Debug, Clone)]
pub struct Request {
    /// Whether it came to the host of the large files.
    pub elsewhere: bool,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// The content of a large file.
    pub fn is_content(&self) -> bool {
        self.elsewhere && self.method == "GET"
    }

    pub fn range(&self) -> Option<&str> {
        self.headers.get("range").map(String::as_str)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close after so many bytes.
    pub cut: Option<usize>,
    /// Wait for [`Hub::open`] after so many bytes.
    pub hold: Option<usize>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

type Change = dyn Fn(&Request, Answer) -> Answer + Send + Sync;

struct World {
    files: BTreeMap<String, Vec<u8>>,
    elsewhere: SocketAddr,
    change: Box<Change>,
    seen: Mutex<Vec<Request>>,
    gate: (Mutex<bool>, Condvar),
}

pub struct Hub {
    pub address: SocketAddr,
    world: Arc<World>,
}

impl Hub {
    pub fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self::with(files, |_, answer| answer)
    }

    /// With answers that are changed on their way.
    pub fn with(
        files: BTreeMap<String, Vec<u8>>,
        change: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let [ours, other] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = ours.local_addr().unwrap();
        let world = Arc::new(World {
            files,
            elsewhere: other.local_addr().unwrap(),
            change: Box::new(change),
            seen: Mutex::default(),
            gate: (Mutex::new(false), Condvar::new()),
        });
        for (listener, elsewhere) in [(ours, false), (other, true)] {
            let world = Arc::clone(&world);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let world = Arc::clone(&world);
                    // A client that goes away is none of the server's business.
                    std::thread::spawn(move || drop(world.serve(stream, elsewhere)));
                }
            });
        }
        Self { address, world }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Request> {
        self.world.seen.lock().unwrap().clone()
    }

    pub fn contents(&self) -> Vec<Request> {
        self.seen().into_iter().filter(Request::is_content).collect()
    }

    /// Lets go on what is held.
    pub fn open(&self) {
        *self.world.gate.0.lock().unwrap() = true;
        self.world.gate.1.notify_all();
    }
}

impl World {
    fn serve(&self, stream: TcpStream, elsewhere: bool) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let request = Request { elsewhere, method, path, headers };
        let answer = (self.change)(&request, self.answer(&request));
        self.seen.lock().unwrap().push(request.clone());
        self.send(stream, &request, answer)
    }

    fn answer(&self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        if request.elsewhere {
            let content = path.strip_prefix("/lfs/").and_then(|f| self.files.get(f));
            return content.map_or(Answer::status(404), |content| ranged(content, request));
        }
        if path.starts_with(&format!("/api/models/{REPO}/revision/")) {
            let siblings: Vec<_> = self.files.keys().map(|f| serde_json::json!({ "rfilename": f })).collect();
            let body = serde_json::json!({"sha": COMMIT, "siblings": siblings, "private": false});
            return Answer { body: body.to_string().into_bytes(), ..Answer::status(200) };
        }
        // Small files come by way of another address of the hub.
        if let Some(file) = path.strip_prefix("/api/resolve-cache/") {
            return match self.files.get(file) {
                Some(content) => ranged(content, request).with("ETag", format!("\"{}\"", git_blob(content))),
                None => Answer::status(404),
            };
        }
        let Some((_, rest)) = path.split_once("/resolve/") else { return Answer::status(404) };
        let Some((_, file)) = rest.split_once('/') else { return Answer::status(404) };
        let Some(content) = self.files.get(file) else { return Answer::status(404) };
        if file.ends_with(".safetensors") {
            let location = format!("http://{}/lfs/{file}?X-Amz-Signature=secret-signature", self.elsewhere);
            return Answer { body: b"Found. Redirecting".to_vec(), ..Answer::status(302) }
                .with("X-Repo-Commit", COMMIT)
                .with("X-Linked-Etag", format!("\"{}\"", sha256(content)))
                .with("X-Linked-Size", content.len())
                .with("ETag", "\"of-the-redirect\"")
                .with("Location", location);
        }
        Answer { body: b"Temporary Redirect".to_vec(), ..Answer::status(307) }
            .with("X-Repo-Commit", COMMIT)
            .with("Location", format!("/api/resolve-cache/{file}"))
    }

    fn send(&self, mut stream: TcpStream, request: &Request, answer: Answer) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", answer.status);
        if !answer.headers.iter().any(|(name, _)| name == "Content-Length") {
            head += &format!("Content-Length: {}\r\n", answer.body.len());
        }
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        let body = &answer.body[..answer.cut.unwrap_or(answer.body.len()).min(answer.body.len())];
        let now = answer.hold.unwrap_or(body.len()).min(body.len());
        stream.write_all(&body[..now])?;
        stream.flush()?;
        if answer.hold.is_some() {
            let open = self.gate.0.lock().unwrap();
            drop(self.gate.1.wait_while(open, |open| !*open).unwrap());
        }
        stream.write_all(&body[now..])
    }
}

fn ranged(content: &[u8], request: &Request) -> Answer {
    let from: Option<usize> =
        request.range().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match from {
        Some(from) if from < content.len() => {
            Answer { body: content[from..].to_vec(), ..Answer::status(206) }
                .with("Content-Range", format!("bytes {from}-{}/{}", content.len() - 1, content.len()))
        }
        Some(_) => Answer::status(416),
        None => Answer { body: content.to_vec(), ..Answer::status(200) },
    }
}

pub fn sha256(content: &[u8]) -> String {
    sha2::Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn git_blob(content: &[u8]) -> String {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", content.len()));
    hasher.update(content);
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// A file of weights with one tensor of so many numbers.
pub fn weights(numbers: usize) -> Vec<u8> {
    let header =
        format!(r#"{{"w":{{"dtype":"F32","shape":[{numbers}],"data_offsets":[0,{}]}}}}"#, numbers * 4);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..numbers as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()));
    bytes
}

/// A model as sentence-transformers publishes them, and files that are not needed.
pub fn model() -> BTreeMap<String, Vec<u8>> {
    [
        ("README.md", b"# Tiny".to_vec()),
        ("config.json", br#"{"hidden_size": 4}"#.to_vec()),
        ("tokenizer.json", br#"{"version": "1.0"}"#.to_vec()),
        ("1_Pooling/config.json", br#"{"pooling_mode_mean_tokens": true}"#.to_vec()),
        ("model.safetensors", weights(300_000)),
        ("pytorch_model.bin", b"a pickle".to_vec()),
    ]
    .map(|(name, content)| (name.to_owned(), content))
    .into()
}
