//! Presets: a speech, a text and an image model that go together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::known::KnownModel;
use crate::{Error, Result};

/// Three models chosen to go together, from the lightest to the best.
///
/// ```
/// use heimdex::models::Preset;
///
/// let preset: Preset = "fast".parse()?;
/// assert_eq!(preset.text().name, "multilingual-e5-small");
/// assert_eq!(Preset::default(), Preset::Balanced);
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Preset {
    /// For machines with little memory: whisper base, multilingual-e5-small, `SigLIP` 2 base.
    Fast,
    /// The default: whisper small, bge-m3, `SigLIP` 2 base.
    #[default]
    Balanced,
    /// For quality: whisper large-v3-turbo, bge-m3, `SigLIP` 2 so400m.
    Best,
    /// The models of Heimdex B2C, whose vectors it shares: whisper medium, bge-m3, `SigLIP` so400m.
    B2c,
}

impl Preset {
    /// Every preset, lightest first.
    pub const ALL: [Self; 4] = [Self::Fast, Self::Balanced, Self::Best, Self::B2c];

    /// The name used in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Best => "best",
            Self::B2c => "b2c",
        }
    }

    /// The model that turns speech into words.
    pub fn speech(self) -> &'static KnownModel {
        self.models()[0]
    }

    /// The model that turns texts into vectors.
    pub fn text(self) -> &'static KnownModel {
        self.models()[1]
    }

    /// The model that turns pictures into vectors.
    pub fn image(self) -> &'static KnownModel {
        self.models()[2]
    }

    /// Speech, text and image model, in this order.
    pub fn models(self) -> [&'static KnownModel; 3] {
        self.names().map(|name| {
            let known = super::known::known();
            // `every_preset_is_known` holds that the first model never stands in.
            known.iter().find(|m| m.name == name).unwrap_or(&known[0])
        })
    }

    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Fast => ["whisper-base", "multilingual-e5-small", "siglip2-base-patch16-256"],
            Self::Balanced => ["whisper-small", "bge-m3", "siglip2-base-patch16-256"],
            Self::Best => ["whisper-large-v3-turbo", "bge-m3", "siglip2-so400m-patch14-384"],
            Self::B2c => ["whisper-medium", "bge-m3", "siglip-so400m-patch14-384"],
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|p| p.as_str() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::invalid("preset", format!("{text:?} is none of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::known::ModelKind;
    use super::*;

    #[test]
    fn every_preset_is_known() {
        for preset in Preset::ALL {
            assert_eq!(preset.models().map(|m| m.name), preset.names());
            assert_eq!(
                preset.models().map(|m| m.kind),
                [ModelKind::Speech, ModelKind::Text, ModelKind::Image]
            );
            assert_eq!(preset.to_string().parse::<Preset>().unwrap(), preset);
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.as_str());
        }
        assert!("fastest".parse::<Preset>().unwrap_err().to_string().contains("balanced"));
    }

    #[test]
    fn dimensions_are_those_of_the_spaces() {
        let dims = |p: Preset| (p.text().dim, p.image().dim);
        assert_eq!(dims(Preset::Fast), (Some(384), Some(768)));
        assert_eq!(dims(Preset::Balanced), (Some(1024), Some(768)));
        assert_eq!(dims(Preset::Best), (Some(1024), Some(1152)));
        assert_eq!(dims(Preset::B2c), (Some(1024), Some(1152)));
    }
}
