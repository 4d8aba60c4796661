"""A stream whose faces are turned by quarters warns once, and names what turns it back."""

from pathlib import Path

import numpy as np
import pytest

from mien.detection import FaceSearch
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings
from mien.streaming.orientation import TurnCheck
from mien.types import Detection, Image

pytest.importorskip("lap", reason="tracking needs lapx")


@pytest.mark.parametrize(
    ("quarters", "expected"),
    [(0, None), (1, "transpose=1"), (2, "hflip,vflip"), (3, "transpose=2")],
)
def test_turned_faces_have_a_warning(
    samples: dict[str, Path], quarters: int, expected: str | None
) -> None:
    stream = FaceStream(FacePipeline(), StreamSettings(expressions=False))
    image = np.rot90(read_image(samples["person-a-neutral"]), quarters)
    found = [warning for n in range(6) for warning in stream.update(image, n / 2).warnings]
    assert len(found) == (expected is not None)
    assert all(f"-vf {expected}" in warning for warning in found)


@pytest.mark.parametrize(
    ("turns", "warns"), [([3, 1, 3, 3], True), ([3, 1, 3, 1, 3], False), ([3, 0, 3, 3], False)]
)
def test_looks_that_disagree_say_nothing(turns: list[int], warns: bool) -> None:
    class Said(FaceSearch):
        def __init__(self) -> None:
            self.turns = iter(turns)

        def turn_of(self, image: Image, face: Detection | None = None) -> int | None:
            return next(self.turns)

    check, image = TurnCheck(Said()), np.zeros((8, 8, 3), np.uint8)
    found = [check.warn(image, (), float(second)) for second in range(len(turns))]
    assert any(found) == warns
