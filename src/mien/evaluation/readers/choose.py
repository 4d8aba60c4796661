"""Which reader a path needs."""

from pathlib import Path

from mien.errors import DataError
from mien.evaluation.dataset import LabelledSet
from mien.evaluation.readers.ferplus_npz import Labelling, read_npz


def read_data(path: Path, labelling: Labelling = "ferplus") -> LabelledSet:
    """Read a labelled data set in whatever form it lies.

    Args:
        path: a ``.npz`` file with pictures and votes.
        labelling: whose labels, where a data set has two.

    Raises:
        DataError: nothing readable lies there.
    """
    if not path.exists():
        raise DataError(f"expected a labelled data set at {path}, but nothing lies there")
    if path.suffix == ".npz":
        return read_npz(path, labelling)
    raise DataError(f"expected a .npz file, got {path}")
