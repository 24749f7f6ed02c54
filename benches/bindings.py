#!/usr/bin/env python3
"""What a search costs through Python and Node over Rust, and what two threads of Python get done.

bindings.py SEARCH_SPEED [LIBRARY QUERY]: run with the Python of dev/python, after dev/node. Without a library
it makes one of the fixtures.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import heimdex
from heimdex import aio

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "heimdex/tests/fixtures"
SEARCHES = 2000
ROUNDS = 7

NODE = """
const { open } = await import(process.argv[1])
const library = await open(process.argv[2])
const times = []
for (let i = 0; i < Number(process.argv[4]); i++) {
  const began = performance.now()
  await library.search(process.argv[3])
  times.push(performance.now() - began)
}
times.sort((a, b) => a - b)
console.log(Math.round(times[times.length >> 1] * 1000))
"""


def median(times: list[float]) -> float:
    return statistics.median(times) * 1e6


def sync(folder: str, query: str) -> float:
    times = []
    with heimdex.open(folder) as library:
        for _ in range(SEARCHES):
            began = time.perf_counter()
            library.search(query)
            times.append(time.perf_counter() - began)
    return median(times)


async def awaited(folder: str, query: str) -> float:
    times = []
    async with aio.open(folder) as library:
        for _ in range(SEARCHES):
            began = time.perf_counter()
            await library.search(query)
            times.append(time.perf_counter() - began)
    return median(times)


def throughput(folder: str, query: str, threads: int) -> float:
    """Searches a second."""
    with heimdex.open(folder) as library, ThreadPoolExecutor(threads) as pool:

        def some(searches: int) -> None:
            for _ in range(searches):
                library.search(query)

        list(pool.map(some, [100] * threads))
        began = time.perf_counter()
        list(pool.map(some, [SEARCHES // threads] * threads))
        return SEARCHES / (time.perf_counter() - began)


def program(*command: str) -> float:
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    speed, *given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as made:
        if given:
            folder, query = given
        else:
            folder, query = made, "hello car"
            models = {"text_model": FIXTURES / "tiny-bert", "image_model": FIXTURES / "tiny-siglip2"}
            with heimdex.open(folder, **models) as library:
                for video in ("subtitles.mp4", "cut.mp4", "vfr.mkv"):
                    library.index(FIXTURES / "media" / video)
        rust = program(speed, folder, query, str(SEARCHES))
        node = ["node", "--input-type=module", "-e", NODE, str(ROOT / "heimdex-node/index.mjs")]
        figures = {
            "Python": sync(folder, query),
            "Python, asyncio": asyncio.run(awaited(folder, query)),
            "Node": program(*node, folder, query, str(SEARCHES)),
        }
        print(f"{'Rust':<18}{rust:8.0f} us a search, median of {SEARCHES}")
        for name, micros in figures.items():
            print(f"{name:<18}{micros:8.0f} us, {micros - rust:+.0f} over Rust")
        rounds = [(throughput(folder, query, 1), throughput(folder, query, 2)) for _ in range(ROUNDS)]
        one, two = (statistics.median(figures) for figures in zip(*rounds))
        times = sorted(two / one for one, two in rounds)
        print(f"Python, searches a second: {one:.0f} with one thread, {two:.0f} with two; {statistics.median(times):.2f} "
              f"times, {times[0]:.2f} to {times[-1]:.2f} in {ROUNDS} rounds")


if __name__ == "__main__":
    main()
