"""Action units from blendshapes: the mapping, a person's rest, and posed photographs."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import mien
from mien.errors import InputError, SettingError
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.signals import HeadPose, action_units, lip_corners_cm, measure_face, read_action_units
from mien.signals.movements import _above_neutral, inner_brows_cm, lowered_brows_cm
from mien.types import ACTION_UNITS, BLENDSHAPES, Box, Detection, Face, Landmarks


def shapes(**values: float) -> dict[str, float]:
    return dict.fromkeys(BLENDSHAPES, 0.0) | values


@cache
def face(name: str) -> Face:
    (path,) = (path for path in sample_paths() if path.stem == name)
    (found,) = FacePipeline(landmarks="face-landmarker").analyze(read_image(path)).faces
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"browInnerUp": 0.4}, {"AU1": 0.4}),
        # Brows are low in many people at rest.
        ({"browDownLeft": 0.2, "browDownRight": 0.6}, {"AU4": 0.16}),
        ({"mouthSmileLeft": 0.8, "mouthSmileRight": 0.6}, {"AU12": 0.7}),
        # A smile narrows the eyes: cheeks. Without a smile: lids.
        (
            {
                "eyeSquintLeft": 0.5,
                "eyeSquintRight": 0.5,
                "mouthSmileLeft": 1,
                "mouthSmileRight": 1,
            },
            {"AU6": 0.5, "AU12": 1.0},
        ),
        # Lids look tightened by 0.2 at rest.
        ({"eyeSquintLeft": 0.6, "eyeSquintRight": 0.6}, {"AU7": 0.5}),
        ({"eyeSquintLeft": 0.2, "eyeSquintRight": 0.18}, {}),
        # The network shows these by a part of their amount.
        ({"mouthUpperUpLeft": 0.5, "mouthUpperUpRight": 0.5}, {"AU10": 0.75}),
        ({"eyeWideLeft": 0.1, "eyeWideRight": 0.1}, {"AU5": 0.25}),
        ({"mouthDimpleLeft": 0.05, "mouthDimpleRight": 0.05}, {"AU14": 0.2}),
        ({"mouthStretchLeft": 0.1, "mouthStretchRight": 0.7}, {"AU20": 1.0}),
        # Smiles stretch the lips, too.
        (
            {
                "mouthStretchLeft": 0.2,
                "mouthStretchRight": 0.2,
                "mouthSmileLeft": 0.75,
                "mouthSmileRight": 0.75,
            },
            {"AU12": 0.75, "AU20": 0.15},
        ),
        # Rolling in, the upper lip shows half as much as the lower one.
        ({"mouthRollLower": 0.6, "mouthRollUpper": 0.3}, {"AU28": 0.6}),
        ({"mouthRollLower": 0.6, "mouthRollUpper": 0.1}, {"AU23": 0.4, "AU28": 0.2}),
        # Closing eyes narrow, and an open jaw draws the corners of the lips in.
        (
            {
                "eyeSquintLeft": 1.0,
                "eyeSquintRight": 1.0,
                "eyeBlinkLeft": 0.5,
                "eyeBlinkRight": 0.5,
            },
            {"AU7": 0.3 / 0.8, "AU43": 0.5, "AU45": 0.5},
        ),
        ({"mouthDimpleLeft": 0.4, "mouthDimpleRight": 0.4, "jawOpen": 0.8}, {"AU26": 0.8}),
        # A wink is no closure of both eyes.
        ({"eyeBlinkLeft": 0.8}, {}),
    ],
)
def test_each_unit_follows_its_blendshapes(
    values: dict[str, float], expected: dict[str, float]
) -> None:
    found = action_units(shapes(**values), None)
    assert {name: value for name, value in found.items() if value > 0} == pytest.approx(expected)


def test_units_that_cannot_be_seen_are_missing() -> None:
    assert "AU25" not in action_units(shapes(), None)
    found = action_units(shapes(), 0.1)
    assert tuple(found) == ACTION_UNITS
    assert found["AU25"] == pytest.approx(0.4)
    assert "AU9" not in found


def test_units_are_measured_from_the_rest_of_the_person() -> None:
    raised = shapes(browInnerUp=0.4)
    assert action_units(shapes(browInnerUp=0.4), None, raised)["AU1"] == 0
    # From rest, the inner brow shows by two thirds of its movement.
    assert action_units(shapes(browInnerUp=0.7), None, raised)["AU1"] == pytest.approx(0.75)
    tight = shapes(eyeSquintLeft=0.5, eyeSquintRight=0.5)
    assert action_units(tight, None, shapes())["AU7"] == pytest.approx(0.5)
    assert _above_neutral({"jawOpen": 1.0}, {"jawOpen": 1.0}) == {"jawOpen": 0.0}
    # Lips that are parted at rest, by half of what counts as wholly parted.
    assert action_units(shapes(), 0.125, None, 0.125)["AU25"] == 0
    assert action_units(shapes(), 0.1875, None, 0.125)["AU25"] == pytest.approx(0.5)


def test_corners_of_the_lips_that_are_lower_than_at_rest() -> None:
    rest = shapes()
    assert action_units(shapes(), None, rest, None, corners_cm=-0.05)["AU15"] == 0
    assert action_units(shapes(), None, rest, None, corners_cm=-0.28)["AU15"] == pytest.approx(0.6)
    # A raised chin and stretched lips lower them, too.
    chin = shapes(mouthShrugLower=0.5)
    assert action_units(chin, None, rest, None, corners_cm=-0.28)["AU15"] == pytest.approx(0.15)
    stretched = shapes(mouthStretchLeft=0.6, mouthStretchRight=0.6)
    assert action_units(stretched, None, rest, None, corners_cm=-0.28)["AU15"] == pytest.approx(
        0.06
    )
    # So does the end of a smile that the person had at rest.
    smile = shapes(mouthSmileLeft=0.5, mouthSmileRight=0.5)
    assert action_units(shapes(), None, smile, None, corners_cm=-0.4)["AU15"] == 0
    assert action_units(shapes(), None, None, None, corners_cm=-0.28)["AU15"] == 0


def test_closed_lids_are_wholly_closed_whatever_their_blendshape() -> None:
    blink = shapes(eyeBlinkLeft=0.5, eyeBlinkRight=0.6)
    units = action_units(blink, None, openings=(0.05, 0.06))
    assert (units["AU43"], units["AU45"]) == (1, 1)
    # An eye that looks down is no more closed than its blendshape says.
    units = action_units(blink, None, openings=(0.17, 0.17))
    assert (units["AU43"], units["AU45"]) == pytest.approx((0.5, 0.5))
    # A wink: the left eye in the image is the person's right one.
    units = action_units(shapes(eyeBlinkRight=0.5), None, openings=(0.06, 0.3))
    assert (units["AU43"], units["AU45"]) == (0, 0)


def brows(inner_px: float) -> Landmarks:
    """Brows whose inner ends are higher than the outer ones, 10 pixels a cm."""
    points = np.zeros((478, 3), np.float32)
    points[[46, 70, 276, 300], 1] = 40
    points[[55, 107, 285, 336], 1] = 40 - inner_px
    return Landmarks(points, "mesh478")


def test_inner_brows_that_are_low_are_a_frown() -> None:
    pose = HeadPose(0.0, 0.0, 0.0, px_per_cm=10.0)
    assert inner_brows_cm(brows(3), pose) == pytest.approx(0.3, abs=1e-4)
    # A nod tilts the brows of the mesh.
    nod = HeadPose(0.0, -10.0, 0.0, px_per_cm=10.0)
    level = inner_brows_cm(brows(3), nod)
    assert level == pytest.approx(0.3 * math.cos(math.radians(10)) - 0.095, abs=1e-3)
    # What varies between people is no frown.
    assert lowered_brows_cm(brows(1.6), pose) == 0
    assert lowered_brows_cm(brows(0), pose) == pytest.approx(0.15, abs=1e-4)
    assert lowered_brows_cm(brows(3), pose, 0.55) == pytest.approx(0.1, abs=1e-4)
    assert lowered_brows_cm(brows(0), replace(pose, yaw_deg=21.0)) == pytest.approx(0.07, abs=0.01)
    assert lowered_brows_cm(brows(0), replace(pose, yaw_deg=30.0)) == 0
    assert lowered_brows_cm(brows(0), None) == 0
    assert lowered_brows_cm(brows(0), pose, None) == 0


def test_lowered_brows_add_to_their_blendshape() -> None:
    down, rest = shapes(browDownLeft=0.1, browDownRight=0.1), shapes()
    assert action_units(down, None, lowered_brows_cm=0.1)["AU4"] == pytest.approx(0.34)
    assert action_units(down, None, rest, lowered_brows_cm=0.1)["AU4"] == pytest.approx(0.4)
    # Smiles and dropped jaws pull at the brows of the mesh.
    smile = down | {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}
    assert action_units(smile, None, rest, lowered_brows_cm=0.1)["AU4"] == pytest.approx(0.25)
    yawn = down | {"jawOpen": 1.0}
    assert action_units(yawn, None, rest, lowered_brows_cm=0.5)["AU4"] == pytest.approx(0.1)
    # Also where the person smiled at rest.
    assert action_units(smile, None, smile, lowered_brows_cm=0.1)["AU4"] == pytest.approx(0.15)


@pytest.mark.parametrize("roll_deg", [0.0, 30.0])
def test_lip_corners_are_measured_upright_in_the_head(roll_deg: float) -> None:
    points = np.zeros((478, 3), np.float32)
    points[[13, 14]] = 50, 80, 0
    points[[61, 291]] = (30, 85, 0), (70, 85, 0)
    angle = math.radians(roll_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    points[:, :2] = points[:, :2] @ np.array([[cos, -sin], [sin, cos]]).T
    pose = HeadPose(0.0, 0.0, roll_deg, px_per_cm=10.0)
    assert lip_corners_cm(Landmarks(points, "mesh478"), pose) == pytest.approx(-0.5, abs=1e-4)
    assert lip_corners_cm(Landmarks(points, "mesh478"), None) is None


@pytest.mark.parametrize("person", "abcd")
def test_posed_smiles_raise_the_corners_of_the_lips(person: str) -> None:
    smiling, neutral = face(f"person-{person}-smiling"), face(f"person-{person}-neutral")
    assert smiling.action_units is not None
    assert neutral.action_units is not None
    assert smiling.action_units["AU12"] > max(0.5, neutral.action_units["AU12"] + 0.3)
    assert smiling.action_units["AU6"] > neutral.action_units["AU6"]
    assert smiling.action_units["AU15"] < 0.2


@pytest.mark.parametrize("person", "ab")
def test_a_photograph_at_rest_is_the_zero_of_the_same_person(person: str) -> None:
    photographs = {
        path.stem: read_image(path) for path in sample_paths() if path.stem.startswith("person")
    }
    rest = photographs[f"person-{person}-neutral"]
    pipeline = FacePipeline(neutral=rest)
    assert pipeline.settings.landmarks == "face-landmarker"
    (same,) = pipeline.analyze(rest).faces
    assert max((same.action_units or {"": 1.0}).values()) == 0
    smiling = mien.analyze(photographs[f"person-{person}-smiling"], neutral=rest)[0].action_units
    without = face(f"person-{person}-smiling").action_units
    assert smiling is not None
    assert without is not None
    assert 0.5 < smiling["AU12"] <= without["AU12"]
    assert smiling["AU4"] < without["AU4"] + 0.01
    assert smiling["AU15"] == 0
    # The shared pipeline of other calls has no neutral face.
    again = mien.analyze(rest, landmarks="face-landmarker")[0].action_units
    assert again == face(f"person-{person}-neutral").action_units


def test_other_landmarks_cannot_be_measured_from_a_rest() -> None:
    with pytest.raises(SettingError, match="expected the landmarks face-landmarker"):
        FacePipeline(landmarks="facemesh", neutral=np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="got none"):
        FacePipeline(neutral=np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("person", "abcd")
def test_people_look_into_the_camera(person: str) -> None:
    gaze = face(f"person-{person}-neutral").gaze
    assert gaze is not None
    assert abs(gaze.yaw_deg) < 5
    assert abs(gaze.pitch_deg) < 12


@pytest.mark.parametrize(("pitch_deg", "is_seen"), [(10, True), (15, False)])
def test_a_chin_that_is_seen_from_below_says_nothing(pitch_deg: float, is_seen: bool) -> None:
    raised = Face(
        Detection(Box(0, 0, 100, 100), 1.0),
        landmarks=brows(0.0),
        blendshapes=shapes(mouthShrugLower=0.8),
    )
    units = read_action_units(raised, HeadPose(0.0, pitch_deg, 0.0))
    assert units is not None
    assert ("AU17" in units) == is_seen


@pytest.mark.parametrize(
    ("covered", "hidden", "shown"),
    [("eyes", {"AU43", "AU7", "AU6"}, {"AU12"}), ("mouth", {"AU12", "AU17", "AU6"}, {"AU43"})],
)
def test_what_is_covered_is_not_measured(covered: str, hidden: set[str], shown: set[str]) -> None:
    (path,) = (path for path in sample_paths() if path.stem == "person-a-smiling")
    seen = measure_face(read_image(path), face(path.stem), covered=(covered,))
    assert seen.action_units is not None
    assert seen.signals is not None
    assert hidden.isdisjoint(seen.action_units)
    assert shown <= seen.action_units.keys()
    assert (seen.signals.eye_opening_left is None) == (covered == "eyes")
    assert (seen.signals.mouth_opening is None) == (covered == "mouth")
    assert (seen.gaze is None) == (covered == "eyes")
