"""Faces of the images in a Ray dataset."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.cluster import _Analyzer, analyze
from mien.cluster.engine import Resources, connected
from mien.config import Settings
from mien.errors import InputError
from mien.samples import sample_paths

pytest.importorskip("pyarrow")
PERSON = next(path for path in sample_paths() if path.stem == "person-a-smiling")


def test_one_row_for_each_face_and_for_what_has_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    batch = {
        "uri": np.array([str(PERSON), str(broken), str(tmp_path / "none.jpg")], object),
        "site": np.array(["a", "b", "c"]),
        "box_x_min": np.array([1, 2, 3]),
    }
    rows = _Analyzer("uri", Settings())(batch).to_pylist()
    assert [row["site"] for row in rows] == ["a", "b", "c"]
    assert [row["expression"] for row in rows] == ["happiness", None, None]
    assert rows[0]["error"] is None
    assert "broken.jpg" in rows[1]["error"]
    assert "none.jpg" in rows[2]["error"]
    assert [row["uri"] for row in rows] == list(batch["uri"])


def test_takes_pixels_and_encoded_images_and_does_not_repeat_them() -> None:
    blank = np.full((64, 64, 3), 200, np.uint8)
    pixels = _Analyzer("image", Settings())({"image": np.stack([blank, blank]), "n": [1, 2]})
    assert pixels.column("n").to_pylist() == [1, 2]
    assert "image" not in pixels.column_names
    assert pixels.column("error").null_count == 2
    encoded = np.array([PERSON.read_bytes()], object)
    (row,) = _Analyzer("image", Settings())({"image": encoded}).to_pylist()
    assert row["expression"] == "happiness"


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # of Ray itself
def test_runs_in_ray() -> None:
    ray: Any = pytest.importorskip("ray")
    with connected(Resources(workers=1)):
        images = ray.data.from_items([{"uri": str(PERSON)}])
        assert analyze(images).to_pandas()["expression"].tolist() == ["happiness"]
        with pytest.raises(InputError, match=r"expected a column 'pixels' .* got uri"):
            analyze(images, image="pixels")
