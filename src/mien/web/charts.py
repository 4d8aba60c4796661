"""Timelines as SVG, for pages that work without any script."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# More points than columns of a picture would only make the page heavy.
_COLUMNS = 400
# Between two sights of a person further apart than this, no line is drawn.
_GAP_S = 1.5


@dataclass(slots=True)
class PersonChart:
    """One person's timeline, ready to be drawn: places are percentages of the plot's sides.

    Attributes:
        track_id: of the person.
        shares: how much of the time each expression was the most probable, the largest first.
        lines: for each expression, SVG path data; y counts downwards.
        strip: x, width and label of the stretches of one label.
        ticks: x and text of the time axis.
    """

    track_id: int
    first_s: float
    last_s: float
    frames: int
    shares: list[tuple[str, float]]
    lines: list[tuple[str, str]]
    strip: list[tuple[float, float, str]]
    ticks: list[tuple[float, str]]


@dataclass(slots=True)
class _Series:
    times: list[float] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    values: list[dict[str, float]] = field(default_factory=list)


def people(frames: Iterable[dict[str, Any]], *, most: int = 12) -> list[PersonChart]:
    """A chart for each person in FrameResult documents, the longest seen first."""
    series: dict[int, _Series] = {}
    duration_s = 0.0
    for frame in frames:
        duration_s = max(duration_s, frame["timestamp_s"] or 0.0)
        for face in frame["faces"]:
            if face["expression"] is None or face["track_id"] is None:
                continue
            one = series.setdefault(face["track_id"], _Series())
            one.times.append(frame["timestamp_s"] or 0.0)
            one.labels.append(face["expression"]["label"])
            one.values.append(face["expression"]["probabilities"])
    longest = sorted(series.items(), key=lambda item: -len(item[1].times))[:most]
    return [_chart(track_id, one, max(duration_s, 0.1)) for track_id, one in longest]


def _chart(track_id: int, series: _Series, duration_s: float) -> PersonChart:
    def x(time_s: float) -> float:
        return round(100 * time_s / duration_s, 2)

    counts: dict[str, int] = {}
    for label in series.labels:
        counts[label] = counts.get(label, 0) + 1
    total = len(series.labels)
    return PersonChart(
        track_id=track_id,
        first_s=series.times[0],
        last_s=series.times[-1],
        frames=total,
        shares=sorted(((k, n / total) for k, n in counts.items()), key=lambda item: -item[1]),
        lines=[(label, _path(series, label, x)) for label in series.values[0]],
        strip=_strip(series, x),
        ticks=[(x(time_s), _clock(time_s)) for time_s in _tick_times(duration_s)],
    )


def _path(series: _Series, label: str, x: Any) -> str:
    parts: list[str] = []
    last_x, last_s = -10.0, -10.0
    for time_s, values in zip(series.times, series.values, strict=True):
        place = x(time_s)
        broken = time_s - last_s > _GAP_S
        if not broken and place - last_x < 100 / _COLUMNS:
            continue
        y = round(100 - 100 * values.get(label, 0.0), 1)
        # One result alone is a dot.
        parts.append(f"M{place} {y}h0" if broken else f"L{place} {y}")
        last_x, last_s = place, time_s
    return "".join(parts)


def _strip(series: _Series, x: Any) -> list[tuple[float, float, str]]:
    stretches: list[tuple[float, float, str]] = []
    start_s, label, last_s = series.times[0], series.labels[0], series.times[0]
    for time_s, now in zip(series.times[1:], series.labels[1:], strict=True):
        gap = time_s - last_s > _GAP_S
        if now != label or gap:
            end_s = last_s if gap else time_s
            stretches.append((x(start_s), _width(x(start_s), x(end_s)), label))
            start_s, label = time_s, now
        last_s = time_s
    stretches.append((x(start_s), _width(x(start_s), x(last_s)), label))
    return stretches


def _width(start: float, end: float) -> float:
    """Of a stretch, wide enough to be seen."""
    return round(max(0.1, end - start), 2)


def _tick_times(duration_s: float) -> list[float]:
    step = next(
        (s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600) if duration_s / s <= 10),
        7200,
    )
    return [float(i * step) for i in range(int(duration_s // step) + 1)]


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(round(time_s), 60)
    return f"{minutes}:{seconds:02d}"
