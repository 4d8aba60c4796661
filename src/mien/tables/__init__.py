"""The tables of a recording, as CSV, JSON Lines and Parquet.

Each is a pure function of the recorded frames, and its columns are declared in
:mod:`mien.tables.columns`.
"""

from mien.tables.csv_files import csv_to_parquet, require_pyarrow
from mien.tables.trials import Trial, read_trials, trial_lines
from mien.tables.write import (
    TableOptions,
    event_lines,
    face_lines,
    frame_lines,
    landmark_lines,
    track_lines,
    write_tables,
)

__all__ = [
    "TableOptions",
    "Trial",
    "csv_to_parquet",
    "event_lines",
    "face_lines",
    "frame_lines",
    "landmark_lines",
    "read_trials",
    "require_pyarrow",
    "track_lines",
    "trial_lines",
    "write_tables",
]
