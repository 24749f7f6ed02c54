//! How long a search takes in a library: `search_speed LIBRARY QUERY [SEARCHES]`. Prints the median in
//! microseconds. `benches/bindings.py` puts it beside those of Python and Node.
#![allow(clippy::print_stdout, missing_docs)]

use std::time::Instant;

use heimdex::calls::Call;
use heimdex::open::{OpenOptions, open};
use heimdex::search::Models;
use heimdex::{Cancel, Error, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(query)) = (arguments.next(), arguments.next()) else {
        return Err(Error::invalid("arguments", "search_speed LIBRARY QUERY [SEARCHES]"));
    };
    let searches: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::io("tokio runtime", e))?;
    let library = runtime.block_on(open(&OpenOptions::new(folder), Models::default()))?.library;
    let options = serde_json::json!({"query": query}).to_string();
    let mut micros = Vec::with_capacity(searches);
    for _ in 0..searches {
        let began = Instant::now();
        let call = Call::of("search", &options, None).map_err(|e| Error::store("the options", e))?;
        call.run(&library, runtime.handle(), &Cancel::new(), |_| ())?;
        micros.push(began.elapsed().as_micros());
    }
    micros.sort_unstable();
    println!("{}", micros[searches / 2]);
    Ok(())
}
