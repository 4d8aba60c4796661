"""The programs in examples/ do what their docstrings say."""

import csv
import io
import json
import subprocess
import sys
import threading
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

import mien
from mien.applications import DriverApplication
from mien.media.sources import ArraySource
from mien.streaming import FaceStream, Step
from mien.streaming.outputs import VideoOptions
from mien.streaming.receivers import EventDispatcher, webhook
from mien.testing import FakeLandmarks, FakePipeline, face_frames, face_image
from mien.types import Box

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> Any:
    """An example as a module."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_smile_ranks_sad_titles_lower(smile_clip: Path) -> None:
    words = [sys.executable, str(EXAMPLES / "mood_ranking.py"), str(smile_clip)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    first, *titles = done.stdout.splitlines()
    assert first.startswith("valence +")
    assert len(titles) == 6
    assert titles[-1].startswith("6. ")
    # A neutral face and then a smile: not the sad or frightening titles.
    assert not {title[3:] for title in titles[:2]} & {"Ghost story", "Solo cello, late evening"}


def picture(expression: str) -> io.BytesIO:
    """A PNG file with one fake face."""
    file = io.BytesIO()
    image = face_image([(Box(80, 40, 240, 200), expression)])
    PillowImage.fromarray(image).save(file, "PNG")
    file.seek(0)
    return file


def test_recommendations_follow_the_face_with_consent_only() -> None:
    pytest.importorskip("flask", reason="the web extra is not installed")
    example = load("recommendations")
    client = example.create_app(FakePipeline()).test_client()

    def first_title(**form: Any) -> str:
        page = client.post("/", data=form).get_data(as_text=True)
        return str(page.split("<li>")[1].split("</li>")[0])

    usual = example.CATALOG[0].title
    assert first_title(picture=(picture("happiness"), "me.png")) == usual
    assert first_title(consent="yes", picture=(picture("happiness"), "me.png")) == "Heist comedy"
    sad = first_title(consent="yes", picture=(picture("sadness"), "me.png"))
    assert sad == "Solo cello, late evening"
    assert (
        client.post("/", data={"consent": "yes", "picture": (io.BytesIO(b"no"), "x")}).status_code
        == 400
    )
    no_face = {"consent": "yes", "picture": (io.BytesIO(_png(np.zeros((90, 90, 3)))), "x.png")}
    assert "No face is clear enough" in client.post("/", data=no_face).get_data(as_text=True)


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(image.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_kiosk_follows_one_visitor_who_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flask", reason="the web extra is not installed")
    example = load("kiosk")
    clock = SteppingClock()
    monkeypatch.setattr(example.time, "monotonic", clock)
    client = example.create_app(FakePipeline()).test_client()

    def look(visit: str, *expressions: str) -> Any:
        clock.now_s += 0.1
        boxes = [Box(60 + 240 * n, 60, 220 + 240 * n, 220) for n in range(len(expressions))]
        image = face_image(list(zip(boxes, expressions, strict=True)), size_wh=(560, 300))
        return client.post(f"/visits/{visit}", data=_png(image))

    assert "I agree" in client.get("/").get_data(as_text=True)
    assert look("none", "happiness").status_code == 404
    visit = client.post("/visits").get_data(as_text=True)
    assert look(visit).text == "Look at the camera."
    assert [look(visit, "happiness").text for _ in range(5)][-1] == "Your face shows: happiness"
    assert client.post(f"/visits/{visit}", data=b"no picture").status_code == 400
    # Somebody else stays in view, who did not agree.
    for _ in range(5):
        assert look(visit, "happiness", "anger").text == "Your face shows: happiness"
    clock.now_s += 3
    assert [look(visit).status_code for _ in range(5)][-1] in (404, 410)
    other = client.post("/visits").get_data(as_text=True)
    clock.now_s += 61
    assert look(other, "happiness").status_code == 410
    third = client.post("/visits").get_data(as_text=True)
    assert client.delete(f"/visits/{third}").status_code == 204
    assert look(third, "happiness").status_code == 404


class SteppingClock:
    """A clock that stands still between the steps of a test."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.e2e
def test_gradio_app_draws_and_lists_the_faces(samples: dict[str, Path]) -> None:
    """In a process of its own, because importing Gradio alone gives warnings."""
    if find_spec("gradio") is None:
        pytest.skip("gradio is not installed")
    program = f"""
import sys
sys.path.insert(0, {str(EXAMPLES)!r})
from gradio_app import page
_, address, _ = page.launch(prevent_thread_lock=True, quiet=True)
import json
from gradio_client import Client, handle_file
drawn, table = Client(address, verbose=False).predict(
    handle_file({str(samples["person-a-smiling"])!r}), api_name="/look"
)
print(json.dumps([drawn, table]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    drawn, table = json.loads(ran.stdout.splitlines()[-1])
    found = dict(zip(table["headers"], table["data"][0], strict=True))
    assert (found["expression"], found["uncertain"], len(table["data"])) == ("happiness", False, 1)
    assert found["p_happiness"] > 0.5
    assert Path(drawn).is_file()


def test_driver_monitor_reports_closed_eyes_and_a_missing_face() -> None:
    eyes = FakeLandmarks()
    frames = face_frames(75, expressions=["neutral"])
    frames += [(face_image(), 3 + number / 25) for number in range(75)]

    def source() -> Any:
        for image, timestamp_s in frames:
            eyes.eye_opening = 0.02 if timestamp_s >= 1 else 0.3
            yield image, timestamp_s

    stream = FaceStream(FakePipeline(landmarks=eyes, blendshapes={}))
    application = DriverApplication(max_closure_s=1.0)
    lines = list(load("driver_monitor").monitor(run_now(source(), stream), application))
    assert len(lines) == 2
    assert "long_closure" in lines[0]
    assert 1.9 < float(lines[0].split()[0]) < 2.3
    assert "no face" in lines[1]


def run_now(frames: Any, stream: FaceStream) -> Any:
    """Steps of a stream without threads, so that the fake eyes belong to their frame."""
    for index, (image, timestamp_s) in enumerate(frames):
        (frame,) = ArraySource([(image, timestamp_s)]).frames()
        result = stream.update(image, timestamp_s, frame_index=index)
        yield Step(frame, result, stream.events)


def test_observation_summary_lists_episodes_and_unknown_time(
    tmp_path: Path, write_clip: Any
) -> None:
    frames = face_frames(150, expressions=["neutral", "happiness", "neutral"])
    frames += [(face_image(), 6 + number / 25) for number in range(100)]
    clip = write_clip(tmp_path / "night.mp4", frames)
    options = VideoOptions(annotate=False)
    mien.analyze_video(clip, tmp_path / "night", options, pipeline=FakePipeline())
    first, second, *episodes = load("observation_summary").summarize(
        tmp_path / "night", interval_s=6.0
    )
    assert first.startswith("0:00:00  neutral 4 s, happiness 2 s")
    assert second.startswith("0:00:06  ")
    assert second.endswith("unknown 4 s")
    (episode,) = episodes
    assert episode.startswith("0:00:02  happiness for 2.")


def test_webhook_receiver_writes_events_to_a_table(tmp_path: Path) -> None:
    table = tmp_path / "events.csv"
    server = load("webhook_receiver").make_server(table, port=0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        failures: list[str] = []
        events = EventDispatcher([webhook(address)], on_failure=failures.append)
        events(mien.Event("blink", 1.5, 2, {"duration_s": 0.2}))
        events.close()
        assert not failures
        with pytest.raises(OSError, match="400"):
            webhook(address)({"kind": "no event"})
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with table.open(encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["1.5", "blink", "2", '{"duration_s": 0.2}']]
