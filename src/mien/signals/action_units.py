"""Facial action units from blendshapes and landmarks."""

from collections.abc import Callable, Mapping

from mien.types import ACTION_UNITS

_Values = Mapping[str, float]

# Lips that are this far apart, as a share of the mouth's width, are wholly parted.
_PARTED = 0.25


def _both(name: str) -> Callable[[_Values], float]:
    return lambda values: (values[f"{name}Left"] + values[f"{name}Right"]) / 2


_smile, _squint, _blink = _both("mouthSmile"), _both("eyeSquint"), _both("eyeBlink")
_upper_lip = _both("mouthUpperUp")

# After the FACS names of ARKit's blendshapes. A smile also narrows the eyes and shows the teeth, so
# that cheek raiser and lid tightener, and smile and upper lip raiser, differ by the smile.
# The lips' rolling in is a sucking (AU28) as far as both lips do it, and a tightening otherwise.
_FROM_BLENDSHAPES: dict[str, Callable[[_Values], float]] = {
    "AU1": lambda values: values["browInnerUp"],
    "AU2": _both("browOuterUp"),
    "AU4": _both("browDown"),
    "AU5": _both("eyeWide"),
    "AU6": lambda values: min(_squint(values), _smile(values)),
    "AU7": lambda values: max(0.0, _squint(values) - _smile(values)),
    "AU10": lambda values: max(0.0, _upper_lip(values) - _smile(values)),
    "AU12": _smile,
    "AU14": _both("mouthDimple"),
    "AU15": _both("mouthFrown"),
    "AU17": lambda values: values["mouthShrugLower"],
    "AU20": _both("mouthStretch"),
    "AU23": lambda values: abs(values["mouthRollLower"] - values["mouthRollUpper"]),
    "AU24": _both("mouthPress"),
    "AU26": lambda values: values["jawOpen"],
    "AU28": lambda values: min(values["mouthRollLower"], values["mouthRollUpper"]),
    "AU43": lambda values: min(values["eyeBlinkLeft"], values["eyeBlinkRight"]),
    "AU45": _blink,
}


def action_units(
    blendshapes: Mapping[str, float],
    mouth_opening: float | None,
    neutral: Mapping[str, float] | None = None,
    neutral_opening: float | None = None,
) -> dict[str, float]:
    """Intensities of action units of the Facial Action Coding System (Ekman and Friesen 1978).

    The mapping is our own. It is not that of a certified coder. What the network cannot see is
    missing: AU9 (nose wrinkler), AU13, AU16, AU18, AU22, AU27 and the cheeks. AU43 and AU45 are the
    closure of the eyes in this picture; whether it is a blink shows only in a stream.

    Args:
        blendshapes: by ARKit's names, in [0, 1].
        mouth_opening: of :class:`mien.types.Signals`, for AU25.
        neutral: blendshapes of the same person at rest; intensities are measured from there.
        neutral_opening: mouth opening of the same person at rest.

    Returns:
        Each unit in [0, 1], by names such as ``"AU12"``.
    """
    values = blendshapes if neutral is None else above_neutral(blendshapes, neutral)
    found = {name: read(values) for name, read in _FROM_BLENDSHAPES.items()}
    if mouth_opening is not None:
        rest = min(1.0, (neutral_opening or 0.0) / _PARTED)
        found["AU25"] = _above(min(1.0, mouth_opening / _PARTED), rest)
    return {name: found[name] for name in ACTION_UNITS if name in found}


def above_neutral(
    blendshapes: Mapping[str, float], neutral: Mapping[str, float]
) -> dict[str, float]:
    """Blendshapes from the rest of a person: 0 at or below it, and 1 stays 1."""
    return {name: _above(value, neutral[name]) for name, value in blendshapes.items()}


def _above(value: float, rest: float) -> float:
    return max(0.0, value - rest) / max(1e-3, 1 - rest)
