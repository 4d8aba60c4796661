"""Whether covered faces are found and marked, and clear ones are not marked.

    python benchmarks/covered.py LONDON [--clear LFW ...]

LONDON is a folder with `neutral` and `happiness` of the Face Research Lab London Set: of every
fourth picture, 400 pixels high, the mouth is hidden by surgical masks in three colors, a scarf and
a hand, the eyes by sunglasses. They are drawn by other code than the verifier was trained with
(tools/verifier/covers.py). LFW is a folder of clear photographs, of which the face in the middle
counts. Prints a table and writes it to benchmarks/results/covered.json.

"wrong, sure" are faces with another expression than the person was asked for, neither uncertain nor
with a reason; "before" are those without the verifier.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien import FacePipeline
from mien.media.images import read_image
from mien.types import Face, Image

Points = npt.NDArray[np.float64]
Color = tuple[float, float, float]

OUTPUT = Path(__file__).parent / "results" / "covered.json"
HEIGHT = 400
JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
BLUE: Color = (120, 165, 205)


def blended(image: Image, shape: Points, fill: npt.NDArray[np.float64]) -> Image:
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [shape.round().astype(np.int32)], (255,))
    alpha = cv2.GaussianBlur(mask, (3, 3), 0)[..., None] / 255
    return (image * (1 - alpha) + fill * alpha).clip(0, 255).astype(np.uint8)


def masked(color: Color) -> Callable[[Image, Points], Image]:
    """A surgical mask with folds, from the nose bridge to below the chin."""

    def draw(image: Image, points: Points) -> Image:
        center = points[1]
        jaw = center + (points[list(JAW)] - center) * 1.04
        bridge = 0.4 * points[5] + 0.6 * points[195]
        shape = np.vstack([points[[227]], jaw, points[[447]], bridge[None]])
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
        folds = 1 - 0.05 * (np.sin(rows / eye_distance(points) * 14) > 0.7)
        light = 1 - 0.12 * np.abs(columns / image.shape[1] * 2 - 1)
        return blended(image, shape, np.array(color) * (folds * light)[..., None])

    return draw


def scarf(image: Image, points: Points) -> Image:
    left, right, nose = points[234], points[454], points[2]
    across, down = right - left, points[152] - points[10]
    low = np.array([0, 0.1 * across[0]])
    top = [left - 0.3 * across + low, nose, right + 0.3 * across + low]
    shape = np.array([*top, top[2] + 0.9 * down, top[0] + 0.9 * down])
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    weave = (1 + 0.15 * np.sin((rows + columns) / 4)) * (1 + 0.1 * np.sin((rows - columns) / 7))
    return blended(image, shape, np.array((150, 40, 45)) * weave[..., None])


def hand(image: Image, points: Points) -> Image:
    """Four fingers and the back of a hand, in the color of the cheek."""
    image, unit = image.copy(), eye_distance(points)
    column, row = points[50].astype(int)
    skin = image[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3).mean(axis=0)
    x, y = points[[61, 291, 13, 14]].mean(axis=0)
    for n in range(4):
        level = y + (n - 1.4) * unit * 0.24
        ends = (
            (round(x - 0.55 * unit), round(level)),
            (round(x + 1.4 * unit), round(level + unit / 4)),
        )
        for shade, width in ((0.6, 0.26), (0.92 + 0.05 * n, 0.22)):
            color = (skin * shade).clip(0, 255).tolist()
            cv2.line(image, *ends, color, round(unit * width), cv2.LINE_AA)
    middle, axes = (round(x + 1.3 * unit), round(y + 0.4 * unit)), (0.6 * unit, 0.75 * unit)
    cv2.ellipse(
        image, middle, (round(axes[0]), round(axes[1])), 0, 0, 360, skin.tolist(), -1, cv2.LINE_AA
    )
    return image


def sunglasses(image: Image, points: Points) -> Image:
    image, unit, color = image.copy(), eye_distance(points), (18, 18, 22)
    axes = round(unit * 0.24), round(unit * 0.19)
    for inner, outer, ear in ((133, 33, 127), (362, 263, 356)):
        middle = (points[inner] + points[outer]) / 2 + (points[152] - points[10]) * 0.02
        cv2.ellipse(image, place(middle), axes, 0, 0, 360, color, -1, cv2.LINE_AA)
        cv2.line(image, place(points[outer]), place(points[ear]), color, round(unit * 0.05))
    cv2.line(image, place(points[133]), place(points[362]), color, round(unit * 0.05))
    return image


def place(point: Points) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def eye_distance(points: Points) -> float:
    """Between the outer corners, in pixels."""
    return math.dist(points[33], points[263])


COVERS: dict[str, tuple[str, Callable[[Image, Points], Image]]] = {
    "blue mask": ("mouth", masked(BLUE)),
    "white mask": ("mouth", masked((240, 240, 240))),
    "black mask": ("mouth", masked((28, 28, 30))),
    "scarf": ("mouth", scarf),
    "hand": ("mouth", hand),
    "sunglasses": ("eyes", sunglasses),
}


class Row:
    """Counts of one kind of pictures."""

    def __init__(self, pipeline: FacePipeline, part: str | None = None) -> None:
        self.limit = pipeline.classifier.spec.uncertain_below
        self.part = part
        self.counts = {"pictures": 0, "found": 0, "marked": 0}

    def add(self, face: Face | None, truth: str | None) -> None:
        self.counts["pictures"] += 1
        if face is None or face.quality is None or face.expression is None:
            return
        reasons = set(face.quality.reasons)
        of_cover = {reason for reason in reasons if "covered" in reason}
        marked = f"{self.part} covered" in reasons if self.part else bool(of_cover)
        self.counts["found"] += 1
        self.counts["marked"] += marked
        if truth is None:
            return
        wrong = face.expression.top != truth
        # A cover makes an expression uncertain, too.
        unsure = face.expression.probabilities.max() < self.limit
        counted = {
            "wrong, sure before": wrong and not unsure and not reasons - of_cover,
            "wrong, sure": wrong and not face.expression.uncertain and not reasons,
        }
        self.counts |= {name: self.counts.get(name, 0) + holds for name, holds in counted.items()}


def measure(london: Path, clear: list[Path]) -> dict[str, dict[str, int]]:
    pipeline = FacePipeline()
    rows = {"clear": Row(pipeline)}
    rows |= {kind: Row(pipeline, part) for kind, (part, _) in COVERS.items()}
    for number, path in enumerate(sorted(london.rglob("*.jpg"))):
        image, truth = read_image(path), path.parent.name
        scale = HEIGHT / image.shape[0]
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        face = max(pipeline.analyze(image), key=lambda face: face.box.width, default=None)
        rows["clear"].add(face, truth)
        if number % 4 or face is None or face.landmarks is None:
            continue
        points = face.landmarks.points[:, :2].astype(np.float64)
        for kind, (_, draw) in COVERS.items():
            faces = pipeline.analyze(draw(image, points))
            rows[kind].add(max(faces, key=lambda face: face.box.width, default=None), truth)
    for folder in clear:
        row = rows[f"clear, {folder.name}"] = Row(pipeline)
        for path in sorted(folder.rglob("*.jpg")):
            image = read_image(path)
            row.add(_in_the_middle(image, pipeline.analyze(image).faces), None)
    return {kind: row.counts for kind, row in rows.items()}


def _in_the_middle(image: Image, faces: tuple[Face, ...]) -> Face | None:
    middle = image.shape[1] / 2, image.shape[0] / 2
    return min(faces, key=lambda face: math.dist(face.box.center, middle), default=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("london", type=Path)
    parser.add_argument("--clear", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    rows = measure(arguments.london, arguments.clear)
    for kind, row in rows.items():
        print(f"{kind:>20}  " + "  ".join(f"{name} {value}" for name, value in row.items()))
    OUTPUT.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
