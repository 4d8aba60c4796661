"""People of the same or of different recordings on one time axis, and what differs between two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mien.report.charts import WIDTH, PersonChart, bar_lane, person_chart
from mien.report.history import Bin, History, TrackHistory

_BINS = 300
# More lanes, and smaller mean differences, say nothing.
_MOST_LANES, _LEAST = 4, 0.02


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one person showed an expression than another.

    Attributes:
        label: of the expression.
        first, second: mean probability of the two over the time that both have, in [0, 1].
        lane: first minus second over time as SVG, from -1 at the bottom to 1; "" of minor ones.
    """

    label: str
    first: float
    second: float
    lane: str = ""


def compare(sides: Sequence[tuple[int, History]]) -> tuple[list[PersonChart], list[Difference]]:
    """Charts on the axis of the longest recording, and the differences of the first two people.

    Args:
        sides: a track and the history of its recording, which is changed. The recordings begin
            at the same time of the axis.

    Returns:
        A chart for each side, and the differences, the largest first: none where the two are not
        in view at the same time of their recordings.
    """
    end_s = max((history.end_s for _, history in sides), default=0.0)
    for _, history in sides:
        history.end_s = end_s
    tracks = [history.tracks[track_id] for track_id, history in sides]
    charts = [
        person_chart(track_id, track, history)
        for (track_id, history), track in zip(sides, tracks, strict=True)
    ]
    if len(sides) < 2 or not end_s:
        return charts, []
    pairs = zip(tracks[:2], (history for _, history in sides[:2]), strict=True)
    first, second = [_shares(track, history, end_s) for track, history in pairs]
    return charts, _differences(first, second)


def _shares(track: TrackHistory, history: History, end_s: float) -> dict[int, Mapping[str, float]]:
    """The probability of each label by the number of the bin of the common axis."""
    found: dict[int, Mapping[str, float]] = {}
    for number in range(_BINS):
        at = track.bins.get(int((number + 0.5) * end_s / _BINS / history.width_s))
        if at is not None and at.probabilities:
            found[number] = _normalized(at, history.labels)
    return found


def _normalized(found: Bin, labels: Sequence[str]) -> Mapping[str, float]:
    total = sum(found.probabilities)
    return {
        label: probability / total
        for label, probability in zip(labels, found.probabilities, strict=True)
    }


def _differences(
    first: Mapping[int, Mapping[str, float]], second: Mapping[int, Mapping[str, float]]
) -> list[Difference]:
    common = sorted(first.keys() & second.keys())
    if not common:
        return []
    labels = [label for label in first[common[0]] if label in second[common[0]]]
    by_label = {
        label: [(number, first[number][label], second[number][label]) for number in common]
        for label in labels
    }
    sizes = {
        label: sum(abs(a - b) for _, a, b in values) / len(common)
        for label, values in by_label.items()
    }
    ranked = sorted(labels, key=lambda label: -sizes[label])
    return [
        Difference(
            label=label,
            first=sum(a for _, a, _ in by_label[label]) / len(common),
            second=sum(b for _, _, b in by_label[label]) / len(common),
            lane=_lane(label, by_label[label])
            if rank < _MOST_LANES and sizes[label] >= _LEAST
            else "",
        )
        for rank, label in enumerate(ranked)
    ]


def _lane(label: str, values: Sequence[tuple[int, float, float]]) -> str:
    width = WIDTH / _BINS
    bars = ((number * width, (number + 1) * width, a - b) for number, a, b in values)
    return bar_lane(bars, -1.0, 1.0, f"difference of {label}")
