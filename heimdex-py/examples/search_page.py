"""Writes a page with what is found: pictures, moments and words. In a notebook, the last line of a cell
that is a page of hits shows the same.

python search_page.py LIBRARY "a red car" found.html
"""

import asyncio
import sys
from pathlib import Path

import heimdex.aio


async def main(folder: Path, query: str, page: Path) -> None:
    async with heimdex.aio.open(folder, create=False) as library:
        found = await library.search(query)
        html = await asyncio.to_thread(found._repr_html_)
    page.write_text(f"<!doctype html><meta charset=utf-8><title>Heimdex</title>{html}", encoding="utf-8")
    print(f"{len(found.hits)} of {found.total} in {page}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
