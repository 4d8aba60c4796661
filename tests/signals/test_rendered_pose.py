"""Head pose and position of heads that are rendered at known angles, from pixels to degrees."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.testing import FakeClassifier

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from rendered_heads import (  # type: ignore[import-not-found]
    DISTANCE_CM,
    FOCAL_PX,
    SIZE_WH,
    RenderedHead,
)

# Worst case of both landmark models over all angles and people: benchmarks/landmarks.py pose.
MAX_ERROR_DEG = 4.5


@pytest.fixture(scope="module", params=["facemesh", "face-landmarker"])
def pipeline(request: pytest.FixtureRequest) -> FacePipeline:
    return FacePipeline(
        landmarks=request.param,
        classifier=FakeClassifier(),
        focal_length=FOCAL_PX / SIZE_WH[0],
    )


@pytest.fixture(scope="module")
def head(pipeline: FacePipeline, samples: dict[str, Path]) -> RenderedHead:
    photograph = read_image(samples["person-a-neutral"])
    (seen,) = pipeline.analyze(photograph).faces
    assert seen.landmarks is not None
    return RenderedHead(photograph, seen.landmarks.points)


@pytest.mark.parametrize(
    "angles_deg",
    [
        *((0, 0, 0), (20, 0, 0), (-30, 0, 0), (0, 15, 0), (0, -15, 0), (0, 30, 0), (0, 0, -25)),
        (20, -10, 15),
    ],
)
def test_measures_the_pose_of_rendered_heads(
    pipeline: FacePipeline, head: RenderedHead, angles_deg: tuple[float, float, float]
) -> None:
    (face,) = pipeline.analyze(head.render(*angles_deg)).faces
    assert face.quality is not None
    found = face.quality.yaw_deg, face.quality.pitch_deg, face.quality.roll_deg
    assert found == pytest.approx(angles_deg, abs=MAX_ERROR_DEG)
    assert face.signals is not None
    position = face.signals.head_x_cm, face.signals.head_y_cm, face.signals.head_z_cm
    # The middle of the upper face lies before the origin of the canonical face, in which it turns.
    assert np.linalg.norm(np.subtract(position, (0, 0, DISTANCE_CM))) < 6  # type: ignore[arg-type]
