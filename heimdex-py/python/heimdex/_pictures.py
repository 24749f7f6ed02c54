"""Pictures from files, bytes, Pillow and numpy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# A path, the bytes of a file, an array (height, width, 3) of uint8, or an image of Pillow, which may not
# be installed.
Picture = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, "npt.NDArray[np.uint8]", Any]

# The core refuses larger files too; this keeps them from being read.
_MAX_FILE_BYTES = 64 << 20


def picture(image: Picture) -> bytes | tuple[int, int, bytes]:
    """The bytes of a file, or width, height and rows of R, G, B."""
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError(f"image: {path} is larger than 64 MiB")
        return path.read_bytes()
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, np.ndarray):
        return _array(image)
    if all(hasattr(image, part) for part in ("convert", "size", "tobytes")):
        return _pillow(image)
    raise TypeError(
        f"image: a path, bytes, a Pillow image or a numpy array of uint8 is needed, not {type(image).__name__}"
    )


def _array(image: npt.NDArray[Any]) -> tuple[int, int, bytes]:
    if image.dtype != np.uint8:
        raise TypeError(f"image: an array of uint8 is needed, not {image.dtype}")
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image: the shape (height, width, 3) is needed, in the order R, G, B, not {image.shape}")
    return image.shape[1], image.shape[0], image.tobytes()


def _pillow(image: Any) -> tuple[int, int, bytes]:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if "A" in upright.getbands() or "transparency" in upright.info:
        seen = upright.convert("RGBA")
        upright = Image.new("RGBA", seen.size, "white")
        upright.alpha_composite(seen)
    rgb = upright.convert("RGB")
    return rgb.size[0], rgb.size[1], rgb.tobytes()
