//! Work that is asked for in one process and done in another: `index --queue`, `worker`, `jobs`.

use std::path::Path;
use std::time::Duration;

use heimdex::Cancel;
use heimdex::store::JobState;
use serde_json::json;

use crate::args::{Global, IndexArgs, JobsArgs, WorkerArgs};
use crate::index;
use crate::library::{self, count};
use crate::output::{self, Outcome, safe};

/// `heimdex index --queue`
pub(crate) async fn queue<'a>(
    global: &Global,
    args: &IndexArgs,
    files: impl Iterator<Item = &'a Path>,
) -> Outcome {
    let database = library::database(global, "queue").await?;
    let library = library::open(&global.library()).await?.library;
    let mut queued = 0;
    for file in files {
        let mut work = library.index(file).force(args.force);
        if let Some(title) = &args.title {
            work = work.title(title);
        }
        if let Some(description) = &args.description {
            work = work.description(description);
        }
        if let Some(subtitles) = &args.subtitles {
            work = work.subtitles(subtitles);
        }
        let job = work.enqueue(&database).await?;
        queued += 1;
        if global.json {
            output::json(&json!({"event": "queued", "path": file.to_string_lossy(), "job": job}))?;
        }
    }
    if !global.json && !global.quiet {
        output::note(format!("{} queued; index with: heimdex worker", count(queued, "video")));
    }
    Ok(())
}

/// `heimdex worker`
pub(crate) async fn work(global: &Global, args: WorkerArgs) -> Outcome {
    let global = &global.in_database(args.database_url.as_ref())?;
    let database = library::database(global, "worker").await?;
    let mut options = global.library();
    options.keep_thumbnails = true;
    options.settings.speech = args.speech.settings(None);
    options.speech_model.clone_from(&args.speech.speech_model);
    options.sidecars.clone_from(&args.sidecars);
    args.model.choose(&mut options);
    args.tags.choose(&mut options);
    let library = library::open(&options).await?.library;
    library.check_models().await.map_err(index::switch_first)?;
    let lease = Duration::try_from_secs_f64(args.lease)
        .ok()
        .filter(|lease| (1..=86_400).contains(&lease.as_secs()))
        .ok_or_else(|| heimdex::Error::invalid("lease", "give 1 to 86400 seconds"))?;
    let cancel = Cancel::new();
    index::stop_on_ctrl_c(cancel.clone());
    let (json, quiet) = (global.json, global.quiet);
    let work = library
        .work(&database)
        .at_once(usize::from(args.jobs))
        .lease(lease)
        .until_empty(args.until_empty)
        .cancel(&cancel)
        .on_end(move |job, result| {
            if json {
                let error =
                    result.as_ref().err().map(|e| json!({"kind": e.kind(), "message": e.to_string()}));
                // A reader that is gone does not stop the work.
                let _ = output::json(
                    &json!({"event": "job", "job": job, "report": result.as_ref().ok(), "error": error}),
                );
            } else if !quiet {
                let source = safe(&job.task.source);
                match result {
                    Ok(report) => output::note(format!("{source}: {}", count(report.scenes, "scene"))),
                    Err(error) => output::note(format!("failed: {source}: {}", safe(&error.to_string()))),
                }
            }
        });
    Ok(work.await?)
}

/// `heimdex jobs`
pub(crate) async fn list(global: &Global, args: JobsArgs) -> Outcome {
    let database = library::database(&global.in_database(args.database_url.as_ref())?, "jobs").await?;
    let library = heimdex::LibraryId::default();
    let changed = match (args.retry, args.cancel) {
        (Some(job), _) => Some((job, database.retry_job(library, job).await?)),
        (_, Some(job)) => Some((job, database.cancel_job(library, job).await?)),
        _ => None,
    };
    if let Some((job, false)) = changed {
        return Err(heimdex::Error::not_found("job in such a state", job.to_string()).into());
    }
    let jobs = database.jobs(library, None).await?;
    if global.json {
        return output::json(&jobs);
    }
    for job in &jobs {
        let state = match job.state {
            JobState::Queued if job.failures > 0 => "failed, waits for its next attempt",
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Dead => "dead",
            JobState::Cancelled => "cancelled",
            _ => "unknown",
        };
        output::line(format!("{:>6}  {state}  {}", job.id, safe(&job.task.source)))?;
        if let Some(error) = &job.error {
            output::line(format!("        {}", safe(error)))?;
        }
    }
    Ok(())
}
