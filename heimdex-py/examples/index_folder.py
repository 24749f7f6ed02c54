"""Indexes the videos of a folder, then searches them.

python index_folder.py VIDEOS LIBRARY "a red car"
"""

import sys
from pathlib import Path

import heimdex


def main(videos: Path, folder: Path, query: str) -> None:
    with heimdex.open(folder) as library:
        for path in sorted(videos.iterdir()):
            try:
                report = library.index(path, on_progress=lambda p: print(f"\r{p.fraction:4.0%} {p.stage:<12}", end=""))
                print(f"\r{report.title}: {report.scenes} scenes")
            except heimdex.MediaError as error:
                # Such as a text that lies beside the videos.
                print(f"\r{path.name}: {error.kind}")
        for hit in library.search(query, limit=5).hits:
            print(f"{hit.video.title} at {hit.moment:.1f} s: {hit.text!r}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
