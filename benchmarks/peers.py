"""Accuracy of other libraries beside ours, each with its own detector and its defaults.

    python benchmarks/peers.py --lfw FOLDER --london FOLDER --ferplus FILE.npz --packages FOLDER
        --peer-python PYTHON

PACKAGES as in `browser`; PYTHON is that of an environment with `fer` (see `pipeline.py`). London is
taken whole, of lfw-expressions and of FER+ valid 300 pictures with one of the seven labels that all
know; the faces of FER+ are enlarged four times and stand before gray. The label of the largest face
counts, by the highest probability among the seven; a face that is not found is wrong. Writes
results/peers.json.
"""

import argparse
import csv
import json
import random
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
from browser.__main__ import _Handler, _launch

from mien.evaluation.readers import read_data

RESULTS = Path(__file__).with_name("results") / "peers.json"
LABELS = {
    **{"angry": "anger", "disgusted": "disgust", "disgust": "disgust", "fearful": "fear"},
    **{"fear": "fear", "happy": "happiness", "sad": "sadness", "surprised": "surprise"},
    **{"surprise": "surprise", "neutral": "neutral"},
}
COMMON = sorted(set(LABELS.values()))
_PAGE = """<!doctype html><script type="module">
const { default: Human } = await import("/human/dist/human.esm.js");
const human = new Human({ backend: "wasm", wasmPath: "/tfwasm/dist/",
  modelBasePath: "/human/models/", debug: false, cacheSensitivity: 0 });
window.analyze = async (address) => {
  const image = new Image();
  image.src = address;
  await image.decode();
  return (await human.detect(image)).face.map((face) => [face.size[0] * face.size[1],
    Object.fromEntries((face.emotion ?? []).map((e) => [e.emotion, e.score]))]);
};
</script>"""
_FER = """
import json, sys, cv2
from fer.fer import FER
detector = FER()
for path in json.load(sys.stdin):
    faces = detector.detect_emotions(cv2.imread(path))
    print(json.dumps([[int(f["box"][2]) * int(f["box"][3]), {k: float(v) for k, v in
        f["emotions"].items()}] for f in faces]), flush=True)
"""
_SAMPLE = 300
Faces = list[tuple[float, dict[str, float]]]
Picture = tuple[Path, str]


def mien(pictures: list[Picture]) -> list[Faces]:
    from mien import FacePipeline
    from mien.media.images import open_image

    pipeline = FacePipeline()
    found: list[Faces] = []
    for path, _ in pictures:
        result = pipeline.analyze_opened(open_image(path))
        found.append([(f.box.area, f.expression.as_dict()) for f in result if f.expression])
    return found


def human(pictures: list[Picture], packages: Path) -> list[Faces]:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for package in ("human", "tfwasm"):
            (Path(folder) / package).symlink_to((packages / package).resolve())
        for number, (path, _) in enumerate(pictures):
            (Path(folder) / f"{number}.jpg").symlink_to(path.resolve())
        (Path(folder) / "page.html").write_text(_PAGE)
        handler = partial(_Handler, directory=folder)
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        playwright = stack.enter_context(sync_playwright())
        page = stack.enter_context(_launch(playwright)).new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
        page.wait_for_function("() => window.analyze !== undefined")
        numbers = range(len(pictures))
        return [page.evaluate("address => analyze(address)", f"/{n}.jpg") for n in numbers]


def fer(pictures: list[Picture], python: Path) -> list[Faces]:
    names = json.dumps([str(path.resolve()) for path, _ in pictures])
    ran = subprocess.run(
        [python, "-c", _FER], input=names, check=True, capture_output=True, text=True
    )
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[")]


def ferplus(path: Path, folder: Path) -> list[Picture]:
    """Faces of the valid split, in pictures of their own."""
    labeled = read_data(path).in_split("valid").labeled()
    rows = [n for n, at in enumerate(labeled.label_index) if labeled.labels[at] in COMMON]
    made = []
    for row in random.Random(1).sample(rows, _SAMPLE):
        face = cv2.resize(labeled.load(row), (192, 192), interpolation=cv2.INTER_CUBIC)
        picture = cv2.copyMakeBorder(face, 96, 96, 96, 96, cv2.BORDER_CONSTANT, value=(128,) * 3)
        cv2.imwrite(str(folder / f"{row}.png"), picture[..., ::-1])
        made.append((folder / f"{row}.png", str(labeled.labels[labeled.label_index[row]])))
    return made


def label(faces: Faces) -> str | None:
    """The label of the largest face; None where no face is found."""
    if not faces:
        return None
    scores: dict[str, float] = {}
    for name, value in max(faces, key=lambda face: face[0])[1].items():
        scores[LABELS.get(name, name)] = value
    return max(COMMON, key=lambda name: scores.get(name, 0.0))


def figures(found: list[Faces], pictures: list[Picture]) -> dict[str, Any]:
    """Shares in percent; balanced accuracy is the mean over the labels of the set."""
    if len(found) != len(pictures):
        raise SystemExit(f"expected {len(pictures)} results, got {len(found)}")
    right: dict[str, list[bool]] = {}
    for faces, (_, expected) in zip(found, pictures, strict=True):
        right.setdefault(expected, []).append(label(faces) == expected)
    recalls = {name: 100 * sum(seen) / len(seen) for name, seen in sorted(right.items())}
    return {
        "accuracy": round(100 * sum(map(sum, right.values())) / len(pictures), 1),
        "balanced": round(sum(recalls.values()) / len(recalls), 1),
        "not_found": sum(not faces for faces in found),
        "recalls": {name: round(value, 1) for name, value in recalls.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("lfw", "london", "ferplus", "packages", "peer-python"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    with (options.lfw / "labels.csv").open() as file:
        rows = [(options.lfw / row["image"], row["expression"]) for row in csv.DictReader(file)]
    lfw = random.Random(1).sample([row for row in rows if row[1] in COMMON], _SAMPLE)
    labels = ("happiness", "neutral")
    london = [(p, name) for name in labels for p in sorted((options.london / name).glob("*.jpg"))]
    result: dict[str, Any] = {"date": datetime.now(UTC).date().isoformat()}
    with tempfile.TemporaryDirectory() as folder:
        valid = ferplus(options.ferplus, Path(folder))
        for name, pictures in (("london", london), ("lfw-expressions", lfw), ("FER+", valid)):
            found = {
                "mien": mien(pictures),
                "human": human(pictures, options.packages),
                "fer": fer(pictures, options.peer_python),
            }
            made = {who: figures(faces, pictures) for who, faces in found.items()}
            result[name] = {"pictures": len(pictures), "figures": made}
            print(name, json.dumps(made), flush=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
