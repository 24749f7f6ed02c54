"""One small library of the fixtures, made once."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import heimdex
import pytest

FIXTURES = Path(__file__).parents[2] / "heimdex/tests/fixtures"
MEDIA = FIXTURES / "media"
VIDEOS = [MEDIA / name for name in ("cut.mp4", "rotate90.mp4", "subtitles.mp4", "vfr.mkv")]
MODELS = {"text_model": FIXTURES / "tiny-bert", "image_model": FIXTURES / "tiny-siglip2"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library that holds the fixtures."""
    folder = tmp_path_factory.mktemp("library")
    with heimdex.open(folder, **MODELS) as library:  # type: ignore[arg-type]
        for video in VIDEOS:
            library.index(video)
    return folder


@pytest.fixture
def library(folder: Path) -> heimdex.Library:
    return heimdex.open(folder)


@pytest.fixture(scope="session")
def speech_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights: nothing that they hear is believed."""
    path = tmp_path_factory.mktemp("speech") / "model.bin"
    path.write_bytes(gzip.decompress((FIXTURES / "tiny-whisper/ggml-tiny.bin.gz").read_bytes()))
    return path


@pytest.fixture(scope="session")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour that nobody would wait for."""
    path = tmp_path_factory.mktemp("long") / "long.mkv"
    loop = ["ffmpeg", "-v", "error", "-stream_loop", "4000", "-i", str(MEDIA / "cut.mp4"), "-c", "copy", str(path)]
    subprocess.run(loop, check=True)
    return path
