"""The examples run, and are typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import MEDIA

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_index_a_folder_then_show_what_is_found(tmp_path: Path) -> None:
    said = run("index_folder.py", MEDIA, tmp_path / "library", "car")
    assert "times.json: not-a-media-file" in said and "subtitles at 1." in said
    page = tmp_path / "found.html"
    run("search_page.py", tmp_path / "library", "car", page)
    assert "data:image/webp;base64," in page.read_text() and "A red car." in page.read_text()


def test_an_annotator_of_ones_own(tmp_path: Path) -> None:
    said = run("own_annotator.py", MEDIA / "cut.mp4", tmp_path, "bright dark light")
    assert "cut at " in said


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "mypy", "--strict", str(EXAMPLES), str(Path(__file__).parent)],
        ["-m", "mypy", "--strict", "-p", "heimdex"],
        ["-m", "mypy.stubtest", "heimdex", "--ignore-missing-stub"],
    ],
    ids=["users", "package", "stubtest"],
)
def test_the_types_are_right(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=EXAMPLES.parent)
    assert done.returncode == 0, done.stdout + done.stderr
