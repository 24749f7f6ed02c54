"""What calls give: small frozen objects over the JSON that every language gives alike."""

from __future__ import annotations

import base64
import html
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ._fields import Field, in_seconds, many, maybe

if TYPE_CHECKING:
    from . import _native

Facts = dict[str, Any]


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
        return deepcopy(self._data)

    def __repr__(self) -> str:
        shown = (
            f"{key}={value!r}"
            for key, value in self._data.items()
            if not isinstance(value, (dict, list)) and value is not None
        )
        return f"{type(self).__name__}({', '.join(shown)})"

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
    start_us = Field(int, "The first moment inside, in microseconds.")
    end_us = Field(int, "The first moment after, in microseconds.")
    start = in_seconds("start_us", "The first moment inside, in seconds.")
    end = in_seconds("end_us", "The first moment after, in seconds.")


class Word(_Spanned):
    """A word of a transcript."""

    __slots__ = ()
    text = Field(str, "As said.")
    probability = maybe(float, "How sure speech recognition was; `None` for subtitles.")


class Tag(Record):
    """A word for what a scene shows."""

    __slots__ = ()
    label = Field(str, "Such as `car`.")
    names = many(str, "Other names that it is found by.", absent=())
    score = Field(float, "How sure it is, 0 to 1.")


class ChannelScore(Record):
    """What a channel says of a hit."""

    __slots__ = ()
    channel = Field(str, "Its name.")
    rank = Field(int, "From 1.")
    score = Field(float, "BM25 for words, cosine for vectors.")


class HitVideo(Record):
    """The video of a hit."""

    __slots__ = ()
    title = Field(str, "Its title.")
    source = Field(str, "Where it comes from.")
    duration_us = Field(int, "Its length in microseconds.")
    duration = in_seconds("duration_us", "Its length in seconds.")


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

    video = Field(HitVideo, "Its video.")
    moment_us = Field(int, "Where to seek to, in microseconds.")
    moment = in_seconds("moment_us", "Where to seek to, in seconds.")
    text = Field(str, "What is said in the scene.")
    matched_words = many(Word, "The words that matched, with their times.")
    tags = many(Tag, "What the scene shows, the surest first.", absent=())
    thumbnail = maybe(str, "Key of the picture nearest to the moment, for `Library.thumbnail`.")
    score = Field(float, "The fused score; only comparable within one search.")
    channels = many(
        ChannelScore, "Rank and score in each channel that found it; filled by `explain=True`.", absent=()
    )

    def __repr__(self) -> str:
        return f"Hit({self.video.title!r}, moment={clock(self.moment_us)}, score={self.score:.4f}, text={self.text!r})"

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

    total = Field(int, "Scenes found in all, under the same filters.")
    next = maybe(str, "Give this as `cursor` for the next page; `None` on the last.")

    def __repr__(self) -> str:
        return f"SearchPage({len(self._data['hits'])} of {self.total})"

    def _repr_html_(self) -> str:
        return "".join(hit._repr_html_() for hit in self.hits) or "<p>nothing found</p>"


class Shot(_Spanned):
    """An unbroken run of frames."""

    __slots__ = ()


class Keyframe(Record):
    """A frame that stands for a part of a shot."""

    __slots__ = ()
    time_us = Field(int, "When it is shown, in microseconds.")
    time = in_seconds("time_us", "When it is shown, in seconds.")
    shot = Field(int, "The number of its shot, from 0.")
    quality = Field(float, "How well it stands for it, 0 to 1.")
    thumbnail = maybe(str, "Key of its thumbnail.")
    picture = maybe(str, "Key of the picture that models look at.")


class Segment(_Spanned):
    """A cue of subtitles, or a phrase."""

    __slots__ = ()
    text = Field(str, "As read.")
    words = many(Word, "Its words.", absent=())
    speaker = maybe(str, "Who says it, where the subtitles tell.")
    language = maybe(str, "Its language, where known.")
    no_speech_probability = maybe(float, "How likely nobody speaks; `None` for subtitles.")


class Scene(_Spanned):
    """What is searched: a shot, or a part of a long one."""

    __slots__ = ()
    ordinal = Field(int, "Its number in the video, from 0.")
    shot = Field(int, "The number of its shot, from 0.")
    speech = Field(str, "What is said in it.")
    words = many(Word, "The words that are said in it.")
    texts = Field(dict[str, str], "What annotators found, by channel.", absent=())
    tags = many(Tag, "What it shows, the surest first.", absent=())


class MediaInfo(Record):
    """The facts of a media file."""

    __slots__ = ()
    container = Field(str, "FFmpeg's name of the container.")
    size_bytes = Field(int, "Size of the file.")
    start = Field(int, "The container's own time of our zero, in microseconds.")
    declared_duration = maybe(int, "Length in microseconds as the container declares it. Not to be trusted.")
    bit_rate = maybe(int, "Bits per second over all streams, where known.")
    streams = Field[list[Facts]](deepcopy, "Every stream in file order; `type` says what it is.")
    chapters = Field[list[Facts]](deepcopy, "Chapters in file order.")
    tags = Field(dict[str, str], "Tags of the container, such as `title`.")


class Video(Record):
    """A video of a library."""

    __slots__ = ()
    id = Field(str, "Its id.")
    source = Field(str, "Where it comes from.")
    title = Field(str, "Its title.")
    description = Field(str, "Free text that is searched with the title.")
    fingerprint = Field(str, "Changes when the file does.")
    duration_us = Field(int, "Its length in microseconds.")
    duration = in_seconds("duration_us", "Its length in seconds.")
    media = Field(MediaInfo, "The facts of its file.")
    language = maybe(str, "Its language, where known.")
    created_at = maybe(str, "When it was made, as its file says.")
    warnings = many(str, "What was missing or damaged.")
    settings = Field(dict[str, str], "What it was indexed with.")
    state = Field(str, "`indexed`, `processing`, `failed`, ...")

    def __repr__(self) -> str:
        return f"Video({self.title!r}, id={self.id!r}, duration={clock(self.duration_us)}, state={self.state!r})"


class IndexedVideo(Record):
    """All that the index holds of a video, but the vectors."""

    __slots__ = ()
    video = Field(Video, "The video.")
    shots = many(Shot, "Its shots; they tile it.")
    keyframes = many(Keyframe, "The frames that stand for its shots.")
    transcript = Field[Any](deepcopy, "Where its words come from; `None` when nothing looked for any.")
    segments = many(Segment, "The cues of its transcript.")
    scenes = many(Scene, "What can be found of it.")
    spaces = Field[list[Facts]](deepcopy, "The models that made its vectors.")

    def __repr__(self) -> str:
        return f"IndexedVideo({self.video!r}, {len(self._data['scenes'])} scenes)"


class StageRecord(Record):
    """How a stage of indexing went."""

    __slots__ = ()
    stage = Field(str, "Its name.")
    state = Field(str, "`completed`, `failed`, ...")
    started_us = maybe(int, "Microseconds since 1970.")
    ended_us = maybe(int, "Microseconds since 1970.")
    reused = Field(bool, "Whether an earlier run's output was used.")
    error_kind = maybe(str, "The kind of its failure.")
    error = maybe(str, "The text of its failure.")


class IndexReport(Record):
    """What indexing a video did."""

    __slots__ = ()
    id = Field(str, "The video.")
    title = Field(str, "Its title.")
    outcome = Field(str, "`indexed`, or `up_to_date` when there was nothing to do.")
    duration_us = Field(int, "Its length in microseconds.")
    duration = in_seconds("duration_us", "Its length in seconds.")
    shots = Field(int, "Shots found.")
    keyframes = Field(int, "Keyframes kept.")
    scenes = Field(int, "Scenes that can be found.")
    segments = maybe(int, "Cues of its transcript; `None` when nothing looked for any.")
    warnings = many(str, "What was missing or damaged.")
    dropped = Field(dict[str, int], "What a speech model gave and was not believed, by reason.", absent=())
    stages = many(StageRecord, "The stages that ran.")
    seconds = Field(float, "Wall time.")


class Progress(Record):
    """How far the work on one video is. Never goes backwards."""

    __slots__ = ()
    stage = Field(str, "The stage that runs.")
    stage_fraction = Field(float, "How much of this stage is done, 0 to 1.")
    fraction = Field(float, "How much of the video is done, 0 to 1.")


class ListedModel(Record):
    """A known model, and what is on this machine of it."""

    __slots__ = ()
    model = Field[Facts](deepcopy, "What it is: `name`, `repo`, `kind`, `dim`, `memory_bytes`, ...")
    path = maybe(str, "Where it is, when it is whole.")
    bytes = Field(int, "How much of it is here.")
    problem = maybe(str, "Why it cannot be used, when only a part of it is here.")

    def __repr__(self) -> str:
        return f"ListedModel({self._data['model']['name']!r}, path={self.path!r})"


class Transcript(Record):
    """All that is said in a track."""

    __slots__ = ()
    source = Field[Facts](
        deepcopy, "Where it comes from: its `kind`, and what a model gave that was not believed, in `dropped`."
    )
    language = maybe(str, "ISO 639 code, where known.")
    segments = many(Segment, "In order of start.")

    @property
    def text(self) -> str:
        """What is said, a line for each segment."""
        return "\n".join(segment.text for segment in self.segments)

    def __repr__(self) -> str:
        return f"Transcript(language={self.language!r}, segments={len(self._data['segments'])})"


class Transcribed(Record):
    """What the sound of a file gave."""

    __slots__ = ()
    transcript = Field(Transcript, "What is said; empty without any speech.")
    media = Field(MediaInfo, "The facts of the file.")
    warnings = many(str, "What was missing or damaged.")

    def __repr__(self) -> str:
        return f"Transcribed({self.transcript!r})"


class SwitchProgress(Record):
    """How far a switch of models is. Never goes backwards."""

    __slots__ = ()
    title = Field(str, "Title of the video in work.")
    done = Field(int, "Videos that are done, of `videos`.")
    videos = Field(int, "Videos of the library.")
    fraction = Field(float, "How far the whole is, 0 to 1.")


class SwitchReport(Record):
    """What a switch of models did."""

    __slots__ = ()
    videos = Field(int, "Videos that the new models looked at.")
    kept = Field(int, "Videos that an earlier, interrupted switch to the same models had done.")
