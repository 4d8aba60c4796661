"""Draw what hides faces: masks, scarves, hands, cups, sunglasses, hair; and what does not."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.types import Image

Points = npt.NDArray[np.float64]

JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
JAW += (377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
LIPS = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 13, 14, 78, 308)
LEFT_EYE = (33, 160, 159, 158, 133, 153, 145, 144)
RIGHT_EYE = (362, 385, 386, 387, 263, 373, 374, 380)
MASKS = ((150, 190, 215), (245, 245, 245), (25, 25, 28), (120, 170, 150), (200, 120, 140))


@dataclass(frozen=True)
class Covered:
    """A picture with something on a face, and the shares of mouth and eyes that it hides."""

    image: Image
    mouth: float
    eyes: float


class Coverer:
    """Draws random covers on one face after another.

    Args:
        textures: pictures whose parts become cloth, hair and objects.
        rng: makes every choice.
    """

    def __init__(self, textures: list[Image], rng: np.random.Generator) -> None:
        self._textures = textures
        self._rng = rng

    def cover(self, image: Image, points: Points, part: str) -> Covered:
        """Draw something over the ``"mouth"``, the ``"eyes"`` or ``"elsewhere"``.

        Args:
            image: ``(H, W, 3)`` RGB uint8, not changed.
            points: ``(468, 2)`` mesh of the face in pixels.
            part: what is to be hidden.
        """
        mask = np.zeros(image.shape[:2], np.uint8)
        shapes = {
            "mouth": (self._mask, self._mask, self._scarf, self._fingers, self._object),
            "eyes": (self._sunglasses, self._sunglasses, self._band, self._fingers, self._hair),
            "elsewhere": (self._object, self._fingers, self._frames, self._hat),
        }[part]
        draw = shapes[self._rng.integers(len(shapes))]
        opacity = draw(mask, points, part)
        fill = self._fill(image, points, draw)
        edge = max(1, round(_eye_distance(points) / 40)) * 2 + 1
        alpha = cv2.GaussianBlur(mask, (edge, edge), 0)[:, :, None] / 255.0 * opacity
        mixed = (image * (1 - alpha) + fill * alpha).clip(0, 255).astype(np.uint8)
        eyes = min(_share(alpha, points, LEFT_EYE), _share(alpha, points, RIGHT_EYE))
        return Covered(mixed, _share(alpha, points, LIPS), eyes)

    def _fill(self, image: Image, points: Points, draw: object) -> npt.NDArray[np.float64]:
        rng = self._rng
        high, wide = image.shape[:2]
        if draw == self._fingers or rng.random() < 0.15:
            # The person's own skin, or another's.
            x, y = points[[50, 280][rng.integers(2)]].astype(int)
            patch = image[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
            color = patch.reshape(-1, 3).mean(axis=0) if patch.size else np.array((190, 150, 130))
            color = color * rng.uniform(0.75, 1.2)
        elif draw in (self._sunglasses, self._hair, self._frames):
            color = np.array((60, 45, 35)) * rng.uniform(0.1, 1.6) + rng.uniform(0, 15, 3)
        elif draw == self._mask and rng.random() < 0.6:
            color = np.array(MASKS[rng.integers(len(MASKS))]) * rng.uniform(0.7, 1.05)
        else:
            color = rng.uniform(10, 245, 3)
        fill = np.full((high, wide, 3), color)
        if draw not in (self._fingers, self._sunglasses) and rng.random() < 0.45:
            texture = self._textures[rng.integers(len(self._textures))]
            size = max(8, int(min(texture.shape[:2]) * rng.uniform(0.2, 1)))
            x, y = (int(rng.integers(0, n - size + 1)) for n in texture.shape[1::-1])
            fill = cv2.resize(texture[y : y + size, x : x + size], (wide, high)).astype(float)
        # Light from one side, folds, grain.
        angle, ys, xs = rng.uniform(0, 2 * math.pi), *np.mgrid[0:high, 0:wide]
        along = (xs * math.cos(angle) + ys * math.sin(angle)) / _eye_distance(points)
        light = 1 + rng.uniform(0, 0.15) * np.sin(along * rng.uniform(0.5, 2) + rng.uniform(0, 6))
        folds = rng.uniform(0, 0.12) * np.sin(ys / _eye_distance(points) * rng.uniform(6, 20))
        grain = rng.normal(0, rng.uniform(0, 6), (high, wide, 1))
        return np.asarray(fill * (light + folds)[:, :, None] + grain)

    def _jitter(self, points: Points, amount: float) -> Points:
        return points + self._rng.normal(0, amount * _eye_distance(points), points.shape)

    def _mask(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        jaw = points[list(JAW[int(self._rng.integers(0, 3)) : len(JAW) - 2])]
        center = points[1]
        top = points[[5, 195, 4, 2][self._rng.integers(4)]]
        grown = center + (jaw - center) * self._rng.uniform(0.95, 1.15)
        line = np.vstack([grown, top[None]])
        _polygon(mask, self._jitter(line, 0.02))
        for end in (0, len(grown) - 1):
            if self._rng.random() < 0.5:
                ear = points[[234, 454][end > 0]]
                _line(mask, grown[end], ear, 0.02 * _eye_distance(points))
        return 1.0

    def _scarf(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        left, right, nose = points[234], points[454], points[[2, 4, 1][self._rng.integers(3)]]
        across = (right - left) * self._rng.uniform(0.1, 0.6)
        down = (points[152] - points[10]) * self._rng.uniform(0.6, 1.2)
        level = nose - (left + right) / 2
        top = [left - across + level, nose, right + across + level]
        _polygon(mask, self._jitter(np.array([*top, top[2] + down, top[0] + down]), 0.06))
        return 1.0

    def _fingers(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        """Parallel fingers from one side, or two hands, over a place of the face."""
        rng, unit = self._rng, _eye_distance(points)
        place = self._place(points, part)
        angle = rng.uniform(0, 2 * math.pi) if part != "eyes" else rng.choice([0.2, 2.9])
        along = np.array([math.cos(angle), math.sin(angle)])
        side = np.array([-along[1], along[0]])
        thick = unit * rng.uniform(0.2, 0.34)
        count = int(rng.integers(3, 6)) if part != "elsewhere" else int(rng.integers(1, 4))
        for n in range(count):
            middle = place + side * (n - (count - 1) / 2) * thick * rng.uniform(0.85, 1.0)
            tip = middle - along * unit * rng.uniform(0.7, 1.3) * (1.3 if part == "eyes" else 1)
            _line(mask, tip, middle + along * unit * rng.uniform(0.8, 2), thick)
        if rng.random() < 0.6:
            palm = place + along * unit * rng.uniform(0.9, 1.6)
            size = unit * rng.uniform(0.5, 0.9)
            _ellipse(mask, palm, (size, size), math.degrees(angle))
        return 1.0

    def _object(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        """A cup, a microphone, a telephone: a round or square thing."""
        rng, unit = self._rng, _eye_distance(points)
        place = self._place(points, part)
        size = unit * rng.uniform(0.45, 1.0) * (1.0 if part == "mouth" else 0.7)
        tilt = rng.uniform(-30, 30)
        if rng.random() < 0.5:
            _ellipse(mask, place, (size, size * rng.uniform(0.7, 1.3)), tilt)
        else:
            box = cv2.boxPoints(
                (place.tolist(), (2 * size, 2 * size * rng.uniform(0.6, 1.6)), tilt)
            )
            _polygon(mask, box.astype(float))
        if rng.random() < 0.5:
            _line(mask, place, place + np.array([rng.uniform(-1, 1), 2.5]) * unit, size)
        return 1.0

    def _sunglasses(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        rng, unit = self._rng, _eye_distance(points)
        left, right = _eyes(points)
        tilt = math.degrees(math.atan2(*(right - left)[::-1]))
        size = unit * rng.uniform(0.3, 0.44), unit * rng.uniform(0.22, 0.36)
        low = (points[152] - points[10]) / np.linalg.norm(points[152] - points[10])
        for eye in (left, right):
            middle = eye + low * unit * rng.uniform(0.0, 0.08)
            if rng.random() < 0.5:
                _ellipse(mask, middle, size, tilt)
            else:
                box = cv2.boxPoints((middle.tolist(), (2 * size[0], 2 * size[1]), tilt))
                _polygon(mask, self._jitter(box.astype(float), 0.03))
        _line(mask, left, right, unit * rng.uniform(0.04, 0.12))
        for eye, ear in ((left, points[127]), (right, points[356])):
            _line(mask, eye, ear, unit * rng.uniform(0.03, 0.08))
        return float(rng.uniform(0.82, 1.0))

    def _band(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        left, right = _eyes(points)
        out = (right - left) * self._rng.uniform(0.5, 1.1)
        _line(mask, left - out, right + out, _eye_distance(points) * self._rng.uniform(0.4, 0.9))
        return 1.0

    def _hair(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        """From the top of the head down over the eyes, as hair or a hat does."""
        left, right = points[127], points[356]
        top = points[10] - (points[152] - points[10]) * self._rng.uniform(0.2, 0.5)
        level = points[[6, 197, 195][self._rng.integers(3)]] - (left + right) / 2
        ends = [
            left - (right - left) * 0.1 + level * 1.6,
            right + (right - left) * 0.1 + level * 1.6,
        ]
        wave = [ends[0] + (ends[1] - ends[0]) * t for t in np.linspace(0, 1, 6)]
        _polygon(
            mask, self._jitter(np.array([*wave, top + right - left, top - right + left]), 0.05)
        )
        return 1.0

    def _frames(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        """Glasses with clear lenses hide nothing."""
        rng, unit = self._rng, _eye_distance(points)
        for eye in _eyes(points):
            radius = unit * rng.uniform(0.3, 0.42), unit * rng.uniform(0.22, 0.34)
            _ellipse(mask, eye, radius, 0, thickness=max(1, round(unit * rng.uniform(0.02, 0.06))))
        _line(mask, *(points[n] for n in (127, 33)), unit * 0.03)
        _line(mask, *(points[n] for n in (356, 263)), unit * 0.03)
        return 1.0

    def _hat(self, mask: npt.NDArray[np.uint8], points: Points, part: str) -> float:
        left, right = points[127], points[356]
        brow = points[9] - (left + right) / 2 - (points[152] - points[10]) * 0.06
        top = points[10] - (points[152] - points[10]) * 0.3
        line = [left + brow, right + brow, top + (right - left) / 2, top - (right - left) / 2]
        _polygon(mask, np.array(line))
        return 1.0

    def _place(self, points: Points, part: str) -> Points:
        if part == "mouth":
            place = points[list(LIPS)].mean(axis=0)
        elif part == "eyes":
            place = np.mean(_eyes(points), axis=0)
        else:
            # Chin and neck, cheeks, forehead.
            choices = (152, 152, 50, 280, 234, 454, 10, 151)
            middle = points[choices[self._rng.integers(len(choices))]]
            place = points[1] + (middle - points[1]) * self._rng.uniform(1.2, 1.6)
        return np.asarray(place + self._rng.normal(0, 0.08 * _eye_distance(points), 2))


def _eyes(points: Points) -> tuple[Points, Points]:
    return points[list(LEFT_EYE)].mean(axis=0), points[list(RIGHT_EYE)].mean(axis=0)


def _eye_distance(points: Points) -> float:
    if len(points) != 468:
        return float(np.linalg.norm(np.ptp(points, axis=0)) / 3)
    return float(np.linalg.norm(np.subtract(*_eyes(points)))) + 1e-3


def _share(alpha: npt.NDArray[np.float64], points: Points, indices: tuple[int, ...]) -> float:
    """Mean opacity at points; those outside the picture are hidden."""
    high, wide = alpha.shape[:2]
    values = [
        float(alpha[int(y), int(x), 0]) if 0 <= x < wide and 0 <= y < high else 1.0
        for x, y in points[list(indices)]
    ]
    return float(np.mean(values))


def _polygon(mask: npt.NDArray[np.uint8], points: Points) -> None:
    cv2.fillPoly(mask, [points.round().astype(np.int32)], (255,))


def _line(mask: npt.NDArray[np.uint8], start: Points, end: Points, thickness: float) -> None:
    a, b = (tuple(int(v) for v in point) for point in (start, end))
    cv2.line(mask, a, b, (255,), max(1, round(thickness)))


def _ellipse(
    mask: npt.NDArray[np.uint8],
    center: Points,
    radii: tuple[float, float],
    angle_deg: float,
    thickness: int = -1,
) -> None:
    middle = tuple(int(v) for v in center)
    axes = tuple(max(1, int(r)) for r in radii)
    cv2.ellipse(mask, middle, axes, angle_deg, 0, 360, (255,), thickness)
