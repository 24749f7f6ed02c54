"""What people do with a library, and what is refused."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import os
import pickle
import pydoc
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import heimdex
import numpy as np
import pytest
from heimdex import _errors, _native, aio

from conftest import FIXTURES, MEDIA, MODELS

if TYPE_CHECKING:
    from typing_extensions import assert_type


def test_a_hit_is_found_and_shown(library: heimdex.Library) -> None:
    page = library.search("car")
    hit = page.hits[0]
    assert "car" in hit.text and hit.video.title == "subtitles"
    assert [word.text for word in hit.matched_words] == ["car."]
    assert repr(hit).startswith("Hit('subtitles'") and repr(page) == f"SearchPage({len(page.hits)} of {page.total})"
    shown = page._repr_html_()
    assert "data:image/webp;base64,UklGR" in shown and "A red car." in shown
    assert hit.thumbnail is not None
    assert library.thumbnail(hit.thumbnail)[8:12] == b"WEBP"
    library.close()
    assert "<img" not in page._repr_html_() and "A red car." in page._repr_html_()


def test_texts_of_videos_are_no_markup(tmp_path: Path) -> None:
    with heimdex.open(tmp_path, models=False) as library:
        library.index(MEDIA / "subtitles.mp4", title="<script>alert(1)</script>")
        shown = library.search("car")._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_results_do_not_change(library: heimdex.Library) -> None:
    hit = library.search("car").hits[0]
    with pytest.raises(AttributeError):
        hit.text = "another"  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        del hit.text
    facts = hit.to_dict()
    facts["text"] = "another"
    assert hit.text != "another" and hit != heimdex.Hit(facts) and hit != hit.to_dict()
    again = pickle.loads(pickle.dumps(hit))
    assert again == hit == copy.deepcopy(hit) and hash(again) == hash(hit)
    media = library.videos()[0].media
    media.streams[0]["type"] = media.tags["title"] = "another"
    assert media.streams[0]["type"] != "another" and media.tags.get("title") != "another"


def test_results_have_documentation_and_types() -> None:
    assert heimdex.Hit.moment.__doc__ == "Where to seek to, in seconds."
    assert "Such as `car`." in pydoc.render_doc(heimdex.Tag)
    if TYPE_CHECKING:
        word = heimdex.Word({})
        assert_type((word.text, word.start_us, word.start), tuple[str, int, float])
        assert_type(word.probability, float | None)
        assert_type(heimdex.Hit({}).tags, list[heimdex.Tag])
        assert_type(heimdex.IndexedVideo({}).video.media.streams, list[dict[str, Any]])


def test_pages_follow_each_other(library: heimdex.Library) -> None:
    whole = library.search("hello car", image=FIXTURES / "tiny-siglip2/wide.png", min_likeness=-1.0, limit=200)
    first = library.search("hello car", image=FIXTURES / "tiny-siglip2/wide.png", min_likeness=-1.0, limit=1)
    assert whole.total > 1 and first.next is not None
    rest = library.search(
        "hello car", image=FIXTURES / "tiny-siglip2/wide.png", min_likeness=-1.0, limit=200, cursor=first.next
    )
    assert [h.scene for h in first.hits + rest.hits] == [h.scene for h in whole.hits]


def test_pictures_come_in_every_form(library: heimdex.Library) -> None:
    from PIL import Image

    path = FIXTURES / "tiny-siglip2/wide.png"
    opened = Image.open(path)
    forms: list[Any] = [path, str(path), path.read_bytes(), opened, np.asarray(opened.convert("RGB"))]
    found = [library.search(image=form, min_likeness=-1.0).to_dict() for form in forms]
    assert found[0]["hits"] and all(page == found[0] for page in found)
    scene = heimdex.SearchPage(found[0]).hits[0].scene
    alike = library.search(like=scene, min_likeness=-1.0).hits
    assert alike and scene not in [hit.scene for hit in alike]


def test_indexing_again_does_nothing_and_reports_go_forward(tmp_path: Path) -> None:
    with heimdex.open(tmp_path, text_model=MODELS["text_model"]) as library:
        seen: list[heimdex.Progress] = []
        report = library.index(MEDIA / "subtitles.mp4", title="Cars", on_progress=seen.append)
        assert report.outcome == "indexed" and report.segments == 2 and report.stages[-1].stage == "commit"
        assert seen and [p.fraction for p in seen] == sorted(p.fraction for p in seen)
        assert library.index(MEDIA / "subtitles.mp4", title="Cars").outcome == "up_to_date"
        assert [video.title for video in library.videos()] == ["Cars"]
        assert library.video("Cars").scenes[0].speech
        assert library.remove("Cars") == report.id and library.videos() == []


def test_an_exception_of_on_progress_stops_the_work(tmp_path: Path, long_video: Path) -> None:
    def stop(_: heimdex.Progress) -> None:
        raise ZeroDivisionError("enough")

    with heimdex.open(tmp_path, models=False) as library:
        began = time.monotonic()
        with pytest.raises(ZeroDivisionError, match="enough"):
            library.index(long_video, on_progress=stop)
        assert time.monotonic() - began < 4
        with pytest.raises(ZeroDivisionError):
            asyncio.run(_stopped(tmp_path, long_video, stop))


async def _stopped(folder: Path, video: Path, stop: Any) -> None:
    async with aio.open(folder, models=False) as library:
        await library.index(video, on_progress=stop)


def test_stages_alone() -> None:
    shots = heimdex.shots(MEDIA / "cut.mp4")
    assert [(shot.start, shot.end) for shot in shots][0] == (0.0, 1.0)
    content = heimdex.shots(MEDIA / "cut.mp4", detector={"type": "content", "threshold": 255.0})
    assert len(content) == 1
    info = heimdex.probe(MEDIA / "cut.mp4")
    assert info.container.startswith("mov") and info.streams[0]["type"] == "video"
    assert "all-MiniLM-L6-v2" in {model.model["name"].rsplit("/")[-1] for model in heimdex.models()}


def test_speech_and_subtitles(tmp_path: Path, speech_model: Path) -> None:
    model = speech_model
    seen: list[heimdex.Progress] = []
    heard = heimdex.transcribe(MEDIA / "cut.mp4", speech_model=model, language="en", track=0, on_progress=seen.append)
    # What random weights say passes no gate, and that is told.
    assert heard.transcript.source["kind"] == "speech" and heard.transcript.language == "en"
    assert heard.transcript.text == "" and repr(heard.transcript) == "Transcript(language='en', segments=0)"
    assert seen and seen[-1].stage == "transcribe" and [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    assert asyncio.run(aio.transcribe(MEDIA / "cut.mp4", speech_model=model, language="en")) == heard
    with pytest.raises(heimdex.InvalidError, match="track"):
        heimdex.transcribe(MEDIA / "cut.mp4", speech_model=model, track=7)
    with pytest.raises(TypeError, match="track"):
        heimdex.transcribe(MEDIA / "cut.mp4", speech_model=model, track=1.5)  # type: ignore[arg-type]
    with pytest.raises(heimdex.ModelMissingError):
        heimdex.transcribe(MEDIA / "cut.mp4", speech_model=tmp_path / "none.bin")
    with heimdex.open(tmp_path / "library", text_model=MODELS["text_model"], speech_model=model) as library:
        assert library.index(MEDIA / "cut.mp4").segments == 0
        library.index(MEDIA / "subtitles.mp4")
        assert library.video("cut.mp4").transcript["kind"] == "speech"
        segments = library.video("subtitles.mp4").segments
    written = heimdex.write_subtitles(segments)
    assert "00:00:00,200 --> 00:00:01,000" in written and "A red car." in written
    assert asyncio.run(aio.write_subtitles(segments, format="vtt")).startswith("WEBVTT")
    with pytest.raises(TypeError, match="segments"):
        heimdex.write_subtitles(["said"])  # type: ignore[list-item]
    with pytest.raises(heimdex.InvalidError, match="format"):
        heimdex.write_subtitles(segments, format="doc")


def test_a_library_changes_its_models(tmp_path: Path) -> None:
    with heimdex.open(tmp_path, models=False) as library:
        library.index(MEDIA / "subtitles.mp4")
        assert library.video("subtitles.mp4").spaces == []
    seen: list[heimdex.SwitchProgress] = []
    with heimdex.open(tmp_path, **MODELS) as library:  # type: ignore[arg-type]
        report = library.switch_models(on_progress=seen.append)
        assert (report.videos, report.kept) == (1, 0) and seen[-1].fraction == 1
        assert len(library.video("subtitles.mp4").spaces) == 2


def test_what_is_left_out_in_opening_is_told_where_it_is_opened(tmp_path: Path) -> None:
    model = shutil.copytree(MODELS["text_model"], tmp_path / "model")
    folder = tmp_path / "library"
    with heimdex.open(folder, text_model=model) as library:
        library.index(MEDIA / "subtitles.mp4")
        assert library.notes == []
    shutil.rmtree(model)

    async def twice() -> None:
        async with aio.open(folder, missing_models="leave_out") as library:
            assert "by meaning" in library.notes[0]
        await (await aio.open(folder, missing_models="leave_out")).close()

    with pytest.raises(heimdex.ModelMissingError):
        heimdex.open(folder)
    with pytest.warns(UserWarning, match="by meaning") as told:
        heimdex.open(folder, missing_models="leave_out").close()
        asyncio.run(twice())
    assert [warning.filename for warning in told] == [__file__] * 3


class Hub(BaseHTTPRequestHandler):
    """A hub of models with one model."""

    FOLDER = MODELS["text_model"]
    FILES = ("config.json", "model.safetensors", "tokenizer.json")

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/acme/tiny/"):
            body = json.dumps({"sha": "0" * 40, "siblings": [{"rfilename": name} for name in self.FILES]}).encode()
        else:
            body = (self.FOLDER / self.path.rpartition("/")[2]).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_model_is_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        (model,) = heimdex.pull("acme/tiny", on_progress=seen.append)
        (again,) = asyncio.run(aio.pull("acme/tiny", on_progress=seen.append))
        hub.shutdown()
    assert {report["file"] for report in seen} == set(Hub.FILES) and seen[-1]["bytes"] == seen[-1]["total"]
    assert model["received_bytes"] > 0 == again["received_bytes"] and model["path"] == again["path"]
    assert heimdex.TextModel(model["path"]).embed(["a car"]).shape[0] == 1


@pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="DATABASE_URL names no database")
def test_a_database_is_opened_by_its_address(tmp_path: Path) -> None:
    name = f"python{os.getpid()}"
    with heimdex.open(os.environ["DATABASE_URL"], data=tmp_path, name=name, **MODELS) as library:  # type: ignore[arg-type]
        library.index(MEDIA / "subtitles.mp4")
        hit = library.search("car").hits[0]
        assert hit.thumbnail is not None and library.thumbnail(hit.thumbnail)[8:12] == b"WEBP"
        library.remove("subtitles.mp4")
        assert library.videos() == []


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(heimdex.StoreError) as raised:
        heimdex.open("postgres://me:secret@127.0.0.1:1/none")
    assert "127.0.0.1:1/none" in str(raised.value) and "secret" not in str(raised.value)


def test_vectors_are_rows_of_floats() -> None:
    model = heimdex.TextModel(MODELS["text_model"])
    texts = [f"text number {i}" for i in range(40)]
    rows = model.embed(texts)
    assert rows.dtype == np.float32 and rows.shape == (40, model.spec["dim"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(rows[17], model.embed([texts[17]])[0], atol=1e-5)
    rows[0] = 0
    images = heimdex.ImageModel(MODELS["image_model"])
    looks = images.embed_images([FIXTURES / "tiny-siglip2/wide.png", FIXTURES / "tiny-siglip2/tall.png"])
    assert looks.shape == (2, images.spec["dim"]) and images.embed(["a car"]).shape == (1, images.spec["dim"])
    assert model.embed([]).shape == (0, model.spec["dim"])
    with pytest.raises(TypeError, match="texts"):
        model.embed("one text")
    with pytest.raises(TypeError, match="images"):
        images.embed_images(str(FIXTURES / "tiny-siglip2/wide.png"))


class Letters:
    """Counts letters: enough for a space."""

    name = "letters"
    version = "1"
    dim = 26

    def embed(self, texts: list[str], role: str) -> np.ndarray[Any, Any]:
        assert role in ("query", "passage")
        count = [[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts]
        return np.array(count, np.float32) + 0.01


class Colours:
    """The mean colour of a picture."""

    name = "colours"
    version = "1"
    dim = 3

    def embed_images(self, pictures: list[Any]) -> list[Any]:
        assert all(picture.ndim == 3 and picture.dtype == np.uint8 for picture in pictures)
        return [picture.mean((0, 1)) + 1 for picture in pictures]


class Light:
    """Says how bright a scene is."""

    channel = "light"
    version = "1"

    def __init__(self) -> None:
        self.seen = 0

    def annotate(self, scene: heimdex.SceneView) -> heimdex.Annotation:
        self.seen += 1
        assert len(scene.pictures) == len(scene.keyframes) > 0
        bright = np.mean([picture.mean() for picture in scene.pictures]) > 100
        return heimdex.Annotation("bright daylight" if bright else "dark night", tags={"lit": 0.9 if bright else 0.1})


def test_embedders_and_annotators_in_python(tmp_path: Path) -> None:
    light = Light()
    own: Any = {"text_model": Letters(), "image_model": Colours(), "annotators": [light]}
    with heimdex.open(tmp_path, **own) as library:
        library.index(MEDIA / "subtitles.mp4")
        library.index(MEDIA / "cut.mp4")
        assert light.seen > 0
        assert {space["model"] for space in library.video("subtitles.mp4").spaces} == {"letters", "colours"}
        page = library.search("rac deR", min_similarity=0.5, explain=True)
        assert "meaning" in {channel.channel for channel in page.hits[0].channels}
        lit = library.search("daylight night", explain=True)
        assert {channel.channel for hit in lit.hits for channel in hit.channels} >= {"light"}
        assert all(hit.tags[0].label == "lit" for hit in lit.hits)
        red = np.zeros((16, 16, 3), np.uint8)
        assert library.search(image=red, min_likeness=0.1).hits

    async def again() -> int:
        async with aio.open(tmp_path, **own) as library:
            return (await library.search("daylight night")).total

    assert asyncio.run(again()) > 0


def test_what_an_annotator_raises_is_the_cause(tmp_path: Path) -> None:
    class Broken:
        channel = "broken"

        def annotate(self, scene: heimdex.SceneView) -> str:
            raise KeyError("lost")

    with heimdex.open(tmp_path, models=False, annotators=[Broken()]) as library:
        with pytest.raises(heimdex.ModelError, match="broken.*lost") as caught:
            library.index(MEDIA / "cut.mp4")
        assert isinstance(caught.value.__cause__, KeyError) and caught.value.model == "broken"


def test_every_kind_has_a_class_of_its_own() -> None:
    assert set(_errors.KINDS) == set(_native.ERROR_KINDS)
    assert len(set(_errors.KINDS.values())) == len(_errors.KINDS)
    for kind, error in _errors.KINDS.items():
        made = _errors.of_json(f'{{"kind": "{kind}", "message": "what happened", "path": "a"}}')
        assert type(made) is error and made.kind == kind and str(made) == "what happened" and made.path == "a"
        assert type(pickle.loads(pickle.dumps(made))) is error
        assert isinstance(made, heimdex.HeimdexError) and error.__name__ in heimdex.__all__


def test_failures_say_what_they_are_about(library: heimdex.Library, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("this is no video at all, whatever its name says\n" * 100)
    with pytest.raises(heimdex.NotAMediaFileError) as media:
        library.index(text)
    assert media.value.path == str(text) and media.value.kind == "not-a-media-file"
    with pytest.raises(heimdex.IoError) as io:
        library.index(tmp_path / "missing.mp4")
    assert isinstance(io.value, OSError) and io.value.path == str(tmp_path / "missing.mp4")
    with pytest.raises(heimdex.QueryError):
        library.search("")
    with pytest.raises(heimdex.NotFoundError) as missing:
        library.video("nothing like it")
    assert missing.value.name == "nothing like it"
    with pytest.raises(heimdex.NotFoundError):
        heimdex.open(tmp_path / "none", create=False)
    with pytest.raises(heimdex.ModelMissingError) as model:
        heimdex.open(tmp_path / "other", text_model="nobody/has-this")
    assert model.value.model == "nobody/has-this"
    library.close()
    with pytest.raises(heimdex.InvalidError, match="closed"):
        library.videos()


def test_wrong_arguments_are_named(library: heimdex.Library, tmp_path: Path) -> None:
    anything: Any = library
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (TypeError, "limit", {"limit": "ten"}),
        (TypeError, "limits", {"limits": 10}),
        (TypeError, "videos", {"videos": "one"}),
        (TypeError, "min_duration_us", {"min_duration_us": "1:30"}),
        (TypeError, "image", {"image": 7}),
        (TypeError, "like", {"like": 7}),
        (TypeError, "within", {"within": 7}),
        (TypeError, "weights", {"weights": {"speech": "much"}}),
        (TypeError, "fusion", {"fusion": {"kind": object()}}),
        (ValueError, "limit", {"limit": 0}),
        (ValueError, "limit", {"limit": -1}),
        (ValueError, "like", {"like": "no scene"}),
        (ValueError, "image", {"image": np.zeros((2, 2, 7), np.uint8)}),
        (ValueError, "min_probability", {"min_probability": 2.0}),
    ]
    for kind, name, given in cases:
        with pytest.raises(kind, match=name):
            anything.search("car", **given)
    with pytest.raises(TypeError, match="text_model"):
        heimdex.open(tmp_path, text_model=7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="backend"):
        heimdex.open(tmp_path, backend="abacus")
    with pytest.raises(ValueError, match="precision"):
        heimdex.open(tmp_path, text_model=MODELS["text_model"], precision="int8")
    with pytest.raises(TypeError, match="on_progress"):
        anything.index(MEDIA / "cut.mp4", on_progress=7)
    with pytest.raises(TypeError, match="on_progress"):
        heimdex.pull("all-MiniLM-L6-v2", on_progress=7)  # type: ignore[arg-type]
    with pytest.raises(heimdex.InvalidError, match="location"):
        heimdex.open("ftp://host/videos")
