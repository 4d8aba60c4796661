"""Which parts of a face determined its predicted expression.

Method: RISE (Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models",
2018). Random parts of the aligned crop are blurred away hundreds of times; a place matters as far
as the probability is higher where it stayed visible. Only the classifier's predictions are needed,
so that any model can be explained. Blur replaces RISE's black, which would look like shadows.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from mien import geometry, imaging
from mien.errors import InputError
from mien.expression import ExpressionClassifier
from mien.expression.crop import face_crop
from mien.geometry import Array
from mien.labels import Expression
from mien.landmarks.schemes import is_mesh
from mien.pipeline import FacePipeline
from mien.types import Face, FloatArray, FrameResult, Image, Landmarks

MASKS = 500
"""Masks for each face; more are more precise and slower."""

_GRID = 7
_KEEP = 0.5
_BATCH = 50
# Standard deviation of the blur over the crop's width: wide enough to take expressions away.
_BLUR = 0.12

# Anchors in "mesh468": each place of the face belongs to the part with the nearest anchor.
_ANCHORS: dict[str, tuple[int, ...]] = {
    "brows": (70, 105, 107, 336, 334, 300),
    "eyes": (33, 159, 145, 133, 362, 386, 374, 263),
    "nose": (6, 4, 98, 327),
    "mouth": (61, 291, 0, 17, 13),
    "cheeks": (50, 280, 205, 425),
    "chin": (152, 176, 400),
    "forehead": (10, 109, 338, 151),
}
_OUTSIDE = "around the face"


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What determined one prediction.

    Attributes:
        expression: that was predicted.
        probability: its probability, in [0, 1].
        saliency: ``(H, W)`` float32 over the aligned crop: positive where seeing the place raised
            the probability, in units of probability.
        transform: ``(2, 3)`` from pixels of the image to pixels of the crop.
        parts: share of the positive saliency that lies on each part of the face, summing to 1;
            empty without a mesh.
    """

    expression: Expression
    probability: float
    saliency: FloatArray
    transform: Array
    parts: dict[str, float]


def explain(
    image: Image, pipeline: FacePipeline, *, masks: int = MASKS, seed: int = 0
) -> tuple[FrameResult, list[Explanation]]:
    """Analyze an RGB image, and explain the expression of every face in it.

    Returns:
        The result, and one explanation for each of its faces, in order.
    """
    result = pipeline.analyze(image)
    explanations = []
    for face in result.faces:
        assert face.expression is not None
        crop = face_crop(image, face.box, face.landmarks, pipeline.classifier.spec)
        saliency = saliency_of_crop(
            crop.image, pipeline.classifier, face.expression.top, masks=masks, seed=seed
        )
        explanations.append(
            Explanation(
                expression=face.expression.top,
                probability=face.expression[face.expression.top],
                saliency=saliency,
                transform=crop.transform,
                parts=_share_of_parts(saliency, face.landmarks, crop.transform),
            )
        )
    return result, explanations


def saliency_of_crop(
    crop: Image,
    classifier: ExpressionClassifier,
    expression: Expression,
    *,
    masks: int = MASKS,
    seed: int = 0,
) -> FloatArray:
    """How far each place of an aligned crop raised the probability of an expression.

    Args:
        crop: aligned, of the model's input size.
        masks: at least 2; the classifier is called on as many crops.

    Returns:
        ``(H, W)`` float32.

    Raises:
        InputError: fewer than two masks.
    """
    if masks < 2:
        raise InputError(f"expected at least 2 masks, got {masks}")
    rng = np.random.default_rng(seed)
    blurred = np.asarray(cv2.GaussianBlur(crop, (0, 0), _BLUR * crop.shape[1]), np.uint8)
    height, width = crop.shape[:2]
    shown = np.empty((masks, height, width), np.float32)
    for mask in shown:
        mask[:] = _random_mask(rng, width, height)
    probabilities = np.empty(masks, np.float32)
    for start in range(0, masks, _BATCH):
        crops = [_blend(crop, blurred, mask) for mask in shown[start : start + _BATCH]]
        scores = classifier.classify(crops)
        probabilities[start : start + _BATCH] = [score[expression] for score in scores]
    # The mean over masks is subtracted: it carries no information about places, only noise.
    weights = (probabilities - probabilities.mean()) / (masks * _KEEP * (1 - _KEEP))
    return np.asarray(np.tensordot(weights, shown, axes=1), np.float32)


def _blend(crop: Image, blurred: Image, shown: FloatArray) -> Image:
    """The crop where ``shown`` ``(H, W)`` is 1, its blurred copy where it is 0."""
    weight = shown if crop.ndim == 2 else shown[:, :, None]
    return np.asarray(np.rint(blurred + weight * (crop.astype(np.float32) - blurred)), np.uint8)


def _random_mask(rng: np.random.Generator, width: int, height: int) -> FloatArray:
    """A coarse random grid, enlarged smoothly and shifted by less than a cell."""
    cell_w, cell_h = -(-width // _GRID), -(-height // _GRID)
    coarse = (rng.random((_GRID + 1, _GRID + 1)) < _KEEP).astype(np.float32)
    size_wh = ((_GRID + 1) * cell_w, (_GRID + 1) * cell_h)
    smooth = cv2.resize(coarse, size_wh, interpolation=cv2.INTER_LINEAR)
    left, top = rng.integers(cell_w), rng.integers(cell_h)
    return np.asarray(smooth[top : top + height, left : left + width], np.float32)


def _share_of_parts(
    saliency: FloatArray, landmarks: Landmarks | None, transform: Array
) -> dict[str, float]:
    """Share of the positive saliency on each part of the face, the largest first.

    Empty without a mesh or without positive saliency.
    """
    positive = np.clip(saliency, 0, None)
    if landmarks is None or not is_mesh(landmarks) or positive.sum() <= 0:
        return {}
    points = geometry.apply_transform(transform, landmarks.points[:, :2])
    width = max(len(name) for name in (*_ANCHORS, _OUTSIDE))
    names = [name for name, indices in _ANCHORS.items() for _ in indices]
    anchors = points[[index for indices in _ANCHORS.values() for index in indices]]
    rows, columns = np.mgrid[: saliency.shape[0], : saliency.shape[1]] + 0.5
    distance = np.hypot(columns[..., None] - anchors[:, 0], rows[..., None] - anchors[:, 1])
    part = np.array(names, f"<U{width}")[distance.argmin(axis=-1)]
    inside = np.zeros(saliency.shape, np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    part[inside == 0] = _OUTSIDE
    shares = {
        name: float(positive[part == name].sum() / positive.sum()) for name in (*_ANCHORS, _OUTSIDE)
    }
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def draw_explanation(image: Image, face: Face, explanation: Explanation) -> Image:
    """The face beside a copy with the places that determined the prediction highlighted.

    Returns:
        ``(288, 512, 3)`` RGB uint8, with a line of text.
    """
    side = 256
    reach = 1.3 * max(face.box.width, face.box.height)
    to_panel = geometry.square_to_frame(face.box.center, reach, 0.0, side)
    panel = imaging.warp(image, to_panel, (side, side))
    highest = max(float(explanation.saliency.max()), 1e-9)
    strength = np.clip(explanation.saliency / highest, 0, 1) * 255
    from_crop = geometry.compose(to_panel, geometry.invert(explanation.transform))
    glow = imaging.warp(
        np.asarray(strength, np.uint8), from_crop, (side, side), replicate_border=False
    )
    heat = cv2.applyColorMap(glow, cv2.COLORMAP_INFERNO)[:, :, ::-1].astype(np.float32)
    weight = 0.75 * (glow.astype(np.float32) / 255)[:, :, None]
    # The rest of the face is dimmed.
    overlaid = np.rint(panel * 0.8 * (1 - weight) + heat * weight)
    both = np.hstack([panel, np.asarray(np.clip(overlaid, 0, 255), np.uint8)])
    return _captioned(both, _caption(explanation))


def _caption(explanation: Explanation) -> str:
    named = f"looks like {explanation.expression.value} ({100 * explanation.probability:.0f} %)"
    parts = [f"{name} {100 * share:.0f} %" for name, share in list(explanation.parts.items())[:3]]
    return f"{named}: {', '.join(parts)}" if parts else named


def _captioned(image: Image, text: str) -> Image:
    from PIL import Image as PillowImage
    from PIL import ImageDraw, ImageFont

    line = PillowImage.new("RGB", (image.shape[1], 32), (20, 22, 26))
    font = ImageFont.load_default(14)
    ImageDraw.Draw(line).text((8, 16), text, fill=(255, 255, 255), font=font, anchor="lm")
    return np.vstack([image, np.asarray(line)])
