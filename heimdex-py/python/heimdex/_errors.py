"""One exception for every kind of failure, all below `HeimdexError`."""

from __future__ import annotations

import json


class HeimdexError(Exception):
    """A failure of Heimdex.

    `kind` is its stable name. `path`, `field`, `model` and `name` say what it is about, where it is about
    a file, an argument, a model, or something that does not exist.
    """

    kind: str = "unknown"
    path: str | None = None
    field: str | None = None
    model: str | None = None
    name: str | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.args, self.__dict__.copy())


class MediaError(HeimdexError):
    """A media file could not be used; `path` says which."""


class NotAMediaFileError(MediaError):
    """The file holds no media that is known."""

    kind = "not-a-media-file"


class TruncatedError(MediaError):
    """The file ends early or is damaged."""

    kind = "truncated"


class UnsupportedError(MediaError):
    """The container, codec or encryption is not supported."""

    kind = "unsupported"


class RefusedPlaylistError(MediaError):
    """A playlist, script or address that would open other things."""

    kind = "refused-playlist"


class TooLargeError(MediaError):
    """A limit on what is opened was exceeded."""

    kind = "too-large"


class NoVideoStreamError(MediaError):
    """There is neither picture nor sound."""

    kind = "no-video-stream"


class TimedOutError(MediaError, TimeoutError):
    """Reading made no progress for too long."""

    kind = "timed-out"


class IoError(HeimdexError, OSError):
    """Reading or writing failed, or access was denied."""

    kind = "io"


class InvalidError(HeimdexError, ValueError):
    """A value given by the caller cannot be used; `field` says which."""

    kind = "invalid"


class QueryError(HeimdexError, ValueError):
    """A query cannot be read."""

    kind = "query"


class SubtitleError(HeimdexError):
    """Subtitles cannot be read."""

    kind = "subtitle"


class ModelError(HeimdexError):
    """A model is damaged, unknown, or failed."""

    kind = "model"


class ModelMissingError(ModelError):
    """A model is not on this machine; the text says how to get it."""

    kind = "model-missing"


class SpaceError(HeimdexError):
    """Vectors of one embedding space were used with another."""

    kind = "space"


class StoreError(HeimdexError):
    """The index could not be read or written."""

    kind = "store"


class NotFoundError(HeimdexError, LookupError):
    """Something named by the caller does not exist; `name` says what."""

    kind = "not-found"


class CancelledError(HeimdexError):
    """The work was cancelled."""

    kind = "cancelled"


KINDS: dict[str, type[HeimdexError]] = {
    error.kind: error
    for error in (
        NotAMediaFileError,
        TruncatedError,
        UnsupportedError,
        RefusedPlaylistError,
        TooLargeError,
        NoVideoStreamError,
        TimedOutError,
        IoError,
        InvalidError,
        QueryError,
        SubtitleError,
        ModelError,
        ModelMissingError,
        SpaceError,
        StoreError,
        NotFoundError,
        CancelledError,
    )
}


def of_json(text: str) -> HeimdexError:
    """The exception of an error of the core."""
    facts: dict[str, str] = json.loads(text)
    kind = facts.pop("kind")
    error = KINDS.get(kind, HeimdexError)(facts.pop("message"))
    error.kind = kind
    for name, value in facts.items():
        setattr(error, name, value)
    return error


def wrong_argument(name: str, message: str, mistyped: bool) -> Exception:
    """`TypeError` where the type is wrong, `InvalidError` (a `ValueError`) where the value is."""
    text = f"{name}: {message}"
    if mistyped:
        return TypeError(text)
    error = InvalidError(text)
    error.field = name
    return error


def _again(kind: type[HeimdexError], args: tuple[object, ...], facts: dict[str, object]) -> HeimdexError:
    error = kind(*args)
    error.__dict__.update(facts)
    return error
