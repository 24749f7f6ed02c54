//! A channel of your own: scenes are found by their light.
//!
//! `cargo run --example annotator --features full -- VIDEO "golden light"`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::sync::Arc;

use heimdex::annotate::{Annotation, Annotator, SceneView};
use heimdex::index::Pipeline;
use heimdex::store::SqliteStore;
use heimdex::{Heimdex, Result};

/// Names the light of a scene by the mean of its colours.
struct Light;

impl Annotator for Light {
    fn channel(&self) -> &'static str {
        "light"
    }

    fn annotate(&self, scene: &SceneView<'_>) -> Result<Annotation> {
        let mut sum = [0_u64; 3];
        let mut pixels = 0_u64;
        for pixel in scene.keyframes.iter().flat_map(|k| k.picture.data.as_chunks::<3>().0) {
            for (total, value) in sum.iter_mut().zip(pixel) {
                *total += u64::from(*value);
            }
            pixels += 1;
        }
        let [red, green, blue] = sum.map(|total| total / pixels.max(1));
        let brightness = if red + green + blue > 330 { "bright" } else { "dark" };
        let colour = match (red, blue) {
            (r, b) if r > b + 20 => "golden warm",
            (r, b) if b > r + 20 => "blue cold",
            _ => "neutral",
        };
        let text = format!("{brightness} {colour} light");
        Ok(Annotation { text, ..Annotation::default() })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(video), Some(query)) = (arguments.next(), arguments.next()) else {
        eprintln!("annotator VIDEO QUERY");
        return Ok(());
    };
    let folder = std::env::temp_dir().join("heimdex-annotator");
    std::fs::create_dir_all(&folder).map_err(|e| heimdex::Error::io(&folder, e))?;
    let pipeline =
        Pipeline::builder().thumbnails(folder.join("thumbnails")).annotate(Arc::new(Light)).build()?;
    let store = SqliteStore::open(folder.join("library.db")).await?;
    let hx = Heimdex::builder().store(store).pipeline(pipeline).build()?;
    let report = hx.index(&video).await?;
    println!("{} scenes", report.scenes);
    for hit in hx.search(query).explain(true).await?.hits {
        println!("{} {} {:?}", hit.moment, hit.video.title, hit.channels);
    }
    Ok(())
}
