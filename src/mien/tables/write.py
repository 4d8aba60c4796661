"""Writing all tables of a recording into a folder."""

from dataclasses import dataclass
from pathlib import Path

from mien.labels import Expression
from mien.recording import Recording
from mien.tables.csv_files import csv_to_parquet, require_pyarrow, write_lines
from mien.tables.events import event_table_lines
from mien.tables.faces import event_lines, face_lines, frame_lines, landmark_lines, track_lines
from mien.tables.trials import Trial, trial_lines
from mien.types import face_column_types

FACES_FILE = "faces.csv"
FRAMES_TABLE_FILE = "frames.csv"
TRACKS_FILE = "tracks.csv"
EVENTS_FILE = "events.jsonl"
EVENT_TABLE_FILE = "events.csv"
TRIALS_FILE = "trials.csv"
LANDMARKS_FILE = "landmarks.csv"
PARQUET_FILE = "faces.parquet"
LANDMARKS_PARQUET_FILE = "landmarks.parquet"

TABLE_FILES = (
    FACES_FILE,
    FRAMES_TABLE_FILE,
    TRACKS_FILE,
    EVENTS_FILE,
    EVENT_TABLE_FILE,
    TRIALS_FILE,
    LANDMARKS_FILE,
    PARQUET_FILE,
    LANDMARKS_PARQUET_FILE,
)
"""Every file that :func:`write_tables` may write."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Which tables are written.

    Attributes:
        parquet: whether to write ``faces.parquet`` (and ``landmarks.parquet``) as well.
        landmarks: whether to write ``landmarks.csv``; the recording must have them.
        trials: for ``trials.csv``, of all clips or of this one; none for no such table.
        time_offset_s: when the file starts on the clock of the trials and of ``events.csv``.
    """

    parquet: bool = False
    landmarks: bool = False
    trials: tuple[Trial, ...] = ()
    time_offset_s: float = 0.0


def write_tables(recording: Recording, folder: Path, options: TableOptions | None = None) -> int:
    """Write the tables; those of an earlier call that are not wanted now are deleted.

    Args:
        recording: is read line by line, so that its length does not matter.
        folder: an existing folder; files of these names are replaced.
        options: by default faces, frames, tracks and events.

    Returns:
        The number of tracks.

    Raises:
        InputError: the recording cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    options = options or TableOptions()
    if options.parquet:
        require_pyarrow()
    labels = [Expression(label) for label in recording.state().labels]
    offset_s = options.time_offset_s
    lines = {
        FACES_FILE: face_lines(recording.documents(), labels or None),
        FRAMES_TABLE_FILE: frame_lines(recording.documents()),
        TRACKS_FILE: track_lines(recording.frames()),
        EVENTS_FILE: event_lines(recording.frames()),
        EVENT_TABLE_FILE: event_table_lines(recording.frames(), time_offset_s=offset_s),
    }
    if options.trials:
        lines[TRIALS_FILE] = trial_lines(recording.frames(), options.trials, time_offset_s=offset_s)
    if options.landmarks:
        lines[LANDMARKS_FILE] = landmark_lines(recording.documents())
    counts = {name: write_lines(folder / name, made) for name, made in lines.items()}
    written = set(counts)
    if options.parquet:
        types = face_column_types(labels or Expression)
        csv_to_parquet(folder / FACES_FILE, folder / PARQUET_FILE, types)
        written.add(PARQUET_FILE)
        if options.landmarks:
            csv_to_parquet(folder / LANDMARKS_FILE, folder / LANDMARKS_PARQUET_FILE, {})
            written.add(LANDMARKS_PARQUET_FILE)
    for name in TABLE_FILES:
        if name not in written:
            (folder / name).unlink(missing_ok=True)
    return counts[TRACKS_FILE] - 1
