"""Ctrl-C, cancelled tasks, forks and threads."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import heimdex
import pytest
from heimdex import aio

from conftest import FIXTURES, MEDIA, MODELS

INDEXING = """
import signal, sys, heimdex
# Who runs the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
library = heimdex.open(sys.argv[1], models=False)
began = False
def report(progress):
    global began
    if not began:
        began = True
        print("began", flush=True)
try:
    library.index(sys.argv[2], on_progress=report)
except KeyboardInterrupt:
    print("interrupted", [video.state for video in library.videos()], flush=True)
    library.index(sys.argv[3])
    print(library.search("car").total, flush=True)
"""


def test_ctrl_c_stops_indexing(tmp_path: Path, long_video: Path) -> None:
    command = [sys.executable, "-c", INDEXING, str(tmp_path), str(long_video), str(MEDIA / "subtitles.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "began\n"
        sent = time.monotonic()
        running.send_signal(signal.SIGINT)
        assert running.stdout.readline().startswith("interrupted")
        assert time.monotonic() - sent < 2
        # The library goes on.
        assert int(running.stdout.readline()) > 0
    assert running.returncode == 0


def test_a_cancelled_task_stops_its_work(tmp_path: Path, long_video: Path) -> None:
    async def run() -> None:
        async with aio.open(tmp_path, models=False) as library:
            began = asyncio.Event()
            work = asyncio.create_task(library.index(long_video, on_progress=lambda _: began.set()))
            await began.wait()
            assert [t for t in _threads() if t.startswith("heimdex-index")]
            cancelled = time.monotonic()
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert time.monotonic() - cancelled < 2
            await library.index(MEDIA / "subtitles.mp4")
            assert (await library.search("car")).hits
            assert not [t for t in _threads() if t.startswith("heimdex-index")]

    asyncio.run(run())


def _threads() -> list[str]:
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


def test_the_loop_goes_on_while_work_runs(tmp_path: Path) -> None:
    """Turns of the loop between the start and the end of a call: none where it blocks."""

    async def run() -> None:
        async with aio.open(tmp_path, **MODELS) as library:  # type: ignore[arg-type]
            work = asyncio.create_task(library.index(MEDIA / "subtitles.mp4"))
            turns = 0
            while not work.done():
                await asyncio.sleep(0)
                turns += 1
            assert work.result().outcome == "indexed" and turns > 100

    asyncio.run(run())


def _in_child(folder: str) -> int:
    with heimdex.open(folder) as library:
        return library.search("car", image=FIXTURES / "tiny-siglip2/wide.png").total


def test_fork_after_import(folder: Path) -> None:
    """A process that only imported: its children open libraries with models."""
    code = f"""
import multiprocessing, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import heimdex
from test_stopping import _in_child
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(sum(pool.map(_in_child, [{str(folder)!r}] * 2)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and int(done.stdout) > 0, done.stderr


def _without_models(folder: str) -> int:
    with heimdex.open(folder, models=False) as library:
        return library.search("car").total


def test_fork_after_use(folder: Path) -> None:
    """A child of a process that used models can search by word; what would wait for ever is refused."""
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import heimdex
from test_stopping import _without_models
library = heimdex.open({str(folder)!r})
assert library.search("car").total > 0
child = os.fork()
if child == 0:
    for refused in (library.videos, lambda: heimdex.open({str(folder)!r})):
        try:
            refused()
        except heimdex.InvalidError as error:
            assert "fork" in str(error)
        else:
            os._exit(2)
    os._exit(0 if _without_models({str(folder)!r}) > 0 else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert library.search("car").total > 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_threads_share_a_library(library: heimdex.Library) -> None:
    alone = library.search("car").to_dict()
    assert alone["hits"]
    with ThreadPoolExecutor(4) as pool:
        assert all(page.to_dict() == alone for page in pool.map(lambda _: library.search("car"), range(200)))


def test_searches_leak_nothing(library: heimdex.Library) -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    for _ in range(500):
        library.search("car")
    before = resident()
    for _ in range(10_000):
        library.search("car")
    assert resident() - before < 20 << 20


def test_interpreters_end_while_work_runs(tmp_path: Path, long_video: Path) -> None:
    code = """
import sys, threading, heimdex
library = heimdex.open(sys.argv[1], models=False)
began = threading.Event()
threading.Thread(target=lambda: library.index(sys.argv[2], on_progress=lambda _: began.set()), daemon=True).start()
began.wait()
"""
    command = [sys.executable, "-c", code, str(tmp_path), str(long_video)]
    assert subprocess.run(command, timeout=60, capture_output=True).returncode == 0
