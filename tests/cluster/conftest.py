"""Pictures, runs with a fake pipeline, and their tables."""

from pathlib import Path

import pytest
from PIL import Image as PillowImage

from mien.cluster.plan import Plan
from mien.cluster.worker import BatchOptions, Worker, WorkSettings
from mien.config import Settings
from mien.testing import FakePipeline, face_image
from mien.types import Box


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six images with one face each, an empty one, and a text file with the name of an image."""
    folder = tmp_path / "images"
    (folder / "nested").mkdir(parents=True)
    for number in range(6):
        label = ("happiness", "anger")[number % 2]
        picture = face_image([(Box(40, 30, 120, 110), label)])
        PillowImage.fromarray(picture).save(folder / f"{number}.png")
    PillowImage.fromarray(face_image()).save(folder / "nested" / "empty.png")
    (folder / "nested" / "text.jpg").write_text("no image")
    return folder


def run(plan: Plan, out: Path, **options: object) -> Worker:
    worker = Worker(
        WorkSettings(str(out), Settings(), plan.columns, BatchOptions(**options)),  # type: ignore[arg-type]
        FakePipeline(),
    )
    for number in range(len(plan)):
        worker.run(plan.part(number))
    return worker


def rows(out: Path, table: str) -> list[dict[str, object]]:
    import pyarrow
    from pyarrow import parquet

    found = [parquet.read_table(path) for path in sorted((out / table).glob("*.parquet"))]
    made: list[dict[str, object]] = pyarrow.concat_tables(found).to_pylist()
    return made
