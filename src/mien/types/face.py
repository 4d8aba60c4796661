"""What is known of one face."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from mien.types.document import Declared, Document
from mien.types.stages import Box, Detection, ExpressionScores, Landmarks

ExpressionState = Literal["clear", "uncertain", "not visible"]
"""How reliable a track's label is at a moment."""

_ANGLE: dict[str, Any] = {"digits": 1, "minimum": -180, "maximum": 180, "rank": 40}
_SHARE: dict[str, Any] = {"digits": 4, "minimum": 0, "maximum": 1}
_SIGNED: dict[str, Any] = {"digits": 4, "minimum": -1, "maximum": 1}
_RATIO: dict[str, Any] = {"digits": 4, "minimum": 0}


@dataclass(frozen=True, slots=True)
class Quality(Document):
    """How well a face can be seen.

    See :mod:`mien.signals.quality`.

    Examples:
        >>> import mien
        >>> mien.analyze("photo.jpg")[0].quality.reasons
        ()
    """

    schema_name: ClassVar[str] = "quality"

    size_px: Annotated[float, Declared("Square root of the box's area.", digits=1, minimum=0)]
    sharpness: Annotated[
        float | None, Declared("Unitless; larger is sharper.", digits=3, minimum=0)
    ] = None
    brightness: Annotated[
        float | None, Declared("Mean gray level.", digits=3, minimum=0, maximum=1)
    ] = None
    yaw_deg: Annotated[
        float | None,
        Declared("Turn to the side, positive toward the right edge of the image.", **_ANGLE),
    ] = None
    pitch_deg: Annotated[float | None, Declared("Nod, positive upwards.", **_ANGLE)] = None
    roll_deg: Annotated[
        float | None, Declared("Tilt in the image plane, positive clockwise.", **_ANGLE)
    ] = None
    presence: Annotated[float | None, Declared("Probability that it is a face.", **_SHARE)] = None
    reasons: Annotated[
        tuple[str, ...],
        Declared("Why the expression should not be trusted; empty where nothing is wrong."),
    ] = ()


@dataclass(frozen=True, slots=True)
class Affect(Document):
    """Valence (unpleasant to pleasant) and arousal (calm to excited).

    Examples:
        >>> import mien
        >>> affect = mien.analyze("photo.jpg")[0].affect
        >>> affect.valence > 0
        True
    """

    schema_name: ClassVar[str] = "affect"

    valence: Annotated[float, Declared("Unpleasant to pleasant.", **_SIGNED)]
    arousal: Annotated[float, Declared("Calm to excited.", **_SIGNED)]
    method: Annotated[
        str, Declared("How they were obtained, for example derived from probabilities.", column="")
    ]


@dataclass(frozen=True, slots=True)
class Signals(Document):
    """Measurements of one face in one frame, beyond its expression.

    See :mod:`mien.signals`.

    Examples:
        >>> import mien
        >>> round(mien.analyze("photo.jpg")[0].signals.facing, 1)
        1.0
    """

    schema_name: ClassVar[str] = "signals"

    eye_opening_left: Annotated[
        float | None,
        Declared(
            "Eye aspect ratio (Soukupová and Čech 2016) of the eye on the left in the image; about "
            "0.3 open and below 0.2 closed.",
            **_RATIO,
        ),
    ] = None
    eye_opening_right: Annotated[
        float | None, Declared("Eye aspect ratio of the eye on the right in the image.", **_RATIO)
    ] = None
    mouth_opening: Annotated[
        float | None, Declared("Inner lip distance over mouth width.", **_RATIO)
    ] = None
    facing: Annotated[
        float | None,
        Declared("Cosine between the face's direction and the line to the camera.", **_SIGNED),
    ] = None
    expressivity: Annotated[
        float | None, Declared("1 minus the probability of neutral.", **_SHARE)
    ] = None
    head_x_cm: Annotated[
        float | None,
        Declared(
            "Position of the head relative to the camera, to the right in the image; of a face of "
            "average size, by the focal length of the settings.",
            digits=1,
        ),
    ] = None
    head_y_cm: Annotated[
        float | None, Declared("Position of the head, down in the image.", digits=1)
    ] = None
    head_z_cm: Annotated[
        float | None, Declared("Distance of the head from the camera.", digits=1)
    ] = None


@dataclass(frozen=True, slots=True)
class TrackStatistics(Document):
    """What has been seen of one track up to a frame.

    See :mod:`mien.tracking.statistics`.

    Examples:
        >>> import mien
        >>> for result in mien.stream("clip.mp4"):
        ...     for face in result:
        ...         assert face.track.age_s >= 0
    """

    schema_name: ClassVar[str] = "track"

    age_s: Annotated[float, Declared("Seconds since the track began.", digits=3, minimum=0)]
    state: Annotated[
        ExpressionState,
        Declared(
            "How reliable the label is: clear; uncertain where no expression stands out; not "
            "visible where the face is turned, hidden or blurred too much.",
            rank=33,
        ),
    ] = "clear"
    blinks: Annotated[
        int | None,
        Declared(
            "Since the track began; null where the eyes were not seen, frames are too far apart "
            "to count, or without blendshapes, because the lids of facemesh do not show them.",
            minimum=0,
        ),
    ] = 0
    blink_rate_per_min: Annotated[
        float | None,
        Declared(
            "Over the last minute that the eyes were seen; null in the first 10 s, and as blinks.",
            digits=1,
            minimum=0,
        ),
    ] = None
    perclos: Annotated[
        float | None,
        Declared(
            "Share of the last minute with the eyes closed, counted over the time that they were "
            "seen; null in the first 10 s, where frames are over 0.15 s apart, and without "
            "blendshapes.",
            **_SHARE,
        ),
    ] = None
    eyes_closed_s: Annotated[
        float | None,
        Declared(
            "How long the eyes have been closed now; 0 where they are open, null where they are "
            "not seen, and without blendshapes.",
            digits=3,
            minimum=0,
        ),
    ] = None
    yawns: Annotated[
        int | None,
        Declared(
            "Since the track began; null where frames are too far apart to count, or without "
            "blendshapes.",
            minimum=0,
        ),
    ] = 0
    mood_valence: Annotated[
        float | None, Declared("Slow mean of valence (time constant 30 s).", **_SIGNED)
    ] = None
    mood_arousal: Annotated[
        float | None, Declared("Slow mean of arousal (time constant 30 s).", **_SIGNED)
    ] = None


BLENDSHAPES = (
    "_neutral",
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight"),
    *("eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft"),
    *("eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight"),
    *("eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel"),
    *("mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft"),
    *("mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper"),
    *("mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight"),
    *("mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    *("noseSneerLeft", "noseSneerRight"),
)
"""The 52 blendshapes in the order of MediaPipe's network: ARKit's names, in which left and right
are the person's own, and ``_neutral``."""

ACTION_UNITS = tuple(
    f"AU{number}"
    for number in (1, 2, 4, 5, 6, 7, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43, 45)
)
"""The action units of :mod:`mien.signals.movements`."""


@dataclass(frozen=True, slots=True)
class Gaze(Document):
    """The direction in which the eyes look, relative to the camera; both 0 toward it.

    See :mod:`mien.signals.movements`.

    Examples:
        >>> import mien
        >>> face = mien.analyze("photo.jpg", landmarks="face-landmarker")[0]
        >>> abs(face.gaze.yaw_deg) < 25
        True
    """

    schema_name: ClassVar[str] = "gaze"

    yaw_deg: Annotated[
        float,
        Declared(
            "Gaze to the side, positive toward the right edge of the image.",
            column="gaze_yaw_deg",
            **_ANGLE | {"rank": 60},
        ),
    ]
    pitch_deg: Annotated[
        float,
        Declared(
            "Gaze up or down, positive upwards.", column="gaze_pitch_deg", **_ANGLE | {"rank": 60}
        ),
    ]


@dataclass(frozen=True, slots=True)
class Face(Document):
    """One face and all that is known of it.

    What a stage did not measure is None. In a stream `expression` is smoothed over time,
    `expression_raw` is that of the frame alone, and `track` has the statistics of the person up
    to this frame.

    Examples:
        >>> import mien
        >>> face = mien.analyze("photo.jpg")[0]
        >>> face.expression.label.value, face.track_id is None
        ('happiness', True)
    """

    schema_name: ClassVar[str] = "face"

    detection: Annotated[Detection, Declared(spread=True)]
    landmarks: Annotated[Landmarks | None, Declared(column={}, place=2)] = None
    expression: Annotated[ExpressionScores | None, Declared(place=2)] = None
    quality: Annotated[Quality | None, Declared(place=2)] = None
    affect: Annotated[Affect | None, Declared(place=2)] = None
    signals: Annotated[Signals | None, Declared(place=2)] = None
    gaze: Annotated[Gaze | None, Declared(place=2, only_with="gaze")] = None
    action_units: Annotated[
        Mapping[str, float] | None,
        Declared(
            "Intensity of facial action units (FACS) in [0, 1] by a mapping, not by a certified "
            "coder; those that cannot be seen are missing.",
            digits=3,
            minimum=0,
            maximum=1,
            place=2,
            only_with="action_units",
            rank=61,
            names={name: f"au_{name.removeprefix('AU')}" for name in ACTION_UNITS},
        ),
    ] = None
    blendshapes: Annotated[
        Mapping[str, float] | None,
        Declared(
            "The 52 blendshapes of MediaPipe by ARKit's names, in which left and right are the "
            "person's own.",
            digits=4,
            minimum=0,
            maximum=1,
            place=2,
            only_with="blendshapes",
            rank=62,
            names={name: f"bs_{name}" for name in BLENDSHAPES},
        ),
    ] = None
    track_id: Annotated[
        int | None, Declared("Number of the person in a stream; null for a still.", rank=10)
    ] = None
    expression_raw: Annotated[
        ExpressionScores | None,
        Declared(
            "In a stream: the expression of this frame alone.",
            place=4,
            only_with="track",
            column={
                "label": Declared(
                    "The label of this frame alone, without smoothing.",
                    column="expression_raw",
                    rank=31,
                ),
                "probabilities": Declared(
                    "Probability of each label in this frame alone.", column="p_raw_", rank=90
                ),
            },
        ),
    ] = None
    track: Annotated[
        TrackStatistics | None,
        Declared(
            "In a stream: the statistics of the person up to this frame.",
            place=3,
            only_with="track",
        ),
    ] = None

    @property
    def box(self) -> Box:
        return self.detection.box

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Face":
        """The face of an image that is scaled about the origin, then moved, as in another image.

        Args:
            x, y: shift in pixels of the other image.
            scale: by which the coordinates are multiplied first.
        """
        quality = self.quality
        return dataclasses.replace(
            self,
            detection=self.detection.moved(x, y, scale),
            landmarks=self.landmarks and self.landmarks.moved(x, y, scale),
            quality=quality and dataclasses.replace(quality, size_px=quality.size_px * scale),
        )

    @property
    def score(self) -> float:
        return self.detection.score
