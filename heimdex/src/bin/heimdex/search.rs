//! `heimdex search`

use std::path::Path;
use std::sync::Arc;

use heimdex::media::RgbPicture;
use heimdex::open::{MissingModels, Opened};
use heimdex::search::{Hit, SearchRequest};
use heimdex::store::Filter;
use heimdex::{Error, Heimdex, Span, Timestamp};

use crate::args::{Global, SearchArgs};
use crate::doctor;
use crate::library::{self, clock};
use crate::output::{self, Outcome, Style, safe};

/// Longest text shown of a hit, in characters.
const SHOWN_CHARS: usize = 200;

pub(crate) async fn run(global: &Global, args: SearchArgs) -> Outcome {
    let mut options = global.library();
    options.missing_models = MissingModels::LeaveOut;
    options.speech = false;
    args.model.choose(&mut options);
    let Opened { library, models, .. } = library::open(&options).await?;
    let request = request(&library, &args).await?;
    let page = library.search_with(&request).await?;
    let by_word_only = models.text.is_none() && models.image.is_none();
    if global.json {
        return output::json(&page);
    }
    let style = Style::stdout();
    for (i, hit) in page.hits.iter().enumerate() {
        show(i + 1, hit, style)?;
    }
    if global.quiet {
        return Ok(());
    }
    match (&page.next, page.hits.len()) {
        (_, 0) => output::note("nothing found"),
        (Some(next), n) => output::note(format!("{n} of {}; more with --cursor {next}", page.total)),
        (None, _) => {}
    }
    // A library may hold nothing that is said, whatever models are here.
    if by_word_only && !args.model.no_model && !doctor::has_default_model() {
        output::note(doctor::MODEL_HINT);
    }
    Ok(())
}

async fn request(library: &Heimdex, args: &SearchArgs) -> heimdex::Result<SearchRequest> {
    let mut filter = Filter::default();
    for name in &args.video {
        filter.videos.push(library.find_video(name).await?.id);
    }
    if args.from.is_some() || args.to.is_some() {
        let (from, to) = (args.from.unwrap_or(Timestamp::ZERO), args.to.unwrap_or(Timestamp::MAX));
        if to <= from {
            return Err(Error::invalid("to", "must be later than --from"));
        }
        filter.within = Some(Span::new(from, to));
    }
    filter.min_duration = args.min_duration;
    filter.max_duration = args.max_duration;
    filter.languages.clone_from(&args.language);
    filter.tags.clone_from(&args.tag);
    let mut request = SearchRequest::new(args.query.clone().unwrap_or_default());
    request.like = args.like;
    if let Some(path) = &args.image {
        request.image = Some(Arc::new(picture(path)?));
    }
    request.filter = filter;
    request.limit = args.limit;
    request.cursor.clone_from(&args.cursor);
    request.per_video = args.per_video;
    request.explain = args.explain;
    Ok(request)
}

fn picture(path: &Path) -> heimdex::Result<RgbPicture> {
    let size = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    if size > RgbPicture::MAX_FILE_BYTES as u64 {
        return Err(Error::invalid("image", format!("{} is larger than 64 MiB", path.display())));
    }
    RgbPicture::decode(&std::fs::read(path).map_err(|e| Error::io(path, e))?)
}

fn show(number: usize, hit: &Hit, style: Style) -> Outcome {
    let Style { bold, dim, off, .. } = style;
    output::line(format!(
        "{bold}{number:>3}  {}{off}  at {bold}{}{off}  {dim}{} – {}  score {:.4}{off}",
        safe(&hit.video.title),
        clock(hit.moment),
        clock(hit.span.start),
        clock(hit.span.end),
        hit.score,
    ))?;
    if !hit.text.is_empty() {
        output::line(format!("     {}", marked(hit, style)))?;
    }
    if !hit.tags.is_empty() {
        let labels: Vec<&str> = hit.tags.iter().map(|tag| tag.label.as_str()).collect();
        output::line(format!("     {dim}shows {}{off}", safe(&labels.join(", "))))?;
    }
    for word in &hit.matched_words {
        if style.bold.is_empty() {
            output::line(format!("     {} {}", word.span.start, safe(&word.text)))?;
        }
    }
    for channel in &hit.channels {
        output::line(format!(
            "     {dim}{} rank {} score {:.3}{off}",
            channel.channel, channel.rank, channel.score
        ))?;
    }
    output::line(format!("     {dim}{}{off}", safe(&hit.video.source)))
}

/// The text around the first match, its matched words marked.
fn marked(hit: &Hit, style: Style) -> String {
    let text = hit.text.replace('\n', " ");
    let mut ranges = Vec::new();
    let mut from = 0;
    for word in &hit.matched_words {
        if let Some(at) = text[from..].find(&word.text) {
            ranges.push(from + at..from + at + word.text.len());
            from += at + word.text.len();
        }
    }
    let first = ranges.first().map_or(0, |r| r.start);
    let before = text[..first].chars().count();
    let skip = match before.saturating_sub(SHOWN_CHARS / 3) {
        0 => 0,
        // Not in the middle of a word, where there are words.
        from => {
            let gap = text.chars().skip(from).take(before - from).position(char::is_whitespace);
            from + gap.map_or(0, |gap| gap + 1)
        }
    };
    let shown: Vec<(usize, char)> = text.char_indices().skip(skip).take(SHOWN_CHARS).collect();
    let mut out = String::from(if skip > 0 { "…" } else { "" });
    for (at, c) in &shown {
        if ranges.iter().any(|r| r.start == *at) {
            out.push_str(style.mark);
        }
        out.push_str(&safe(&c.to_string()));
        if ranges.iter().any(|r| r.end == at + c.len_utf8()) {
            out.push_str(style.off);
        }
    }
    let whole = skip + shown.len() >= text.chars().count();
    out.push_str(style.off);
    out.push_str(if whole { "" } else { "…" });
    out
}
