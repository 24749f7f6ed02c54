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


class _Model:
    _images: bool

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
        self._model = _native.NativeModel(_options.text(locals()), self._images)

    @property
    def spec(self) -> dict[str, Any]:
        """What makes its vectors: `model`, `dim`, `max_tokens`, ..."""
        spec: dict[str, Any] = json.loads(self._model.spec())
        return spec

    def _rows(
        self, name: str, values: Sequence[Any], embed: Callable[[Sequence[Any]], bytearray]
    ) -> npt.NDArray[np.float32]:
        if isinstance(values, (str, bytes)):
            raise TypeError(f"{name}: a list is needed, not one {type(values).__name__}")
        values, dim = list(values), int(self.spec["dim"])
        parts = [
            np.frombuffer(embed(values[i : i + _TOGETHER]), np.float32).reshape(-1, dim)
            for i in range(0, len(values), _TOGETHER)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, dim), np.float32)


class TextModel(_Model):
    """A text model by its name or folder. Models of the same folder share one copy of the weights."""

    _images = False

    def embed(self, texts: Sequence[str], *, role: str = "passage") -> npt.NDArray[np.float32]:
        """One unit vector per text, as rows. `role` is `query` for texts to search with."""
        return self._rows("texts", texts, lambda part: self._model.embed(part, role))


class ImageModel(_Model):
    """A model for pictures and texts by its name or folder."""

    _images = True

    def embed(self, texts: Sequence[str], *, role: str = "query") -> npt.NDArray[np.float32]:
        """One unit vector per text, as rows, in the space of the pictures."""
        return self._rows("texts", texts, lambda part: self._model.embed(part, role))

    def embed_images(self, images: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """One unit vector per picture, as rows."""
        return self._rows("images", images, lambda part: self._model.embed_images([*map(picture, part)]))
