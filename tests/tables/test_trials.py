"""Sums of trials: what a trial does not show is empty."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.errors import InputError
from mien.recording import RecordedFrame
from mien.tables.trials import Trial, read_trials, trial_lines, trials_outside
from mien.tracking import Event
from mien.types import Box, Detection, Face, FrameResult, Quality, TrackStatistics


def frames(seen: Any) -> Iterator[RecordedFrame]:
    """Ten seconds at 10 fps of a face whose eyes and mouth are seen where `seen` says so."""
    for index in range(100):
        now = index / 10
        face = Face(
            Detection(Box(0, 0, 100, 100), 1.0),
            track_id=1,
            quality=Quality(100.0, reasons=() if seen(now) else ("blurred",)),
            track=TrackStatistics(age_s=now, blinks=1, yawns=0),
        )
        result = FrameResult((face,), (640, 480), frame_index=index, timestamp_s=now)
        events = (Event("blink", now, 1),) if index == 20 else ()
        yield RecordedFrame(result, events)


def test_blinks_are_empty_where_the_eyes_were_not_seen() -> None:
    trials = [Trial("seen", 0, 4), Trial("hidden", 5, 9)]
    rows = list(csv.DictReader(trial_lines(frames(lambda now: now < 4), trials)))
    assert [(row["trial"], row["blinks"], row["yawns"]) for row in rows] == [
        ("seen", "1", "0"),
        ("hidden", "", ""),
    ]


@pytest.mark.parametrize(
    ("onset_s", "offset_s", "words"),
    [
        (0, 10, None),
        (2, float("inf"), None),
        (-1, 3, "reaches beyond"),
        (8, 12, "reaches beyond"),
        (10, 12, "lies outside of"),
        (11, float("inf"), "lies outside of"),
        (-3, -1, "lies outside of"),
    ],
)
def test_trials_outside(onset_s: float, offset_s: float, words: str | None) -> None:
    found = trials_outside([Trial("one", onset_s, offset_s)], 0, 10)
    assert [str(words) in text for text in found] == ([True] if words else [])
    moved = Trial("one", onset_s + 100, offset_s + 100)
    assert len(trials_outside([moved], 0, 10, time_offset_s=100)) == len(found)


def test_many_trials_outside_are_summed_up() -> None:
    found = trials_outside([Trial(str(n), 20 + n, 21 + n) for n in range(30)], 0, 10)
    assert len(found) == 6
    assert found[-1] == "25 more trials like these"


def test_names_the_line_of_a_bad_trial_below_empty_ones(tmp_path: Path) -> None:
    table = tmp_path / "trials.csv"
    table.write_text('trial,onset_s,note\n\none,1,"two\nlines"\n,,\ntwo,soon,\n')
    with pytest.raises(InputError, match="in line 6 of"):
        read_trials(table)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('trial, onset_s, word\n1, 2.5, "yes, no"\n', ("1", 2.5, "yes, no")),
        ("sep=;\r\ntrial;onset_s;word\r\n1;2.5;ja\r\n", ("1", 2.5, "ja")),
        ("sep=;\ntrial;onset_s\n1;2,5\n", "line 3 of .*got '2,5': write a point before the dec"),
    ],
)
def test_tables_of_spreadsheets(tmp_path: Path, text: str, expected: Any) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read_trials(tmp_path / "t.csv")
        return
    (trial,) = read_trials(tmp_path / "t.csv")
    assert (trial.name, trial.onset_s, trial.columns["word"]) == expected
