//! Indexes the files of a folder into `library.db`, then answers what is typed.
#![allow(clippy::print_stdout)]

use std::io::BufRead;
use std::sync::Arc;

use futures::StreamExt;
use heimdex::embed::TextEncoder;
use heimdex::index::Pipeline;
use heimdex::store::SqliteStore;
use heimdex::{Error, Heimdex, models};

#[tokio::main]
async fn main() -> heimdex::Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| Error::invalid("folder", "which folder?"))?;
    let mut pipeline = Pipeline::builder();
    // Without the model scenes are found by their words.
    if let Ok(model) = models::resolve("all-MiniLM-L6-v2") {
        pipeline = pipeline.text(Arc::new(TextEncoder::open(model)?));
    }
    let hx = Heimdex::builder()
        .store(SqliteStore::open("library.db").await?)
        .pipeline(pipeline.build()?)
        .build()?;

    let files = std::fs::read_dir(&folder).map_err(|e| Error::io(&folder, e))?.flatten().map(|e| e.path());
    let work: Vec<_> = files.filter(|path| path.is_file()).map(|path| hx.index(path)).collect();
    let mut results = std::pin::pin!(Heimdex::index_many(work, 2));
    while let Some((path, result)) = results.next().await {
        match result {
            Ok(report) => println!("{}: {} scenes", path.display(), report.scenes),
            Err(error) => println!("{error}"),
        }
    }

    println!("What are you looking for?");
    for query in std::io::stdin().lock().lines() {
        match hx.search(query.unwrap_or_default()).limit(5).await {
            Ok(page) => {
                for hit in &page.hits {
                    println!("{}  {}  {}", hit.video.title, hit.moment, hit.text.replace('\n', " "));
                }
            }
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}
