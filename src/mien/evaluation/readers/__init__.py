"""Reading labeled data as people have it; see :func:`read_data`."""

from mien.evaluation.readers.choose import read_data

__all__ = ["read_data"]
