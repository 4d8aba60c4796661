"""Write client/mien-web/src/constants.ts: numbers that the browser library shares with Python.

    python tools/write_web_constants.py [FILE]

Each number is defined once, in the Python module that uses it.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from mien import imaging, pipeline, signals
from mien.config import DEFAULT_MAX_MEGAPIXELS, Settings
from mien.detection import verifier
from mien.expression import noise
from mien.landmarks import schemes
from mien.signals import LIMITS, pose
from mien.streaming import cuts, locator
from mien.streaming.face_stream import StreamSettings
from mien.tracking import blocks, motion, neighbors, scene, smoothing, statistics, tracker

TARGET = Path(__file__).resolve().parent.parent / "client/mien-web/src/constants.ts"


def constants() -> dict[str, tuple[str, Any]]:
    """The name, TypeScript type and value of each constant."""
    return {**_of_one_image(), **_of_streams()}


def _of_one_image() -> dict[str, tuple[str, Any]]:
    return {
        "MIN_SCORE": ("number", Settings().min_score),
        "MIN_PRESENCE": ("number", Settings().min_presence),
        "MAX_MEGAPIXELS": ("number", DEFAULT_MAX_MEGAPIXELS),
        "FOCAL_LENGTH": ("number", pose.USUAL_FOCAL_LENGTH),
        "LIMITS": (_RECORD, dataclasses.asdict(LIMITS)),
        "EYES": (_LISTS, schemes.EYE_CONTOURS["mesh468"]),
        "INNER_LIPS": (
            "{ readonly corners: readonly number[]; readonly upper: readonly number[]; "
            "readonly lower: readonly number[] }",
            dataclasses.asdict(schemes.INNER_LIPS["mesh468"]),
        ),
        "MESH_LINES": (
            "readonly { readonly indices: readonly number[]; readonly closed: boolean }[]",
            [dataclasses.asdict(line) for line in schemes.MESH_LINES.values()],
        ),
        "RIGID_FACE": (
            "readonly (readonly [number, readonly [number, number, number]])[]",
            list(pose.RIGID_FACE.items()),
        ),
        "AFFECT": (
            "Readonly<Record<string, readonly [number, number] | undefined>>",
            {label.value: place for label, place in signals._COORDINATES.items()},
        ),
        "AFFECT_MIN_KNOWN": ("number", signals._MIN_KNOWN),
        "AFFECT_METHOD": ("string", signals._METHOD),
        "PIPELINE": (_RECORD, _numbers(pipeline, "CLOSE_PRESENCE WEAK_PRESENCE")),
        "VERIFIER": (
            _RECORD,
            {
                **_numbers(verifier, "TRUSTED_PRESENCE MAX_EVIDENCE BLURRED_LOGIT "
                           "BLURRED_SHARPNESS CLEAR_SHARPNESS"),
                "PARTS": verifier.PARTS,
            },
        ),
        "LIGHT": (_RECORD, _numbers(imaging, "BRIGHT_SHARE LEAST_BRIGHT MAX_GAIN")),
        "NOISE": (
            _RECORD,
            _numbers(noise, "TEXTURE LEAST STRENGTH TEMPLATE_PX SEARCH_PX LEAST_CONTRAST MIDDLE "
                     "LEAST_WEIGHT MIN_SIDE_PX MEDIAN"),
        ),
    }  # fmt: skip


def _of_streams() -> dict[str, tuple[str, Any]]:
    stream = StreamSettings()
    return {
        "SEARCH": (_RECORD, dataclasses.asdict(stream.search)),
        "LABELS": (_RECORD, dataclasses.asdict(stream.labels)),
        "MAX_GAP_S": ("number", stream.max_gap_s),
        "SAME_LOOK": ("number", stream.same_look),
        "LOCATOR": (
            _RECORD,
            _numbers(locator, "PRESENT_S_PER_VIEW MISSING_S_PER_VIEW SEARCH_SIZE MAX_SEARCHES "
                     "SAME_FACE_IOU SURE_PRESENCE SAME_PATCH"),
        ),
        "TRACKER": (
            _RECORD,
            _numbers(tracker.Tracker, "REACH REACH_PER_S MAX_REACH SHAPE_WEIGHT "
                     "MAX_SHAPE_AFTER_GAP GAP_S WAIT_S SAME_PATCH SAME_PATCH_BACK NOT_FOLLOWED "
                     "NOT_CONFIRMED MAX_COST CONFIRM_HITS TENTATIVE_GAP_S SHAPE_TIME_S "
                     "SHAPE_EVERY_S"),
        ),
        "NEIGHBORS": (
            _RECORD,
            _numbers(neighbors, "BESIDE KEPT_S KNOWN_LOOK BETTER SURE_PRESENCE"),
        ),
        "MOTION": (_RECORD, _numbers(motion, "MOST_CUT")),
        "BLOCKS": (
            _RECORD,
            _numbers(blocks, "SIZE_WH SIDE REACH MIN_TEXTURE MIN_BLOCKS FOUND ALIKE_PX SAME_SCENE "
                     "BODY BESIDE_IOU LEAST_PEOPLE MOST_PEOPLE FACE_PX FACE_REACH SAME_FACE "
                     "SAME_SIDE MIN_PART_PX"),
        ),
        "CUTS": (_RECORD, _numbers(cuts, "MIN_MOTION")),
        "RIGID": ("readonly number[]", motion._RIGID),
        "LANDMARK_SMOOTHING": (
            _RECORD,
            _numbers(smoothing.LandmarkSmoother, "MIN_CUTOFF_HZ BETA"),
        ),
        "SCENE": (
            _RECORD,
            _numbers(scene, "SAME_STRUCTURE SAME_SHIFTED SURELY_SAME MAX_UNSURE_STEP_S MAX_SHIFT "
                     "WHITE MIN_CELLS MOSTLY SAME_LEVEL BLACK NOISE MIN_CONTRAST SNOW "
                     "MAX_SKIPPED_S MAX_STEP_S MIN_DIFFERENCE MIN_HISTOGRAM_DISTANCE BINS "
                     "MIN_CHANGE REACH"),
        ),
        "STATISTICS": (
            _RECORD,
            _numbers(statistics, "MOOD_TIME_S"),
        ),
    }  # fmt: skip


_LISTS = "readonly (readonly number[])[]"
_RECORD = ""
"""No type: each name is known to the compiler."""


def _numbers(owner: object, names: str) -> dict[str, float]:
    return {name: getattr(owner, f"_{name}") for name in names.split()}


def typescript() -> str:
    """The module."""
    lines = [
        "/** Shared with Python. Generated by tools/write_web_constants.py: do not edit. */",
        "",
    ]
    lines += [
        f"export const {name}{kind and f': {kind}'} = {json.dumps(value)};"
        for name, (kind, value) in constants().items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the file, or the one named as argument."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(typescript(), encoding="utf-8")


if __name__ == "__main__":
    main()
