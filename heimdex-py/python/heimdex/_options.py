"""Keyword arguments as the options of the core. Their names are the core's; what is None is left to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._own import AnnotatorAdapter, EmbedderAdapter
from ._results import Segment

# Arguments of calls that JSON cannot say.
BESIDE = {"self", "image", "on_progress", "annotators"}

# The options of a search that say which scenes may be found.
FILTER = (
    "videos",
    "within",
    "min_duration_us",
    "max_duration_us",
    "created_from",
    "created_before",
    "languages",
    "tags",
)


def _plain(value: Any) -> Any:
    """What JSON can say of a value."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return value


def text(arguments: Mapping[str, Any]) -> str:
    """The arguments of a call, `locals()` at its beginning, as the core reads them."""
    given = {name: _plain(value) for name, value in arguments.items() if name not in BESIDE and value is not None}
    try:
        return json.dumps(given, ensure_ascii=False)
    except TypeError:
        for name, value in given.items():
            try:
                json.dumps(value)
            except TypeError:
                raise TypeError(f"{name}: a {type(value).__name__} is not understood") from None
        raise


def search(arguments: Mapping[str, Any]) -> str:
    """Options of a search, those of its filter in a part of their own."""
    options = dict(arguments)
    if (like := options["like"]) is not None:
        options["like"] = _scene(like)
    if (within := options["within"]) is not None:
        try:
            start, end = within
        except (TypeError, ValueError):
            raise TypeError("within: a start and an end in microseconds are needed") from None
        options["within"] = {"start_us": start, "end_us": end}
    for name in ("videos", "languages", "tags"):
        if isinstance(options[name], str):
            raise TypeError(f"{name}: a list of texts is needed, not one text")
    for name, kind in (
        ("min_duration_us", int),
        ("max_duration_us", int),
        ("created_from", str),
        ("created_before", str),
    ):
        if options[name] is not None and not isinstance(options[name], kind):
            raise TypeError(f"{name}: {kind.__name__} is needed, not {type(options[name]).__name__}")
    chosen = {name: _plain(options.pop(name)) for name in FILTER}
    options["filter"] = {name: value for name, value in chosen.items() if value is not None}
    return text(options)


def transcribing(arguments: Mapping[str, Any]) -> str:
    """Options of a transcription; `track` as people say it."""
    track = arguments["track"]
    if isinstance(track, bool) or not isinstance(track, (int, str, type(None))):
        raise TypeError(f"track: a number or a language is needed, not {type(track).__name__}")
    if track is not None:
        track = {"number": track} if isinstance(track, int) else {"language": track}
    return text({**arguments, "track": track})


def subtitles(segments: Iterable[Segment], format: str) -> str:
    """Options of writing subtitles."""
    plain = []
    for segment in segments:
        if not isinstance(segment, Segment):
            raise TypeError(f"segments: a heimdex.Segment is needed, not {type(segment).__name__}")
        plain.append(segment.to_dict())
    return text({"segments": plain, "format": format})


def _scene(like: Any) -> Any:
    if not isinstance(like, str):
        raise TypeError(f"like: a scene as a hit gives it is needed, not {type(like).__name__}")
    video, _, ordinal = like.rpartition(":")
    try:
        return {"video": video, "ordinal": int(ordinal)}
    except ValueError:
        raise ValueError(f"like: `{like}` is not a scene; write VIDEO:NUMBER") from None


def opening(
    arguments: Mapping[str, Any],
) -> tuple[str, EmbedderAdapter | None, EmbedderAdapter | None, Sequence[AnnotatorAdapter]]:
    """Options of a library, and what is written in Python of it."""
    options = dict(arguments)
    own: list[EmbedderAdapter | None] = []
    for name, method in (("text_model", "embed"), ("image_model", "embed_images")):
        model = options[name]
        if model is None or isinstance(model, (str, os.PathLike)):
            own.append(None)
        elif hasattr(model, method):
            own.append(EmbedderAdapter(model))
            options[name] = None
        else:
            raise TypeError(f"{name}: a name, a folder or an object with `{method}` is needed")
    return text(options), own[0], own[1], [AnnotatorAdapter(annotator) for annotator in options["annotators"]]
