"""Uploads a video, waits until it can be searched, and searches it:

    EMAIL=mina@example.org PASSWORD=... python example.py http://127.0.0.1:8474 talk.mp4 "red car"
"""

import os
import sys

from heimdex_client import Heimdex, HeimdexError


def main() -> None:
    if len(sys.argv) != 4 or not os.environ.get("EMAIL") or not os.environ.get("PASSWORD"):
        sys.exit(__doc__)
    address, path, query = sys.argv[1:]
    email, password = os.environ["EMAIL"], os.environ["PASSWORD"]
    heimdex = Heimdex(address)
    try:
        heimdex.register(email, password)
    except HeimdexError as error:
        if error.status != 409:
            raise
        heimdex.login(email, password)

    def show(status: dict) -> None:
        progress = status["progress"]
        print(status["state"], f"{progress['stage']} {progress['fraction']:.0%}" if progress else "", file=sys.stderr)

    video = heimdex.upload(path)
    heimdex.wait(video["id"], on_status=show)
    for hit in heimdex.search(query)["hits"]:
        print(hit["video"]["title"], f"{hit['moment_us'] / 1e6:.2f}", " ".join(hit["text"].split()))
    heimdex.logout()


if __name__ == "__main__":
    main()
