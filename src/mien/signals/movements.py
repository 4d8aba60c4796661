"""What the parts of a face do: openings of eyes and mouth, and facial action units."""

import math
from collections.abc import Callable, Mapping, Sequence

from mien.landmarks import schemes
from mien.signals.pose import HeadPose, facing, heights_cm
from mien.types import ACTION_UNITS, FloatArray, Landmarks


def eye_openings(landmarks: Landmarks) -> tuple[float, float] | None:
    """Eye aspect ratio of the left and the right eye as seen in the image.

    Method: the mean of two distances between the lids divided by the distance between the corners
    (Soukupová and Čech, "Real-time eye blink detection using facial landmarks", 2016); about 0.3
    open and below 0.2 closed.

    Args:
        landmarks: of a scheme with eye contours, a mesh or ``"ibug68"``.

    Returns:
        Two numbers, at least 0; None for other schemes, or for an eye of zero width.
    """
    contours = schemes.EYE_CONTOURS.get(landmarks.scheme)
    if contours is None:
        return None
    left, right = (_aspect_ratio(landmarks.points[list(contour)]) for contour in contours)
    return None if left is None or right is None else (left, right)


def _aspect_ratio(contour: FloatArray) -> float | None:
    # For six points, plain Python is faster than numpy.
    left, upper_left, upper_right, right, lower_right, lower_left = contour.tolist()
    width = math.dist(left, right)
    if width == 0:
        return None
    return (math.dist(upper_left, lower_left) + math.dist(upper_right, lower_right)) / 2 / width


def mouth_opening(landmarks: Landmarks) -> float | None:
    """Mean distance between the inner lips at three places divided by the mouth width.

    Method: the eye aspect ratio of Soukupová and Čech (2016) applied to the inner lips, as is
    common in yawn detection.

    Args:
        landmarks: of a scheme with inner lips, a mesh or ``"ibug68"``.

    Returns:
        At least 0; near 0 for a closed mouth. None for other schemes, or a mouth of zero width.
    """
    lips = schemes.INNER_LIPS.get(landmarks.scheme)
    if lips is None:
        return None
    points = landmarks.points[[*lips.corners, *lips.upper, *lips.lower]].tolist()
    (left, right), upper, lower = points[:2], points[2:5], points[5:]
    width = math.dist(left, right)
    if width == 0:
        return None
    return sum(map(math.dist, upper, lower)) / len(upper) / width


_LIP_CORNERS, _LIP_MIDDLE = (61, 291), (13, 14)


def lip_corners_cm(landmarks: Landmarks, pose: HeadPose | None) -> float | None:
    """How high the corners of the lips are above the middle of the lips, upright in the head.

    Args:
        landmarks: of a mesh, with depth.
        pose: of the same landmarks.

    Returns:
        In cm, as if the face were as large as the canonical one, below 0 where the corners are
        lower; None without pose or its size.
    """
    return _difference_cm(landmarks, pose, _LIP_CORNERS, _LIP_MIDDLE)


_INNER_BROWS, _OUTER_BROWS = (55, 107, 285, 336), (46, 70, 276, 300)
# The depth of the brows is measured too small by a fifth, so that a nod seems to tilt them.
_BROWS_CM_PER_DEG = 0.0095


def inner_brows_cm(landmarks: Landmarks, pose: HeadPose | None) -> float | None:
    """How high the inner ends of the brows are above the outer ones, upright in the head.

    The nod of the head is taken out of it. Unlike the height of the brows above the eyes, it does
    not depend on lids and cheeks.

    Args:
        landmarks: of a mesh, with depth.
        pose: of the same landmarks.

    Returns:
        In cm, as if the face were as large as the canonical one; None without pose or its size.
    """
    height = _difference_cm(landmarks, pose, _INNER_BROWS, _OUTER_BROWS)
    return None if height is None or pose is None else height + _BROWS_CM_PER_DEG * pose.pitch_deg


# Mean height at rest (FER+, pictures of training), and by how much it varies between people.
_USUAL_BROWS_CM, _BROWS_VARY_CM = 0.30, 0.15
# Cosine of the angle to the camera up to which brows are measured fully, and not at all.
_BROWS_FULLY, _BROWS_NOT = 0.97, 0.90


def lowered_brows_cm(
    landmarks: Landmarks, pose: HeadPose | None, rest_cm: float | None = _USUAL_BROWS_CM
) -> float:
    """How far the inner ends of the brows are lower than they are without a frown.

    Args:
        landmarks: of a mesh, with depth.
        pose: of the same landmarks.
        rest_cm: :func:`inner_brows_cm` of the same person at rest; by default that of most people.

    Returns:
        In cm, at least 0, without what varies at rest; less in a turned head, and 0 beyond 25
        degrees or where it is unknown.
    """
    now_cm = inner_brows_cm(landmarks, pose)
    if now_cm is None or rest_cm is None or pose is None:
        return 0.0
    seen = (facing(pose) - _BROWS_NOT) / (_BROWS_FULLY - _BROWS_NOT)
    return max(0.0, min(1.0, seen)) * max(0.0, rest_cm - now_cm - _BROWS_VARY_CM)


def _difference_cm(
    landmarks: Landmarks, pose: HeadPose | None, upper: Sequence[int], lower: Sequence[int]
) -> float | None:
    heights = pose and heights_cm(landmarks, pose, (upper, lower))
    return heights[0] - heights[1] if heights else None


_Values = Mapping[str, float]

# Lips that are this far apart, as a share of the mouth's width, are wholly parted.
_PARTED = 0.25


def _both(name: str, factor: float = 1.0) -> Callable[[_Values], float]:
    return lambda values: min(1.0, factor * (values[f"{name}Left"] + values[f"{name}Right"]) / 2)


_smile, _squint, _blink = _both("mouthSmile"), _both("eyeSquint"), _both("eyeBlink")
_upper_lip, _dimple = _both("mouthUpperUp"), _both("mouthDimple")
_stretch, _brow_down = _both("mouthStretch"), _both("browDown")


def _sucked_lips(values: _Values) -> float:
    """Both lips rolled in. The upper one shows half as much of it."""
    return min(values["mouthRollLower"], 2 * values["mouthRollUpper"])


# After the FACS names of ARKit's blendshapes. A smile also narrows the eyes and shows the teeth, so
# that cheek raiser and lid tightener, and smile and upper lip raiser, differ by the smile.
# Closing eyes narrow, too, and a dropped jaw draws the corners of the lips in: neither is a unit
# of its own. Lips that roll in are a sucking (AU28) as far as both lips do it, and a tightening
# otherwise. The network shows wide eyes, raised upper lips, dimples and stretched lips by a part of
# their amount, which the factors make up for as far as other movements do not show in them.
# benchmarks/movements.py measures what each of these rules gains.
_FROM_BLENDSHAPES: dict[str, Callable[[_Values], float]] = {
    "AU1": lambda values: values["browInnerUp"],
    "AU2": _both("browOuterUp"),
    "AU4": _brow_down,
    "AU5": _both("eyeWide", 2.5),
    "AU6": lambda values: min(_squint(values), _smile(values)),
    "AU7": lambda values: max(0.0, _squint(values) - _smile(values)) * (1 - _blink(values)),
    "AU10": lambda values: min(1.0, 1.5 * max(0.0, _upper_lip(values) - _smile(values))),
    "AU12": _smile,
    "AU14": lambda values: min(1.0, 4 * max(0.0, _dimple(values) - values["jawOpen"])),
    "AU15": _both("mouthFrown"),
    "AU17": lambda values: values["mouthShrugLower"],
    "AU20": lambda values: min(1.0, 3 * _stretch(values) * (1 - _smile(values))),
    "AU23": lambda values: (
        max(values["mouthRollLower"], values["mouthRollUpper"]) - _sucked_lips(values)
    ),
    "AU24": _both("mouthPress"),
    "AU26": lambda values: values["jawOpen"],
    "AU28": _sucked_lips,
}


# Openings of an eye that is wholly closed, and of one that is not closed at all. The blendshape of
# wholly closed eyes is 0.4 to 0.8 only.
_SHUT, _NOT_SHUT = 0.06, 0.15


def _closures(values: _Values, openings: tuple[float, float] | None) -> tuple[float, float]:
    """How far each eye is closed, by its blendshape or its opening, which is that of the other side
    in the image."""
    blinks = values["eyeBlinkRight"], values["eyeBlinkLeft"]
    if openings is None:
        return blinks
    left, right = (
        max(blink, min(1.0, (_NOT_SHUT - opening) / (_NOT_SHUT - _SHUT)))
        for blink, opening in zip(blinks, openings, strict=True)
    )
    return left, right


# Lowered brows hardly move the blendshape; their inner ends, which fall more than the outer ones,
# tell anger better. Smiles and dropped jaws pull at the mesh of the brows, too. Without a rest, the
# blendshape says more about the height of a person's brows than about a frown.
_PER_BROWS_CM = 3.0
_BY_BROWS_OF_UNKNOWN_REST = 0.4


def _lowered_brows(values: _Values, seen: _Values, lowered_cm: float, weight: float) -> float:
    """AU4 of the values from rest, and of those that are seen now."""
    share = (1 - _smile(seen)) * (1 - seen["jawOpen"])
    return min(1.0, weight * _brow_down(values) + _PER_BROWS_CM * share * lowered_cm)


# Most people's lids look tightened by this much at rest, the median of neutral faces of FER+
# (training); that of other units is at most 0.09.
_USUAL_TIGHTENING = 0.2


# From a known rest: a raised inner brow shows by two thirds. The blendshape of lowered corners of
# the lips hardly moves, so their fall is measured; a raised chin, stretched lips and the end of a
# smile that the rest had also lower them.
_INNER_BROW = 1.5
_FALL_CM, _PER_CM = 0.08, 3.0
_BY_CHIN_CM, _BY_STRETCH_CM, _BY_SMILE_CM = 0.3, 0.3, 0.8


def _lowered_corners(values: _Values, ended_smile: float, corners_cm: float) -> float:
    explained = (
        _BY_CHIN_CM * values["mouthShrugLower"]
        + _BY_STRETCH_CM * _stretch(values)
        + _BY_SMILE_CM * max(0.0, ended_smile)
    )
    return max(0.0, min(1.0, _PER_CM * (-corners_cm - _FALL_CM - explained)))


def action_units(
    blendshapes: Mapping[str, float],
    mouth_opening: float | None,
    neutral: Mapping[str, float] | None = None,
    neutral_opening: float | None = None,
    *,
    openings: tuple[float, float] | None = None,
    corners_cm: float | None = None,
    lowered_brows_cm: float = 0.0,
) -> dict[str, float]:
    """Intensities of action units of the Facial Action Coding System (Ekman and Friesen 1978).

    The mapping is our own. It is not that of a certified coder. What the network cannot see is
    missing: AU9 (nose wrinkler), AU13, AU16, AU18, AU22, AU27, AU46 (wink) and the cheeks. AU43 and
    AU45 are the closure of both eyes in this picture; whether it is a blink shows only in a stream.

    Args:
        blendshapes: by ARKit's names, in [0, 1].
        mouth_opening: of :class:`mien.types.Signals`, for AU25.
        neutral: blendshapes of the same person at rest; intensities are measured from there.
        neutral_opening: mouth opening of the same person at rest.
        openings: of the eye on the left and on the right in the image, for AU43 and AU45; see
            :func:`eye_openings`.
        corners_cm: how much higher the corners of the lips are than at rest, for AU15; see
            :func:`lip_corners_cm`.
        lowered_brows_cm: how far the inner ends of the brows are lower than without a frown, for
            AU4; see :func:`lowered_brows_cm`.

    Returns:
        Each unit in [0, 1], by names such as ``"AU12"``.

    Examples:
        >>> import mien
        >>> face = mien.analyze("photo.jpg", landmarks="face-landmarker")[0]
        >>> units = action_units(face.blendshapes, face.signals.mouth_opening)
        >>> units["AU12"] > 0.3
        True
    """
    values = blendshapes if neutral is None else _above_neutral(blendshapes, neutral)
    found = {name: read(values) for name, read in _FROM_BLENDSHAPES.items()}
    closures = _closures(values, openings)
    found |= dict.fromkeys(("AU43", "AU45"), min(closures))
    by_brows = _BY_BROWS_OF_UNKNOWN_REST if neutral is None else 1.0
    found["AU4"] = _lowered_brows(values, blendshapes, lowered_brows_cm, by_brows)
    if neutral is None:
        found["AU7"] = _above(found["AU7"], _USUAL_TIGHTENING)
    else:
        found["AU1"] = min(1.0, _INNER_BROW * found["AU1"])
        if corners_cm is not None:
            ended_smile = _smile(neutral) - _smile(blendshapes)
            found["AU15"] = max(found["AU15"], _lowered_corners(values, ended_smile, corners_cm))
    if mouth_opening is not None:
        rest = min(1.0, (neutral_opening or 0.0) / _PARTED)
        found["AU25"] = _above(min(1.0, mouth_opening / _PARTED), rest)
    return {name: found[name] for name in ACTION_UNITS if name in found}


def _above_neutral(
    blendshapes: Mapping[str, float], neutral: Mapping[str, float]
) -> dict[str, float]:
    """Blendshapes from the rest of a person: 0 at or below it, and 1 stays 1."""
    return {name: _above(value, neutral[name]) for name, value in blendshapes.items()}


def _above(value: float, rest: float) -> float:
    return max(0.0, value - rest) / max(1e-3, 1 - rest)
