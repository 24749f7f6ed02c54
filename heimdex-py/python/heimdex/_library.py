"""Libraries and calls that wait."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    Record,
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
_R = TypeVar("_R", bound=Record)


def reported(on_progress: Callable[[_R], object] | None, kind: type[_R]) -> Callable[[str], object] | None:
    """What the core's reports are given to."""
    if on_progress is None:
        return None
    if not callable(on_progress):
        raise TypeError(f"on_progress: a function is needed, not {type(on_progress).__name__}")
    return lambda text: on_progress(kind(json.loads(text)))


def heard(on_progress: OnProgress | None) -> Callable[[str], object] | None:
    """What reports of the work on one file are given to."""
    return reported(on_progress, Progress)


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
        options = dict(locals())
        del options["self"], options["image"]
        pixels = None if image is None else picture(image)
        job = self._native.start("search", _options.search(options), pixels)
        return SearchPage(json.loads(job.wait()), self._native)

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
        options = {
            "path": path,
            "title": title,
            "description": description,
            "subtitles": subtitles,
            "force": force,
        }
        job = self._native.start("index", _options.text(options))
        return IndexReport(json.loads(job.wait(heard(on_progress))))

    def videos(self) -> list[Video]:
        """Every video, in order of id."""
        return [Video(video) for video in json.loads(self._native.start("videos", "{}").wait())]

    def video(self, video: str) -> IndexedVideo:
        """All that the index holds of a video: of its id, the beginning of it, its path, or its title."""
        job = self._native.start("video", _options.text({"video": video}))
        return IndexedVideo(json.loads(job.wait()))

    def remove(self, video: str) -> str:
        """Takes a video out of the library, and gives its id. The file is not touched."""
        job = self._native.start("remove", _options.text({"video": video}))
        return str(json.loads(job.wait()))

    def switch_models(self, *, on_progress: OnSwitch | None = None) -> SwitchReport:
        """Changes the library to the models that it was opened with; nothing is decoded."""
        report = reported(on_progress, SwitchProgress)
        return SwitchReport(json.loads(self._native.start("switch_models", "{}").wait(report)))

    def thumbnail(self, key: str) -> bytes:
        """A thumbnail, as WebP, by the key that hits and keyframes give."""
        picture: bytes = self._native.thumbnail(key).wait()
        return picture


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
    options = dict(locals())
    del options["annotators"]
    job = _native.open(*_options.opening(options, annotators))
    return opened(job.wait())


def opened(native: _native.NativeLibrary) -> Library:
    """The library that was opened; a warning for each thing that was left out."""
    for note in native.notes:
        warnings.warn(note, stacklevel=3)
    return Library(native)


def probe(path: str | os.PathLike[str], *, limits: Mapping[str, Any] | None = None) -> MediaInfo:
    """The facts of a media file, without decoding it."""
    job = _native.start("probe", _options.text({"path": path, "limits": limits}))
    return MediaInfo(json.loads(job.wait()))


def shots(
    path: str | os.PathLike[str],
    *,
    detector: Mapping[str, Any] | None = None,
    exact: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Shot]:
    """The shots of a file, without a library."""
    options = {"path": path, "detector": detector, "exact": exact}
    job = _native.start("shots", _options.text(options))
    return [Shot(shot) for shot in json.loads(job.wait(heard(on_progress)))]


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
    options = _options.transcribing(dict(locals()))
    return Transcribed(json.loads(_native.start("transcribe", options).wait(heard(on_progress))))


def write_subtitles(segments: Iterable[Segment], *, format: str = "srt") -> str:
    """What is said as the text of a subtitle file: `srt` or `vtt`."""
    return str(json.loads(_native.start("write_subtitles", _options.subtitles(segments, format)).wait()))


def models() -> list[ListedModel]:
    """The known models, and which of them are on this machine."""
    return [ListedModel(model) for model in json.loads(_native.start("models", "{}").wait())]


def pull(
    model: str,
    *,
    revision: str | None = None,
    force: bool = False,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> list[dict[str, Any]]:
    """Gets a model or a preset from the hub. `on_progress` has `model`, `file`, `bytes` and `total`."""
    options = {"model": model, "revision": revision, "force": force}
    job = _native.start("pull", _options.text(options))
    report = None if on_progress is None else lambda text: on_progress(json.loads(text))
    pulled: list[dict[str, Any]] = json.loads(job.wait(report))
    return pulled
