//! What a search needs beside the store.

use std::fmt;
use std::sync::Arc;

use crate::annotate::Annotator;
use crate::embed::{ImageEmbedder, TextEmbedder};

/// What queries are embedded with: that which the library was indexed with.
#[derive(Clone, Default)]
pub struct Models {
    /// For search by meaning.
    pub text: Option<Arc<dyn TextEmbedder>>,
    /// For search by what is shown.
    pub image: Option<Arc<dyn ImageEmbedder>>,
    /// Annotators whose channels are searched too.
    pub annotators: Vec<Arc<dyn Annotator>>,
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.as_ref().map(|t| &t.spec().model);
        let image = self.image.as_ref().map(|i| &i.spec().model);
        let channels: Vec<&str> = self.annotators.iter().map(|a| a.channel()).collect();
        f.debug_struct("Models")
            .field("text", &text)
            .field("image", &image)
            .field("annotators", &channels)
            .finish()
    }
}
