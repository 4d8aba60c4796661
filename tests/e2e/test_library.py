"""The browser library with unusual sources, options and orders of calls."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from mien.samples import sample_paths
from mien.web.site import export_site

pytestmark = pytest.mark.e2e
CLIP = Path(__file__).parents[2] / "src/mien/web/static/sample.mp4"

# Each asks for an answer; what is thrown is one, too.
ASK = """async ({ clip, jpeg, questions }) => {
  const { Mien } = await import("/mien-web.js");
  const create = (options) => Mien.create({ assets: "/models/", runtime: "/runtime/", ...options });
  const blobOf = (text, type) =>
    new Blob([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], { type });
  const portrait = await createImageBitmap(blobOf(jpeg, "image/jpeg"));
  const playing = async () => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = URL.createObjectURL(blobOf(clip, "video/mp4"));
    await video.play();
    return video;
  };
  const counted = async (source, signal, each = () => {}) => {
    let count = 0;
    await mien.stream(source, { signal, onResult: (result) => (count++, each(result)) });
    return count;
  };
  const mien = await create();
  const known = { Mien, create, mien, portrait, playing, counted };
  const answers = [];
  for (const question of questions) {
    const ask = new Function(...Object.keys(known), `return (async () => { ${question} })()`);
    answers.push(await ask(...Object.values(known)).then(String, String));
  }
  mien.dispose();
  return answers;
}"""

SVG = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'/>"
LONG = """
  const it = new OffscreenCanvas(40000, 400);
  it.getContext("2d").drawImage(portrait, 39000, 0, 400, 400);"""
TURNED = """
  const it = document.createElement("canvas");
  [it.width, it.height] = [320, 240];
  const stop = new AbortController();
  const timer = setInterval(() => {
    const at = it.getContext("2d");
    at.fillRect(0, 0, 320, 320);
    at.drawImage(portrait, performance.now() % 7, 0, 240, 240);
  }, 100);
  const seen = new Set();
  await counted(it.captureStream(10), stop.signal, ({ image_size_wh, faces }) => {
    // A canvas is empty when its size has changed.
    if (faces.length) seen.add(`${image_size_wh}: ${faces.map((face) => face.track_id)}`);
    if (seen.size === 1 && it.width === 320) [it.width, it.height] = [240, 320];
    if (seen.size === 2) stop.abort();
  });
  clearInterval(timer);
  return [...seen].join("; ");"""
QUESTIONS = {
    "const it = await createImageBitmap(portrait); it.close();"
    "return mien.analyze(it)": "expected an image",
    "return mien.analyze('photo.jpg')": "expected an image that can be decoded",
    f"return mien.analyze(new Blob([`{SVG}`], {{ type: 'image/svg+xml' }}))": "can be decoded",
    "return mien.analyze(document.createElement('video'))": "expected an image",
    f"{LONG} return (await mien.analyze(it)).faces.length": "^1$",
    "return counted(new MediaStream())": "expected a stream with a video track",
    "return counted(document.createElement('video'), AbortSignal.timeout(600))": "^0$",
    "return counted(await playing(), AbortSignal.abort())": "^0$",
    # A paused video is one picture, and another one where it is moved.
    "const it = await playing(); it.pause(); setTimeout(() => (it.currentTime = 2), 1500);"
    "return counted(it, AbortSignal.timeout(4000))": "^2$",
    "const it = await playing(); it.currentTime = it.duration - 0.5;"
    "return (await counted(it)) > 0": "^true$",
    # On a busy machine no face is seen for longer than a track lasts.
    TURNED: "^320,240: 1; 240,320: [12]$",
    "const it = await mien.open(); it.close();"
    "return it.push(portrait, 1)": "expected an open stream",
    "const it = await create(); const waiting = it.analyze(portrait);"
    "it.dispose(); return waiting": "it was disposed",
    "const it = await create(); const video = await playing(); video.pause();"
    "setTimeout(() => it.dispose(), 800); return it.stream(video, {})": "it was disposed",
    "return Mien.create({})": "expected the address of a folder as assets",
    "return create({ prior: 'nothing' })": "expected the prior",
    "return create({ minScore: 7 })": "expected minScore in 0 to 1",
    "return create({ threads: 0 })": "expected a whole number of threads",
}  # fmt: skip


def test_unusual_calls_are_answered_or_say_what_is_wrong(
    browser: Any, serve_folder: Any, open_page: Any, tmp_path: Path
) -> None:
    export_site(tmp_path / "site")
    # Not the site's own page, whose policy allows no code in texts.
    (tmp_path / "site/blank.html").write_text('<!doctype html><link rel="icon" href="data:,">')
    page = open_page(browser, serve_folder(tmp_path / "site"), "/blank.html")
    portrait = next(path for path in sample_paths() if path.stem == "person-a-smiling")
    answers = page.evaluate(
        ASK,
        {
            "clip": base64.b64encode(CLIP.read_bytes()).decode(),
            "jpeg": base64.b64encode(portrait.read_bytes()).decode(),
            "questions": list(QUESTIONS),
        },
    )
    wrong = [
        (question, answer)
        for (question, wanted), answer in zip(QUESTIONS.items(), answers, strict=True)
        if not re.search(wanted, answer)
    ]
    assert wrong == []
