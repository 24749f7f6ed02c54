"""The same as `heimdex`, for asyncio: calls are awaited, and cancelling a task stops its work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native, _options
from ._library import OnProgress, OnSwitch, heard, warned
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

__all__ = ["Library", "models", "open", "probe", "pull", "shots", "transcribe", "write_subtitles"]

# How long a cancelled task waits for its work to end.
_STOPS_WITHIN = 2.0


async def _result(start: Callable[..., _native.Job], on_progress: Callable[[str], object] | None = None) -> Any:
    """The result of work. It runs on threads of the core; reports and the result come into the loop."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()
    jobs: list[_native.Job] = []

    def arrive(progress: str | None, result: Any, error: BaseException | None) -> None:
        if ended.done():
            return
        if progress is not None:
            if on_progress is None:
                return
            try:
                on_progress(progress)
            except BaseException as raised:
                for job in jobs:
                    job.cancel()
                ended.set_exception(raised)
        elif error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(result)

    def watch(progress: Any, result: Any, error: Any) -> None:
        # A loop that is closed wants nothing more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(arrive, progress, result, error)

    job = start(watcher=watch)
    jobs.append(job)
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        job.cancel()
        # The work has ended when the task has, so that what comes next finds it ended.
        await asyncio.wait([ended], timeout=_STOPS_WITHIN)
        if ended.done() and not ended.cancelled():
            ended.exception()
        raise


async def _answer(
    start: Callable[..., _native.Job],
    call: str,
    options: str = "{}",
    on_progress: Callable[[str], object] | None = None,
) -> Any:
    """What a call gives, awaited."""
    return json.loads(await _result(partial(start, call, options), on_progress))


class Library:
    """A library that is open. Made by `heimdex.aio.open`."""

    def __init__(self, native: _native.NativeLibrary) -> None:
        self._native = native

    async def __aenter__(self) -> Library:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<heimdex.aio.Library at {id(self):#x}>"

    @property
    def notes(self) -> list[str]:
        """What was left out in opening, one line each."""
        return self._native.notes

    async def close(self) -> None:
        """Lets go of the index; what is called later fails."""
        await asyncio.to_thread(self._native.close)

    async def search(
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
        pixels = None if image is None else await asyncio.to_thread(picture, image)
        start = partial(self._native.start, image=pixels)
        return SearchPage(await _answer(start, "search", options), self._native)

    async def index(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        description: str | None = None,
        subtitles: str | os.PathLike[str] | None = None,
        force: bool = False,
        on_progress: OnProgress | None = None,
    ) -> IndexReport:
        """Indexes a file. What an earlier run finished is not done again. `on_progress` runs in the loop."""
        options = _options.text(locals())
        return IndexReport(await _answer(self._native.start, "index", options, heard(on_progress, Progress)))

    async def videos(self) -> list[Video]:
        """Every video, in order of id."""
        return [Video(video) for video in await _answer(self._native.start, "videos")]

    async def video(self, video: str) -> IndexedVideo:
        """All that the index holds of a video: of its id, the beginning of it, its path, or its title."""
        return IndexedVideo(await _answer(self._native.start, "video", _options.text(locals())))

    async def remove(self, video: str) -> str:
        """Takes a video out of the library, and gives its id. The file is not touched."""
        return str(await _answer(self._native.start, "remove", _options.text(locals())))

    async def switch_models(self, *, on_progress: OnSwitch | None = None) -> SwitchReport:
        """Changes the library to the models that it was opened with; nothing is decoded."""
        report = heard(on_progress, SwitchProgress)
        return SwitchReport(await _answer(self._native.start, "switch_models", "{}", report))

    async def thumbnail(self, key: str) -> bytes:
        """A thumbnail, as WebP, by the key that hits and keyframes give."""
        found: bytes = await _result(partial(self._native.thumbnail, key))
        return found


class _Opening:
    """A library that opens when awaited, or entered with `async with`."""

    def __init__(self, start: Callable[..., _native.Job]) -> None:
        self._start = start
        self._library: Library | None = None

    async def _open(self) -> Library:
        return Library(warned(await _result(self._start)))

    def __await__(self) -> Generator[Any, None, Library]:
        return self._open().__await__()

    async def __aenter__(self) -> Library:
        # Not by `_open`: a warning names the line that called this.
        self._library = Library(warned(await _result(self._start)))
        return self._library

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._library is not None:
            await self._library.close()


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
) -> _Opening:
    """Opens the library in a folder or a `postgres://` database: `async with open(...) as library`."""
    return _Opening(partial(_native.open, *_options.opening(locals())))


async def probe(path: str | os.PathLike[str], *, limits: Mapping[str, Any] | None = None) -> MediaInfo:
    """The facts of a media file, without decoding it."""
    return MediaInfo(await _answer(_native.start, "probe", _options.text(locals())))


async def shots(
    path: str | os.PathLike[str],
    *,
    detector: Mapping[str, Any] | None = None,
    exact: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Shot]:
    """The shots of a file, without a library."""
    options = _options.text(locals())
    return [Shot(shot) for shot in await _answer(_native.start, "shots", options, heard(on_progress, Progress))]


async def transcribe(
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
    return Transcribed(await _answer(_native.start, "transcribe", options, heard(on_progress, Progress)))


async def write_subtitles(segments: Iterable[Segment], *, format: str = "srt") -> str:
    """What is said as the text of a subtitle file: `srt` or `vtt`."""
    return str(await _answer(_native.start, "write_subtitles", _options.subtitles(segments, format)))


async def models() -> list[ListedModel]:
    """The known models, and which of them are on this machine."""
    return [ListedModel(model) for model in await _answer(_native.start, "models")]


async def pull(
    model: str,
    *,
    revision: str | None = None,
    force: bool = False,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> list[dict[str, Any]]:
    """Gets a model or a preset from the hub. `on_progress` has `model`, `file`, `bytes` and `total`."""
    options = _options.text(locals())
    return list(await _answer(_native.start, "pull", options, heard(on_progress, dict)))
