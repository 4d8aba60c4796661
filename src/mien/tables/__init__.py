"""The tables of a recording, as CSV, JSON Lines and Parquet.

Each is a pure function of the recorded frames, and its columns are declared in
:mod:`mien.tables.columns`.
"""

from mien.tables.csv_files import require_pyarrow
from mien.tables.trials import Trial, read_trials
from mien.tables.write import TableOptions, event_lines, face_lines, write_tables

__all__ = [
    "TableOptions",
    "Trial",
    "event_lines",
    "face_lines",
    "read_trials",
    "require_pyarrow",
    "write_tables",
]
