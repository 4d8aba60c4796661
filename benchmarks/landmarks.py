"""Landmark models on annotated photographs and rendered heads.

    python benchmarks/landmarks.py points --data groups --output benchmarks/results/landmarks.json
    python benchmarks/landmarks.py pose --output benchmarks/results/landmarks-pose.json
    python benchmarks/landmarks.py mediapipe --python PYTHON --bundle face_landmarker.task \
        --data PHOTOGRAPHS --clip CLIP --output benchmarks/results/landmarks-mediapipe.json

`points` measures the distance to annotated points, presence and CPU time.
The folder has images and ``*landmarks.xml`` of dlib's format with the 68 points of the iBUG markup
for each face. The points of the faces that ship with dlib come from dlib's own model, so that they
are no better than that. Faces are given by the box around their points, as the pipeline gives the
boxes of a detector. Distances are divided by that between the outer corners of the eyes; the jaw is
left out, because a mesh follows the visible outline in another way. CPU time is that of the process
with one thread, the median over the faces, and includes the cut of the region.

`pose` turns heads that are made from the four neutral sample photographs (`rendered_heads.py`) by
up to 30 degrees, and compares the measured angles, and the distance in cm, with the true ones.

`mediapipe` runs MediaPipe's Face Landmarker with the same bundle in an environment of its own
(`mediapipe_landmarker.py`) on up to 50 photographs with one face, and in turns with mien's stream
on a clip. Both follow the landmarks to the region that they ask for; distances are divided by that
between the outer corners of the eyes. CPU time is that of the process, decoding left out, in
alternating rounds.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
from rendered_heads import DISTANCE_CM, FOCAL_PX, SIZE_WH, RenderedHead

from mien import imaging
from mien.geometry import apply_transform, invert
from mien.landmarks import FaceMesh, Region, build_blendshapes, build_landmarks, roi_from_landmarks
from mien.landmarks.schemes import eye_line_angle_deg, to_ibug68
from mien.media.images import read_image
from mien.media.video import VideoSource
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.signals.pose import RIGID_FACE
from mien.streaming import FaceStream, StreamSettings
from mien.types import Box, Detection, Image, Landmarks

MODELS = ("facemesh", "face-landmarker")
PARTS = {
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "outer lips": range(48, 60),
    "inner lips": range(60, 68),
    "all without jaw": range(17, 68),
}
ROUNDS = 5
SHOWN, WARM = 12, 5
ANGLES_DEG = [
    (yaw, pitch, 0)
    for yaw in (-30, -20, -10, 0, 10, 20, 30)
    for pitch in (-30, -15, 0, 15, 30)
    if abs(yaw) + abs(pitch) <= 45
] + [(0, 0, -25), (0, 0, 25), (20, -10, 15), (-20, 10, -15)]
# Depth of the middle of the points that pose is measured by, from the head's origin.
MIDDLE_CM = round(float(np.mean([z for _, _, z in RIGID_FACE.values()])), 1)


def annotated(folder: Path) -> list[tuple[Image, np.ndarray]]:
    """Each face: its image and its ``(68, 2)`` points."""
    faces = []
    for document in sorted(folder.glob("*landmarks.xml")):
        for entry in ElementTree.parse(document).iter("image"):
            image = read_image(folder / entry.attrib["file"])
            for box in entry.iter("box"):
                parts = sorted(box.iter("part"), key=lambda part: int(part.attrib["name"]))
                points = [(float(part.attrib["x"]), float(part.attrib["y"])) for part in parts]
                if len(points) == 68:
                    # Annotations name the middle of a pixel by whole numbers.
                    faces.append((image, np.array(points) + 0.5))
    return faces


def measure(name: str, faces: list[tuple[Image, np.ndarray]]) -> dict[str, Any]:
    """The figures of one model."""
    model = build_landmarks(name)
    shapes = build_blendshapes(model.scheme)
    errors: dict[str, list[float]] = {part: [] for part in PARTS}
    presence, found_ms, shapes_ms = [], [], []
    for image, truth in faces:
        (x_min, y_min), (x_max, y_max) = truth.min(axis=0), truth.max(axis=0)
        detection = Detection(Box(x_min, y_min, x_max, y_max), 1.0)
        for _ in range(ROUNDS):
            started = time.process_time()
            (landmarks,) = model.predict(image, [detection])
            located = time.process_time()
            if shapes is not None:
                shapes.predict(landmarks)
            shapes_ms.append(1000 * (time.process_time() - located))
            found_ms.append(1000 * (located - started))
        points = to_ibug68(landmarks).points[:, :2]
        eyes = np.linalg.norm(truth[45] - truth[36])
        distances = np.linalg.norm(points - truth, axis=1) / eyes
        for part, indices in PARTS.items():
            errors[part].append(float(distances[list(indices)].mean()))
        presence.append(float(landmarks.presence or 0.0))
    return {
        "distance": {part: round(statistics.mean(values), 4) for part, values in errors.items()},
        "presence_above_half": sum(value > 0.5 for value in presence),
        "landmarks_cpu_ms": round(statistics.median(found_ms), 2),
        "blendshapes_cpu_ms": None if shapes is None else round(statistics.median(shapes_ms), 2),
    }


def measure_pose(name: str) -> dict[str, Any]:
    """Errors of one model on rendered heads."""
    pipeline = FacePipeline(landmarks=name, focal_length=FOCAL_PX / SIZE_WH[0])
    errors, distances = [], []
    for path in [path for path in sample_paths() if path.stem.endswith("-neutral")]:
        photograph = read_image(path)
        (seen,) = pipeline.analyze(photograph).faces
        head = RenderedHead(photograph, seen.landmarks.points)
        for angles_deg in ANGLES_DEG:
            face = max(pipeline.analyze(head.render(*angles_deg)).faces, key=lambda f: f.score)
            quality = face.quality
            found = quality.yaw_deg, quality.pitch_deg, quality.roll_deg
            errors.append(np.abs(np.subtract(found, angles_deg)))
            distances.append(face.signals.head_z_cm)
    by_angle = {
        "mean": np.mean(errors, axis=0),
        "95th percentile": np.percentile(errors, 95, axis=0),
        "largest": np.max(errors, axis=0),
    }
    return {
        "heads": len(errors),
        "error_deg": {
            measure: dict(zip(("yaw", "pitch", "roll"), values.round(1).tolist(), strict=True))
            for measure, values in by_angle.items()
        },
        "all_angles_within_3_deg": round(float((np.array(errors) <= 3).all(axis=1).mean()), 3),
        "distance_cm": {
            "true": DISTANCE_CM + MIDDLE_CM,
            "mean": round(float(np.mean(distances)), 1),
            "deviation": round(float(np.std(distances)), 1),
        },
    }


def beside_mediapipe(python: Path, bundle: Path, photographs: Path, clip: Path) -> dict[str, Any]:
    """Landmarks, blendshapes and CPU time beside MediaPipe's Face Landmarker."""
    paths = sorted(photographs.rglob("*.jpg"))[
        :: max(1, len(list(photographs.rglob("*.jpg"))) // 50)
    ]
    pictures = {f"{path.parent.name} {path.name}": read_image(path) for path in paths[:50]}
    frames = [frame.image for frame in VideoSource(clip).frames()]
    theirs, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "pictures.npz"), Path(folder, "found.npz")
        command = [
            python,
            Path(__file__).with_name("mediapipe_landmarker.py"),
            bundle,
            given,
            found,
        ]
        np.savez(given, **pictures)
        subprocess.run(command, check=True)
        with np.load(found) as file:
            reference = dict(file)
        np.savez(given, clip=np.stack(frames))
        for _ in range(ROUNDS):
            ours.append(_stream_cpu_ms(frames))
            subprocess.run(command, check=True)
            with np.load(found) as file:
                theirs.append(float(file["cpu_ms"]))
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    return {
        "date": date.today().isoformat(),
        **_differences(pictures, reference),
        "clip": clip.name,
        "frames": len(frames),
        "cpu_ms_per_frame": round(statistics.median(ours), 2),
        "mediapipe_cpu_ms_per_frame": round(statistics.median(theirs), 2),
        "ratio_of_rounds": [round(ratio, 2) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 2),
    }


def _stream_cpu_ms(frames: list[Image]) -> float:
    """CPU time per frame of a stream that finds landmarks and blendshapes, without expressions."""
    pipeline = FacePipeline(landmarks="face-landmarker")
    stream = FaceStream(pipeline, StreamSettings(expressions=False))
    started = 0.0
    for number, frame in enumerate(frames):
        if number == WARM:
            started = time.process_time()
        stream.update(frame, 0.04 * number)
    return 1000 * (time.process_time() - started) / (len(frames) - WARM)


def _differences(pictures: dict[str, Image], reference: dict[str, Any]) -> dict[str, Any]:
    pipeline = FacePipeline(landmarks="face-landmarker")
    model = pipeline.landmarks
    assert isinstance(model, FaceMesh)
    points: dict[str, list[Any]] = {"still": [], "stream": [], "same region": []}
    shapes: dict[str, list[Any]] = {name: [] for name in points}
    for name, picture in pictures.items():
        faces = pipeline.analyze(picture).faces
        if f"points {name}" not in reference or len(faces) != 1:
            continue
        there, values = reference[f"points {name}"], reference[f"shapes {name}"]
        still = stream = same = faces[0].landmarks
        for _ in range(SHOWN):
            stream = model.predict_region(picture, roi_from_landmarks(stream))
            same = _as_mediapipe(model, picture, same)
        eyes = np.linalg.norm(there[263, :2] - there[33, :2])
        for way, found in zip(points, (still, stream, same), strict=True):
            distances = np.linalg.norm(found.points[:, :2] - there[:, :2], axis=1)
            points[way].append(distances / eyes)
            own = pipeline.read_blendshapes(found) or {}
            shapes[way].append(np.abs(np.array([*own.values()]) - values))
    return {
        "faces": len(points["still"]),
        "distance_of_points": {way: _spread(values) for way, values in points.items()},
        "difference_of_blendshapes": {way: _spread(values) for way, values in shapes.items()},
    }


def _as_mediapipe(model: FaceMesh, picture: Image, landmarks: Any) -> Landmarks:
    """Landmarks by the region and the sampling of MediaPipe: the box of the points in the image,
    turned afterwards, and the nearest four pixels, also where the picture shrinks."""
    low, high = landmarks.points[:, :2].min(axis=0), landmarks.points[:, :2].max(axis=0)
    x, y = ((low + high) / 2).tolist()
    angle_deg = eye_line_angle_deg(landmarks)
    transform = Region((x, y), 1.5 * float(max(high - low)), angle_deg).transform(256)
    crop = cv2.warpAffine(picture, transform, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    batch = imaging.to_input([crop], model._input)
    points = model._session.run({model._input.name: batch})[0].reshape(-1, 3)
    in_image = apply_transform(invert(transform), points)
    return Landmarks(in_image.astype(np.float32), model.scheme)


def _spread(values: list[Any]) -> dict[str, float]:
    """Of all values, and of the largest of each face."""
    largest = np.max(values, axis=1)
    return {
        "mean": round(float(np.mean(values)), 4),
        "99th percentile": round(float(np.percentile(values, 99)), 4),
        "largest of the median face": round(float(np.median(largest)), 4),
        "largest": round(float(np.max(largest)), 4),
        "faces_within_0.01": int((largest <= 0.01).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("points", "pose", "mediapipe"))
    parser.add_argument("--data", type=Path, help="of points and mediapipe")
    parser.add_argument("--python", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "pose":
        figures: dict[str, Any] = {name: measure_pose(name) for name in MODELS}
    elif arguments.data is None:
        parser.error("points and mediapipe need --data")
    elif arguments.what == "mediapipe":
        figures = beside_mediapipe(
            arguments.python, arguments.bundle, arguments.data, arguments.clip
        )
    else:
        faces = annotated(arguments.data)
        figures = {"faces": len(faces), **{name: measure(name, faces) for name in MODELS}}
    text = json.dumps(figures, indent=2) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
