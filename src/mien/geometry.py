"""Boxes and similarity transforms. Pure numpy; a transform is a ``(2, 3)`` float64 matrix.

Single transforms are computed with plain numbers: they run several times per face, and for six
numbers the overhead of numpy would be ten times the computation.
"""

import math

import numpy as np
import numpy.typing as npt

from mien.errors import InputError

Array = npt.NDArray[np.float64]


def box_iou(boxes_a: npt.ArrayLike, boxes_b: npt.ArrayLike) -> Array:
    """Intersection over union of every pair.

    Args:
        boxes_a: ``(N, 4)`` as x_min, y_min, x_max, y_max.
        boxes_b: ``(M, 4)``.

    Returns:
        ``(N, M)`` in [0, 1].
    """
    a = np.asarray(boxes_a, dtype=np.float64).reshape(-1, 4)
    b = np.asarray(boxes_b, dtype=np.float64).reshape(-1, 4)
    overlap = intersection_area(a, b)
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def intersection_area(boxes_a: npt.ArrayLike, boxes_b: npt.ArrayLike) -> Array:
    """Intersection area of every pair in square pixels: ``(N, 4)`` and ``(M, 4)`` to ``(N, M)``."""
    a = np.asarray(boxes_a, dtype=np.float64).reshape(-1, 4)
    b = np.asarray(boxes_b, dtype=np.float64).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides: Array = np.clip(high - low, 0, None)
    return sides[..., 0] * sides[..., 1]


def estimate_similarity(source: npt.ArrayLike, target: npt.ArrayLike) -> Array:
    """The least-squares similarity without reflection from source to target points.

    Method: Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", IEEE TPAMI 13(4), 1991.

    Args:
        source: ``(P, 2)`` points, at least two of them distinct.
        target: ``(P, 2)`` points.

    Returns:
        ``(2, 3)`` transform.

    Raises:
        InputError: the shapes differ, or all source points are equal.
    """
    src = np.asarray(source, dtype=np.float64)
    dst = np.asarray(target, dtype=np.float64)
    if src.shape != dst.shape or src.ndim != 2 or src.shape[1] != 2 or len(src) < 2:
        raise InputError(f"expected two (P, 2) arrays of points, got {src.shape} and {dst.shape}")
    (src_x, src_y), (dst_x, dst_y) = _mean(src), _mean(dst)
    spread = along = across = 0.0
    for (x, y), (u, v) in zip(src.tolist(), dst.tolist(), strict=True):
        dx, dy, du, dv = x - src_x, y - src_y, u - dst_x, v - dst_y
        spread += dx * dx + dy * dy
        along += dx * du + dy * dv
        across += dx * dv - dy * du
    if spread < 1e-12:
        raise InputError("expected at least two distinct source points, got one point repeated")
    # In two dimensions the optimal rotation has a closed form.
    cos, sin = along / spread, across / spread
    return np.array(
        [
            [cos, -sin, dst_x - cos * src_x + sin * src_y],
            [sin, cos, dst_y - sin * src_x - cos * src_y],
        ]
    )


def _mean(points: Array) -> tuple[float, float]:
    x, y = (points.sum(axis=0) / len(points)).tolist()
    return x, y


def similarity(
    scale: float = 1.0,
    angle_deg: float = 0.0,
    translation: tuple[float, float] = (0.0, 0.0),
    center: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """Scale and rotate around a center (clockwise, as y points down), then translate."""
    angle = math.radians(angle_deg)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    (x, y), (move_x, move_y) = center, translation
    return np.array(
        [[cos, -sin, x + move_x - cos * x + sin * y], [sin, cos, y + move_y - sin * x - cos * y]]
    )


def compose(outer: npt.ArrayLike, inner: npt.ArrayLike) -> Array:
    """The transform that applies ``inner``, then ``outer``."""
    (a, b, x), (c, d, y) = np.asarray(outer, dtype=np.float64).tolist()
    (p, q, u), (r, s, v) = np.asarray(inner, dtype=np.float64).tolist()
    return np.array(
        [
            [a * p + b * r, a * q + b * s, a * u + b * v + x],
            [c * p + d * r, c * q + d * s, c * u + d * v + y],
        ]
    )


def invert(transform: npt.ArrayLike) -> Array:
    """The inverse transform.

    Raises:
        InputError: the transform is singular.
    """
    (a, b, x), (c, d, y) = np.asarray(transform, dtype=np.float64).tolist()
    determinant = a * d - b * c
    if abs(determinant) < 1e-12:
        raise InputError("expected an invertible transform, got a singular one")
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y]])


def apply_transform(transform: npt.ArrayLike, points: npt.ArrayLike) -> Array:
    """Apply a transform to ``(P, 2)`` points; a third column is scaled."""
    (a, b, x), (c, d, y) = np.asarray(transform, dtype=np.float64).tolist()
    values = np.asarray(points, dtype=np.float64)
    if values.shape[1] == 2:
        return np.asarray(values @ ((a, c), (b, d)) + (x, y))
    scale = math.sqrt(abs(a * d - b * c))
    return np.asarray(values @ ((a, c, 0.0), (b, d, 0.0), (0.0, 0.0, scale)) + (x, y, 0.0))


def square_to_frame(center: tuple[float, float], side: float, angle_deg: float, size: int) -> Array:
    """The transform from a rotated square of the image to an upright ``size`` by ``size``.

    Args:
        center: center of the square in pixels of the image.
        side: side length of the square in pixels.
        angle_deg: clockwise rotation of its content, which the transform undoes.
        size: side length of the result in pixels.
    """
    scale = size / side
    to_middle = (size / 2 - center[0], size / 2 - center[1])
    return similarity(scale, -angle_deg, to_middle, center)
