"""A channel of your own: scenes are found by their light.

python own_annotator.py VIDEO LIBRARY "golden light"
"""

import sys
from pathlib import Path

import heimdex
import numpy as np


class Light:
    """Names the light of a scene by the mean of its colours."""

    channel = "light"
    version = "1"

    def annotate(self, scene: heimdex.SceneView) -> heimdex.Annotation:
        red, green, blue = np.mean([picture.mean((0, 1)) for picture in scene.pictures], axis=0)
        brightness = "bright" if red + green + blue > 330 else "dark"
        colour = "golden warm" if red > blue + 20 else "blue cold" if blue > red + 20 else "neutral"
        return heimdex.Annotation(f"{brightness} {colour} light", tags={brightness: 1.0})


def main(video: Path, folder: Path, query: str) -> None:
    with heimdex.open(folder, annotators=[Light()]) as library:
        library.index(video)
        for hit in library.search(query, explain=True).hits:
            print(f"{hit.video.title} at {hit.moment:.1f} s:", ", ".join(tag.label for tag in hit.tags))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
