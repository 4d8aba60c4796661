"""The FER+ majority rule, by hand and on the real votes."""

from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError, InputError
from mien.evaluation.dataset import FERPLUS_COLUMNS, _vote_shares, majority_label
from mien.evaluation.readers import read_data
from mien.labels import Expression

LABELS = tuple(Expression)


def votes(**by_name: int) -> list[int]:
    return [by_name.get(name, 0) for name in FERPLUS_COLUMNS]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (votes(happiness=10), Expression.HAPPINESS),
        (votes(neutral=5, sadness=5), None),
        # One person's vote is dropped before counting: 5 of 9 is a majority, 5 of 10 is none.
        (votes(neutral=5, sadness=4, anger=1), Expression.NEUTRAL),
        (votes(neutral=4, sadness=3, anger=1, fear=1, disgust=1), Expression.NEUTRAL),
        (votes(neutral=4, sadness=2, anger=2), None),
        (votes(unknown=6, fear=4), None),
        (votes(fear=5, unknown=4), Expression.FEAR),
        (votes(NF=10), None),
        (votes(neutral=1, happiness=1, sadness=1), None),
    ],
)
def test_majority_needs_more_than_half_of_the_votes_that_count(
    row: list[int], expected: Expression | None
) -> None:
    index = int(majority_label([row], FERPLUS_COLUMNS, LABELS)[0])
    assert (LABELS[index] if index >= 0 else None) == expected


def test_shares_leave_out_slips_and_what_is_no_expression() -> None:
    shares = _vote_shares(
        [votes(neutral=6, fear=2, anger=1, unknown=1), votes(NF=10)], FERPLUS_COLUMNS, LABELS
    )
    assert shares[0, LABELS.index(Expression.NEUTRAL)] == pytest.approx(0.75)
    assert shares[0, LABELS.index(Expression.FEAR)] == pytest.approx(0.25)
    assert shares[0].sum() == pytest.approx(1)
    assert shares[1].sum() == 0


def test_rejects_votes_of_another_width() -> None:
    with pytest.raises(InputError, match=r"\(N, 10\)"):
        majority_label([[1, 2, 3]], FERPLUS_COLUMNS, LABELS)


def test_usable_rows_of_ferplus(shared_data: Path) -> None:
    """Counts of the file's own description: 24,656 train and 3,149 valid, 339 near-duplicates."""
    data = read_data(shared_data / "data" / "ferplus.npz")
    usable = data.labeled()
    assert len(usable.in_split("train")) == 24_656
    assert len(usable.in_split("valid")) == 3_149
    assert data.group is not None
    train, valid = data.split == "train", data.split == "valid"
    assert (train & np.isin(data.group, data.group[valid])).sum() == 339


def make_npz(path: Path, **changes: object) -> Path:
    arrays: dict[str, object] = {
        "images": np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2),
        "split": np.array(["train", "valid", "valid"]),
        "votes": np.array([votes(anger=9), votes(fear=9), votes(NF=9)], np.uint8),
        "vote_names": np.array(FERPLUS_COLUMNS),
        "fer_label": np.array([0, 2, -1], np.int8),
        "row": np.array([7, 8, 9]),
        "dup_group": np.array([1, 1, 2]),
        **changes,
    }
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]
    return path


def test_reads_rows_splits_and_groups(tmp_path: Path) -> None:
    data = read_data(make_npz(tmp_path / "faces.npz"))
    valid = data.labeled().in_split("valid")
    assert valid.names == ("row 8",)
    assert valid.load(0).tolist() == [[4, 5], [6, 7]]
    assert valid.group is not None
    assert valid.group.tolist() == [1]
    assert data.counts()[Expression.ANGER] == 1


def test_ferplus_and_fer2013_labels(tmp_path: Path) -> None:
    data = read_data(make_npz(tmp_path / "faces.npz"), labeling="fer2013")
    assert [data.labels[i] for i in data.label_index[:2]] == [Expression.ANGER, Expression.FEAR]
    assert len(data.labeled()) == 2


def test_absent_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train, valid"):
        read_data(make_npz(tmp_path / "faces.npz")).in_split("test")


def test_rejects_other_files(tmp_path: Path) -> None:
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    with pytest.raises(DataError, match=r"\.npz"):
        read_data(text)
    with pytest.raises(DataError, match="votes"):
        read_data(make_npz(tmp_path / "faces.npz", votes=None))
    with pytest.raises(DataError, match="fer_label"):
        read_data(make_npz(tmp_path / "faces.npz", fer_label=None), labeling="fer2013")
    with pytest.raises(DataError, match="uint8"):
        read_data(make_npz(tmp_path / "faces.npz", images=np.zeros((3, 2, 2))))
    with pytest.raises(DataError, match="rows in every column"):
        read_data(make_npz(tmp_path / "faces.npz", split=np.array(["train"])))


@pytest.mark.parametrize("keep", [0, 30, 200, 500])
def test_rejects_truncated_files(tmp_path: Path, keep: int) -> None:
    path = make_npz(tmp_path / "faces.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"faces\.npz"):
        read_data(path)


def test_rejects_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    np.savez_compressed(path, images=np.arange(4096, dtype=np.uint8).reshape(1, 64, 64))
    content = bytearray(path.read_bytes())
    content[80:100] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"faces\.npz"):
        read_data(path)
