"""A stream whose faces are turned by quarters warns once, and names what turns it back."""

from pathlib import Path

import numpy as np
import pytest

from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings

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
