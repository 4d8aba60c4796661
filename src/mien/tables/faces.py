"""The tables with a row for each face, frame, track and event of a recording, line by line."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mien.labels import Expression
from mien.recording import RecordedFrame
from mien.tables.columns import FRAME_COLUMNS, TRACK_COLUMNS
from mien.tables.csv_files import csv_line
from mien.tracking import Event
from mien.types import FrameResult, face_columns, face_row


def face_lines(
    documents: Iterable[Mapping[str, Any]], labels: Iterable[Expression] | None = None
) -> Iterator[str]:
    """The table of faces as lines of CSV, the header first: a row for each face in each frame.

    Args:
        documents: FrameResult documents, in order.
        labels: of the expression model; None takes those of the first expression, and until then
            keeps the rows in memory.
    """
    columns: list[str] = []
    if labels is not None:
        columns = face_columns(labels)
        yield csv_line(columns)
    waiting: list[dict[str, Any]] = []
    for result in map(FrameResult.from_dict, documents):
        for face in result.faces:
            waiting.append(face_row(result, face))
            if not columns and face.expression is not None:
                columns = face_columns(face.expression.labels)
                yield csv_line(columns)
        if columns:
            yield from (csv_line(row.get(name) for name in columns) for row in waiting)
            waiting.clear()
    if not columns:
        columns = face_columns(Expression)
        yield csv_line(columns)
        yield from (csv_line(row.get(name) for name in columns) for row in waiting)


def frame_lines(documents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The table of frames as lines of CSV: a row for each analyzed frame, also without faces.

    Args:
        documents: lines of a recording, in order.
    """
    yield csv_line(FRAME_COLUMNS)
    for document in documents:
        states = [face["track"]["state"] for face in document["faces"] if face.get("track")]
        cut = any(event["event"] == "scene_cut" for event in document.get("events", ()))
        yield csv_line(
            (
                document["frame_index"],
                document["timestamp_s"],
                len(document["faces"]),
                *(states.count(state) for state in ("clear", "uncertain", "not visible")),
                cut,
            )
        )


def track_lines(frames: Iterable[RecordedFrame]) -> Iterator[str]:
    """The table of tracks as lines of CSV, the header first, in the order in which they ended."""
    yield csv_line(TRACK_COLUMNS)
    for event in all_events(frames):
        if event.kind == "track_ended":
            yield csv_line(event.details.get(column) for column in TRACK_COLUMNS)


def event_lines(frames: Iterable[RecordedFrame]) -> Iterator[str]:
    """One JSON object for each event but the ends of tracks, which have their own table."""
    for event in all_events(frames):
        if event.kind != "track_ended":
            yield json.dumps(event.to_dict(), ensure_ascii=False) + "\n"


def landmark_lines(documents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The table of landmarks as lines of CSV: a row for each face in each frame.

    Columns are ``lm_0_x``, ``lm_0_y``, and ``lm_0_z`` where the model has depth, for each point.
    Without a face that has landmarks there is only the beginning of the header.
    """
    columns: list[str] = []
    for document in documents:
        for face in document["faces"]:
            points = (face.get("landmarks") or {}).get("points")
            if not points:
                continue
            if not columns:
                axes = "xyz"[: len(points[0])]
                columns = [f"lm_{number}_{axis}" for number in range(len(points)) for axis in axes]
                yield csv_line((*LANDMARK_KEYS, *columns))
            key = (document["frame_index"], document["timestamp_s"], face["track_id"])
            yield csv_line((*key, *(value for point in points for value in point)))
    if not columns:
        yield csv_line(LANDMARK_KEYS)


LANDMARK_KEYS = ("frame_index", "timestamp_s", "track_id")


def all_events(frames: Iterable[RecordedFrame]) -> Iterator[Event]:
    """The events of a recording, in order."""
    for frame in frames:
        yield from frame.events
        yield from frame.closing_events
