"""All languages give the same, and have the same options."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import heimdex
import numpy as np
import pytest
from heimdex import _native, aio

from conftest import FIXTURES, MEDIA, MODELS

QUERIES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "queries.json").read_text())

# Not JSON, so not among the core's options.
BESIDE_THE_OPTIONS = {"self", "on_progress", "annotators"}


def arguments(query: dict[str, Any]) -> dict[str, Any]:
    given = dict(query)
    if "image" in given:
        given["image"] = FIXTURES / given["image"]
    return given


def from_python(folder: Path) -> list[Any]:
    with heimdex.open(folder) as library:
        return [library.search(**arguments(query)).to_dict() for query in QUERIES]


def from_asyncio(folder: Path) -> list[Any]:
    async def run() -> list[Any]:
        async with aio.open(folder) as library:
            pages = await asyncio.gather(*(library.search(**arguments(query)) for query in QUERIES))
        return [page.to_dict() for page in pages]

    return asyncio.run(run())


def from_rust(folder: Path) -> list[Any]:
    """By the program, which is Rust."""
    program = shutil.which("heimdex")
    assert program, "the wheel brings the program"
    found = []
    for query in QUERIES:
        command = [program, "--library", str(folder), "--json", "search"]
        for name, value in arguments(query).items():
            if name == "query":
                command.append(value)
            elif value is True:
                command.append(f"--{name}")
            elif name == "within":
                command += ["--from", str(value[0] / 1e6), "--to", str(value[1] / 1e6)]
            else:
                command += [f"--{name.replace('_', '-')}", str(value)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(answer))
    return found


def test_the_languages_give_the_same(folder: Path) -> None:
    rust = from_rust(folder)
    assert all(page["hits"] for page in rust)
    assert from_python(folder) == rust
    assert from_asyncio(folder) == rust


def test_node_gives_the_same(folder: Path) -> None:
    driver = Path(__file__).parents[2] / "heimdex-node/tests/parity.mjs"
    node = shutil.which("node")
    if not os.environ.get("HEIMDEX_NODE_BUILT"):
        pytest.skip("the Node package is not built; dev/node builds it")
    assert node and driver.is_file()
    given = json.dumps([arguments(query) for query in QUERIES], default=str)
    run = subprocess.run([node, str(driver), str(folder)], input=given, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == from_rust(folder)


def same_default(python: Any, core: Any) -> bool:
    if python is None or python is inspect.Parameter.empty:
        # Left to the core, or required.
        return True
    if isinstance(python, tuple):
        return bool(list(python) == core)
    if isinstance(python, float):
        return bool(np.float32(python) == np.float32(core))
    return bool(python == core)


FACES: dict[str, list[Any]] = {
    "open": [heimdex.open, aio.open],
    "search": [heimdex.Library.search, aio.Library.search],
    "index": [heimdex.Library.index, aio.Library.index],
    "videos": [heimdex.Library.videos, aio.Library.videos],
    "video": [heimdex.Library.video, aio.Library.video],
    "remove": [heimdex.Library.remove, aio.Library.remove],
    "switch_models": [heimdex.Library.switch_models, aio.Library.switch_models],
    "probe": [heimdex.probe, aio.probe],
    "shots": [heimdex.shots, aio.shots],
    "transcribe": [heimdex.transcribe, aio.transcribe],
    "write_subtitles": [heimdex.write_subtitles, aio.write_subtitles],
    "models": [heimdex.models, aio.models],
    "pull": [heimdex.pull, aio.pull],
    "text_model": [heimdex.TextModel.__init__],
    "image_model": [heimdex.ImageModel.__init__],
}


@pytest.mark.parametrize(("name", "faces"), FACES.items())
def test_the_options_are_those_of_the_core(name: str, faces: list[Any]) -> None:
    core = json.loads(_native.options())[name]
    for face in faces:
        parameters = inspect.signature(face).parameters
        assert set(parameters) - BESIDE_THE_OPTIONS == set(core)
        for option, default in core.items():
            assert same_default(parameters[option].default, default), option
    assert inspect.signature(faces[0]).parameters == inspect.signature(faces[-1]).parameters


def test_no_call_is_missing() -> None:
    assert set(FACES) == set(json.loads(_native.options()))
    public = [{name for name in dir(face) if not name.startswith("_")} for face in (heimdex.Library, aio.Library)]
    assert public[0] == public[1] and set(aio.__all__) <= set(heimdex.__all__)


# What the core leaves out where there is none, and what is made of other facts.
NOT_ALWAYS_GIVEN = {
    "Tag.names",
    "Word.probability",
    "Segment.language",
    "Segment.no_speech_probability",
    "Segment.speaker",
    "Transcript.text",
}


def properties(record: type[heimdex.Record]) -> set[str]:
    members = inspect.getmembers(record, inspect.isdatadescriptor)
    return {name for name, _ in members if not name.startswith("_")}


class Lit:
    """An annotator, so that there are tags."""

    channel = "lit"

    def annotate(self, scene: heimdex.SceneView) -> heimdex.Annotation:
        return heimdex.Annotation("bright", tags={"lit": 0.9})


def test_results_have_what_the_core_gives(tmp_path: Path, speech_model: Path) -> None:
    progress: list[heimdex.Progress] = []
    switching: list[heimdex.SwitchProgress] = []
    with heimdex.open(tmp_path, models=False, annotators=[Lit()]) as library:
        report = library.index(MEDIA / "subtitles.mp4", on_progress=progress.append)
    with heimdex.open(tmp_path, **MODELS, annotators=[Lit()]) as library:  # type: ignore[arg-type]
        switched = library.switch_models(on_progress=switching.append)
        page = library.search("car", explain=True)
        indexed = library.video("subtitles.mp4")
        video = library.videos()[0]
    heard = heimdex.transcribe(MEDIA / "cut.mp4", speech_model=speech_model)
    hit = page.hits[0]
    records: list[heimdex.Record] = [
        page,
        hit,
        hit.video,
        hit.channels[0],
        hit.matched_words[0],
        hit.tags[0],
        indexed,
        video,
        video.media,
        indexed.shots[0],
        indexed.keyframes[0],
        indexed.segments[0],
        indexed.scenes[0],
        report,
        report.stages[0],
        progress[0],
        switched,
        switching[0],
        heard,
        heard.transcript,
        heimdex.models()[0],
    ]
    public = [getattr(heimdex, name) for name in heimdex.__all__]
    kinds = {kind for kind in public if isinstance(kind, type) and issubclass(kind, heimdex.Record)}
    assert {type(record) for record in records} == kinds - {heimdex.Record}
    for record in records:
        facts, kind = set(record.to_dict()), type(record)
        in_seconds = {name[:-3] for name in facts if name.endswith("_us")}
        assert facts <= properties(kind), kind
        made = {f"{kind.__name__}.{name}" for name in properties(kind) - facts - in_seconds}
        assert made <= NOT_ALWAYS_GIVEN, kind
        # Each has a value, and the number of microseconds is also there in seconds.
        for name in properties(kind):
            getattr(record, name)
            if name.endswith("_us") and kind is not heimdex.StageRecord:
                assert getattr(record, name[:-3]) == getattr(record, name) / 1e6
