"""Models alone: texts and pictures to rows of numpy arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native, _options
from ._pictures import picture

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._pictures import Picture

# Rows that are made in one call: between calls Python looks for Ctrl-C.
_TOGETHER = 16


def _rows(dim: int, items: Sequence[Any], embed: Callable[[Sequence[Any]], bytearray]) -> npt.NDArray[np.float32]:
    parts = [
        np.frombuffer(embed(items[i : i + _TOGETHER]), np.float32).reshape(-1, dim)
        for i in range(0, len(items), _TOGETHER)
    ]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty((0, dim), np.float32)


def _listed(name: str, values: Sequence[Any]) -> list[Any]:
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name}: a list is needed, not one {type(values).__name__}")
    return list(values)


class TextModel:
    """A text model by its name or folder. Models of the same folder share one copy of the weights."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        backend: str = "candle",
        precision: str = "f32",
        provider: str = "cpu",
        threads: int = 0,
        onnxruntime: str | os.PathLike[str] | None = None,
    ) -> None:
        options = dict(locals())
        del options["self"]
        self._native = _native.TextModel(_options.text(options))

    @property
    def spec(self) -> dict[str, Any]:
        """What makes its vectors: `model`, `dim`, `max_tokens`, ..."""
        spec: dict[str, Any] = json.loads(self._native.spec())
        return spec

    def embed(self, texts: Sequence[str], *, role: str = "passage") -> npt.NDArray[np.float32]:
        """One unit vector per text, as rows. `role` is `query` for texts to search with."""
        return _rows(
            int(self.spec["dim"]), _listed("texts", texts), lambda part: self._native.embed(part, role)
        )


class ImageModel:
    """A model for pictures and texts by its name or folder."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        backend: str = "candle",
        precision: str = "f32",
        provider: str = "cpu",
        threads: int = 0,
        onnxruntime: str | os.PathLike[str] | None = None,
    ) -> None:
        options = dict(locals())
        del options["self"]
        self._native = _native.ImageModel(_options.text(options))

    @property
    def spec(self) -> dict[str, Any]:
        """What makes its vectors: `model`, `dim`, `max_tokens`, ..."""
        spec: dict[str, Any] = json.loads(self._native.spec())
        return spec

    def embed(self, texts: Sequence[str], *, role: str = "query") -> npt.NDArray[np.float32]:
        """One unit vector per text, as rows, in the space of the pictures."""
        return _rows(
            int(self.spec["dim"]), _listed("texts", texts), lambda part: self._native.embed(part, role)
        )

    def embed_images(self, images: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """One unit vector per picture, as rows."""
        return _rows(
            int(self.spec["dim"]),
            _listed("images", images),
            lambda part: self._native.embed_images([picture(image) for image in part]),
        )
