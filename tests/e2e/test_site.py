"""The exported site: any static host, no Python behind it."""

import dataclasses
import json
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mien.adaptation.head import BLENDSHAPE_OUTPUT, OTHER_EMBEDDING, Head
from mien.adaptation.model_file import other_labels, with_extra_outputs, write_model
from mien.labels import Expression, exact_label
from mien.runtime import catalog
from mien.samples import sample_paths
from mien.types import BLENDSHAPES
from mien.web.site import export_site

pytestmark = pytest.mark.e2e
CLIP = Path(__file__).parents[2] / "src/mien/web/static/sample.mp4"
SECONDS = 3

FILM = """async (decoder) => {
  const { Mien } = await import("/mien-web.js");
  const mien = await Mien.create({ assets: "/models/", runtime: "/runtime/" });
  const film = document.querySelector("[data-files]").files[0];
  const seen = { times: [], tracks: [], done: [] };
  seen.decoder = await mien.film(film, {
    decoder,
    onResult: (result) => {
      seen.times.push(result.timestamp_s);
      seen.tracks.push(result.faces.map((face) => face.track_id));
    },
    onProgress: (doneS, durationS) => seen.done.push(doneS / durationS),
  });
  mien.dispose();
  return seen;
}"""


STOP = """async (decoder) => {
  const { Mien } = await import("/mien-web.js");
  const mien = await Mien.create({ assets: "/models/", runtime: "/runtime/" });
  const film = document.querySelector("[data-files]").files[0];
  const control = new AbortController();
  let frames = 0;
  await mien.film(film, {
    decoder,
    signal: control.signal,
    onResult: () => { if (++frames === 3) control.abort(); },
  });
  const again = [];
  const onResult = (result) => again.push(result.faces[0]?.track_id);
  await mien.film(film, { decoder, samplesPerS: 2, onResult });
  mien.dispose();
  return { frames, again };
}"""

# Not of a video, of which Chromium without a GPU keeps up to half a gigabyte of frames.
WATCH = """async (seconds) => {
  const { Mien } = await import("/mien-web.js");
  window.mien ??= await Mien.create({ assets: "/models/", runtime: "/runtime/" });
  const portrait = await createImageBitmap(document.querySelector("[data-files]").files[0]);
  const canvas = new OffscreenCanvas(480, 270);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const frames = await window.mien.open({ landmarks: true });
  const started = performance.now();
  let seen = 0;
  for (let doneS = 0; doneS < seconds; doneS = (performance.now() - started) / 1000) {
    context.fillRect(0, 0, 480, 270);
    context.drawImage(portrait, 100 + 60 * Math.sin(doneS), 0, 270, 270);
    seen += (await frames.push(context.getImageData(0, 0, 480, 270), doneS)).faces.length;
  }
  frames.close();
  portrait.close();
  return seen;
}"""


@pytest.fixture
def site(tmp_path: Path, serve_folder: Any) -> Any:
    export_site(tmp_path / "site")
    return serve_folder(tmp_path / "site")


def test_photographs_camera_and_video_work_without_a_server(
    browser: Any, site: Any, open_page: Any
) -> None:
    page = open_page(browser, site)
    page.wait_for_selector("html[data-isolated='true']")
    group, *_ = (path for path in sample_paths() if path.stem == "group")
    page.set_input_files("[data-files]", [group])
    page.wait_for_selector("[data-faces] section:nth-child(4)")
    assert page.locator("[data-faces] section").count() == 4
    with page.expect_download() as download:
        page.click("[data-csv]")
    rows = Path(download.value.path()).read_text().splitlines()
    assert len(rows) == 5

    page.click("[data-start]")
    page.wait_for_selector("[data-faces] h2:has-text('Person 1')")
    page.click("[data-stop]")
    page.wait_for_selector("[data-stop]", state="hidden")

    page.set_input_files("[data-files]", [CLIP])
    page.wait_for_selector("[data-status]:has-text('of')")
    page.wait_for_selector("[data-faces] h2:has-text('Person 1')")
    page.click("[data-stop]")
    page.wait_for_selector("[data-status]:has-text('stopped, ')")
    page.wait_for_selector("[data-stop]", state="hidden")
    stopped = page.inner_text("[data-status]")
    page.wait_for_timeout(1500)
    assert page.inner_text("[data-status]") == stopped
    with page.expect_download() as download:
        page.click("[data-csv]")
    assert len(Path(download.value.path()).read_text().splitlines()) > 1
    # A film that is stopped by the next file leaves the page to that one.
    page.set_input_files("[data-files]", [CLIP])
    page.wait_for_selector("[data-faces] h2:has-text('Person 1')")
    page.set_input_files("[data-files]", [group])
    page.wait_for_selector("[data-faces] section:nth-child(4)")
    assert page.inner_text("[data-status]") == group.name
    assert page.problems == []


def test_the_site_works_in_a_frame_of_another_site(
    browser: Any, site: Any, open_page: Any, serve_folder: Any, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    other = site.url.replace("localhost", "127.0.0.1")
    text = f'<!doctype html><link rel="icon" href="data:,"><iframe src="{other}"></iframe>'
    (tmp_path / "app" / "index.html").write_text(text, encoding="utf-8")
    page = open_page(browser, serve_folder(tmp_path / "app"))
    frame = page.frame_locator("iframe")
    frame.locator("html[data-ready='yes']").wait_for()
    (group,) = (path for path in sample_paths() if path.stem == "group")
    frame.locator("[data-files]").set_input_files([group])
    frame.locator("[data-faces] section:nth-child(4)").wait_for()
    assert page.problems == []


_ALSO = pytest.mark.soak  # one file of each kind is enough in the shorter tests


@pytest.fixture(
    params=[
        "libx264 mp4",
        "libvpx-vp9 webm",
        pytest.param("libvpx webm", marks=_ALSO),
        pytest.param("libsvtav1 webm", marks=_ALSO),
    ]
)
def film(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[float]]:
    """Three seconds of the sample clip in another codec, with uneven times, and the times."""
    codec, suffix = request.param.split()
    path = tmp_path / f"film.{suffix}"
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 480, 270, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for index, frame in enumerate(source.decode(video=0)):
            if index >= 30 * SECONDS:
                break
            small = frame.reformat(480, 270, "yuv420p")
            small.pts, small.time_base = 33 * index + index % 7, Fraction(1, 1000)
            target.mux(stream.encode(small))
        target.mux(stream.encode())
    with av.open(str(path)) as source:
        times = [float(frame.time) for frame in source.decode(video=0)]
    return path, times


def test_videos_have_the_times_of_their_file(
    browser: Any, site: Any, open_page: Any, film: tuple[Path, list[float]]
) -> None:
    path, times = film
    page = open_page(browser, site)
    page.wait_for_selector("html[data-isolated='true']")
    # The page itself leaves the file alone.
    page.evaluate("addEventListener('change', (event) => event.stopPropagation(), true)")
    page.set_input_files("[data-files]", [path])
    decoded = page.evaluate(FILM, "auto")
    assert decoded["decoder"] == "webcodecs"
    assert all(np.abs(np.array(times) - t).min() < 1e-3 for t in decoded["times"])
    assert len(decoded["times"]) == pytest.approx(15 * SECONDS, abs=2)
    assert max(decoded["done"]) == pytest.approx(1, abs=0.1)
    sought = page.evaluate(FILM, "seeking")
    assert sought["decoder"] == "seeking"
    assert 1 in decoded["tracks"][-1]
    assert 1 in sought["tracks"][-1]


@pytest.mark.parametrize("film", ["libvpx-vp9 webm"], indirect=True)
@pytest.mark.parametrize("decoder", ["auto", "seeking"])
def test_a_film_can_be_stopped_and_started_again(
    browser: Any, site: Any, open_page: Any, film: tuple[Path, list[float]], decoder: str
) -> None:
    page = open_page(browser, site)
    page.wait_for_selector("html[data-isolated='true']")
    page.evaluate("addEventListener('change', (event) => event.stopPropagation(), true)")
    page.set_input_files("[data-files]", [film[0]])
    found = page.evaluate(STOP, decoder)
    assert found["frames"] == 3
    assert len(found["again"]) == pytest.approx(2 * SECONDS, abs=1)
    assert set(found["again"]) == {1}


@pytest.mark.soak
def test_memory_stays_flat_while_faces_are_followed(
    browser: Any, site: Any, open_page: Any
) -> None:
    page = open_page(browser, site)
    page.wait_for_selector("html[data-isolated='true']")
    page.evaluate("addEventListener('change', (event) => event.stopPropagation(), true)")
    page.set_input_files("[data-files]", [sample_paths()[1]])
    collect_garbage = garbage_collector(page)
    used = []
    for _ in range(5):
        assert page.evaluate(WATCH, 24) > 0  # few on a machine with other work
        collect_garbage()
        used.append(renderers_mb(browser))
    print(f"MB after each 24 s: {[round(mb) for mb in used]}")
    # The first ones compile and fill caches.
    assert max(used[2:]) - used[1] < 10, used


def garbage_collector(page: Any) -> Callable[[], None]:
    """A function that removes what neither the page nor its workers use any more.

    A worker has a heap of its own, which the page's collection leaves alone; how full it happens
    to be is no leak.
    """
    session = page.context.new_cdp_session(page)
    workers: list[str] = []
    answers: list[dict[str, Any]] = []
    session.on("Target.attachedToTarget", lambda event: workers.append(event["sessionId"]))
    session.on("Target.detachedFromTarget", lambda event: workers.remove(event["sessionId"]))
    session.on(
        "Target.receivedMessageFromTarget",
        lambda event: answers.append(json.loads(event["message"])),
    )
    attached = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
    session.send("Target.setAutoAttach", attached)

    def collect() -> None:
        answers.clear()
        request = json.dumps({"id": 1, "method": "HeapProfiler.collectGarbage"})
        for worker in workers:
            message = {"sessionId": worker, "message": request}
            session.send("Target.sendMessageToTarget", message)
        session.send("HeapProfiler.collectGarbage")
        assert workers, "expected the worker of the library"
        deadline = time.monotonic() + 30
        while sum(answer.get("id") == 1 for answer in answers) < len(workers):
            assert time.monotonic() < deadline, answers
            page.wait_for_timeout(50)

    return collect


def renderers_mb(browser: Any) -> float:
    """Memory of a browser's processes that show pages, in MB."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    pids = [process["id"] for process in found if process["type"] == "renderer"]
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(text.split("Pss:")[1].split()[0]) for text in rollups) / 1024


def test_the_site_opens_without_a_connection(browser: Any, site: Any, open_page: Any) -> None:
    page = open_page(browser, site)
    page.wait_for_selector("html[data-isolated='true']")
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    portrait = next(path for path in sample_paths() if path.stem == "person-a-smiling")
    page.set_input_files("[data-files]", [portrait])
    page.wait_for_selector("[data-faces] .label:has-text('happiness')")


def test_files_that_cannot_be_analyzed_are_named(
    browser: Any, site: Any, open_page: Any, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    film = tmp_path / "broken.mp4"
    film.write_bytes(b"no video")
    large = tmp_path / "large.png"
    Image.new("1", (12_000, 9_000)).save(large)
    page = open_page(browser, site)
    page.wait_for_selector("html[data-isolated='true']")
    portrait = next(path for path in sample_paths() if path.stem == "person-a-smiling")
    for path, problem in ((broken, "is no picture"), (film, "is no video"), (large, "megapixels")):
        page.set_input_files("[data-files]", [portrait])
        page.wait_for_selector("[data-faces] section")
        page.set_input_files("[data-files]", [path])
        page.wait_for_selector(f"[data-status].bad:has-text('{path.name}'):has-text('{problem}')")
        assert page.locator("[data-faces] section, [data-stage]:visible").count() == 0
        assert page.is_disabled("[data-csv]")
    page.set_input_files("[data-files]", [broken, large, portrait])
    page.wait_for_selector("[data-status].bad:has-text('broken.jpg'):has-text('large.png')")
    assert page.locator("[data-faces] section").count() == 1


def test_a_site_opened_as_a_file_says_what_it_needs(browser: Any, tmp_path: Path) -> None:
    export_site(tmp_path)
    page = browser.new_context().new_page()
    page.goto((tmp_path / "index.html").as_uri())
    page.wait_for_selector("p:visible:has-text('web server')")
    page.context.close()


def test_a_model_of_ones_own_runs_in_the_browser(
    browser: Any, serve_folder: Any, open_page: Any, tmp_path: Path
) -> None:
    """Its labels come from the blendshapes and from two other networks, inside the file."""
    with with_extra_outputs(catalog.find("quick")) as wide:
        smile = np.zeros((52, 2))
        smile[BLENDSHAPES.index("mouthSmileLeft"), 1] = 30
        others = np.zeros((12, 2))
        others[[label == Expression.HAPPINESS for label in other_labels()], 1] = 2
        parts = {BLENDSHAPE_OUTPUT: smile, OTHER_EMBEDDING: np.full((512, 2), 0.01)}
        head = Head(np.zeros((8, 2)), others, parts, np.array([0.0, -18.0]))
        labels = (exact_label("at rest"), exact_label("beaming"))
        spec = dataclasses.replace(wide.spec, name="my", labels=labels, training_prior=(0.5, 0.5))
        write_model(wide, head, spec, "", tmp_path / "my.onnx")
    export_site(tmp_path / "site", model=str(tmp_path / "my.onnx"))
    page = open_page(browser, serve_folder(tmp_path / "site"))
    page.wait_for_selector("html[data-isolated='true']")
    for name, label in (("person-a-smiling", "beaming"), ("person-a-neutral", "at rest")):
        page.set_input_files("[data-files]", [p for p in sample_paths() if p.stem == name])
        page.wait_for_selector(f"[data-faces] .label:has-text('{label}')")
    assert page.problems == []


def test_the_page_of_a_server_can_be_installed(browser: Any, serve: Any, open_page: Any) -> None:
    server = serve(MIEN_LIVE="device")
    page = open_page(browser, server)
    page.goto(server.url + "/app/")
    page.wait_for_selector("html[data-isolated='true']")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    devtools = page.context.new_cdp_session(page)
    errors = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # Only normal windows can install, and tests use private ones.
    assert [error["errorId"] for error in errors] in ([], ["in-incognito"])
    server.close()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    portrait = next(path for path in sample_paths() if path.stem == "person-a-smiling")
    page.set_input_files("[data-files]", [portrait])
    page.wait_for_selector("[data-faces] .label:has-text('happiness')")
