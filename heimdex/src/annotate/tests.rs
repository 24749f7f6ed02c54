use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::ErrorKind;
use crate::embed::{Calibration, ImageEmbedder, Pooling, Role, TextEmbedder};

#[test]
fn the_shipped_vocabulary_is_whole() {
    let all = Vocabulary::everyday();
    assert!(all.concepts().len() > 400, "{}", all.concepts().len());
    for concept in all.concepts() {
        assert!(concept.label.is_ascii(), "{}", concept.label);
        let korean = concept.names.iter().any(|n| n.chars().any(|c| ('가'..='힣').contains(&c)));
        assert!(korean, "{} has no Korean name", concept.label);
    }
}

#[test]
fn a_file_of_ones_own_is_read_or_refused_by_line() {
    let own = Vocabulary::read("\u{feff}# birds\n\nkingfisher\t물총새\tEisvogel\r\nheron\n").unwrap();
    assert_eq!(own.concepts()[0].names, ["물총새", "Eisvogel"]);
    assert_eq!(own.concepts()[1], Concept { label: "heron".into(), names: vec![] });
    for (text, line) in
        [("heron\nheron\n", "line 2"), ("heron\n!!\n", "line 2"), ("# nothing\n", "no concept")]
    {
        let error = Vocabulary::read(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(line), "{error}");
    }
}

/// Places a label by the number in it, in degrees.
struct Circle(EmbedSpec, AtomicUsize);

fn at(degrees: f32) -> Vector {
    Vector::normalize(vec![degrees.to_radians().cos(), degrees.to_radians().sin()]).unwrap()
}

impl TextEmbedder for Circle {
    fn spec(&self) -> &EmbedSpec {
        &self.0
    }
    fn embed(&self, texts: &[&str], _: Role) -> Result<Vec<Vector>> {
        self.1.fetch_add(texts.len(), Ordering::Relaxed);
        assert!(texts.iter().all(|t| t.starts_with("This is a photo of at ")), "{texts:?}");
        let number = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        Ok(texts.iter().map(|t| at(number(t).parse().unwrap())).collect())
    }
}

impl ImageEmbedder for Circle {
    fn spec(&self) -> &EmbedSpec {
        &self.0
    }
    fn embed_images(&self, _: &[&crate::media::RgbPicture]) -> Result<Vec<Vector>> {
        unreachable!("tags are made of vectors")
    }
    fn text(&self) -> Option<&dyn TextEmbedder> {
        Some(self)
    }
    fn calibration(&self) -> Option<Calibration> {
        Some(Calibration { scale: 20.0, bias: -18.0 })
    }
}

#[test]
fn tags_are_the_probable_ones_and_kept_between_runs() {
    let spec = EmbedSpec::new("org/circle", "0", "0", 2, Pooling::Head, 8).of_images();
    let model = Arc::new(Circle(spec, AtomicUsize::new(0)));
    let vocabulary = Vocabulary::read("at 10\t십\nat 20\nat 30\nat 90\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = TagSettings { top: 2, ..TagSettings::default() };
    for run in 0..2 {
        let tagger =
            Tagger::new(vocabulary.clone(), settings.clone(), model.clone(), Some(folder.path())).unwrap();
        tagger.prepare(&crate::Cancel::new()).unwrap();
        assert_eq!(model.1.load(Ordering::Relaxed), 4, "run {run}: embedded once");
        // The better of two keyframes counts; the third of those near enough is one too many.
        let tags = tagger.tags(&[&at(12.0), &at(200.0)]);
        let labels: Vec<&str> = tags.iter().map(|t| t.label.as_str()).collect();
        assert_eq!(labels, ["at 10", "at 20"]);
        assert_eq!(tags[0].names, ["십"]);
        assert!(tags[0].score > 0.8 && tags[0].score < 1.0);
        assert!(tagger.tags(&[&at(250.0)]).is_empty(), "nothing is probable");
        assert!(tagger.tags(&[]).is_empty());
    }
    // A damaged file is made again.
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, b"damaged").unwrap();
    let tagger = Tagger::new(vocabulary, settings, model.clone(), Some(folder.path())).unwrap();
    tagger.prepare(&crate::Cancel::new()).unwrap();
    assert_eq!(tagger.tags(&[&at(10.0)]).len(), 2);
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    for (settings, field) in [
        (TagSettings { top: 0, ..TagSettings::default() }, "tags.top"),
        (TagSettings { floor: f32::NAN, ..TagSettings::default() }, "tags.floor"),
        (TagSettings { prompt: "a photo".into(), ..TagSettings::default() }, "tags.prompt"),
    ] {
        assert!(settings.validate().unwrap_err().to_string().contains(field));
    }
}
