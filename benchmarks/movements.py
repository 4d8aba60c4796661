"""Action units, gaze and closed eyes of rendered heads whose movements are known.

    python benchmarks/movements.py --head ict_face.npz --data PHOTOGRAPHS --people 4 \
        --clips TABLES --output benchmarks/results/movements.json

The heads are those of `movable_head.py`: each has the skin of one photograph of a person at rest,
and another identity. PHOTOGRAPHS is the Face Research Lab London Set (DeBruine and Jones, CC BY
4.0) as folders ``neutral`` and ``happiness``. The landmarks follow the head as in a stream: each
picture is searched where the same head at rest was found. Rendered heads are no photographs: they
have no wrinkles, and a shape of the model is one artist's idea of a movement.

**Units.** Each movement alone, at half and the whole of its shape, in five poses.
Values are measured from the front view of the same head at rest, as with ``neutral=``, and without.
`auc` is the share of pairs in which a picture with the unit has a larger value than one without
it; movements that look like the unit are left out. `correlation` is that of value and
amount over the pictures of the unit. `found` is the share of pictures of the whole movement with a
value of 0.2 and more, `false` that of the pictures without the unit. `at_whole` is the mean value
of the whole movement, and `others` are the mean values above 0.1 of other units in it.

**Gaze.** Eyes turned relative to the head, with lids that follow. The truth is the direction
relative to the camera's axis.

**Clips.** TABLES is the output folder of `mien video` on the clips of data/action-units.csv, whose
frames were marked by eye, by no certified coder, where a unit is clearly there or clearly not.

**Photographs.** All people of PHOTOGRAPHS, who look into the camera, at rest and smiling.

**Eyes.** Closed eyes beside eyes that look down, as a share of the opening of the same eye at rest.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from movable_head import MovableHead
from rendered_heads import rotation

from mien.landmarks import FaceMesh, box_from_landmarks, roi_from_landmarks
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.signals import estimate_pose, measure_face, read_action_units
from mien.types import Detection, Face, Image, Landmarks


def _both(*names: str, amount: float = 1.0) -> dict[str, float]:
    return {f"{name}_{side}": amount for name in names for side in "LR"}


MOVEMENTS: dict[str, dict[str, float]] = {
    "AU1": _both("browInnerUp"),
    "AU2": _both("browOuterUp"),
    "AU4": _both("browDown"),
    "AU5": _both("eyeWide"),
    "AU6": _both("cheekRaiser", "cheekSquint"),
    "AU6 and AU12": _both("cheekRaiser", "cheekSquint", "mouthSmile"),
    "AU7": _both("eyeSquint"),
    "AU9": _both("noseSneer"),
    "AU10": _both("mouthUpperUp"),
    "AU12": _both("mouthSmile"),
    "AU14": _both("mouthDimple"),
    "AU15": _both("mouthFrown"),
    "AU16": _both("mouthLowerDown"),
    "AU17": {"mouthShrugLower": 1.0, "mouthShrugUpper": 1.0},
    "AU18": {"mouthPucker": 1.0},
    "AU20": _both("mouthStretch"),
    "AU22": {"mouthFunnel": 1.0},
    "AU24": _both("mouthPress"),
    "AU25": _both("mouthUpperUp", "mouthLowerDown", amount=0.5),
    "AU26": {"jawOpen": 0.5},
    "AU27": {"jawOpen": 1.0},
    "AU28": {"mouthRollLower": 1.0, "mouthRollUpper": 1.0},
    "AU34": _both("cheekPuff"),
    "AU43": _both("eyeBlink"),
}
"""The shapes of each movement. The model has none for AU23."""

# Movements that show a unit beside their own, or cannot be distinguished from it.
ALSO = {
    "AU6": ("AU6", "AU7"),
    "AU7": ("AU6", "AU6 and AU12"),
    "AU10": ("AU9", "AU25"),
    "AU12": ("AU6 and AU12",),
    "AU25": ("AU9", "AU10", "AU16", "AU22", "AU26", "AU27"),
    "AU26": ("AU22", "AU27"),
}
MARKS = Path(__file__).parent / "data" / "action-units.csv"
AMOUNTS = (0.5, 1.0)
POSES_DEG = ((0, 0), (25, 0), (-25, 0), (0, 15), (0, -15))
GAZES_DEG = [(yaw, pitch) for yaw in (-30, -15, 0, 15, 30) for pitch in (-20, -10, 0, 10)]
LIMIT = 0.2


class Follower:
    """Measures pictures of one head, where the head at rest was found in the same pose."""

    def __init__(self, pipeline: FacePipeline, head: MovableHead) -> None:
        assert isinstance(pipeline.landmarks, FaceMesh)
        self._pipeline, self._model, self._head = pipeline, pipeline.landmarks, head
        self._found: dict[tuple[float, float], Landmarks] = {}

    def measure(
        self,
        pose_deg: tuple[float, float],
        shapes: dict[str, float] | None = None,
        gaze_deg: tuple[float, float] = (0, 0),
    ) -> Face:
        if pose_deg not in self._found:
            picture: Image = self._head.render({}, *pose_deg)
            face = max(self._pipeline.analyze(picture).faces, key=lambda found: found.box.area)
            assert face.landmarks is not None
            self._found[pose_deg] = face.landmarks
        picture = self._head.render(shapes, *pose_deg, gaze_deg=gaze_deg)
        region = roi_from_landmarks(self._found[pose_deg])
        landmarks = self._model.predict_region(picture, region)
        found = Face(
            Detection(box_from_landmarks(landmarks), 1.0),
            landmarks=landmarks,
            blendshapes=self._pipeline.read_blendshapes(landmarks),
        )
        return measure_face(picture, found)


def measure(
    pipeline: FacePipeline, head_file: Path, photograph: Path, person: int
) -> list[dict[str, Any]]:
    """Every picture of a person: its pose, movement, amount, gaze, and what was measured."""
    identity = np.random.default_rng(person).normal(0, 0.7, 20).tolist()
    head = MovableHead(head_file, identity, pipeline, read_image(photograph))
    follower, rows = Follower(pipeline, head), []
    for pose in POSES_DEG:
        plan: list[tuple[str, float, tuple[float, float]]] = [("rest", 0.0, (0, 0))]
        plan += [(name, amount, (0, 0)) for name in MOVEMENTS for amount in AMOUNTS]
        plan += [("gaze", 1.0, gaze) for gaze in GAZES_DEG]
        for name, amount, gaze in plan:
            shapes = {key: amount * most for key, most in MOVEMENTS.get(name, {}).items()}
            facts = {"person": person, "pose": pose, "movement": name, "amount": amount}
            face = follower.measure(pose, shapes, gaze)
            rows.append(facts | {"look": gaze, "face": face})
    return rows


def report_units(rows: list[dict[str, Any]], *, from_rest: bool) -> dict[str, Any]:
    """Figures of each unit."""
    rests = {r["person"]: r for r in rows if r["movement"] == "rest" and r["pose"] == (0, 0)}
    moved = [row for row in rows if row["movement"] != "gaze"]
    values = [
        units_of(row["face"], rests[row["person"]]["face"] if from_rest else None) for row in moved
    ]
    report = {}
    for unit in (name for name in MOVEMENTS if name in values[0]):
        # Cheeks alone look as lids do.
        name = "AU6 and AU12" if unit == "AU6" else unit
        own = np.array([row["movement"] == name for row in moved])
        whole = own & np.array([row["amount"] == 1 for row in moved])
        without = ~own & np.array([row["movement"] not in ALSO.get(unit, ()) for row in moved])
        found = np.array([one.get(unit, np.nan) for one in values])
        own, whole, without = (some & ~np.isnan(found) for some in (own, whole, without))
        amounts = np.array([row["amount"] for row in moved])
        rest = np.array([row["movement"] == "rest" for row in moved])
        rest_or_own = (own | rest) & ~np.isnan(found)
        means = {
            other: float(
                np.mean(
                    [one[other] for one, w in zip(values, whole, strict=True) if w and other in one]
                )
            )
            for other in values[0]
        }
        report[unit] = {
            "auc": round(_auc(found[whole], found[without]), 3),
            "correlation": round(
                float(np.corrcoef(found[rest_or_own], amounts[rest_or_own])[0, 1]), 2
            ),
            "found": round(float((found[whole] >= LIMIT).mean()), 3),
            "false": round(float((found[without] >= LIMIT).mean()), 3),
            "at_whole": round(means[unit], 2),
            "others": {
                other: round(mean, 2)
                for other, mean in sorted(means.items(), key=lambda pair: -pair[1])
                if other != unit and mean > 0.1
            },
        }
    return report


def units_of(face: Face, rest: Face | None = None) -> dict[str, float]:
    assert face.landmarks is not None
    units = read_action_units(face, estimate_pose(face.landmarks), rest)
    assert units is not None
    return units


def opening_of(face: Face) -> float:
    assert face.signals is not None
    assert face.signals.eye_opening_left is not None
    assert face.signals.eye_opening_right is not None
    return (face.signals.eye_opening_left + face.signals.eye_opening_right) / 2


def _auc(with_it: np.ndarray, without: np.ndarray) -> float:
    more = (with_it[:, None] > without[None]).mean()
    return float(more + (with_it[:, None] == without[None]).mean() / 2)


def true_gaze(pose_deg: tuple[float, float], look_deg: tuple[float, float]) -> tuple[float, float]:
    """Yaw and pitch relative to the camera's axis of eyes turned in a turned head."""
    x, y, z = rotation(*pose_deg, 0) @ rotation(*look_deg, 0) @ (0, 0, -1)
    return float(np.degrees(np.arctan2(x, -z))), float(np.degrees(np.arcsin(-y)))


def report_gaze(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Errors of the gaze; the slope is that of measured over true angles."""
    looks = [row for row in rows if row["movement"] == "gaze"]
    known = [row for row in looks if row["face"].gaze is not None]
    truth = np.array([true_gaze(row["pose"], row["look"]) for row in known])
    found = [(row["face"].gaze.yaw_deg, row["face"].gaze.pitch_deg) for row in known]
    errors = np.array(found) - truth
    report: dict[str, Any] = {"pictures": len(looks), "without_gaze": len(looks) - len(known)}
    for axis, name in enumerate(("yaw", "pitch")):
        turned = np.array([row["look"][axis] for row in known])
        straight = np.array([row["look"] == (0, 0) for row in known])
        report[name] = {
            "mean_error_deg": round(float(np.abs(errors[:, axis]).mean()), 1),
            "95th_percentile_deg": round(float(np.percentile(np.abs(errors[:, axis]), 95)), 1),
            "bias_of_straight_eyes_deg": round(float(errors[straight, axis].mean()), 1),
            "slope": round(float(1 + np.polyfit(turned, errors[:, axis], 1)[0]), 2),
        }
    return report


def report_eyes(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Openings as shares of that at rest: means, and how many are below the limit of a stream."""
    rests = {
        (row["person"], row["pose"]): opening_of(row["face"])
        for row in rows
        if row["movement"] == "rest"
    }
    groups: dict[str, list[float]] = {}
    for row in rows:
        share = opening_of(row["face"]) / rests[row["person"], row["pose"]]
        if row["movement"] == "AU43":
            groups.setdefault(f"closed by {row['amount']:.0%}", []).append(share)
        elif row["movement"] == "gaze" and row["look"][1] < 0:
            groups.setdefault(f"looks {-row['look'][1]}° down", []).append(share)
        elif row["amount"] == 1 and row["movement"] in ("AU7", "AU6 and AU12"):
            groups.setdefault(row["movement"], []).append(share)
    return {
        name: {
            "mean_share": round(float(np.mean(shares)), 2),
            "below_half": round(float(np.mean(np.array(shares) < 0.5)), 3),
        }
        for name, shares in sorted(groups.items())
    }


def report_photographs(pipeline: FacePipeline, folder: Path) -> dict[str, Any]:
    """People who look into the camera, at rest and smiling: gaze, and units of both.

    The rest of a smiling face is the neutral photograph; that of the neutral one a smaller, darker,
    mirrored copy of it.
    """
    gazes: dict[str, list[tuple[float, float]]] = {"neutral": [], "happiness": []}
    units: dict[str, list[dict[str, float]]] = {}
    for path in sorted((folder / "neutral").glob("*.jpg")):
        picture = read_image(path)
        copy = np.ascontiguousarray(picture[::2, ::-2] // 4 * 3)
        rests = {"neutral": _largest(pipeline, copy), "happiness": _largest(pipeline, picture)}
        for kind, rest in rests.items():
            smiling = kind == "happiness"
            face = _largest(pipeline, read_image(folder / kind / path.name)) if smiling else None
            face = face or rests["happiness"]
            if face.gaze is not None:
                gazes[kind].append((face.gaze.yaw_deg, face.gaze.pitch_deg))
            units.setdefault(kind, []).append(units_of(face))
            units.setdefault(f"{kind} from rest", []).append(units_of(face, rest))
    report: dict[str, Any] = {"people": len(units["neutral"]), "gaze_error_deg": {}, "units": {}}
    for kind, found in gazes.items():
        error = np.abs(found).mean(axis=0).round(1).tolist()
        report["gaze_error_deg"][kind] = dict(zip(("yaw", "pitch"), error, strict=True))
    for unit in units["neutral"][0]:
        values = {
            kind: np.array([one[unit] for one in all_ if unit in one])
            for kind, all_ in units.items()
        }
        report["units"][unit] = {
            kind: {
                "mean": round(float(v.mean()), 2),
                "at_limit": round(float((v >= LIMIT).mean()), 3),
            }
            for kind, v in values.items()
        } | {
            "auc": round(_auc(values["happiness"], values["neutral"]), 2),
            "auc_from_rest": round(
                _auc(values["happiness from rest"], values["neutral from rest"]), 2
            ),
        }
    return report


def _largest(pipeline: FacePipeline, picture: Image) -> Face:
    return max(pipeline.analyze(picture).faces, key=lambda found: found.box.area)


def report_clips(tables: Path) -> dict[str, Any]:
    """Figures of the marked frames of each clip and unit."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    with MARKS.open(newline="") as file:
        for mark in csv.DictReader(file):
            folder = tables / Path(mark["clip"]).stem
            column = f"au_{mark['unit'][2:]}"
            with (folder / "faces.csv").open(newline="") as faces:
                found = [
                    float(row[column])
                    for row in csv.DictReader(faces)
                    if row[column]
                    and int(mark["first_frame"])
                    <= int(row["frame_index"])
                    <= int(mark["last_frame"])
                ]
            both = values.setdefault((mark["clip"], mark["unit"]), {"1": [], "0": []})
            both[mark["present"]] += found
    report: dict[str, Any] = {}
    for (clip, unit), both in values.items():
        with_it, without = np.array(both["1"]), np.array(both["0"])
        report.setdefault(clip, {})[unit] = {
            "with": len(with_it),
            "without": len(without),
            "auc": round(_auc(with_it, without), 3) if len(with_it) else None,
            "found": round(float((with_it >= LIMIT).mean()), 3) if len(with_it) else None,
            "false": round(float((without >= LIMIT).mean()), 3),
        }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--head", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    photographs = sorted((options.data / "neutral").glob("*.jpg"))
    photographs = photographs[:: max(1, len(photographs) // options.people)][: options.people]
    pipeline = FacePipeline(landmarks="face-landmarker")
    rows = [
        row
        for person, photograph in enumerate(photographs)
        for row in measure(pipeline, options.head, photograph, person)
    ]
    report = {
        "heads": len(photographs),
        "pictures": len(rows),
        "units": report_units(rows, from_rest=False),
        "units_from_rest": report_units(rows, from_rest=True),
        "gaze": report_gaze(rows),
        "eyes": report_eyes(rows),
        "photographs": report_photographs(pipeline, options.data),
        "clips": report_clips(options.clips) if options.clips else {},
    }
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
