"""Open against closed eyes: how well the eye aspect ratio separates them.

Closed Eyes in the Wild (Song et al. 2014) is published as patches of 24 by 24 pixels, one per
eye, but the aspect ratio needs the mesh of a whole face. So the two patches of each person are
pasted into a sample face with eyes of the same size (18 pixels from corner to corner; a face of
about 100 pixels) by Poisson blending, and the mesh is computed on the result. This is harder than
a real face: the eyelids have only 24 pixels, and the surrounding face is another person's.
"""

import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.landmarks import roi_from_landmarks
from mien.landmarks.schemes import eye_centers
from mien.media.images import read_image
from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.signals import eye_openings
from mien.streaming import FaceStream, StreamSettings
from mien.tracking.eyes import EyeState

Array = npt.NDArray[np.float64]
CLOSURES = Path(__file__).parents[1] / "data" / "closures.csv"
SCALES = (1.0, 0.6, 0.4, 0.3)
HOSTS = (0, 2, 4, 6)
EYE_WIDTH_PX = 18.0
CORNERS = ((33, 133), (362, 263))
PATCH = 24


def eyes(patches: Path, media: Path | None) -> dict[str, Any]:
    """Open against closed eyes in the patches and in clips with hand-annotated closures."""
    report: dict[str, Any] = {"closed_eyes_in_the_wild": _by_patches(patches)}
    if media is not None:
        report["clips"] = _by_clips(media)
    return report


def _by_clips(media: Path) -> list[dict[str, Any]]:
    marks: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
    with CLOSURES.open(newline="") as file:
        for row in csv.DictReader(file):
            marks[row["clip"]].append(
                (int(row["first_frame"]), int(row["last_frame"]), row["kind"])
            )
    return [
        {"clip": name, "scale": scale, **_by_clip(media / name, spans, scale)}
        for name, spans in marks.items()
        for scale in SCALES
    ]


def _by_clip(clip: Path, spans: list[tuple[int, int, str]], scale: float) -> dict[str, Any]:
    """Frames that a stream counts as closed against the annotation, without half-closed ones."""
    stream, event_kinds, sizes = FaceStream(settings=StreamSettings(expressions=False)), [], []
    counts = Counter[tuple[str, bool]]()
    for frame in VideoSource(clip).frames():
        height, width = frame.image.shape[:2]
        size_wh = round(width * scale), round(height * scale)
        result = stream.update(imaging.resize(frame.image, size_wh), frame.timestamp_s)
        event_kinds += [event.kind for event in stream.events]
        kinds = [kind for first, last, kind in spans if first <= frame.index <= last]
        for face in result.faces[:1]:
            sizes.append(face.quality.size_px if face.quality else 0)
            counts[kinds[0] if kinds else "open", _closed(stream)] += 1
    return {
        "median_size_px": float(np.median(sizes)),
        "closed_frames": counts["closed", True] + counts["closed", False],
        "closed_found": counts["closed", True],
        "open_frames": counts["open", True] + counts["open", False],
        "open_taken_for_closed": counts["open", True],
        "blinks": event_kinds.count("blink"),
        "true_blinks": sum(kind == "closed" and last - first < 12 for first, last, kind in spans),
    }


def _closed(stream: FaceStream) -> bool:
    """Whether the eyes are closed, also if since 0 s."""
    eyes_of_all = [memory.timeline.eyes for memory in stream._memories.values()]
    return any(state.closed_since_s is not None for state in eyes_of_all)


def _by_patches(path: Path) -> dict[str, Any]:
    """How well the opening separates open from closed eyes, over people and host faces."""
    data = np.load(path)
    images, is_open, side, name = (data[key] for key in ("images", "open", "side", "name"))
    people: dict[str, dict[str, int]] = {}
    for number, (file, which) in enumerate(zip(name, side, strict=True)):
        people.setdefault(str(file).rsplit("_", 1)[0], {})[str(which)] = number
    pairs = [(found["L"], found["R"]) for found in people.values() if len(found) == 2]
    truth = np.array([bool(is_open[left]) for left, _ in pairs])
    pipeline = FacePipeline()
    samples = [sample for sample in sample_paths() if sample.name.startswith("person")]
    by_host = []
    for number in HOSTS:
        host, centers = _host(pipeline, read_image(samples[number]))
        region = roi_from_landmarks(_landmarks(pipeline, host))
        openings = []
        for pair in pairs:
            face = host
            for center, index in zip(centers, pair, strict=True):
                face = _with_eye(face, images[index], center)
            found = eye_openings(pipeline.landmarks.predict_region(face, region))
            assert found is not None
            openings.append(sum(found) / 2)
        by_host.append(_figures(np.array(openings), truth))
    return {"people": len(pairs), "open": int(truth.sum()), "hosts": by_host}


def _figures(openings: Array, is_open: npt.NDArray[np.bool_]) -> dict[str, float]:
    # As in a stream, closed means below a share of the level of the open eye. Here the level is
    # the median of all open eyes, because there is only one image per person.
    level = float(np.median(openings[is_open]))
    closed = openings < EyeState.CLOSED_SHARE * level
    ranks = openings.argsort().argsort() + 1
    positives, negatives = int(is_open.sum()), int((~is_open).sum())
    area = (ranks[is_open].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return {
        "area_under_curve": float(area),
        "median_open": level,
        "median_closed": float(np.median(openings[~is_open])),
        "closed_found": float(closed[~is_open].mean()),
        "open_taken_for_closed": float(closed[is_open].mean()),
    }


def _host(pipeline: FacePipeline, image: Any) -> tuple[Any, list[tuple[int, int]]]:
    """A gray face with eyes of the size of the patches, and their centers."""
    points = _landmarks(pipeline, image).points
    width = np.mean([np.linalg.norm(points[a, :2] - points[b, :2]) for a, b in CORNERS])
    scale = EYE_WIDTH_PX / float(width)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    centers = eye_centers(_landmarks(pipeline, gray))
    return gray, [(round(float(x)), round(float(y))) for x, y in centers]


def _landmarks(pipeline: FacePipeline, image: Any) -> Any:
    return pipeline.landmarks.predict(image, pipeline.detect(image))[0]


def _with_eye(face: Any, patch: Any, center: tuple[int, int]) -> Any:
    color = cv2.cvtColor(patch, cv2.COLOR_GRAY2RGB)
    mask = np.zeros((PATCH, PATCH), np.uint8)
    mask[2:-2, 1:-1] = 255
    return cv2.seamlessClone(color, face, mask, center, cv2.NORMAL_CLONE)
