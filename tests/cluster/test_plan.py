"""The inputs of a run in parts."""

from pathlib import Path

import pytest

from mien.cluster.folder import Folder
from mien.cluster.inputs import Input
from mien.cluster.plan import Plan, make_plan

pytest.importorskip("pyarrow")


def test_plan_is_saved_and_divides_inputs(tmp_path: Path) -> None:
    names = [*(f"{n}.png" for n in range(5)), "long.mp4", "shard.tar"]
    plan = make_plan((Input(name, f"/{name}") for name in names), workers=1, part_size=2)
    parts = [[one.uri for one in plan.part(n).inputs] for n in range(len(plan))]
    # Videos and shards first, alone.
    expected = [["long.mp4"], ["shard.tar"], ["0.png", "1.png"], ["2.png", "3.png"], ["4.png"]]
    assert parts == expected
    folder = Folder(str(tmp_path))
    plan.write(folder)
    read = Plan.read(folder)
    assert read is not None
    assert (read.digest, len(read), read.part(3)) == (plan.digest, 5, plan.part(3))


def test_a_plan_finds_its_parts_across_groups_of_rows() -> None:
    """5,001 images in parts of 999 are in three groups of rows."""
    names = [f"{number}.png" for number in range(5001)]
    plan = make_plan((Input(name, f"/{name}") for name in names), workers=1, part_size=999)
    assert len(plan) == 6
    for order in (range(6), reversed(range(6))):
        parts = {number: [one.uri for one in plan.part(number).inputs] for number in order}
        assert [name for number in range(6) for name in parts[number]] == names
