"""The charts of reports and web pages, as SVG, and what differs between two people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from mien.drawing import expression_color
from mien.labels import Expression, exact_label
from mien.recording import RecordedFrame
from mien.report.history import Bin, History, TrackHistory

_WIDTH = 1000
_LANE_HEIGHT = 100
_RIBBON_HEIGHT = 14
_RIBBON_TOP = _LANE_HEIGHT + 4
_MOVE_HEIGHT = 30
# Weaker action units, and more than these, are noise of a face at rest.
_MOVED, _MOST_UNITS = 0.2, 6
_BINS = 300
_MOST_PEOPLE = 12
# More lanes, and smaller mean differences, say nothing.
_MOST_LANES, _LEAST = 4, 0.02
_GAZE = {
    "gaze yaw": "gaze to the left (below) and right (above), 45° at the edges",
    "gaze pitch": "gaze up and down, 45° at the edges",
}


@dataclass(frozen=True, slots=True)
class PersonChart:
    """A track, ready for a page.

    Attributes:
        track_id: of the person.
        first_s, last_s: when the person was first and last seen, in seconds.
        frames: number of frames with the person.
        shares: share of the time of each held label in [0, 1], the largest first.
        means: mean probability of each expression over the time, which the areas of the timeline
            show, the largest first.
        timeline: SVG over the whole length of the recording.
        ticks: five times that divide the timeline into quarters.
        end_s: of the recording, in seconds.
    """

    track_id: int
    first_s: float
    last_s: float
    frames: int
    shares: list[tuple[str, float]]
    means: list[tuple[str, float]]
    timeline: str
    ticks: list[str]
    end_s: float


def person_charts(frames: Iterable[RecordedFrame]) -> list[PersonChart]:
    """A chart for each of twelve people with an expression at most, the longest in view first."""
    history = History.of(frames)
    return [
        _person_chart(track_id, track, history)
        for track_id, track in history.longest()
        if any(found.labels for found in track.bins.values())
    ][:_MOST_PEOPLE]


def _person_chart(track_id: int, track: TrackHistory, history: History) -> PersonChart:
    """The chart of one track of a recording."""
    return PersonChart(
        track_id=track_id,
        first_s=track.first_s,
        last_s=track.last_s,
        frames=track.frames,
        shares=list(track.shares.items()),
        means=_means(track, history.labels),
        timeline=timeline(track, history, f"person {track_id}"),
        ticks=ticks(history),
        end_s=history.end_s,
    )


def _means(track: TrackHistory, labels: Iterable[str]) -> list[tuple[str, float]]:
    known = [found for found in track.bins.values() if found.probabilities]
    means = [
        (label, sum(_height(found, [label]) for found in known) / _LANE_HEIGHT / len(known))
        for label in labels
        if known
    ]
    return sorted(means, key=lambda pair: -pair[1])


def color(label: str) -> str:
    """The color of an expression, as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*expression_color(exact_label(label)))


def clock_text(seconds: float) -> str:
    """``m:ss`` or ``h:mm:ss``; with tenths below ten minutes."""
    seconds = round(seconds, 1)
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    if whole >= 600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 60}:{seconds % 60:04.1f}"


def ticks(history: History) -> list[str]:
    """Five times, at the ends and the quarters of a timeline."""
    return [clock_text(history.end_s * quarter / 4) for quarter in range(5)]


def timeline(track: TrackHistory, history: History, name: str) -> str:
    """A track's probabilities, stacked over time, and below them a ribbon of the held label.

    Gaps, in which the face was not found, are blank. Where no expressions were analyzed, a bar
    shows when the person was in view.
    """
    if not history.labels:
        runs = [(*_edges(first, len(bins), history), 1.0) for first, bins in track.runs()]
        return _bar_lane(runs, 0.0, 1.0, f"{name} in view")
    return (
        f'<svg class="lane" viewBox="0 0 {_WIDTH} {_RIBBON_TOP + _RIBBON_HEIGHT}" '
        f'preserveAspectRatio="none" role="img" aria-label="Timeline of {escape(name)}">'
        f"{''.join(_areas(track, history))}{''.join(_ribbon(track, history))}</svg>"
    )


def _areas(track: TrackHistory, history: History) -> Iterator[str]:
    for first, bins in track.runs():
        left, right = _edges(first, len(bins), history)
        yield (
            f'<rect class="ground" x="{left:.1f}" y="0" width="{right - left:.1f}" '
            f'height="{_LANE_HEIGHT}"/>'
        )
    stacked = [label for label in history.labels if label != Expression.NEUTRAL.value]
    # The highest pile is painted first and the lower ones over it.
    for top in range(len(stacked), 0, -1):
        path = "".join(_pile(first, bins, stacked[:top], history) for first, bins in track.runs())
        if path:
            yield f'<path fill="{color(stacked[top - 1])}" d="{path}"/>'


def _ribbon(track: TrackHistory, history: History) -> Iterator[str]:
    for first, count, label, state in _segments(track):
        left, right = _edges(first, count, history)
        begin, end = first * history.width_s, (first + count) * history.width_s
        words = ", ".join(word for word in (label, state) if word and word != "clear")
        fill = f' fill="{color(label)}"' if label and state != "not visible" else ""
        yield (
            f'<rect class="{state.replace(" ", "-")}" x="{left:.1f}" y="{_RIBBON_TOP}" '
            f'width="{max(0.6, right - left):.1f}" height="{_RIBBON_HEIGHT}"{fill}>'
            f"<title>{escape(words)}, {clock_text(begin)} to "
            f"{clock_text(min(end, history.end_s))}</title></rect>"
        )


def movement_lanes(track: TrackHistory, history: History) -> Iterator[tuple[str, str]]:
    """The strongest action units and the gaze over time, each with its words and as SVG.

    An action unit fills its lane at intensity 1. The middle of a lane of the gaze is 0, its edges
    45 degrees to the left and the right of the image, or up and down.
    """
    strongest: dict[str, float] = {}
    for found in track.bins.values():
        for name in found.movements:
            if not name.startswith("gaze"):
                strongest[name] = max(strongest.get(name, 0.0), found.mean(name) or 0.0)
    ranked = sorted(strongest, key=lambda name: -strongest[name])
    for name in [name for name in ranked if strongest[name] >= _MOVED][:_MOST_UNITS]:
        yield name, _lane(track, history, name, 0.0, 1.0)
    for name, words in _GAZE.items():
        if any(found.moving[name] for found in track.bins.values()):
            yield words, _lane(track, history, name, -45.0, 45.0)


def _lane(track: TrackHistory, history: History, name: str, low: float, high: float) -> str:
    """A bar from 0 to the mean for each bin in which a movement was measured."""
    bars = (
        (*_edges(number, 1, history), value)
        for number, found in sorted(track.bins.items())
        if (value := found.mean(name)) is not None
    )
    return _bar_lane(bars, low, high, name)


def _bar_lane(
    bars: Iterable[tuple[float, float, float]], low: float, high: float, name: str
) -> str:
    """Bars from 0 to a value over time: of each the left and right edge in [0, 1000], the value."""
    zero, path = _MOVE_HEIGHT * high / (high - low), ""
    for left, right, value in bars:
        height = _MOVE_HEIGHT * min(high, max(low, value)) / (high - low)
        path += f"M{left:.1f} {zero:.0f}v{-height:.1f}h{right - left:.1f}v{height:.1f}z"
    return (
        f'<svg class="move" viewBox="0 0 {_WIDTH} {_MOVE_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(name)} over time"><path d="{path}"/></svg>'
    )


def share_bar(shares: Mapping[str, float]) -> str:
    """Shares of time as one divided bar."""
    left, parts = 0.0, []
    for label, share in shares.items():
        width = share * _WIDTH
        parts.append(
            f'<rect x="{left:.1f}" y="0" width="{width:.1f}" height="10" fill="{color(label)}">'
            f"<title>{escape(label)} {100 * share:.0f} %</title></rect>"
        )
        left += width
    return (
        f'<svg class="shares" viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="Shares of time">{"".join(parts)}</svg>'
    )


def _edges(first: int, count: int, history: History) -> tuple[float, float]:
    scale = _WIDTH / max(history.end_s, history.width_s)
    left = first * history.width_s * scale
    right = min(_WIDTH, (first + count) * history.width_s * scale)
    return left, max(left, right)


def _pile(first: int, bins: list[Bin], labels: list[str], history: History) -> str:
    """The outline of the first labels' summed probabilities over one run of bins."""
    heights = [_height(found, labels) for found in bins]
    if max(heights) < 0.5:
        return ""
    left, _ = _edges(first, 1, history)
    path = f"M{left:.1f} {_LANE_HEIGHT}"
    for offset, height in enumerate(heights):
        _, right = _edges(first + offset, 1, history)
        path += f"V{_LANE_HEIGHT - height:.0f}H{right:.1f}"
    return path + f"V{_LANE_HEIGHT}Z"


def _height(found: Bin, labels: list[str]) -> float:
    if not found.probabilities:
        return 0.0
    total = sum(found.probabilities.get(label, 0.0) for label in labels)
    return _LANE_HEIGHT * total / sum(found.probabilities.values())


def _segments(track: TrackHistory) -> Iterator[tuple[int, int, str | None, str]]:
    """Neighboring bins with the same label and state: first number, count, label, state."""
    for first, run in track.runs():
        begin = 0
        for index in range(1, len(run) + 1):
            here = run[begin]
            if index == len(run) or (run[index].label, run[index].state) != (
                here.label,
                here.state,
            ):
                yield first + begin, index - begin, here.label, here.state
                begin = index


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
        _person_chart(track_id, track, history)
        for (track_id, history), track in zip(sides, tracks, strict=True)
    ]
    if len(sides) < 2 or not end_s:
        return charts, []
    pairs = zip(tracks[:2], (history for _, history in sides[:2]), strict=True)
    first, second = [_shares(track, history.width_s, end_s) for track, history in pairs]
    return charts, _differences(first, second)


def _shares(track: TrackHistory, width_s: float, end_s: float) -> dict[int, Mapping[str, float]]:
    """The probability of each label by the number of the bin of the common axis."""
    found: dict[int, Mapping[str, float]] = {}
    for number in range(_BINS):
        at = track.bins.get(int((number + 0.5) * end_s / _BINS / width_s))
        if at is not None and at.probabilities:
            total = sum(at.probabilities.values())
            found[number] = {label: p / total for label, p in at.probabilities.items()}
    return found


def _differences(
    first: Mapping[int, Mapping[str, float]], second: Mapping[int, Mapping[str, float]]
) -> list[Difference]:
    common = sorted(first.keys() & second.keys())
    if not common:
        return []
    labels = [label for label in first[common[0]] if label in second[common[0]]]
    by_label = {
        label: [(n, first[n].get(label, 0.0), second[n].get(label, 0.0)) for n in common]
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
            lane=_difference_lane(label, by_label[label])
            if rank < _MOST_LANES and sizes[label] >= _LEAST
            else "",
        )
        for rank, label in enumerate(ranked)
    ]


def _difference_lane(label: str, values: Sequence[tuple[int, float, float]]) -> str:
    width = _WIDTH / _BINS
    bars = ((number * width, (number + 1) * width, a - b) for number, a, b in values)
    return _bar_lane(bars, -1.0, 1.0, f"difference of {label}")
