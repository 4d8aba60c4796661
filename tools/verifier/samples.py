"""What the verifier learns from: detections on faces, on covered ones, and where no person is."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from covers import Coverer, Points
from PIL import Image as PillowImage

from mien import geometry, imaging
from mien.detection import BlazeFace
from mien.detection.verifier import evidence, region
from mien.evaluation.readers import read_data
from mien.landmarks import FaceMesh, Region, build_landmarks
from mien.media.images import read_image
from mien.runtime import catalog
from mien.types import Box, Detection, Image, Landmarks

SIZE, MARGIN, SCALE = 64, 8, 1.7
"""Side of the network's input, what is added around it, and its side in boxes of faces."""

_MIN_SCORE, _LONGEST = 0.15, 2560
_UNKNOWN = -1.0
_VARIANTS = ("mouth", "eyes", "elsewhere", "small", "cut")
_CLEAR_PRESENCE, _SURE_SCORE = 0.9, 0.5
_SAME_IOU = 0.3
# FER+'s faces fill their picture, and are surrounded by their own border.
_FERPLUS_SIDE, FRAME = 144, 40
_PASTED_SIDE, _PASTED_SHARE = 320, 0.25


@dataclass
class Samples:
    """Crops ``(N, S, S)`` gray uint8 with a margin, evidence ``(N, 2)``, and targets ``(N, 3)``:
    presence, mouth covered, eyes covered; -1 where unknown. Those of held-out pictures are not
    learned from: they choose the limits.
    """

    crops: npt.NDArray[np.uint8]
    evidence: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    held_out: npt.NDArray[np.bool_]

    def part(self, chosen: npt.NDArray[np.bool_]) -> "Samples":
        columns = (self.crops, self.evidence, self.targets, self.held_out)
        return Samples(*(column[chosen] for column in columns))


class Finder:
    """The stages before the verifier, at a lower score, so that there is more to learn from."""

    def __init__(self) -> None:
        self.detector = BlazeFace(catalog.find("blazeface"))
        mesh = build_landmarks()
        assert isinstance(mesh, FaceMesh)
        self.mesh = mesh

    def find(self, image: Image) -> list[tuple[Detection, Landmarks]]:
        found = self.detector.detect(image, min_score=_MIN_SCORE)[:4]
        return list(zip(found, self.mesh.predict(image, found), strict=True))


class Collector:
    """Collects samples.

    Args:
        textures: pictures without people, for covers and for what lies around small faces.
        rng: makes every choice.
    """

    def __init__(self, textures: list[Image], rng: np.random.Generator) -> None:
        self._finder = Finder()
        self._coverer = Coverer(textures, rng)
        self._textures = textures
        self._rng = rng
        self._held_out = False
        self._rows: list[tuple[Image, npt.NDArray[np.float32], tuple[float, ...], bool]] = []

    def samples(self) -> Samples:
        crops, known, targets, held_out = zip(*self._rows, strict=True)
        return Samples(
            np.stack(crops), np.stack(known), np.array(targets, np.float32), np.array(held_out)
        )

    def add_face(self, image: Image, *, held_out: bool) -> None:
        """A photograph of one face: clear, covered, small, and cut by the border."""
        rng, self._held_out = self._rng, held_out
        found = self._finder.find(image)
        if not found:
            return
        detection, landmarks = max(found, key=lambda pair: pair[0].box.width)
        if (landmarks.presence or 0) < _CLEAR_PRESENCE:
            # The one face of its photograph, seen from the side or covered by something.
            if detection.score >= _SURE_SCORE and _is_central(detection, image):
                for _ in range(3):
                    self._add(image, detection, landmarks, (1, _UNKNOWN, _UNKNOWN), jitter=True)
            return
        points = landmarks.points[:, :2].astype(np.float64)
        self._add(image, detection, landmarks, (1, 0, 0))
        for part in rng.permutation(_VARIANTS)[:3].tolist():
            picture, mouth, eyes, around = image, 0.0, 0.0, points
            if part in ("mouth", "eyes", "elsewhere") or rng.random() < 0.25:
                name = part if part not in ("small", "cut") else "mouth"
                covered = self._coverer.cover(picture, points, name)
                picture, mouth, eyes = covered.image, covered.mouth, covered.eyes
            if part == "small":
                picture, around, scale = self._small(picture, points)
                if scale * detection.box.width < 22:
                    mouth, eyes = (share or _UNKNOWN for share in (mouth, eyes))
            if part == "cut":
                picture, around = self._cut(picture, points)
                mouth = eyes = _UNKNOWN
            self._add_found(_compressed(picture, rng), around, mouth, eyes)

    def add_pasted(self, crop: Image, *, held_out: bool) -> None:
        """The crop of a face, with its sharp border, in another picture or in front of a color.

        Such faces, of collages, fill their crop, and so the square that the verifier looks at shows
        what is behind it.
        """
        rng, self._held_out = self._rng, held_out
        scale = rng.uniform(0.25, 0.9) * _PASTED_SIDE / len(crop)
        reach = 0.5 * scale * len(crop)
        center = rng.uniform(reach, _PASTED_SIDE - reach, 2)
        image = self._paste(crop, scale, center, float(rng.normal(0, 10)))
        corners = center - 0.35 * reach * 2, center + 0.35 * reach * 2
        self._add_found(_compressed(image, rng), np.array(corners), _UNKNOWN, _UNKNOWN)

    def _paste(self, crop: Image, scale: float, center: Points, turn: float) -> Image:
        """A picture with its sharp border in another picture or in front of a color."""
        size = (_PASTED_SIDE, _PASTED_SIDE)
        scene = self._textures[self._rng.integers(len(self._textures))]
        if self._rng.random() < 0.5:
            scene = self._rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        middle = (crop.shape[1] / 2, crop.shape[0] / 2)
        shift = (float(center[0] - middle[0]), float(center[1] - middle[1]))
        place = geometry.similarity(scale, turn, shift, middle)
        mask = imaging.warp(np.full_like(crop, 255), place, size, replicate_border=False)
        return np.where(mask > 127, imaging.warp(crop, place, size), imaging.resize(scene, size))

    def add_nothing(self, image: Image, looks: int, *, held_out: bool) -> None:
        """A picture without a person: what the detector finds in parts of it."""
        rng, self._held_out = self._rng, held_out
        high, wide = image.shape[:2]
        for _ in range(looks):
            side = int(
                min(high, wide) * np.exp(rng.uniform(np.log(min(0.3, 80 / min(high, wide))), 0))
            )
            center = rng.uniform(side / 2, wide - side / 2), rng.uniform(side / 2, high - side / 2)
            turn = float(rng.choice([0, rng.normal(0, 20), 90, 180, 270]))
            size = int(rng.integers(96, 256))
            view = Region(center, side, turn).transform(size)
            part = imaging.warp(image, view, (size, size))
            if rng.random() < _PASTED_SHARE:
                # As faces are pasted, so that a sharp border is no sign of one.
                center = rng.uniform(0.4, 0.6, 2) * _PASTED_SIDE
                scale = rng.uniform(0.4, 0.8) * _PASTED_SIDE / size
                part = self._paste(part, scale, center, float(rng.normal(0, 10)))
            for detection, landmarks in self._finder.find(_compressed(part, rng)):
                for _ in range(2):
                    self._add(part, detection, landmarks, (0, _UNKNOWN, _UNKNOWN), jitter=True)

    def _add_found(self, image: Image, around: Points, mouth: float, eyes: float) -> None:
        """The detection of a face whose points are known; without it, nothing is learned."""
        low, high = around.min(axis=0), around.max(axis=0)
        truth = Box(*(float(v) for v in (*low, *high)))
        for detection, landmarks in self._finder.find(image):
            if geometry.box_iou([truth.to_array()], [detection.box.to_array()]) > _SAME_IOU:
                targets = 1.0, *(_target(share) for share in (mouth, eyes))
                self._add(image, detection, landmarks, targets)
                if mouth == _UNKNOWN and (landmarks.presence or 0) < _CLEAR_PRESENCE:
                    # Most are seen from the side, where the points that level the eyes are wrong.
                    for _ in range(2):
                        self._add(image, detection, landmarks, targets, jitter=True)
                return

    def _add(
        self,
        image: Image,
        detection: Detection,
        landmarks: Landmarks,
        targets: tuple[float, ...],
        *,
        jitter: bool = False,
    ) -> None:
        square = region(detection, landmarks, SCALE * (1 + 2 * MARGIN / SIZE))
        if jitter:
            turn = float(self._rng.normal(0, 8))
            square = Region(square.center, square.side, square.angle_deg + turn)
        side = SIZE + 2 * MARGIN
        crop = imaging.to_gray(imaging.warp(image, square.transform(side), (side, side)))
        self._rows.append((crop, evidence(detection, landmarks), targets, self._held_out))

    def _small(self, image: Image, points: Points) -> tuple[Image, Points, float]:
        """The picture reduced, inside of another one."""
        rng = self._rng
        wide = float(np.ptp(points[:, 0]))
        scale = float(np.exp(rng.uniform(np.log(11), np.log(36)))) / wide
        size_wh = tuple(max(8, round(n * scale)) for n in image.shape[1::-1])
        small = imaging.resize(image, (size_wh[0], size_wh[1]))
        if rng.random() < 0.5:
            small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 1.2))
        side = int(max(size_wh) * rng.uniform(1.0, 2.0))
        texture = self._textures[rng.integers(len(self._textures))]
        canvas = imaging.resize(texture, (side, side)).copy()
        x, y = (int(rng.integers(0, side - n + 1)) for n in size_wh)
        canvas[y : y + size_wh[1], x : x + size_wh[0]] = small
        return canvas, points * scale + (x, y), scale

    def _cut(self, image: Image, points: Points) -> tuple[Image, Points]:
        """The picture without a third of its face."""
        low, high = points.min(axis=0), points.max(axis=0)
        share = self._rng.uniform(0.1, 0.4)
        left, top = (low + share * (high - low)).astype(int)
        right, bottom = (high - share * (high - low)).astype(int)
        side = self._rng.integers(4)
        if side == 0:
            return image[:, max(0, left) :], points - (max(0, left), 0)
        if side == 1:
            return image[max(0, top) :], points - (0, max(0, top))
        return (image[:, :right], points) if side == 2 else (image[:bottom], points)


def _is_central(detection: Detection, image: Image) -> bool:
    """Whether a box is large and in the middle of the picture."""
    high, wide = image.shape[:2]
    x, y = detection.box.center
    near = abs(x - wide / 2) < 0.2 * wide and abs(y - high / 2) < 0.2 * high
    return near and detection.box.width > 0.25 * wide


def _target(share: float) -> float:
    """Covered from 0.7 of a part on, clear below 0.1, unknown between."""
    if share == _UNKNOWN:
        return _UNKNOWN
    return 1.0 if share >= 0.7 else 0.0 if share <= 0.1 else _UNKNOWN


def _compressed(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.4:
        return image
    quality = int(rng.integers(25, 90))
    _, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def read_pictures(folders: list[Path], rng: np.random.Generator) -> Iterator[tuple[Image, bool]]:
    """Pictures of folders, reduced, and whether each is held out; cutouts are put before a random
    color.
    """
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        try:
            picture = PillowImage.open(path)
            picture.draft("RGB", (_LONGEST, _LONGEST))
            picture = picture.convert("RGBA")
        except (OSError, ValueError, PillowImage.DecompressionBombError):
            continue
        picture.thumbnail((_LONGEST, _LONGEST))
        color = (*(int(n) for n in rng.integers(0, 256, 3)), 255)
        canvas = PillowImage.new("RGBA", (max(64, picture.width), max(64, picture.height)), color)
        canvas.alpha_composite(picture)
        yield np.asarray(canvas.convert("RGB")), _is_held_out(path.name)


def read_photographs(folder: Path, rng: np.random.Generator) -> Iterator[tuple[Image, bool]]:
    """Photographs of one face each, named by the person, in random order."""
    paths = sorted(folder.rglob("*.jpg"))
    for number in rng.permutation(len(paths)).tolist():
        person = paths[number].stem.rpartition("_")[0]
        yield read_image(paths[number]), _is_held_out(person)


def read_ferplus(path: Path, rng: np.random.Generator) -> Iterator[tuple[Image, bool]]:
    """Faces of FER+'s train split, of every expression in turn, with a border around them."""
    data = read_data(path)
    assert data.group is not None
    train = data.split == "train"
    train &= ~np.isin(data.group, data.group[~train])
    by_label = [np.flatnonzero(train & (data.label_index == n)) for n in range(len(data.labels))]
    shuffled = [rng.permutation(rows).tolist() for rows in by_label]
    for rows in zip_longest(*shuffled):
        for row in rows:
            if row is not None:
                large = cv2.resize(data.load(row), (_FERPLUS_SIDE, _FERPLUS_SIDE))
                edges = (FRAME,) * 4
                face = imaging.as_rgb(cv2.copyMakeBorder(large, *edges, cv2.BORDER_REPLICATE))
                yield face, _is_held_out(str(data.group[row]))


def _is_held_out(name: str) -> bool:
    """A sixth of the pictures, by name."""
    return zlib.crc32(name.encode()) % 6 == 0
