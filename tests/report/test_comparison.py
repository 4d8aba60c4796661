"""People on one time axis, and what differs between two of them."""

from typing import Any

import pytest

from mien.recording import read_frames
from mien.report import History, compare


def history_of(shares: dict[int, list[tuple[float, float]]]) -> History:
    return History.of(read_frames(documents_of(shares)))


def documents_of(shares: dict[int, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    """Ten frames a second; for each track the probability of happiness at some times."""
    frames: dict[float, list[Any]] = {}
    for track_id, values in shares.items():
        for at_s, happiness in values:
            frames.setdefault(at_s, []).append(
                {
                    "box": {"x_min": 0, "y_min": 0, "x_max": 9, "y_max": 9},
                    "score": 1.0,
                    "track_id": track_id,
                    "landmarks": None,
                    "expression": {
                        "label": "happiness" if happiness > 0.5 else "neutral",
                        "uncertain": False,
                        "probabilities": {"neutral": 1 - happiness, "happiness": happiness},
                    },
                    "quality": None,
                    "affect": None,
                    "signals": None,
                }
            )
    return [
        {
            "schema_version": 1, "source": "x", "image_size_wh": [20, 20],
            "frame_index": k, "timestamp_s": at_s, "faces": faces, "timings_ms": {}, "models": {},
        }
        for k, (at_s, faces) in enumerate(sorted(frames.items()))
    ]  # fmt: skip


def steady(happiness: float, seconds: int) -> list[tuple[float, float]]:
    return [(k / 10, happiness) for k in range(10 * seconds)]


def test_people_of_two_recordings_have_one_axis() -> None:
    short, long = history_of({1: steady(0.9, 4)}), history_of({7: steady(0.2, 10)})
    charts, differences = compare([(1, short), (7, long)])
    assert [chart.track_id for chart in charts] == [1, 7]
    assert [chart.end_s for chart in charts] == [pytest.approx(9.9)] * 2
    assert charts[0].ticks == charts[1].ticks
    by_label = {one.label: one for one in differences}
    assert by_label["happiness"].first == pytest.approx(0.9)
    assert by_label["happiness"].second == pytest.approx(0.2)
    # Only the first four seconds have both.
    edges = by_label["happiness"].lane.split('d="')[1].split('"')[0].split("M")[1:]
    assert 350 < float(edges[-1].split()[0]) < 410


def test_a_recording_may_go_on_with_the_labels_of_another_model() -> None:
    other = history_of({1: steady(0.6, 6)})
    shares = {"bored": 0.8, "alert": 0.2}
    expression = {"label": "bored", "uncertain": False, "probabilities": shares}
    frames = documents_of({1: steady(0.6, 6)})
    for document in frames[30:]:
        document["faces"][0]["expression"] = expression
    history = History.of(read_frames(frames))
    assert history.labels == ("neutral", "happiness", "bored", "alert")
    _, differences = compare([(1, history), (1, other)])
    by_label = {one.label: one for one in differences}
    assert by_label["happiness"].first == pytest.approx(0.3, abs=0.01)


def test_people_of_one_recording_can_be_compared() -> None:
    frames = {1: steady(0.6, 3), 2: steady(0.6, 3)}
    _, differences = compare([(1, history_of(frames)), (2, history_of(frames))])
    assert [one.first - one.second for one in differences] == [0, 0]
    assert [one.lane for one in differences] == ["", ""]


def test_people_who_are_never_there_together_have_no_difference() -> None:
    early, late = steady(0.5, 2), [(at_s + 5, share) for at_s, share in steady(0.5, 2)]
    charts, differences = compare([(1, history_of({1: early})), (2, history_of({2: late}))])
    assert len(charts) == 2
    assert differences == []
    assert compare([]) == ([], [])
