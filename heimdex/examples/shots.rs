//! Prints the shots of a file. Needs no library and no model.
#![allow(clippy::print_stdout)]

use heimdex::Cancel;
use heimdex::index::Pipeline;

fn main() -> heimdex::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| heimdex::Error::invalid("path", "which file?"))?;
    let video = Pipeline::builder().build()?.run(path, &Cancel::new(), |_| ())?;
    for shot in &video.shots {
        println!("{}  {}", shot.span.start, shot.span.end);
    }
    Ok(())
}
