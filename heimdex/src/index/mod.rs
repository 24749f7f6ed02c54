//! The graph: one video, or many, from file to index. Threads, resume and progress are here.
//!
//! Uses everything to its left and wires it; nothing else knows all stages.

mod builder;
mod fingerprint;
mod models;
mod notes;
mod pass;
mod pipeline;
mod resume;
mod settings;
mod source;
mod speech;
mod switch;
mod vectors;
mod video;

pub use builder::PipelineBuilder;
pub use pipeline::Pipeline;
pub use settings::PipelineSettings;
pub use switch::{SwitchProgress, SwitchReport};
pub use video::{IndexOptions, IndexOutcome, IndexReport};

pub(crate) use source::{file_name, video_id};
#[cfg(feature = "postgres")]
pub(crate) use source::{to_path, to_text};
pub(crate) use switch::switch_models;
#[cfg(feature = "postgres")]
pub(crate) use video::placeholder_of;
pub(crate) use video::{check_models, delete_leftovers, index_video};
