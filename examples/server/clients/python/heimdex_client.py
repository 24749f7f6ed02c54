"""A client of the Heimdex server in one file, with nothing but Python 3.10 or newer.

    from heimdex_client import Heimdex

    heimdex = Heimdex("http://127.0.0.1:8474")
    heimdex.login("mina@example.org", "correct horse battery staple")
    video = heimdex.upload("talk.mp4")
    heimdex.wait(video["id"])
    for hit in heimdex.search("red car")["hits"]:
        print(hit["video"]["title"], hit["moment_us"] / 1e6, hit["text"])

Answers are the server's JSON as it is; its OpenAPI document says what stands in them. `check.py` holds this file
to that document.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

#: Access is renewed this many seconds before it ends.
EARLY_S = 30.0
#: How often a part is sent at most.
TRIES = 5
#: Seconds that a request may take; a part of an upload has ten times as many.
TIMEOUT_S = 60.0


class HeimdexError(Exception):
    """A request that the server refused, as it says it itself (RFC 9457)."""

    def __init__(self, problem: Json) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or "the request failed")
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable name of the problem."""
        return str(self.problem.get("code", "unknown"))

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.problem.get("status", 0))


class Heimdex:
    """A client of one server. Safe to share between threads."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._access: str | None = None
        self._refresh: str | None = None
        self._ends_at = float("inf")
        self._lock = threading.Lock()

    # ---- accounts

    def use_token(self, token: str) -> None:
        """Be whoever a token of another issuer is for."""
        self._access, self._refresh, self._ends_at = token, None, float("inf")

    def register(self, email: str, password: str) -> Json:
        """Makes an account and signs in. Gives the user."""
        return self._begin(self._json("POST", "/auth/register", {"email": email, "password": password}, signed_in=False))

    def login(self, email: str, password: str) -> Json:
        """Signs in. Gives the user."""
        return self._begin(self._json("POST", "/auth/login", {"email": email, "password": password}, signed_in=False))

    def logout(self) -> None:
        """Ends the session."""
        refresh, self._access, self._refresh = self._refresh, None, None
        if refresh:
            self._json("POST", "/auth/logout", {"refresh_token": refresh}, signed_in=False)

    def me(self) -> Json:
        """Who is signed in, and what is used of the quota."""
        return self._json("GET", "/auth/me")

    # ---- uploads

    def upload(
        self,
        path: str | Path,
        *,
        title: str | None = None,
        description: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Json:
        """Sends a video in parts and asks for its index. Gives the video as it stands then."""
        path = Path(path)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        body: Json = {"name": path.name, "content_type": kind, "bytes": path.stat().st_size}
        if title is not None:
            body["title"] = title
        if description is not None:
            body["description"] = description
        plan = self._json("POST", "/videos/upload/init", body)
        return self._send_parts(path, plan["video_id"], plan["part_bytes"], plan["parts"], on_progress)

    def resume(self, path: str | Path, video: str, *, on_progress: Callable[[int, int], None] | None = None) -> Json:
        """Goes on with an upload that was begun, also by another process: only what is missing is sent."""
        state = self.upload_state(video)
        missing = [part["request"] for part in state["parts"] if part.get("request")]
        return self._send_parts(Path(path), video, state["part_bytes"], missing, on_progress)

    def upload_state(self, video: str) -> Json:
        """How much of a video is there, and how the rest is sent."""
        return self._json("GET", "/videos/{id}/upload", id=video)

    def _send_parts(
        self, path: Path, video: str, part_bytes: int, parts: list[Json], on_progress: Callable[[int, int], None] | None
    ) -> Json:
        size = path.stat().st_size
        sent = size - sum(part["bytes"] for part in parts)
        done = []
        with path.open("rb") as file:
            for part in parts:
                file.seek((part["number"] - 1) * part_bytes)
                etag = self._send_part(part, file.read(part["bytes"]))
                if etag:
                    done.append({"number": part["number"], "etag": etag})
                sent += part["bytes"]
                if on_progress:
                    on_progress(sent, size)
        return self._json("POST", "/videos/{id}/upload/complete", {"parts": done}, id=video)

    def _send_part(self, part: Json, body: bytes) -> str | None:
        address = urllib.parse.urljoin(self.address, part["url"])
        for attempt in range(1, TRIES + 1):
            request = urllib.request.Request(address, body, part["headers"], method=part["method"])
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S * 10) as answer:
                    return answer.headers.get("ETag")
            except urllib.error.HTTPError as error:
                if error.code < 500 or attempt == TRIES:
                    raise _error_of(error) from None
            except OSError:
                if attempt == TRIES:
                    raise
            time.sleep(2**attempt / 4)
        raise AssertionError("unreachable: the last attempt returns or raises")

    # ---- videos

    def videos(self) -> Iterator[Json]:
        """All videos, the newest first."""
        after = None
        while True:
            page = self._json("GET", "/videos", query={"limit": 100, "after": after})
            yield from page["videos"]
            after = page["next"]
            if after is None:
                return

    def video(self, video: str) -> Json:
        """One video."""
        return self._json("GET", "/videos/{id}", id=video)

    def status(self, video: str) -> Json:
        """How a video stands."""
        return self._json("GET", "/videos/{id}/status", id=video)

    def edit_video(self, video: str, **change: str) -> Json:
        """Changes `title` and `description`."""
        return self._json("PATCH", "/videos/{id}", change, id=video)

    def delete_video(self, video: str) -> None:
        """Deletes a video, its file and its index."""
        self._json("DELETE", "/videos/{id}", id=video)

    def cancel(self, video: str) -> Json:
        """Stops the indexing of a video."""
        return self._json("POST", "/videos/{id}/cancel", id=video)

    def retry(self, video: str) -> Json:
        """Indexes a video again."""
        return self._json("POST", "/videos/{id}/retry", id=video)

    def wait(self, video: str, *, on_status: Callable[[Json], None] | None = None, every_s: float = 0.5) -> Json:
        """Waits until a video is indexed; raises `HeimdexError` when it fails. Gives its last status."""
        while True:
            status = self.status(video)
            if on_status:
                on_status(status)
            if status["state"] == "failed":
                error = status["error"] or {}
                raise HeimdexError({"detail": error.get("message"), "code": error.get("kind") or "failed"})
            if status["state"] not in ("uploading", "validating", "processing"):
                return status
            time.sleep(every_s)

    def playback(self, video: str) -> Json:
        """An address to play a video at, for some time."""
        return self._absolute(self._json("GET", "/videos/{id}/playback", id=video))

    def scenes(self, video: str) -> Iterator[Json]:
        """All scenes of a video, in order."""
        after = None
        while True:
            page = self._json("GET", "/videos/{id}/scenes", query={"limit": 500, "after": after}, id=video)
            yield from page["scenes"]
            after = page["next"]
            if after is None:
                return

    def scene(self, video: str, ordinal: int) -> Json:
        """One scene."""
        return self._json("GET", "/scenes/{id}", id=f"{video}:{ordinal}")

    def preview(self, video: str, ordinal: int) -> Json:
        """An address that plays one scene."""
        return self._absolute(self._json("GET", "/scenes/{id}/preview", id=f"{video}:{ordinal}"))

    def transcript(self, video: str) -> Json:
        """What is said in a video."""
        return self._json("GET", "/videos/{id}/transcript", id=video)

    # ---- search

    def search(self, query: str = "", *, image: str | Path | bytes | None = None, **options: Any) -> Json:
        """Finds scenes. `options` are the other fields of the request: `filter`, `limit`, `like`, `explain`, ..."""
        body: Json = {"query": query, **options}
        if image is not None:
            data = image if isinstance(image, bytes) else Path(image).read_bytes()
            body["image"] = base64.b64encode(data).decode()
        return self._json("POST", "/search", body)

    # ---- the server

    def health(self) -> Json:
        """How the server is."""
        return self._json("GET", "/health", signed_in=False)

    def models(self) -> Json:
        """The models that the server uses."""
        return self._json("GET", "/models", signed_in=False)

    # ---- how requests are sent

    def _json(
        self, method: str, path: str, body: Json | None = None, *, query: Json | None = None, signed_in: bool = True, **values: str
    ) -> Any:
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", urllib.parse.quote(value, safe=":"))
        given = {name: value for name, value in (query or {}).items() if value is not None}
        address = urllib.parse.urljoin(self.address, path + ("?" + urllib.parse.urlencode(given) if given else ""))
        if not signed_in:
            return self._send(method, address, body, None)
        self._renew(None)
        token = self._access
        try:
            return self._send(method, address, body, token)
        except HeimdexError as error:
            if error.status != 401 or self._refresh is None:
                raise
        self._renew(token)
        return self._send(method, address, body, self._access)

    def _send(self, method: str, address: str, body: Json | None, token: str | None) -> Any:
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(address, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise _error_of(error) from None
        return json.loads(text) if text else None

    def _begin(self, session: Json) -> Json:
        self._access = session["access_token"]
        self._refresh = session["refresh_token"]
        self._ends_at = time.monotonic() + session["expires_in"]
        user: Json = session["user"]
        return user

    def _renew(self, refused: str | None) -> None:
        """A refresh token works once, so threads take turns and look whether another has a new one."""
        with self._lock:
            if self._refresh is None:
                return
            still_good = self._ends_at - time.monotonic() > EARLY_S
            if still_good and (refused is None or refused != self._access):
                return
            self._begin(self._json("POST", "/auth/refresh", {"refresh_token": self._refresh}, signed_in=False))

    def _absolute(self, answer: Json) -> Json:
        return {**answer, "url": urllib.parse.urljoin(self.address, answer["url"])}


def _error_of(error: urllib.error.HTTPError) -> HeimdexError:
    with error:
        try:
            problem = json.loads(error.read(1 << 20))
        except (ValueError, OSError):
            problem = {}
    if not isinstance(problem, dict):
        problem = {}
    return HeimdexError({"status": error.code, "title": error.reason, **problem})
