//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use heimdex::embed::{Backend, Precision, Provider};
use heimdex::open::{Location, OpenOptions};
use heimdex::transcript::{Activity, AudioTrack, SpeechSettings};
use heimdex::{Error, Result, SceneId, Timestamp};

use crate::models::ModelsCommand;

#[derive(Debug, Parser)]
#[command(
    name = "heimdex",
    version,
    about = "Search videos by what is said and shown in them",
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some files failed, 130 cancelled.\n\
                  Start with: heimdex index VIDEO, then: heimdex search \"some words\""
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Folder of the library, made when it is not there; or a Postgres database,
    /// `postgres://USER:PASSWORD@HOST/DATABASE`
    // The address may hold a password, so help does not show it.
    #[arg(long, global = true, env = "HEIMDEX_LIBRARY", value_name = "DIR|URL", hide_env_values = true)]
    pub(crate) library: Option<Location>,
    /// With a database: folder for thumbnails and pictures, the same for all who use it
    #[arg(long, global = true, env = "HEIMDEX_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Write JSON for programs; `index` writes one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say only what failed
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log what happens inside; twice for more
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    /// A library that is there, opened without models.
    pub(crate) fn library(&self) -> OpenOptions {
        let mut options = OpenOptions::default();
        options.location.clone_from(&self.library);
        // From the environment it may stand for other commands.
        if matches!(self.library, Some(Location::Database(_))) {
            options.data.clone_from(&self.data);
        }
        options.create = false;
        options.models = false;
        options.keep_thumbnails = false;
        options
    }

    /// The same in another database, where one is given.
    pub(crate) fn in_database(&self, url: Option<&Location>) -> Result<Self> {
        match url {
            None => Ok(self.clone()),
            Some(Location::Database(_)) => Ok(Self { library: url.cloned(), ..self.clone() }),
            Some(_) => Err(Error::invalid("database-url", "write postgres://USER:PASSWORD@HOST/DATABASE")),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Index videos: files, folders or globs
    Index(IndexArgs),
    /// Find scenes
    Search(SearchArgs),
    /// List the videos of the library
    Ls,
    /// Show what the library holds of a video
    Show {
        /// Id, beginning of an id, path or title
        video: String,
    },
    /// Take videos out of the library; the files stay
    Rm {
        /// Id, beginning of an id, path or title
        #[arg(required = true)]
        videos: Vec<String>,
    },
    /// Print the shots of a file, without a library
    Shots(ShotsArgs),
    /// Write what is said in a file, without a library
    Transcribe(TranscribeArgs),
    /// Write what the library holds of a video
    Export(ExportArgs),
    /// Get models, list and check them
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Say what is present, what is missing and how to get it
    Doctor,
    /// Bring the library's schema up to date, and make the indexes that a large database lacks
    Migrate(MigrateArgs),
    /// Put back what `export json --vectors` wrote, without decoding anything
    Import {
        /// Files that `export json --vectors` or `index --sidecars` wrote
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Index what others queue with `index --queue`, in a database
    Worker(WorkerArgs),
    /// List the jobs of a database; dead ones wait for somebody to look at them
    Jobs(JobsArgs),
    /// Print a completion script for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

// Each is a word of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// Files, folders (searched with their subfolders) or globs
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Title, in place of the file's name; with one file only
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// Description, searched with the title; with one file only
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Subtitle file, in place of those beside or inside the video; with one file only
    #[arg(long, value_name = "FILE")]
    pub(crate) subtitles: Option<PathBuf>,
    /// Language of the subtitles to prefer, such as `en`
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Vec<String>,
    /// Transcribe speech even where there are subtitles
    #[arg(long)]
    pub(crate) over_subtitles: bool,
    /// Language that is spoken; detected when not given
    #[arg(long, value_name = "CODE")]
    pub(crate) speech_language: Option<String>,
    #[command(flatten)]
    pub(crate) speech: SpeechArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) tags: TagArgs,
    #[command(flatten)]
    pub(crate) detector: DetectorArgs,
    /// Longest scene in seconds; longer shots are split at pauses
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_scene: Option<f64>,
    /// No thumbnails
    #[arg(long)]
    pub(crate) no_thumbnails: bool,
    /// Videos worked on at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Do everything again
    #[arg(long)]
    pub(crate) force: bool,
    /// Also write all that is found into this folder, a JSON file a video, to `import` elsewhere
    #[arg(long, value_name = "DIR", conflicts_with = "queue")]
    pub(crate) sidecars: Option<PathBuf>,
    /// Ask workers for it in place of doing it; with a database
    #[arg(long)]
    pub(crate) queue: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The database, in place of --library
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<Location>,
    /// Print the SQL that would run, and run none of it; with a database
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// The database, in place of --library
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<Location>,
    #[command(flatten)]
    pub(crate) speech: SpeechArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) tags: TagArgs,
    /// Videos worked on at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Seconds of silence after which another worker takes a job
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub(crate) lease: f64,
    /// Also write all that is found into this folder, a JSON file a video
    #[arg(long, value_name = "DIR")]
    pub(crate) sidecars: Option<PathBuf>,
    /// End when no job is left
    #[arg(long)]
    pub(crate) until_empty: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// The database, in place of --library
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<Location>,
    /// Queue this dead or cancelled job again
    #[arg(long, value_name = "JOB")]
    pub(crate) retry: Option<i64>,
    /// End this job
    #[arg(long, value_name = "JOB", conflicts_with = "retry")]
    pub(crate) cancel: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// Tag scenes with everyday things that the image model sees, or with the concepts of a file
    // Without a value, with one, or not at all.
    #[allow(clippy::option_option)]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) tags: Option<Option<PathBuf>>,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Model for search by meaning: a name or a folder
    #[arg(long, env = "HEIMDEX_MODEL", value_name = "NAME|DIR")]
    pub(crate) model: Option<String>,
    /// Model for search by what is shown: a name or a folder
    #[arg(long, env = "HEIMDEX_IMAGE_MODEL", value_name = "NAME|DIR")]
    pub(crate) image_model: Option<String>,
    /// What runs the models; vectors of one are of another space than those of the other
    #[arg(long, value_enum, env = "HEIMDEX_BACKEND", default_value_t = BackendName::Candle)]
    pub(crate) backend: BackendName,
    /// With `--backend onnx`: the numbers that the weights are kept in
    #[arg(long, value_enum, env = "HEIMDEX_PRECISION", default_value_t = PrecisionName::F32)]
    pub(crate) precision: PrecisionName,
    /// With `--backend onnx`: what it computes on
    #[arg(long, value_enum, env = "HEIMDEX_PROVIDER", default_value_t = ProviderName::Cpu)]
    pub(crate) provider: ProviderName,
    /// Words only, no model for vectors
    #[arg(long, conflicts_with_all = ["model", "image_model"])]
    pub(crate) no_model: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SpeechArgs {
    /// Model that turns speech into words: a preset, a name such as whisper-base, or a ggml file
    #[arg(long, env = "HEIMDEX_SPEECH_MODEL", value_name = "NAME|FILE")]
    pub(crate) speech_model: Option<String>,
    /// Translate to English
    #[arg(long)]
    pub(crate) translate: bool,
    /// Names and terms to expect in speech
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// Track of sound: its number from 0, or a language such as `en`
    #[arg(long, value_name = "NUMBER|CODE")]
    pub(crate) audio_track: Option<AudioTrack>,
    /// Silero model in the format of whisper.cpp that tells speech from other sound
    #[arg(long, env = "HEIMDEX_VOICE_MODEL", value_name = "FILE")]
    pub(crate) voice_model: Option<PathBuf>,
}

impl SpeechArgs {
    /// How to listen, with a language where one is given.
    pub(crate) fn settings(&self, language: Option<&String>) -> SpeechSettings {
        let mut settings = SpeechSettings::default();
        settings.language = language.cloned();
        settings.translate = self.translate;
        settings.prompt = self.prompt.clone().unwrap_or_default();
        settings.track = self.audio_track.clone().unwrap_or_default();
        if let Some(file) = &self.voice_model {
            settings.activity = Activity::Silero(file.clone());
        }
        settings
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TranscriptFormat {
    /// SubRip
    Srt,
    /// WebVTT
    Vtt,
    /// Everything, with words
    Json,
    /// A line for each phrase
    Txt,
}

#[derive(Debug, Args)]
pub(crate) struct TranscribeArgs {
    /// The video, or a file with sound only
    pub(crate) path: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = TranscriptFormat::Srt)]
    pub(crate) format: TranscriptFormat,
    /// File to write, in place of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Language that is spoken; detected when not given
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    #[command(flatten)]
    pub(crate) speech: SpeechArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    /// Nothing else is needed
    Candle,
    /// ONNX Runtime, from `onnx/*.onnx` in the model's folder
    Onnx,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionName {
    F32,
    F16,
    Int8,
}

impl PrecisionName {
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::F16 => Precision::F16,
            Self::Int8 => Precision::Int8,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProviderName {
    Cpu,
    Openvino,
    Cuda,
    Coreml,
}

impl ModelArgs {
    /// Opens a library with these models.
    pub(crate) fn choose(&self, options: &mut OpenOptions) {
        options.models = !self.no_model;
        options.text_model.clone_from(&self.model);
        options.image_model.clone_from(&self.image_model);
        options.backend = match self.backend {
            BackendName::Candle => Backend::Candle,
            BackendName::Onnx => Backend::Onnx,
        };
        options.precision = self.precision.precision();
        options.provider = match self.provider {
            ProviderName::Cpu => Provider::Cpu,
            ProviderName::Openvino => Provider::OpenVino,
            ProviderName::Cuda => Provider::Cuda,
            ProviderName::Coreml => Provider::CoreMl,
        };
    }
}

impl TagArgs {
    /// Opens a library that tags.
    pub(crate) fn choose(&self, options: &mut OpenOptions) {
        options.tags = self.tags.is_some();
        options.vocabulary = self.tags.clone().flatten();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DetectorName {
    /// Change against the neighbouring frames; robust to motion
    Adaptive,
    /// Change against the frame before
    Content,
    /// Fades from and to black
    Threshold,
}

#[derive(Debug, Args)]
pub(crate) struct DetectorArgs {
    /// How shots are found
    #[arg(long, value_enum, default_value_t = DetectorName::Adaptive)]
    pub(crate) detector: DetectorName,
    /// The detector's threshold, in place of its default
    #[arg(long, value_name = "NUMBER")]
    pub(crate) threshold: Option<f64>,
    /// Decode every frame bit for bit, as PySceneDetect does; slower
    #[arg(long)]
    pub(crate) exact: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Words, "quoted phrases"
    #[arg(required_unless_present_any = ["image", "like"])]
    pub(crate) query: Option<String>,
    /// Scenes that look like this picture
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,
    /// Scenes like this one: the id of its video, a colon, and its number from 0
    #[arg(long, value_name = "SCENE")]
    pub(crate) like: Option<SceneId>,
    /// Hits on a page
    #[arg(long, short, default_value_t = 10)]
    pub(crate) limit: usize,
    /// Only these videos: id, beginning of an id, path or title
    #[arg(long, value_name = "VIDEO")]
    pub(crate) video: Vec<String>,
    /// Only scenes after this time of their video, such as 1:30
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<Timestamp>,
    /// Only scenes before this time of their video
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<Timestamp>,
    /// Only videos at least this long
    #[arg(long, value_name = "TIME")]
    pub(crate) min_duration: Option<Timestamp>,
    /// Only videos at most this long
    #[arg(long, value_name = "TIME")]
    pub(crate) max_duration: Option<Timestamp>,
    /// Only videos in this language, such as `en`
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Vec<String>,
    /// Only scenes with this tag
    #[arg(long, value_name = "NAME")]
    pub(crate) tag: Vec<String>,
    /// At most this many hits of one video
    #[arg(long, value_name = "HITS")]
    pub(crate) per_video: Option<usize>,
    /// The page after the one that printed this
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// Show rank and score in every channel
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShotsArgs {
    /// The video
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) detector: DetectorArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Subtitles as SubRip
    Srt,
    /// Subtitles as WebVTT
    Vtt,
    /// Everything but the vectors
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// What to write
    pub(crate) format: ExportFormat,
    /// Id, beginning of an id, path or title
    pub(crate) video: String,
    /// File to write, in place of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// With `json`: the vectors too
    #[arg(long)]
    pub(crate) vectors: bool,
}
