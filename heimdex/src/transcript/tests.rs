use proptest::prelude::*;

use super::*;
use crate::Timestamp;

fn read(text: &str) -> Vec<Segment> {
    read_subtitles("test.srt", text.as_bytes(), Timestamp::MAX).unwrap()
}

#[test]
fn srt_as_people_write_it() {
    let segments = read(
        "1\r\n00:00:01,000 --> 00:00:02,500 X1:0\r\n{\\an8}<i>One</i> &amp; 5 < 6\r\nline two\r\n\r\n\
         00:00:03.000 --> 00:00:04.000\r\nno number\r\n3\r\n00:00:05,000 --> 00:00:06,000\r\nno gap\r\n\
         4\r\n00:00:07,000 --> 00:00:08,000\r\n\r\n",
    );
    let texts: Vec<&str> = segments.iter().map(|s| s.text.as_str()).collect();
    assert_eq!(texts, ["One & 5 < 6\nline two", "no number", "no gap"]);
    assert_eq!(segments[0].span, Span::new(Timestamp::from_millis(1000), Timestamp::from_millis(2500)));
}

#[test]
fn vtt_with_all_its_parts() {
    let segments = read(
        "WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE 00:00.000 --> 00:01.000\n\nintro\n\
         00:01.000 --> 00:02.000 align:start\n<v.loud Alice>Hello <b>bold</b>\n\n01:00:00.000 --> 01:00:01.000\n\
         <c.x>A &lt; B</c>\n",
    );
    assert_eq!(segments.len(), 2);
    assert_eq!((segments[0].text.as_str(), segments[0].speaker.as_deref()), ("Hello bold", Some("Alice")));
    assert_eq!(segments[1].text, "A < B");
    assert_eq!(segments[1].span.start, Timestamp::from_millis(3_600_000));
}

#[cfg(feature = "media")]
#[test]
fn ass_events_become_plain_text() {
    let span = Span::new(Timestamp::ZERO, Timestamp::from_millis(1000));
    let text = |event: &str| ass::read_event(event, span).map(|cue| cue.text);
    assert_eq!(
        text("0,0,Default,,0,0,0,,Hello{\\b1} there\\Nnext, with comma").unwrap(),
        "Hello there\nnext, with comma"
    );
    assert_eq!(text("0,0,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}"), None);
    assert_eq!(text("0,0,Default,,0,0,0,,{\\pos(1,2)}kept").unwrap(), "kept");
    assert_eq!(text("not an event"), None);
    assert_eq!(text("0,0,Default,,0,0,0,,open {brace").unwrap(), "open {brace");
}

#[test]
fn every_encoding_is_read_or_refused() {
    let text = "1\n00:00:01,000 --> 00:00:02,000\n안녕하세요. 첫 번째 자막입니다.\n";
    let expect = |bytes: &[u8]| {
        let segments = read_subtitles("t", bytes, Timestamp::MAX).unwrap();
        assert_eq!(segments[0].text, "안녕하세요. 첫 번째 자막입니다.");
    };
    expect(text.as_bytes());
    expect(format!("\u{feff}{text}").as_bytes());
    expect(&encoding_rs::EUC_KR.encode(text).0);
    let utf16: Vec<u8> =
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    expect(&utf16);
    let no_mark: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let error = read_subtitles("t", &no_mark, Timestamp::MAX).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Subtitle);
}

#[test]
fn words_split_where_people_would() {
    let span = Span::new(Timestamp::ZERO, Timestamp::from_millis(1000));
    let split = |text: &str| words::estimate(text, span).into_iter().map(|w| w.text).collect::<Vec<_>>();
    assert_eq!(split("It costs 3.14, \"they\" say."), ["It", "costs", "3.14,", "\"they\"", "say."]);
    assert_eq!(split("미나가 왔다."), ["미나가", "왔다."]);
    assert!(split("今日は天気がいい。").len() > 3);
    assert_eq!(split("今日は天気がいい。").concat(), "今日は天気がいい。");
}

#[cfg(feature = "media")]
#[test]
fn a_track_is_tagged_in_two_or_three_letters() {
    assert_eq!(language::normalize("kor").as_deref(), Some("ko"));
    assert_eq!(language::normalize("en-US").as_deref(), Some("en"));
    assert_eq!(language::normalize("und"), None);
    assert_eq!(language::normalize("cp949"), None);
}

/// What a tolerant reader makes of the shared sidecar files.
#[test]
fn shared_sidecars_equal_their_golden() {
    let shared = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let Ok(golden) = std::fs::read(shared.join("golden/sidecar.json")) else { return };
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    let end = Timestamp::from_millis(12_000);
    for (name, expected) in golden.as_object().unwrap() {
        let Some(cues) = expected["cues"].as_array() else { continue };
        let bytes = std::fs::read(shared.join("edge/sidecar").join(name)).unwrap();
        if cues.is_empty() {
            assert_eq!(
                read_subtitles(name, &bytes, end).unwrap_err().kind(),
                crate::ErrorKind::Subtitle,
                "{name}"
            );
            continue;
        }
        let segments = read_subtitles(name, &bytes, end).unwrap();
        let texts: Vec<&str> = segments.iter().map(|s| s.text.as_str()).collect();
        let wanted: Vec<&str> = cues.iter().map(|c| c["text"].as_str().unwrap()).collect();
        assert_eq!(texts, wanted, "{name}");
        for (segment, cue) in segments.iter().zip(cues) {
            assert_eq!(segment.span.start.as_micros(), cue["start_us"].as_i64().unwrap(), "{name}");
            assert_eq!(
                segment.span.end.as_micros(),
                cue["end_us"].as_i64().unwrap().min(12_000_000),
                "{name}"
            );
            assert_eq!(segment.speaker.as_deref(), cue["voice"].as_str(), "{name}");
        }
    }
}

fn segment() -> impl Strategy<Value = Segment> {
    let line = "[a-zA-Z가-힣<>&{}.\\\\-][a-zA-Z가-힣<>&{}.\\\\ -]{0,12}";
    let text = proptest::collection::vec(line, 1..3);
    (0i64..100_000, 0i64..5_000, text).prop_map(|(start, length, lines)| {
        let lines: Vec<&str> = lines.iter().map(|l| l.trim()).collect();
        let start = Timestamp::from_millis(start);
        Segment {
            span: Span::new(start, start.plus_micros(length * 1000)),
            text: lines.join("\n"),
            words: Vec::new(),
            speaker: None,
            language: None,
            no_speech_probability: None,
        }
    })
}

proptest! {
    #[test]
    fn readers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_subtitles("t", &bytes, Timestamp::MAX);
    }

    #[test]
    fn subtitle_like_text_never_panics(
        lines in proptest::collection::vec("(WEBVTT|NOTE|[0-9:,.]{0,12} --> [0-9:,.]{0,12}|[<{&\\\\]?\\PC{0,10}[>};]?|)", 0..20),
    ) {
        let _ = read_subtitles("t", lines.join("\n").as_bytes(), Timestamp::MAX);
    }

    #[test]
    fn what_was_written_is_read_back(mut segments in proptest::collection::vec(segment(), 1..8)) {
        segments.sort_by_key(|s| s.span.start);
        for written in [write_srt(&segments), write_vtt(&segments)] {
            let back = read(&written);
            prop_assert_eq!(back.len(), segments.len(), "{}", written);
            for (back, segment) in back.iter().zip(&segments) {
                prop_assert_eq!(&back.text, &segment.text);
                prop_assert_eq!(back.span, segment.span);
            }
        }
    }

    #[test]
    fn words_lie_inside_their_cue_in_order(text in "\\PC{0,40}", start in 0i64..1000, length in 0i64..100_000) {
        let start = Timestamp::from_micros(start);
        let span = Span::new(start, start.plus_micros(length));
        let words = words::estimate(&text, span);
        let mut last = span.start;
        for word in &words {
            prop_assert!(word.span.start >= last && word.span.end <= span.end && word.span.start <= word.span.end);
            prop_assert!(!word.text.trim().is_empty());
            last = word.span.end;
        }
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        let joined: String = words.iter().map(|w| w.text.as_str()).collect();
        prop_assert_eq!(squeezed(&joined), squeezed(&text));
    }
}
