"""Tables over several clips, with the columns of their list, and sums for clips and groups."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import SettingError
from mien.tables.columns import CLIPS, GROUPS, SUMS, TRACKS
from mien.tables.csv_files import csv_line, write_lines
from mien.tables.write import (
    EVENT_TABLE_FILE,
    FACES_FILE,
    FRAMES_TABLE_FILE,
    TRACKS_FILE,
    TRIALS_FILE,
)

_CLIPS_FILE = "clips.csv"
_GROUPS_FILE = "groups.csv"
_JOINED = (FACES_FILE, FRAMES_TABLE_FILE, TRACKS_FILE, EVENT_TABLE_FILE, TRIALS_FILE)

COMBINED_FILES = (_CLIPS_FILE, _GROUPS_FILE, *_JOINED)
"""Every file that :func:`write_combined` may write."""

_OVER_VISIBLE = ("share_facing", "mean_valence", "mean_arousal")
_ADDED = ("frames", "visible_s", "expression_changes", "episodes", "blinks", "eyes_seen_s", "yawns")


@dataclass(frozen=True, slots=True)
class ClipTables:
    """The tables of one clip.

    Attributes:
        clip: its name.
        folder: where they are.
        status: ``complete``, ``partial`` or ``failed``.
        error: why it failed.
        warnings: what went wrong without ending the run.
        columns: what the list says about it.
    """

    clip: str
    folder: Path
    status: str
    error: str = ""
    warnings: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)


def check_group(clips: Iterable[Mapping[str, str]], group: str) -> None:
    """Check that the column by which results are summed exists.

    Raises:
        SettingError: no list has it.
    """
    names = list(dict.fromkeys(name for columns in clips for name in columns))
    if group not in ("clip", *names):
        raise SettingError(
            f"expected --group to be a column of the list ({', '.join(names) or 'none given'}) or "
            f"clip, got {group!r}"
        )


def write_combined(folder: Path, clips: Sequence[ClipTables], *, group: str | None = None) -> None:
    """Write the tables over all clips; those that do not apply are deleted.

    Args:
        folder: an existing folder.
        clips: in order; the tables of failed ones are left out.
        group: column by whose values ``groups.csv`` sums.
    """
    extra = list(dict.fromkeys(name for clip in clips for name in clip.columns))
    written = {_CLIPS_FILE}
    write_lines(folder / _CLIPS_FILE, _clip_lines(clips, extra))
    if group is not None:
        write_lines(folder / _GROUPS_FILE, _group_lines(clips, group))
        written.add(_GROUPS_FILE)
    for name in _JOINED:
        if any(_has_table(clip, name) for clip in clips):
            write_lines(folder / name, _joined_lines(clips, name, extra))
            written.add(name)
    for name in COMBINED_FILES:
        if name not in written:
            (folder / name).unlink(missing_ok=True)


def _has_table(clip: ClipTables, name: str) -> bool:
    return clip.status != "failed" and (clip.folder / name).is_file()


def _joined_lines(clips: Sequence[ClipTables], name: str, extra: Sequence[str]) -> Iterator[str]:
    """The rows of a table of all clips, after the clip and the columns of the list.

    A column of the list that has the name of a column of the table is written as ``list_NAME``.
    """
    columns: list[str] = []
    for clip in clips:
        if not _has_table(clip, name):
            continue
        with (clip.folder / name).open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if not columns:
                columns = header
                listed = [f"list_{column}" if column in header else column for column in extra]
                yield csv_line(("clip", *listed, *columns))
            positions = [header.index(c) if c in header else None for c in columns]
            first = (clip.clip, *(clip.columns.get(column, "") for column in extra))
            for row in reader:
                yield csv_line((*first, *("" if p is None else row[p] for p in positions)))


def _clip_lines(clips: Sequence[ClipTables], extra: Sequence[str]) -> Iterator[str]:
    listed = [f"list_{column}" if column in CLIPS else column for column in extra]
    yield csv_line(("clip", *listed, *(name for name in CLIPS if name != "clip")))
    for clip in clips:
        cells: dict[str, Any] = {
            "folder": clip.folder.name,
            "status": clip.status,
            "error": clip.error,
            "warnings": "; ".join(clip.warnings),
            **_sums([clip]),
        }
        first = (clip.clip, *(clip.columns.get(column, "") for column in extra))
        yield csv_line((*first, *(cells.get(name) for name in CLIPS if name != "clip")))


def _group_lines(clips: Sequence[ClipTables], group: str) -> Iterator[str]:
    groups: dict[str, list[ClipTables]] = {}
    for clip in clips:
        value = clip.clip if group == "clip" else clip.columns.get(group, "")
        groups.setdefault(value, []).append(clip)
    yield csv_line((f"list_{group}" if group in GROUPS else group, *GROUPS))
    for value, members in groups.items():
        analyzed = [clip for clip in members if _has_table(clip, TRACKS_FILE)]
        cells = {"clips": len(analyzed), **_sums(analyzed)}
        yield csv_line((value, *(cells.get(name) for name in GROUPS)))


def _sums(clips: Sequence[ClipTables]) -> dict[str, Any]:
    """Sums over the tracks of clips; nothing where no clip was analyzed."""
    analyzed = [clip for clip in clips if _has_table(clip, TRACKS_FILE)]
    if not analyzed:
        return {}
    tracks = [row for clip in analyzed for row in _rows(clip.folder / TRACKS_FILE)]
    sums: dict[str, Any] = {name: _total(tracks, name) for name in _ADDED}
    closures = [row["longest_closure_s"] for row in tracks if row["longest_closure_s"] is not None]
    sums |= {
        "tracks": len(tracks),
        "longest_closure_s": max(closures, default=None),
        "analyzed_frames": sum(
            sum(1 for _ in _rows(clip.folder / FRAMES_TABLE_FILE)) for clip in analyzed
        ),
    }
    for name in SUMS:
        if name.startswith(("share_", "mean_")):
            sums[name] = _weighted(tracks, name)
    for name in ("frames", "expression_changes", "episodes", "blinks", "yawns"):
        sums[name] = None if sums[name] is None else int(sums[name])
    return sums


def _rows(path: Path) -> Iterator[dict[str, float | None]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {
                name: float(value) if name in TRACKS and value else None
                for name, value in row.items()
            }


def _total(tracks: Sequence[Mapping[str, float | None]], name: str) -> float | None:
    values = [value for row in tracks if (value := row[name]) is not None]
    return round(sum(values), 4) if values or name in ("frames", "visible_s") else None


def _weighted(tracks: Sequence[Mapping[str, float | None]], name: str) -> float | None:
    """The mean of a share over tracks, weighted by the time that it is a share of."""
    amount = weight = 0.0
    for row in tracks:
        value, seconds = row[name], row["visible_s"] or 0.0
        if name == "share_eyes_closed":
            seconds = row["eyes_seen_s"] or 0.0
        elif name not in (*_OVER_VISIBLE, "share_not_visible"):
            seconds *= 1 - (row["share_not_visible"] or 0.0)
        if value is not None:
            amount, weight = amount + value * seconds, weight + seconds
    return round(amount / weight, 4) if weight > 0 else None
