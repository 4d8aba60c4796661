"""Timelines and shares as SVG, which needs no script to be read."""

from collections.abc import Iterator, Mapping
from html import escape

from mien.drawing import EXPRESSION_COLORS
from mien.labels import Expression
from mien.report.bins import Bin
from mien.report.records import Recording, TrackRecord

WIDTH = 1000
LANE_HEIGHT = 100
_RIBBON_HEIGHT = 14
_RIBBON_TOP = LANE_HEIGHT + 4


def color(label: str) -> str:
    """The color of an expression, as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*EXPRESSION_COLORS[Expression(label)])


def clock_text(seconds: float) -> str:
    """``m:ss`` or ``h:mm:ss``; with tenths below ten minutes."""
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    if whole >= 600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 60}:{seconds % 60:04.1f}"


def lane(record: TrackRecord, recording: Recording, name: str) -> str:
    """A track's probabilities, stacked over time, and below them the label that was held."""
    runs = list(_runs(record.bins.bins))
    scale = WIDTH / max(recording.end_s, recording.width_s)
    parts = [
        f'<svg class="lane" viewBox="0 0 {WIDTH} {_RIBBON_TOP + _RIBBON_HEIGHT}" '
        f'preserveAspectRatio="none" role="img" aria-label="Timeline of {escape(name)}">'
    ]
    for first, bins in runs:
        left, right = _edges(first, len(bins), recording, scale)
        parts.append(
            f'<rect class="ground" x="{left:.1f}" y="0" width="{right - left:.1f}" '
            f'height="{LANE_HEIGHT}"/>'
        )
    stacked = [label for label in recording.labels if label != Expression.NEUTRAL.value]
    # The highest pile is painted first and the lower ones over it.
    for top in range(len(stacked), 0, -1):
        path = "".join(_pile(first, bins, stacked[:top], recording, scale) for first, bins in runs)
        if path:
            parts.append(f'<path fill="{color(stacked[top - 1])}" d="{path}"/>')
    for first, count, label, state in _segments(record.bins.bins):
        left, right = _edges(first, count, recording, scale)
        begin, end = first * recording.width_s, (first + count) * recording.width_s
        words = ", ".join(word for word in (label, state) if word and word != "clear")
        fill = color(label) if label and state != "not visible" else "url(#hidden)"
        parts.append(
            f'<rect class="{state.replace(" ", "-")}" x="{left:.1f}" y="{_RIBBON_TOP}" '
            f'width="{max(0.6, right - left):.1f}" height="{_RIBBON_HEIGHT}" fill="{fill}">'
            f"<title>{escape(words)}, {clock_text(begin)} to "
            f"{clock_text(min(end, recording.end_s))}</title></rect>"
        )
    parts.append("</svg>")
    return "".join(parts)


def share_bar(shares: Mapping[str, float]) -> str:
    """Shares of time as one divided bar."""
    left, parts = 0.0, []
    for label, share in shares.items():
        width = share * WIDTH
        parts.append(
            f'<rect x="{left:.1f}" y="0" width="{width:.1f}" height="10" fill="{color(label)}">'
            f"<title>{escape(label)} {100 * share:.0f} %</title></rect>"
        )
        left += width
    return (
        f'<svg class="shares" viewBox="0 0 {WIDTH} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="Shares of time">{"".join(parts)}</svg>'
    )


def _edges(first: int, count: int, recording: Recording, scale: float) -> tuple[float, float]:
    left = first * recording.width_s * scale
    right = min(WIDTH, (first + count) * recording.width_s * scale)
    return left, max(left, right)


def _pile(
    first: int, bins: list[Bin], labels: list[str], recording: Recording, scale: float
) -> str:
    """The outline of the first labels' summed probabilities over one run of bins."""
    heights = [_height(found, labels, recording) for found in bins]
    if max(heights) < 0.5:
        return ""
    left, _ = _edges(first, 1, recording, scale)
    path = f"M{left:.1f} {LANE_HEIGHT}"
    for offset, height in enumerate(heights):
        _, right = _edges(first + offset, 1, recording, scale)
        path += f"V{LANE_HEIGHT - height:.0f}H{right:.1f}"
    return path + f"V{LANE_HEIGHT}Z"


def _height(found: Bin, labels: list[str], recording: Recording) -> float:
    if not found.probabilities:
        return 0.0
    total = sum(found.probabilities[recording.labels.index(label)] for label in labels)
    return LANE_HEIGHT * total / sum(found.probabilities)


def _runs(bins: Mapping[int, Bin]) -> Iterator[tuple[int, list[Bin]]]:
    """Neighboring bins, gap after gap."""
    run: list[Bin] = []
    start = last = -2
    for number in sorted(bins):
        if number != last + 1 and run:
            yield start, run
            run = []
        if not run:
            start = number
        run.append(bins[number])
        last = number
    if run:
        yield start, run


def _segments(bins: Mapping[int, Bin]) -> Iterator[tuple[int, int, str | None, str]]:
    """Neighboring bins with the same label and state: first number, count, label, state."""
    for first, run in _runs(bins):
        begin = 0
        for index in range(1, len(run) + 1):
            if index == len(run) or _reading(run[index]) != _reading(run[begin]):
                yield first + begin, index - begin, *_reading(run[begin])
                begin = index


def _reading(found: Bin) -> tuple[str | None, str]:
    label = max(found.labels, key=lambda name: found.labels[name]) if found.labels else None
    if 2 * found.not_visible > found.frames:
        return label, "not visible"
    return label, "uncertain" if 2 * found.uncertain > found.frames else "clear"
