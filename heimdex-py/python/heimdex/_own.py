"""Embedders and annotators written in Python, and what stands between them and the core."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ._results import Keyframe, Scene

if TYPE_CHECKING:
    import numpy.typing as npt

_Pixels = tuple[int, int, bytes]


@runtime_checkable
class TextEmbedder(Protocol):
    """Turns texts into vectors of one space.

    `name` and `version` say what makes them: whenever it gives other vectors for the same text, the
    version has to be another. Vectors need no length of 1.
    """

    name: str
    version: str
    dim: int

    def embed(self, texts: list[str], role: str) -> npt.ArrayLike:
        """One row of `dim` numbers per text. `role` is `query` or `passage`."""
        ...


@runtime_checkable
class ImageEmbedder(Protocol):
    """Turns pictures into vectors of one space.

    With a method `embed(texts, role)` into the same space, as of `TextEmbedder`, pictures are found by
    words too.
    """

    name: str
    version: str
    dim: int

    def embed_images(self, pictures: list[npt.NDArray[np.uint8]]) -> npt.ArrayLike:
        """One row of `dim` numbers per picture, which has the shape (height, width, 3) and the order R, G, B."""
        ...


@dataclass(frozen=True)
class SceneView:
    """A scene as an annotator sees it."""

    scene: Scene
    """Its span, and what is said in it."""
    keyframes: list[Keyframe]
    """In order of time."""
    pictures: list[npt.NDArray[np.uint8]]
    """The keyframes' pictures: (height, width, 3), R, G, B, the shorter side at most 384."""


@dataclass(frozen=True)
class Annotation:
    """What an annotator finds in a scene. Empty parts add nothing."""

    text: str = ""
    """Searched by word in the annotator's channel."""
    tags: dict[str, float] = field(default_factory=dict)
    """Labels and how sure they are, 0 to 1."""
    vectors: Sequence[tuple[int, npt.ArrayLike]] = ()
    """Moments in microseconds, and the vectors that stand for them."""


@runtime_checkable
class Annotator(Protocol):
    """Looks at scenes and adds a channel of its own, which search uses at once.

    `channel` has lower case letters, digits and `_`. An attribute `version`, a text, has to change
    whenever the same scene would be annotated in another way.

    One that gives vectors has attributes `name` and `dim` too, and where they can be searched by words,
    a method `embed_query(query)` that gives one.
    """

    channel: str

    def annotate(self, scene: SceneView) -> Annotation | str | None:
        """What it finds in a scene; a text alone stands for an annotation of it."""
        ...


def _pixels(picture: _Pixels) -> npt.NDArray[np.uint8]:
    width, height, data = picture
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _rows(values: npt.ArrayLike, count: int, dim: int, name: str) -> bytes:
    rows = np.ascontiguousarray(values, np.float32)
    if rows.shape != (count, dim):
        raise ValueError(f"{name}: rows of the shape {(count, dim)} are needed, not {rows.shape}")
    return rows.tobytes()


class EmbedderAdapter:
    """What the core calls of an embedder."""

    def __init__(self, own: Any) -> None:
        for attribute in ("name", "dim"):
            if not hasattr(own, attribute):
                raise TypeError(f"{type(own).__name__}: an embedder needs the attribute `{attribute}`")
        self._own = own
        self.reads_texts = hasattr(own, "embed")

    def spec(self) -> str:
        return json.dumps(
            {"name": self._own.name, "version": str(getattr(self._own, "version", "1")), "dim": self._own.dim}
        )

    def embed(self, texts: list[str], role: str) -> bytes:
        return _rows(self._own.embed(texts, role), len(texts), self._own.dim, self._own.name)

    def embed_images(self, pictures: list[_Pixels]) -> bytes:
        rows = self._own.embed_images([_pixels(picture) for picture in pictures])
        return _rows(rows, len(pictures), self._own.dim, self._own.name)


class AnnotatorAdapter:
    """What the core calls of an annotator."""

    def __init__(self, own: Annotator) -> None:
        if not isinstance(getattr(own, "channel", None), str) or not callable(getattr(own, "annotate", None)):
            raise TypeError(f"annotators: {type(own).__name__} needs `channel`, a text, and a method `annotate`")
        self._own: Any = own
        self.channel = own.channel
        self.version = str(getattr(own, "version", "1"))
        self.gives_vectors = hasattr(own, "dim")

    def spec(self) -> str:
        name = getattr(self._own, "name", self.channel)
        return json.dumps({"name": name, "version": self.version, "dim": self._own.dim})

    def annotate(self, facts: str, pictures: list[_Pixels]) -> str:
        data = json.loads(facts)
        found = self._own.annotate(
            SceneView(
                Scene(data["scene"]),
                [Keyframe(keyframe) for keyframe in data["keyframes"]],
                [_pixels(picture) for picture in pictures],
            )
        )
        if found is None:
            found = Annotation()
        elif isinstance(found, str):
            found = Annotation(text=found)
        elif not isinstance(found, Annotation):
            raise TypeError(f"annotate: an Annotation, a text or None is needed, not {type(found).__name__}")
        return json.dumps(
            {
                "text": found.text,
                "tags": [{"label": label, "score": float(score)} for label, score in found.tags.items()],
                "vectors": [[int(time), self._unit(vector)] for time, vector in found.vectors],
            }
        )

    def embed_query(self, query: str) -> bytes | None:
        if not hasattr(self._own, "embed_query"):
            return None
        return _rows([self._own.embed_query(query)], 1, self._own.dim, self.channel)

    def _unit(self, vector: npt.ArrayLike) -> list[float]:
        values = np.asarray(vector, np.float64)
        length = float(np.linalg.norm(values))
        if not 1e-12 < length < float("inf"):
            raise ValueError(f"{self.channel}: a vector of length {length} has no direction")
        unit: list[float] = (values / length).tolist()
        return unit
