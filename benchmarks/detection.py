"""Faces found by the detectors, and errors of the landmarks.

    python benchmarks/detection.py --media MEDIA --expressions LFW --empty FOLDER \\
        --output benchmarks/results/detection.json

MEDIA holds five-people.jpg, no-face.jpg, dlib's annotated examples in groups/ and
street-crowd-1080p.mp4. Five of its frames are annotated by hand in data/crowd-faces.csv: faces of
at least 24 pixels with a visible eye, nose and mouth; `ignore` marks debatable ones
(reflections, heads turned away or covered), which are not counted. LFW is
muxspace's folder of facial expression photographs, with one face in each. FOLDER holds pictures
without people (docs/cards/verifier.md). Parts without data are skipped. A face is found if a box
overlaps it with an IoU above 0.3. The frames and groups were also used to choose the defaults, so
these figures are no test on unseen images.
"""

import argparse
import csv
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from mien import FacePipeline, Settings, geometry
from mien.detection import FaceDetector, build_detector
from mien.errors import MienError
from mien.landmarks import build_landmarks
from mien.landmarks.schemes import to_ibug68
from mien.media.images import read_image
from mien.types import Face, Image

Array = npt.NDArray[np.float64]

# Of the 68 points.
_IBUG68_PARTS: dict[str, slice] = {
    "jaw": slice(0, 17),
    "left_brow": slice(17, 22),
    "right_brow": slice(22, 27),
    "nose_bridge": slice(27, 31),
    "nose_base": slice(31, 36),
    "left_eye": slice(36, 42),
    "right_eye": slice(42, 48),
    "outer_lips": slice(48, 60),
    "inner_lips": slice(60, 68),
}
CROWD = Path(__file__).parent / "data" / "crowd-faces.csv"
SAME_IOU = 0.3
SCORES = (0.4, 0.5, 0.6)
DETECTORS = {
    "blazeface": ("blazeface", "off"),
    "blazeface, tiles": ("blazeface", "auto"),
    "blazeface-short": ("blazeface-short", "off"),
    "haar": ("haar", "off"),
}


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with the boxes ``(N, 4)`` of its faces and of debatable faces."""

    image: Image
    boxes: Array
    ignored: Array
    points: tuple[Array, ...] = ()


def read_groups(folder: Path) -> list[AnnotatedImage]:
    """dlib's annotated example photographs, as far as the folder contains them."""
    marked = []
    for file in sorted(folder.glob("*.xml")):
        for entry in ElementTree.parse(file).getroot().iter("image"):
            path = folder / str(entry.get("file"))
            if not path.is_file():
                continue
            boxes, points = [], []
            for box in entry.iter("box"):
                left, top, width, height = (
                    float(str(box.get(side))) for side in ("left", "top", "width", "height")
                )
                boxes.append((left, top, left + width, top + height))
                places = [
                    (float(str(p.get("x"))), float(str(p.get("y")))) for p in box.iter("part")
                ]
                points.append(
                    np.array(places) + 0.5
                )  # dlib's origin is the center of the first pixel
            marked.append(
                AnnotatedImage(read_image(path), np.array(boxes), np.empty((0, 4)), tuple(points))
            )
    return marked


def read_crowd(video: Path) -> list[AnnotatedImage]:
    """The hand-annotated frames of the street."""
    import av

    rows: dict[int, list[dict[str, str]]] = {}
    with CROWD.open(newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(int(row["frame"]), []).append(row)
    marked = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in rows:
                of_frame = rows[index]
                marked.append(
                    AnnotatedImage(
                        frame.to_ndarray(format="rgb24"),
                        _boxes(row for row in of_frame if row["ignore"] == "0"),
                        _boxes(row for row in of_frame if row["ignore"] == "1"),
                    )
                )
    return marked


def _boxes(rows: Any) -> Array:
    names = ("x_min", "y_min", "x_max", "y_max")
    return np.array([[float(row[name]) for name in names] for row in rows]).reshape(-1, 4)


def count(
    detector: FaceDetector, pictures: Sequence[AnnotatedImage], min_score: float
) -> dict[str, Any]:
    """Faces found, false positives, and the CPU time per image."""
    found, false, times = 0, [], []
    for picture in pictures:
        start = time.process_time()
        detections = detector.detect(picture.image, min_score=min_score)
        times.append(1000 * (time.process_time() - start))
        boxes = np.array([d.box.to_array() for d in detections]).reshape(-1, 4)
        same = geometry.box_iou(picture.boxes, boxes) > SAME_IOU
        found += int(same.any(axis=1).sum())
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        debatable = geometry.intersection_area(picture.ignored, boxes) > SAME_IOU * areas
        false.append(int((~same.any(axis=0) & ~debatable.any(axis=0)).sum()))
    faces = sum(len(picture.boxes) for picture in pictures)
    return {
        "faces": faces,
        "found": found,
        "false": false,
        "cpu_ms_per_picture": round(statistics.median(times), 1),
    }


KEPT: dict[str, Callable[[Face], bool]] = {
    "every detection": lambda face: True,
    "presence of the landmarks": lambda face: bool(
        face.landmarks and (face.landmarks.presence or 0.0) >= 0.05
    ),
    "verifier": lambda face: bool(
        face.quality and (face.quality.presence or 0.0) >= Settings().min_presence
    ),
}
_DEFAULT = "default settings"
"""What users get: where no face is kept, a second look follows."""


def verified(
    groups: Sequence[AnnotatedImage],
    crowd: Sequence[AnnotatedImage],
    photographs: Sequence[Image],
    empty: Path | None,
) -> dict[str, Any]:
    """What is kept of the detections in still images, and pictures without a person that have a
    face, by the rule that decides.

    In a photograph with one face, the one nearest to the middle is it, within a quarter of the
    sides.
    """
    every, usual = FacePipeline(min_presence=0), FacePipeline()
    counts: dict[str, Counter[str]] = {rule: Counter() for rule in (*KEPT, _DEFAULT)}

    def kept(image: Image) -> dict[str, list[Face]]:
        faces = every.analyze(image).faces
        by_rule = {rule: [face for face in faces if keeps(face)] for rule, keeps in KEPT.items()}
        return by_rule | {_DEFAULT: list(usual.analyze(image).faces)}

    for name, pictures in (("groups", groups), ("crowd", crowd)):
        for picture in pictures:
            for rule, faces in kept(picture.image).items():
                boxes = np.array([face.box.to_array() for face in faces]).reshape(-1, 4)
                same = geometry.box_iou(picture.boxes, boxes) > SAME_IOU
                counts[rule][f"{name} of {sum(len(p.boxes) for p in pictures)}"] += int(
                    same.any(axis=1).sum()
                )
    for image in photographs:
        size_wh = np.array(image.shape[1::-1])
        for rule, faces in kept(image).items():
            centers = np.array([face.box.center for face in faces]).reshape(-1, 2) / size_wh
            counts[rule][f"photographs of {len(photographs)}"] += bool(
                (np.abs(centers - 0.5) < 0.25).all(axis=1).any()
            )
    number = 0
    for path in sorted(empty.rglob("*")) if empty else ():
        try:
            by_rule = kept(read_image(path))
        except MienError:
            continue
        number += 1
        for rule, faces in by_rule.items():
            counts[rule]["pictures with a false face"] += bool(faces)
            counts[rule]["false faces"] += len(faces)
    rows: dict[str, Any] = {"pictures without a person": number}
    for rule, found in counts.items():
        per_1000 = round(1000 * found["pictures with a false face"] / max(1, number), 1)
        rows[rule] = {**found, "pictures with a false face per 1,000": per_1000}
    return rows


def landmark_errors(groups: Sequence[AnnotatedImage]) -> dict[str, Any]:
    """Mean distance to the annotated points, relative to that of the outer eye corners."""
    detector, mesh = build_detector("blazeface"), build_landmarks("facemesh")
    errors = []
    for picture in groups:
        detections = detector.detect(picture.image)
        boxes = [d.box.to_array() for d in detections]
        for box, points in zip(picture.boxes, picture.points, strict=True):
            overlaps = geometry.box_iou([box], boxes)[0]
            if len(points) != 68 or not overlaps.size or overlaps.max() <= SAME_IOU:
                continue
            (found,) = mesh.predict(picture.image, [detections[int(overlaps.argmax())]])
            distance = np.linalg.norm(to_ibug68(found).points[:, :2] - points, axis=1)
            errors.append(distance / np.linalg.norm(points[36] - points[45]))
    each = np.array(errors)
    return {
        "faces": len(each),
        "nme_with_jaw": round(float(each.mean()), 4),
        "nme_without_jaw": round(float(each[:, 17:].mean()), 4),
        "nme_without_jaw_median": round(float(np.median(each[:, 17:].mean(axis=1))), 4),
        "parts": {
            name: round(float(each[:, part].mean()), 4) for name, part in _IBUG68_PARTS.items()
        },
    }


def measure(media: Path | None, expressions: Path | None, empty: Path | None) -> dict[str, Any]:
    results: dict[str, Any] = {}
    groups = read_groups(media / "groups") if media else []
    crowd = read_crowd(media / "street-crowd-1080p.mp4") if media else []
    photographs = (
        [read_image(path) for path in sorted(expressions.glob("*.jpg"))[::4]]
        if (expressions)
        else []
    )
    results["still images"] = verified(groups, crowd, photographs, empty)
    print(json.dumps(results["still images"], indent=2))
    for title, (name, tiles) in DETECTORS.items():
        detector = build_detector(name, tiles=tiles)
        rows = results[title] = {}
        for min_score in SCORES:
            row: dict[str, Any] = {}
            if media:
                for picture in ("five-people", "no-face"):
                    image = read_image(media / f"{picture}.jpg")
                    row[picture] = len(detector.detect(image, min_score=min_score))
                row["groups"] = count(detector, groups, min_score)
                row["crowd"] = count(detector, crowd, min_score)
            if photographs:
                numbers = [len(detector.detect(p, min_score=min_score)) for p in photographs]
                row["faces_in_one_face_photographs"] = dict(sorted(Counter(numbers).items()))
            rows[str(min_score)] = row
            print(title, min_score, json.dumps(row))
    if groups:
        results["landmarks"] = landmark_errors(groups)
        print(json.dumps(results["landmarks"], indent=2))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--expressions", type=Path)
    parser.add_argument("--empty", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    results = measure(arguments.media, arguments.expressions, arguments.empty)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
