"""Libraries and calls that wait."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import _native, _options
from ._own import Annotator, ImageEmbedder, TextEmbedder
from ._pictures import picture
from ._results import (
    IndexedVideo,
    IndexReport,
    ListedModel,
    MediaInfo,
    Progress,
    SearchPage,
    Segment,
    Shot,
    SwitchProgress,
    SwitchReport,
    Transcribed,
    Video,
)

if TYPE_CHECKING:
    from ._pictures import Picture

OnProgress = Callable[[Progress], object]
OnSwitch = Callable[[SwitchProgress], object]
_T = TypeVar("_T")


def heard(on_progress: Callable[[_T], object] | None, kind: Callable[[Any], _T]) -> Callable[[str], object] | None:
    """What the core's reports are given to."""
    if on_progress is None:
        return None
    if not callable(on_progress):
        raise TypeError(f"on_progress: a function is needed, not {type(on_progress).__name__}")
    return lambda text: on_progress(kind(json.loads(text)))


def warned(native: _native.NativeLibrary) -> _native.NativeLibrary:
    """A library that was opened, after a warning for each thing that was left out."""
    for note in native.notes:
        warnings.warn(note, stacklevel=3)
    return native


def _answer(
    start: Callable[..., _native.Job],
    call: str,
    options: str = "{}",
    on_progress: Callable[[str], object] | None = None,
) -> Any:
    """What a call gives, waited for."""
    return json.loads(start(call, options).wait(on_progress))


class Library:
    """A library that is open. Made by `heimdex.open`; threads may share it."""

    def __init__(self, native: _native.NativeLibrary) -> None:
        self._native = native

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<heimdex.Library at {id(self):#x}>"

    @property
    def notes(self) -> list[str]:
        """What was left out in opening, one line each."""
        return self._native.notes

    def close(self) -> None:
        """Lets go of the index; what is called later fails."""
        self._native.close()

    def search(
        self,
        query: str = "",
        *,
        image: Picture | None = None,
        like: str | None = None,
        limit: int = 10,
        cursor: str | None = None,
        per_video: int | None = None,
        weights: Mapping[str, float] | None = None,
        fusion: Mapping[str, Any] | None = None,
        min_similarity: float = 0.25,
        min_probability: float = 0.001,
        min_likeness: float = 0.6,
        explain: bool = False,
        videos: Sequence[str] = (),
        within: tuple[int, int] | None = None,
        min_duration_us: int | None = None,
        max_duration_us: int | None = None,
        created_from: str | None = None,
        created_before: str | None = None,
        languages: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> SearchPage:
        """Finds scenes by words, by a picture, or by a scene that they are to be like."""
        options = _options.search(locals())
        pixels = None if image is None else picture(image)
        start = partial(self._native.start, image=pixels)
        return SearchPage(_answer(start, "search", options), self._native)

    def index(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        description: str | None = None,
        subtitles: str | os.PathLike[str] | None = None,
        force: bool = False,
        on_progress: OnProgress | None = None,
    ) -> IndexReport:
        """Indexes a file. What an earlier run finished is not done again. Ctrl-C stops it."""
        options = _options.text(locals())
        return IndexReport(_answer(self._native.start, "index", options, heard(on_progress, Progress)))

    def videos(self) -> list[Video]:
        """Every video, in order of id."""
        return [Video(video) for video in _answer(self._native.start, "videos")]

    def video(self, video: str) -> IndexedVideo:
        """All that the index holds of a video: of its id, the beginning of it, its path, or its title."""
        return IndexedVideo(_answer(self._native.start, "video", _options.text(locals())))

    def remove(self, video: str) -> str:
        """Takes a video out of the library, and gives its id. The file is not touched."""
        return str(_answer(self._native.start, "remove", _options.text(locals())))

    def switch_models(self, *, on_progress: OnSwitch | None = None) -> SwitchReport:
        """Changes the library to the models that it was opened with; nothing is decoded."""
        report = heard(on_progress, SwitchProgress)
        return SwitchReport(_answer(self._native.start, "switch_models", "{}", report))

    def thumbnail(self, key: str) -> bytes:
        """A thumbnail, as WebP, by the key that hits and keyframes give."""
        found: bytes = self._native.thumbnail(key).wait()
        return found


def open(
    location: str | os.PathLike[str] | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    name: str | None = None,
    create: bool = True,
    text_model: str | os.PathLike[str] | TextEmbedder | None = None,
    image_model: str | os.PathLike[str] | ImageEmbedder | None = None,
    speech_model: str | os.PathLike[str] | None = None,
    models: bool = True,
    speech: bool = True,
    missing_models: str = "refuse",
    backend: str = "candle",
    precision: str = "f32",
    provider: str = "cpu",
    threads: int = 0,
    onnxruntime: str | os.PathLike[str] | None = None,
    keep_thumbnails: bool = True,
    thumbnails: str | os.PathLike[str] | None = None,
    sidecars: str | os.PathLike[str] | None = None,
    tags: bool = False,
    vocabulary: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    annotators: Iterable[Annotator] = (),
) -> Library:
    """Opens the library in a folder or a `postgres://` database, made when it is not there. Use it with `with`."""
    return Library(warned(_native.open(*_options.opening(locals())).wait()))


def probe(path: str | os.PathLike[str], *, limits: Mapping[str, Any] | None = None) -> MediaInfo:
    """The facts of a media file, without decoding it."""
    return MediaInfo(_answer(_native.start, "probe", _options.text(locals())))


def shots(
    path: str | os.PathLike[str],
    *,
    detector: Mapping[str, Any] | None = None,
    exact: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Shot]:
    """The shots of a file, without a library."""
    options = _options.text(locals())
    return [Shot(shot) for shot in _answer(_native.start, "shots", options, heard(on_progress, Progress))]


def transcribe(
    path: str | os.PathLike[str],
    *,
    speech_model: str | os.PathLike[str] | None = None,
    language: str | None = None,
    translate: bool = False,
    prompt: str | None = None,
    track: int | str | None = None,
    activity: Mapping[str, Any] | str | None = None,
    limits: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> Transcribed:
    """What is said in a file, without a library. `track` is a number from 0, or a language."""
    options = _options.transcribing(locals())
    return Transcribed(_answer(_native.start, "transcribe", options, heard(on_progress, Progress)))


def write_subtitles(segments: Iterable[Segment], *, format: str = "srt") -> str:
    """What is said as the text of a subtitle file: `srt` or `vtt`."""
    return str(_answer(_native.start, "write_subtitles", _options.subtitles(segments, format)))


def models() -> list[ListedModel]:
    """The known models, and which of them are on this machine."""
    return [ListedModel(model) for model in _answer(_native.start, "models")]


def pull(
    model: str,
    *,
    revision: str | None = None,
    force: bool = False,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> list[dict[str, Any]]:
    """Gets a model or a preset from the hub. `on_progress` has `model`, `file`, `bytes` and `total`."""
    options = _options.text(locals())
    return list(_answer(_native.start, "pull", options, heard(on_progress, dict)))
