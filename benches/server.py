#!/usr/bin/env python3
"""The server under load and under attack, on loopback, with figures.

    benches/server.py [load] [slow] [kill] [--seconds N] [--clip FILE]

load   50 clients search while two videos index: searches a second, p50, p95, p99, errors, and the slowest
       /health meanwhile.
slow   1,000 connections that send nothing, half a request, a byte now and then, or nonsense: how a client
       beside them fares.
kill   two processes that answer and two that index; one of the four is killed with -9 every few seconds, for
       two minutes, while videos are uploaded: every upload that was accepted is indexed in the end.

Needs a release build (`cargo build --release -p heimdex-server`), or HEIMDEX_SERVER as a path to one. A
Postgres of its own, which waits for the disk.
"""

import argparse
import asyncio
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = "red car rain hello there night city music river talk people house water green light".split()


def program():
    named = os.environ.get("HEIMDEX_SERVER")
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    return named or f"{target}/release/heimdex-server"


class Server:
    """A process, and where it answers."""

    def __init__(self, settings, role="all"):
        self.settings, self.role, self.process, self.port = settings, role, None, None

    def start(self):
        # The same port each time, as behind a name that clients know.
        environment = {**os.environ, "RUST_LOG": "warn", **self.settings}
        environment["HEIMDEX_SERVER_LISTEN"] = f"127.0.0.1:{self.port or 0}"
        log = open(pathlib.Path(self.settings["LOGS"]) / f"{self.role}-{id(self)}.log", "ab")
        self.process = subprocess.Popen(
            [program(), "--role", self.role], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        return self

    def wait(self):
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"the server did not start; see {self.settings['LOGS']}")
        self.port = int(line.rsplit(":", 1)[1])
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Client:
    """HTTP/1.1 on one connection that is opened again when it breaks. Speaks only what is needed here."""

    def __init__(self, ports, token=None):
        self.ports, self.token, self.turn, self.streams = ports, token, 0, None

    async def request(self, method, path, body=None, kind="application/json", limit=30.0):
        return await asyncio.wait_for(self._request(method, path, body, kind), limit)

    async def _request(self, method, path, body, kind):
        if self.streams is None:
            port = self.ports[self.turn % len(self.ports)]
            self.streams = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = self.streams
        try:
            body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            head = [f"{method} {path} HTTP/1.1", "Host: localhost"]
            if self.token and not path.startswith("/files/"):
                head.append(f"Authorization: Bearer {self.token}")
            if body is not None:
                head += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
            elif method in ("POST", "PUT"):
                head.append("Content-Length: 0")
            writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + (body or b""))
            await writer.drain()
            status = int((await reader.readline()).split()[1])
            length = 0
            while (line := await reader.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode().partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            answer = await reader.readexactly(length) if length else b""
            return status, json.loads(answer) if answer[:1] in (b"{", b"[") else answer
        except BaseException:
            writer.close()
            self.streams, self.turn = None, self.turn + 1
            raise

    async def sign_up(self, name):
        status, session = await self.request(
            "POST", "/auth/register", {"email": f"{name}@example.org", "password": "correct horse"}
        )
        assert status == 201, session
        self.token = session["access_token"]
        return self

    async def upload(self, name, content):
        """The id of a video once it is accepted."""
        status, plan = await self.request(
            "POST", "/videos/upload/init", {"name": name, "content_type": "video/mp4", "bytes": len(content)}
        )
        assert status == 201, plan
        size = plan["part_bytes"]
        for part in plan["parts"]:
            at = (part["number"] - 1) * size
            status, answer = await self.request("PUT", part["url"], content[at : at + size], "application/octet-stream")
            assert status == 200, answer
        status, answer = await self.request("POST", f"/videos/{plan['video_id']}/upload/complete", {})
        assert status == 202, answer
        return plan["video_id"]

    async def state(self, video):
        status, answer = await self.request("GET", f"/videos/{video}/status")
        assert status == 200, answer
        return answer


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] * 1000 if values else float("nan")


def figures(values):
    return "p50 {:.1f} ms, p95 {:.1f} ms, p99 {:.1f} ms, slowest {:.1f} ms".format(
        *(quantile(values, q) for q in (0.5, 0.95, 0.99, 1.0))
    )


async def health(port, times, until):
    """Asks how the server is ten times a second."""
    client = Client([port])
    while not until.is_set():
        begun = time.perf_counter()
        status, answer = await client.request("GET", "/health")
        times.append(time.perf_counter() - begun)
        assert status == 200 and answer["status"] == "ok", answer
        await asyncio.sleep(0.1)


async def load(settings, clip, small, seconds, clients=50):
    server = Server(settings).start().wait()
    failures = []
    try:
        people = [await Client([server.port]).sign_up(f"user{n}") for n in range(5)]
        for person in people:
            for n in range(3):
                await person.upload(f"talk{n}.mp4", small)
        for person in people:
            while (await person.request("GET", "/videos"))[1]["videos"][0]["state"] != "indexed":
                await asyncio.sleep(0.2)
        times, health_times, until = [], [], asyncio.Event()
        indexed = 0

        async def search(n):
            client = Client([server.port], people[n % 5].token)
            dice = random.Random(n)
            while not until.is_set():
                query = " ".join(dice.sample(WORDS, 2))
                begun = time.perf_counter()
                status, answer = await client.request("POST", "/search", {"query": query})
                times.append(time.perf_counter() - begun)
                if status != 200:
                    failures.append(answer)

        async def index(n):
            nonlocal indexed
            client = Client([server.port], people[n].token)
            while not until.is_set():
                video = await client.upload(f"long{n}.mp4", clip)
                while not until.is_set():
                    status = await client.state(video)
                    if status["state"] in ("indexed", "failed"):
                        assert status["state"] == "indexed", status
                        indexed += 1
                        break
                    await asyncio.sleep(0.2)

        work = [asyncio.create_task(search(n)) for n in range(clients)]
        work += [asyncio.create_task(index(n)) for n in range(2)]
        work.append(asyncio.create_task(health(server.port, health_times, until)))
        begun = time.perf_counter()
        await asyncio.sleep(seconds)
        until.set()
        took = time.perf_counter() - begun
        results = await asyncio.gather(*work, return_exceptions=True)
        failures += [repr(result) for result in results if isinstance(result, BaseException)]
        print(f"load: {clients} clients for {took:.0f} s while {indexed} videos of {len(clip) >> 10} KiB were indexed, two at a time")
        print(f"load: {len(times) / took:.0f} searches a second; {figures(times)}; {len(failures)} errors")
        print(f"load: /health {figures(health_times)}")
        for failure in failures[:5]:
            print(f"load: error {failure}")
        return not failures and quantile(health_times, 1.0) < 50
    finally:
        server.stop()


async def nuisance(port, kind, until):
    """A connection that does nobody any good."""
    while not until.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        try:
            if kind == 0:
                pass
            elif kind == 1:
                writer.write(b"POST /search HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            elif kind == 2:
                writer.write(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
            elif kind == 3:
                writer.write(bytes(random.randrange(256) for _ in range(500)))
            elif kind == 4:
                writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
                await writer.drain()
                # Breaks off in the middle of the answer.
                await reader.read(10)
                writer.transport.abort()
                await asyncio.sleep(random.random())
                continue
            while not until.is_set() and not reader.at_eof():
                if kind in (1, 2):
                    writer.write(b" ")
                    await writer.drain()
                try:
                    await asyncio.wait_for(reader.read(100), 1.0)
                except asyncio.TimeoutError:
                    pass
        except (OSError, ConnectionError):
            pass
        finally:
            writer.close()


async def slow(settings, small, seconds, connections=1000):
    server = Server(settings).start().wait()
    try:
        person = await Client([server.port]).sign_up("user")
        video = await person.upload("a.mp4", small)
        while (await person.state(video))["state"] != "indexed":
            await asyncio.sleep(0.2)
        until, times, health_times, failures = asyncio.Event(), [], [], []
        crowd = [asyncio.create_task(nuisance(server.port, n % 5, until)) for n in range(connections)]
        await asyncio.sleep(3)
        probe = asyncio.create_task(health(server.port, health_times, until))
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            # A new connection each time: those have to get through too.
            client = Client([server.port], person.token)
            begun = time.perf_counter()
            try:
                status, answer = await client.request("POST", "/search", {"query": "red car"})
                if status != 200 or answer["total"] != 1:
                    failures.append(answer)
            except Exception as error:
                failures.append(repr(error))
            times.append(time.perf_counter() - begun)
            if client.streams:
                client.streams[1].close()
        until.set()
        await asyncio.gather(*crowd, return_exceptions=True)
        failures += [repr(r) for r in await asyncio.gather(probe, return_exceptions=True) if isinstance(r, BaseException)]
        print(f"slow: {connections} slow or broken connections for {seconds} s; beside them {len(times)} searches, {figures(times)}, {len(failures)} errors")
        print(f"slow: /health {figures(health_times)}")
        for failure in failures[:5]:
            print(f"slow: error {failure}")
        return not failures
    finally:
        server.stop()


async def kill(settings, small, seconds):
    settings = {**settings, "HEIMDEX_SERVER_LEASE_SECONDS": "3", "HEIMDEX_SERVER_REQUESTS_PER_SECOND": "100000"}
    servers = [Server(settings, role).start().wait() for role in ("api", "api", "worker", "worker")]
    ports = [server.port for server in servers[:2]]
    person = await Client(ports).sign_up("user")
    accepted, tried, kills, until = [], 0, 0, asyncio.Event()

    async def uploads():
        nonlocal tried
        client = Client(ports, person.token)
        while not until.is_set():
            tried += 1
            try:
                accepted.append(await client.upload(f"video{tried}.mp4", small))
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, IndexError, AssertionError):
                # Not accepted, as far as the client knows.
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.3)

    work = [asyncio.create_task(uploads()) for _ in range(2)]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await asyncio.sleep(random.uniform(0.5, 3.0))
        server = random.choice(servers)
        server.kill()
        kills += 1
        server.start()
        await asyncio.to_thread(server.wait)
    until.set()
    await asyncio.gather(*work)
    waited = time.perf_counter()
    client = Client(ports, person.token)
    left = set(accepted)
    lost = {}
    while left and time.perf_counter() - waited < 600:
        for video in list(left):
            try:
                status = await client.state(video)
            except AssertionError as error:
                lost[video] = str(error)
                left.discard(video)
                continue
            except Exception:
                continue
            if status["state"] == "indexed":
                left.discard(video)
            elif status["state"] == "failed":
                lost[video] = status["error"]
                left.discard(video)
        await asyncio.sleep(0.5)
    lost.update({video: "not indexed in ten minutes" for video in left})
    found = 0
    for video in accepted:
        _, page = await client.request("POST", "/search", {"query": "red car", "filter": {"videos": [video]}})
        found += page["total"] == 1
    print(f"kill: {kills} kills in {seconds} s; {tried} uploads begun, {len(accepted)} accepted, {len(lost)} lost, {found} found by search, once each")
    for video, why in list(lost.items())[:5]:
        print(f"kill: lost {video}: {why}")
    for server in servers:
        server.stop()
    return not lost and found == len(accepted)


def generated(folder, seconds):
    """A video with cuts, sound and subtitles."""
    subtitles = folder / "words.srt"
    stamp = lambda s: f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02},000"
    cues = (f"{n + 1}\n{stamp(n * 4)} --> {stamp(n * 4 + 3)}\n{' '.join(random.sample(WORDS, 6))}.\n" for n in range(seconds // 4))
    subtitles.write_text("\n".join(cues))
    out = folder / "long.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=s=1280x720:r=25:d={seconds}", "-f", "lavfi",
         "-i", f"sine=f=440:d={seconds}", "-i", str(subtitles), "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac",
         "-c:s", "mov_text", str(out)],
        check=True,
    )
    return out.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="load, slow, kill; all when none is given")
    parser.add_argument("--seconds", type=int, help="of each part; 60, 30 and 120 when not given")
    parser.add_argument("--clip", type=pathlib.Path, help="what is indexed under load; a minute of 720p is made when not given")
    options = parser.parse_args()
    if set(options.parts) - {"load", "slow", "kill"}:
        parser.error("the parts are load, slow and kill")
    parts = options.parts or ["load", "slow", "kill"]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cache = "/var/cache" if os.getuid() == 0 else os.environ.get("XDG_CACHE_HOME", str(pathlib.Path.home() / ".cache"))
    environment = {
        **os.environ,
        "HEIMDEX_POSTGRES_RUN": f"{cache}/heimdex/postgres/server",
        "HEIMDEX_POSTGRES_OPTIONS": "-c fsync=on",
    }
    postgres = lambda *args: subprocess.run(
        [str(ROOT / "dev/postgres"), *args], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    url = postgres()
    well = True
    try:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            small = (ROOT / "heimdex/tests/fixtures/media/subtitles.mp4").read_bytes()
            for part in parts:
                postgres("psql", "-qXc", f"CREATE DATABASE bench_{part}", "heimdex")
                place = folder / part
                place.mkdir()
                settings = {
                    "DATABASE_URL": url.replace("/heimdex?", f"/bench_{part}?"),
                    "HEIMDEX_SERVER_STORAGE": str(place / "storage"),
                    "HEIMDEX_SERVER_WORK_DIR": str(place / "work"),
                    "HEIMDEX_SERVER_JOBS": "2",
                    "HEIMDEX_SERVER_REQUESTS_PER_SECOND": "100000",
                    "HEIMDEX_SERVER_REGISTRATIONS_PER_HOUR": "1000",
                    "LOGS": str(place),
                }
                if part == "load":
                    clip = options.clip.read_bytes() if options.clip else generated(folder, 60)
                    well &= asyncio.run(load(settings, clip, small, options.seconds or 60))
                elif part == "slow":
                    well &= asyncio.run(slow(settings, small, options.seconds or 30))
                else:
                    well &= asyncio.run(kill(settings, small, options.seconds or 120))
                sys.stdout.flush()
    finally:
        postgres("remove")
    sys.exit(0 if well else 1)


main()
