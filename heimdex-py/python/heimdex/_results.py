"""What calls give: small frozen objects over the JSON that every language gives alike."""

from __future__ import annotations

import base64
import copy
import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _native


def seconds(micros: int) -> float:
    return micros / 1_000_000


def clock(micros: int) -> str:
    """`1:02:03.5` or `2:03`, as people read it."""
    whole, part = divmod(max(micros, 0), 1_000_000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return text + f".{part:06}".rstrip("0").rstrip(".")


class Record:
    """Facts that do not change. `to_dict` gives them as plain values."""

    __slots__ = ("_data",)
    _data: dict[str, Any]

    def __init__(self, data: dict[str, Any]) -> None:
        object.__setattr__(self, "_data", data)

    def to_dict(self) -> dict[str, Any]:
        """A copy, as JSON has it: times are whole microseconds in keys that end with `_us`."""
        return copy.deepcopy(self._data)

    def _shown(self) -> str:
        return ", ".join(
            f"{key}={value!r}"
            for key, value in self._data.items()
            if not isinstance(value, (dict, list)) and value is not None
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown()})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} does not change")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Record) and self._data == other._data

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._data,)


class _Spanned(Record):
    __slots__ = ()

    @property
    def start_us(self) -> int:
        """The first moment inside, in microseconds."""
        return int(self._data["start_us"])

    @property
    def end_us(self) -> int:
        """The first moment after, in microseconds."""
        return int(self._data["end_us"])

    @property
    def start(self) -> float:
        """The first moment inside, in seconds."""
        return seconds(self.start_us)

    @property
    def end(self) -> float:
        """The first moment after, in seconds."""
        return seconds(self.end_us)


class Word(_Spanned):
    """A word of a transcript."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """As said."""
        return str(self._data["text"])

    @property
    def probability(self) -> float | None:
        """How sure speech recognition was; `None` for subtitles."""
        return self._data.get("probability")


class Tag(Record):
    """A word for what a scene shows."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """Such as `car`."""
        return str(self._data["label"])

    @property
    def names(self) -> list[str]:
        """Other names that it is found by."""
        return list(self._data.get("names", []))

    @property
    def score(self) -> float:
        """How sure it is, 0 to 1."""
        return float(self._data["score"])


class ChannelScore(Record):
    """What a channel says of a hit."""

    __slots__ = ()

    @property
    def channel(self) -> str:
        """Its name."""
        return str(self._data["channel"])

    @property
    def rank(self) -> int:
        """From 1."""
        return int(self._data["rank"])

    @property
    def score(self) -> float:
        """BM25 for words, cosine for vectors."""
        return float(self._data["score"])


class HitVideo(Record):
    """The video of a hit."""

    __slots__ = ()

    @property
    def title(self) -> str:
        """Its title."""
        return str(self._data["title"])

    @property
    def source(self) -> str:
        """Where it comes from."""
        return str(self._data["source"])

    @property
    def duration_us(self) -> int:
        """Its length in microseconds."""
        return int(self._data["duration_us"])

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return seconds(self.duration_us)


class Hit(_Spanned):
    """A scene that was found. A notebook shows its picture, its moment and what is said."""

    __slots__ = ("_library",)
    _library: _native.NativeLibrary | None

    def __init__(self, data: dict[str, Any], library: _native.NativeLibrary | None = None) -> None:
        super().__init__(data)
        object.__setattr__(self, "_library", library)

    @property
    def scene(self) -> str:
        """The scene, `VIDEO:NUMBER`: what `search(like=...)` takes."""
        scene = self._data["scene"]
        return f"{scene['video']}:{scene['ordinal']}"

    @property
    def video(self) -> HitVideo:
        """Its video."""
        return HitVideo(self._data["video"])

    @property
    def moment_us(self) -> int:
        """Where to seek to, in microseconds."""
        return int(self._data["moment_us"])

    @property
    def moment(self) -> float:
        """Where to seek to, in seconds."""
        return seconds(self.moment_us)

    @property
    def text(self) -> str:
        """What is said in the scene."""
        return str(self._data["text"])

    @property
    def matched_words(self) -> list[Word]:
        """The words that matched, with their times."""
        return [Word(word) for word in self._data["matched_words"]]

    @property
    def tags(self) -> list[Tag]:
        """What the scene shows, the surest first."""
        return [Tag(tag) for tag in self._data.get("tags", [])]

    @property
    def thumbnail(self) -> str | None:
        """Key of the picture nearest to the moment, for `Library.thumbnail`."""
        return self._data.get("thumbnail")

    @property
    def score(self) -> float:
        """The fused score; only comparable within one search."""
        return float(self._data["score"])

    @property
    def channels(self) -> list[ChannelScore]:
        """Rank and score in each channel that found it; filled by `explain=True`."""
        return [ChannelScore(channel) for channel in self._data.get("channels", [])]

    def __repr__(self) -> str:
        return f"Hit({self.video.title!r}, moment={clock(self.moment_us)}, score={self.score:.4f}, text={self.text!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return Hit, (self._data,)

    def _repr_html_(self) -> str:
        picture = self._picture()
        title, text = html.escape(self.video.title), html.escape(self.text)
        image = f'<img alt="" width="160" src="data:image/webp;base64,{picture}">' if picture else ""
        return (
            '<div style="display:flex;gap:1em;align-items:flex-start;margin:.5em 0">'
            f"{image}<div><b>{title}</b> at <b>{clock(self.moment_us)}</b><br>{text}</div></div>"
        )

    def _picture(self) -> str | None:
        from ._errors import HeimdexError

        if self._library is None or self.thumbnail is None:
            return None
        try:
            picture: bytes = self._library.thumbnail(self.thumbnail).wait()
        except HeimdexError:
            # A library that is closed, or a picture that is gone, leaves the words.
            return None
        return base64.b64encode(picture).decode("ascii")


class SearchPage(Record):
    """A page of hits, best first."""

    __slots__ = ("_library",)
    _library: _native.NativeLibrary | None

    def __init__(self, data: dict[str, Any], library: _native.NativeLibrary | None = None) -> None:
        super().__init__(data)
        object.__setattr__(self, "_library", library)

    @property
    def hits(self) -> list[Hit]:
        """The hits."""
        return [Hit(hit, self._library) for hit in self._data["hits"]]

    @property
    def total(self) -> int:
        """Scenes found in all, under the same filters."""
        return int(self._data["total"])

    @property
    def next(self) -> str | None:
        """Give this as `cursor` for the next page; `None` on the last."""
        return self._data.get("next")

    def __repr__(self) -> str:
        return f"SearchPage({len(self._data['hits'])} of {self.total})"

    def __reduce__(self) -> tuple[object, ...]:
        return SearchPage, (self._data,)

    def _repr_html_(self) -> str:
        return "".join(hit._repr_html_() for hit in self.hits) or "<p>nothing found</p>"


class Shot(_Spanned):
    """An unbroken run of frames."""

    __slots__ = ()


class Keyframe(Record):
    """A frame that stands for a part of a shot."""

    __slots__ = ()

    @property
    def time_us(self) -> int:
        """When it is shown, in microseconds."""
        return int(self._data["time_us"])

    @property
    def time(self) -> float:
        """When it is shown, in seconds."""
        return seconds(self.time_us)

    @property
    def shot(self) -> int:
        """The number of its shot, from 0."""
        return int(self._data["shot"])

    @property
    def quality(self) -> float:
        """How well it stands for it, 0 to 1."""
        return float(self._data["quality"])

    @property
    def thumbnail(self) -> str | None:
        """Key of its thumbnail."""
        return self._data.get("thumbnail")

    @property
    def picture(self) -> str | None:
        """Key of the picture that models look at."""
        return self._data.get("picture")


class Segment(_Spanned):
    """A cue of subtitles, or a phrase."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """As read."""
        return str(self._data["text"])

    @property
    def words(self) -> list[Word]:
        """Its words."""
        return [Word(word) for word in self._data.get("words", [])]

    @property
    def speaker(self) -> str | None:
        """Who says it, where the subtitles tell."""
        return self._data.get("speaker")

    @property
    def language(self) -> str | None:
        """Its language, where known."""
        return self._data.get("language")

    @property
    def no_speech_probability(self) -> float | None:
        """How likely nobody speaks; `None` for subtitles."""
        return self._data.get("no_speech_probability")


class Scene(_Spanned):
    """What is searched: a shot, or a part of a long one."""

    __slots__ = ()

    @property
    def ordinal(self) -> int:
        """Its number in the video, from 0."""
        return int(self._data["ordinal"])

    @property
    def shot(self) -> int:
        """The number of its shot, from 0."""
        return int(self._data["shot"])

    @property
    def speech(self) -> str:
        """What is said in it."""
        return str(self._data["speech"])

    @property
    def words(self) -> list[Word]:
        """The words that are said in it."""
        return [Word(word) for word in self._data["words"]]

    @property
    def texts(self) -> dict[str, str]:
        """What annotators found, by channel."""
        return dict(self._data.get("texts", {}))

    @property
    def tags(self) -> list[Tag]:
        """What it shows, the surest first."""
        return [Tag(tag) for tag in self._data.get("tags", [])]


class MediaInfo(Record):
    """The facts of a media file."""

    __slots__ = ()

    @property
    def container(self) -> str:
        """FFmpeg's name of the container."""
        return str(self._data["container"])

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return int(self._data["size_bytes"])

    @property
    def start(self) -> int:
        """The container's own time of our zero, in microseconds."""
        return int(self._data["start"])

    @property
    def declared_duration(self) -> int | None:
        """Length in microseconds as the container declares it. Not to be trusted."""
        return self._data.get("declared_duration")

    @property
    def bit_rate(self) -> int | None:
        """Bits per second over all streams, where known."""
        return self._data.get("bit_rate")

    @property
    def streams(self) -> list[dict[str, Any]]:
        """Every stream in file order; `type` says what it is."""
        return list(copy.deepcopy(self._data["streams"]))

    @property
    def chapters(self) -> list[dict[str, Any]]:
        """Chapters in file order."""
        return list(copy.deepcopy(self._data["chapters"]))

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the container, such as `title`."""
        return dict(self._data["tags"])


class Video(Record):
    """A video of a library."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """Its id."""
        return str(self._data["id"])

    @property
    def source(self) -> str:
        """Where it comes from."""
        return str(self._data["source"])

    @property
    def title(self) -> str:
        """Its title."""
        return str(self._data["title"])

    @property
    def description(self) -> str:
        """Free text that is searched with the title."""
        return str(self._data["description"])

    @property
    def fingerprint(self) -> str:
        """Changes when the file does."""
        return str(self._data["fingerprint"])

    @property
    def duration_us(self) -> int:
        """Its length in microseconds."""
        return int(self._data["duration_us"])

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return seconds(self.duration_us)

    @property
    def media(self) -> MediaInfo:
        """The facts of its file."""
        return MediaInfo(self._data["media"])

    @property
    def language(self) -> str | None:
        """Its language, where known."""
        return self._data.get("language")

    @property
    def created_at(self) -> str | None:
        """When it was made, as its file says."""
        return self._data.get("created_at")

    @property
    def warnings(self) -> list[str]:
        """What was missing or damaged."""
        return list(self._data["warnings"])

    @property
    def settings(self) -> dict[str, str]:
        """What it was indexed with."""
        return dict(self._data["settings"])

    @property
    def state(self) -> str:
        """`indexed`, `processing`, `failed`, ..."""
        return str(self._data["state"])

    def __repr__(self) -> str:
        return f"Video({self.title!r}, id={self.id!r}, duration={clock(self.duration_us)}, state={self.state!r})"


class IndexedVideo(Record):
    """All that the index holds of a video, but the vectors."""

    __slots__ = ()

    @property
    def video(self) -> Video:
        """The video."""
        return Video(self._data["video"])

    @property
    def shots(self) -> list[Shot]:
        """Its shots; they tile it."""
        return [Shot(shot) for shot in self._data["shots"]]

    @property
    def keyframes(self) -> list[Keyframe]:
        """The frames that stand for its shots."""
        return [Keyframe(keyframe) for keyframe in self._data["keyframes"]]

    @property
    def transcript(self) -> Any:
        """Where its words come from; `None` when nothing looked for any."""
        return copy.deepcopy(self._data["transcript"])

    @property
    def segments(self) -> list[Segment]:
        """The cues of its transcript."""
        return [Segment(segment) for segment in self._data["segments"]]

    @property
    def scenes(self) -> list[Scene]:
        """What can be found of it."""
        return [Scene(scene) for scene in self._data["scenes"]]

    @property
    def spaces(self) -> list[dict[str, Any]]:
        """The models that made its vectors."""
        return list(copy.deepcopy(self._data["spaces"]))

    def __repr__(self) -> str:
        return f"IndexedVideo({self.video!r}, {len(self._data['scenes'])} scenes)"


class StageRecord(Record):
    """How a stage of indexing went."""

    __slots__ = ()

    @property
    def stage(self) -> str:
        """Its name."""
        return str(self._data["stage"])

    @property
    def state(self) -> str:
        """`completed`, `failed`, ..."""
        return str(self._data["state"])

    @property
    def started_us(self) -> int | None:
        """Microseconds since 1970."""
        return self._data.get("started_us")

    @property
    def ended_us(self) -> int | None:
        """Microseconds since 1970."""
        return self._data.get("ended_us")

    @property
    def reused(self) -> bool:
        """Whether an earlier run's output was used."""
        return bool(self._data["reused"])

    @property
    def error_kind(self) -> str | None:
        """The kind of its failure."""
        return self._data.get("error_kind")

    @property
    def error(self) -> str | None:
        """The text of its failure."""
        return self._data.get("error")


class IndexReport(Record):
    """What indexing a video did."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The video."""
        return str(self._data["id"])

    @property
    def title(self) -> str:
        """Its title."""
        return str(self._data["title"])

    @property
    def outcome(self) -> str:
        """`indexed`, or `up_to_date` when there was nothing to do."""
        return str(self._data["outcome"])

    @property
    def duration_us(self) -> int:
        """Its length in microseconds."""
        return int(self._data["duration_us"])

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return seconds(self.duration_us)

    @property
    def shots(self) -> int:
        """Shots found."""
        return int(self._data["shots"])

    @property
    def keyframes(self) -> int:
        """Keyframes kept."""
        return int(self._data["keyframes"])

    @property
    def scenes(self) -> int:
        """Scenes that can be found."""
        return int(self._data["scenes"])

    @property
    def segments(self) -> int | None:
        """Cues of its transcript; `None` when nothing looked for any."""
        return self._data.get("segments")

    @property
    def warnings(self) -> list[str]:
        """What was missing or damaged."""
        return list(self._data["warnings"])

    @property
    def dropped(self) -> dict[str, int]:
        """What a speech model gave and was not believed, by reason."""
        return dict(self._data.get("dropped", {}))

    @property
    def stages(self) -> list[StageRecord]:
        """The stages that ran."""
        return [StageRecord(stage) for stage in self._data["stages"]]

    @property
    def seconds(self) -> float:
        """Wall time."""
        return float(self._data["seconds"])


class Progress(Record):
    """How far the work on one video is. Never goes backwards."""

    __slots__ = ()

    @property
    def stage(self) -> str:
        """The stage that runs."""
        return str(self._data["stage"])

    @property
    def stage_fraction(self) -> float:
        """How much of this stage is done, 0 to 1."""
        return float(self._data["stage_fraction"])

    @property
    def fraction(self) -> float:
        """How much of the video is done, 0 to 1."""
        return float(self._data["fraction"])


class ListedModel(Record):
    """A known model, and what is on this machine of it."""

    __slots__ = ()

    @property
    def model(self) -> dict[str, Any]:
        """What it is: `name`, `repo`, `kind`, `dim`, `memory_bytes`, ..."""
        return dict(copy.deepcopy(self._data["model"]))

    @property
    def path(self) -> str | None:
        """Where it is, when it is whole."""
        return self._data.get("path")

    @property
    def bytes(self) -> int:
        """How much of it is here."""
        return int(self._data["bytes"])

    @property
    def problem(self) -> str | None:
        """Why it cannot be used, when only a part of it is here."""
        return self._data.get("problem")

    def __repr__(self) -> str:
        return f"ListedModel({self._data['model']['name']!r}, path={self.path!r})"


class Transcript(Record):
    """All that is said in a track."""

    __slots__ = ()

    @property
    def source(self) -> dict[str, Any]:
        """Where it comes from: its `kind`, and what a model gave that was not believed, in `dropped`."""
        return dict(copy.deepcopy(self._data["source"]))

    @property
    def language(self) -> str | None:
        """ISO 639 code, where known."""
        return self._data.get("language")

    @property
    def segments(self) -> list[Segment]:
        """In order of start."""
        return [Segment(segment) for segment in self._data["segments"]]

    @property
    def text(self) -> str:
        """What is said, a line for each segment."""
        return "\n".join(segment.text for segment in self.segments)

    def __repr__(self) -> str:
        return f"Transcript(language={self.language!r}, segments={len(self._data['segments'])})"


class Transcribed(Record):
    """What the sound of a file gave."""

    __slots__ = ()

    @property
    def transcript(self) -> Transcript:
        """What is said; empty without any speech."""
        return Transcript(self._data["transcript"])

    @property
    def media(self) -> MediaInfo:
        """The facts of the file."""
        return MediaInfo(self._data["media"])

    @property
    def warnings(self) -> list[str]:
        """What was missing or damaged."""
        return list(self._data["warnings"])

    def __repr__(self) -> str:
        return f"Transcribed({self.transcript!r})"


class SwitchProgress(Record):
    """How far a switch of models is. Never goes backwards."""

    __slots__ = ()

    @property
    def title(self) -> str:
        """Title of the video in work."""
        return str(self._data["title"])

    @property
    def done(self) -> int:
        """Videos that are done, of `videos`."""
        return int(self._data["done"])

    @property
    def videos(self) -> int:
        """Videos of the library."""
        return int(self._data["videos"])

    @property
    def fraction(self) -> float:
        """How far the whole is, 0 to 1."""
        return float(self._data["fraction"])


class SwitchReport(Record):
    """What a switch of models did."""

    __slots__ = ()

    @property
    def videos(self) -> int:
        """Videos that the new models looked at."""
        return int(self._data["videos"])

    @property
    def kept(self) -> int:
        """Videos that an earlier, interrupted switch to the same models had done."""
        return int(self._data["kept"])
